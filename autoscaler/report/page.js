// Shows, in every plot of a workload, the values at the time under the pointer, and the reason at that moment.
for (const section of document.querySelectorAll("section")) {
  const start = +section.dataset.start, step = +section.dataset.step, steps = +section.dataset.steps;
  const now = section.querySelector(".now");
  const plots = [...section.querySelectorAll(".plot")].map((plot) => ({
    ...JSON.parse(plot.querySelector("script").textContent),
    area: plot.querySelector(".area"),
    outputs: plot.querySelectorAll("figcaption output"),
    reason: plot.querySelector(".reason"),
    keys: plot.querySelector(".keys"),
  }));
  const shown = (value, unit) =>
    value === null || value === undefined ? "–" : `${value.toLocaleString("en")}${unit === "%" ? " %" : ""}`;
  const show = (at) => {
    now.textContent = new Date((start + step * (at + 0.5)) * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC";
    for (const plot of plots) {
      plot.area.style.setProperty("--at", `${(100 * (at + 0.5)) / steps}%`);
      plot.outputs.forEach((output, place) => { output.textContent = shown(plot.series[place][at], plot.unit); });
      if (!plot.reason) continue;
      const told = plot.why.filter(([from]) => from <= at).pop();
      plot.reason.textContent = told ? told[1] : "";
      plot.keys.hidden = true;
    }
    section.classList.add("pointed");
  };
  const clear = () => {
    section.classList.remove("pointed");
    now.textContent = "\u00a0";
    for (const plot of plots) {
      plot.outputs.forEach((output) => { output.textContent = ""; });
      if (plot.reason) { plot.reason.textContent = ""; plot.keys.hidden = false; }
    }
  };
  for (const plot of plots) {
    plot.area.addEventListener("pointermove", (event) => {
      const box = plot.area.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      show(Math.min(steps - 1, Math.max(0, Math.floor(share * steps))));
    });
    plot.area.addEventListener("pointerleave", clear);
  }
}
