"""`python -m loadtests.bench.policies.page`: docs/results.md and its picture, from what the comparison kept.

Reads build/bench/policies.json and the cells: nothing is computed, and no number is written by hand. With `--server
batching` the page is docs/results-batching.md, of the comparison on those servers.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from autoscaler.simulation.peers.catalog import RULES
from loadtests.bench.policies.__main__ import counted, kept
from loadtests.bench.policies.choose import KINDS, Found, Outcome
from loadtests.bench.policies.protocol import Protocol
from loadtests.bench.policies.results import Results
from loadtests.bench.policies.servers import BATCHING, SERVERS, SINGLE

DOCS = Path("docs")
# (page, what its picture is called, title, the servers)
PAGES = {
    SINGLE: (
        "results.md",
        "policies.png",
        "# What forescale saves, measured",
        "Servers take one request at a time, 100 ms each with a scatter of 30 %; on servers that batch to 8 it is in "
        "[results-batching.md](results-batching.md).",
    ),
    BATCHING: (
        "results-batching.md",
        "policies-batching.png",
        "# What forescale saves on servers that batch",
        "Servers form batches of up to 8: 100 ms for one request, 296 ms for eight, so 27 requests a second, with a "
        "scatter of 30 %; forescale is told none of these times. The same on servers that take one request at a time "
        "is in [results.md](results.md).",
    ),
}
# Figures that have no target and belong beside those that have.
_SHOWN = ("forescale with", "least that pays start-ups")
_STARTUP = re.compile(r",? start-up ([\d.]+ s)(?=,|$)")
PURPOSE = {
    "default": "at its documented default",
    "one for all": "at the one setting that holds on every series",
    "tuned": "tuned for each workload on the three days before",
    "hindsight": "at its best for each workload in hindsight",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Writes both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="as the comparison was run with")
    parser.add_argument("--counted", action="store_true", help="as the comparison was run with")
    parser.add_argument("--server", choices=SERVERS, default=SINGLE, help="(%(default)s)")
    given = parser.parse_args(argv)
    protocol = Protocol(seeds=tuple(range(1, given.seeds + 1)), server=given.server)
    if given.counted:
        protocol = counted(protocol)
    folder = kept(protocol.server)
    file = folder.with_name(f"{folder.name}.json")
    day = datetime.fromtimestamp(file.stat().st_mtime, UTC).strftime("%Y-%m-%d")
    results = Results(protocol, folder)
    name, picture, *_ = PAGES[protocol.server]
    (DOCS / name).write_text(page(results, json.loads(file.read_text()), day))
    draw(results).savefig(DOCS / "img" / picture, dpi=110)
    print(f"{DOCS / name}\n{DOCS / 'img' / picture}")


def page(results: Results, told: dict[str, Any], day: str) -> str:
    """The whole page."""
    seeds = len(results.protocol.seeds)
    _, picture, title, servers = PAGES[results.protocol.server]
    parts = [
        title,
        f"Measured on {day} at commit {told['commit']}, with {seeds} draw{'s' if seeds > 1 else ''} of arrivals and "
        "start-ups, by `make bench-policies`; this page is written from its results by `make results-page`. What is "
        "compared, and how, is in [comparison.md](comparison.md). GPU-hours are over the clairvoyant's, who sees the "
        "next half minute and needs no start-up; the goal is 99 % of requests within the threshold.",
        servers,
        f"![Cost against misses](img/{picture})",
        "Each line is a peer over all settings of its headroom, one setting for all counted series: the geometric mean "
        "of its GPU-hours, and the misses on the series that fares worst. The cross is forescale at its defaults.",
        "## Beside what was promised",
        _figures(told["figures"]),
        "## Each series",
        *(_series(results, startup_s) for startup_s in results.protocol.startups_s),
        "## Against each peer",
        "GPU-hours that forescale saves (its attainment and the peer's in brackets, means over the counted series). A "
        "peer that holds 99 % on fewer series is cheap because it misses. forescale is run request by request; peers "
        "by the fluid model, where their best setting was not confirmed request by request.",
        *(_peers(results, kind) for kind in KINDS),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _figures(figures: list[dict[str, Any]]) -> str:
    """A table for each start-up, and one for what is about no single one."""
    by_startup: dict[str, list[Sequence[str]]] = {}
    for item in figures:
        if item["target"] is None and not item["name"].startswith(_SHOWN):
            continue
        name, startup = _STARTUP.sub("", item["name"]), _STARTUP.search(item["name"])
        target, verdict = "", ""
        if item["target"] is not None:
            lower = item["better"] == "lower"
            met = item["value"] <= item["target"] if lower else item["value"] >= item["target"]
            target = f"{'≤' if lower else '≥'} {item['target']:g}"
            verdict = "met" if met else "**missed**"
        value = f"{item['value']:.4g} {item['unit']}"
        row = (name, value, target, verdict, item["note"])
        by_startup.setdefault(startup[1] if startup else "", []).append(row)
    alike = by_startup.pop("", [])
    head = ("figure", "value", "target", "", "note")
    parts = [f"### Start-up {told}\n\n{_table(head, rows)}" for told, rows in by_startup.items()]
    return "\n\n".join([*parts, f"### All of them\n\n{_table(head, alike)}"])


def _series(results: Results, startup_s: float) -> str:
    rows = []
    for one in results.protocol.series:
        ours, bound = results.ours(one.name, startup_s), results.bound(one.name)
        rows.append(
            (
                one.name if one.counted else f"{one.name} (shown only)",
                "-" if bound is None else f"{ours.gpu_hours / bound['gpu_hours']:.2f}",
                f"{ours.attainment_ratio:.2%}",
                f"{ours.good_windows_ratio:.1%}",
                f"{ours.worst_window_ratio:.0%}",
                f"{ours.longest_bad_s / 60.0:.0f} min",
                f"{ours.changes:.0f}",
                *(
                    _best(results, kind, one.name, startup_s, bound)
                    for kind in ("tuned", "hindsight")
                ),
            )
        )
    head = (
        "series",
        "forescale",
        "in time",
        "5 min good",
        "worst 5 min",
        "longest bad",
        "changes",
        "best peer, tuned before",
        "best peer, hindsight",
    )
    return f"### Start-up {startup_s:g} s\n\n{_table(head, rows)}"


def _best(results: Results, kind: str, series: str, startup_s: float, bound: Found | None) -> str:
    best = results.best_peer(kind, series, startup_s)
    if best is None or bound is None:
        return "none holds"
    name, found = best
    return f"{found.gpu_hours / bound['gpu_hours']:.2f} ({name})"


def _peers(results: Results, kind: str) -> str:
    rows = []
    for name in RULES:
        cells = [
            _against(results, name, kind, startup_s) for startup_s in results.protocol.startups_s
        ]
        rows.append((name, *cells))
    head = ("peer", *(f"{startup_s:g} s" for startup_s in results.protocol.startups_s))
    return f"### {PURPOSE[kind][0].upper()}{PURPOSE[kind][1:]}\n\n{_table(head, rows)}"


def _against(results: Results, name: str, kind: str, startup_s: float) -> str:
    pairs: list[tuple[Outcome, Outcome]] = []
    for series in results.counted:
        theirs = results.peer(name, kind, series, startup_s, confirmed=True)
        if theirs is None:
            return "holds nowhere near" if kind == "one for all" else "does not hold on all"
        pairs.append((results.ours(series, startup_s), theirs))
    saved = 1.0 - geometric_mean(ours.gpu_hours / theirs.gpu_hours for ours, theirs in pairs)
    attained = [sum(pair[i].attainment_ratio for pair in pairs) / len(pairs) for i in (0, 1)]
    return f"{saved:+.0%} ({attained[0]:.1%}, {attained[1]:.1%})"


def draw(results: Results) -> Any:
    """A matplotlib figure: a panel for each start-up, misses against GPU-hours."""
    from matplotlib.figure import Figure

    startups_s = results.protocol.startups_s
    figure = Figure(figsize=(11.0, 7.4), layout="constrained")
    panels = figure.subplots(2, (len(startups_s) + 1) // 2, squeeze=False).flat
    for axes, startup_s in zip(panels, startups_s, strict=False):
        for number, name in enumerate(RULES):
            missed, cost = _curve(results, name, startup_s)
            axes.plot(cost, missed, linewidth=1.2, color=f"C{number}", label=name)
        found = [
            (results.ours(name, startup_s), bound)
            for name in results.counted
            if (bound := results.bound(name)) is not None
        ]
        ours_missed = max(1.0 - our.attainment_ratio for our, _ in found)
        ours_cost = geometric_mean(our.gpu_hours / bound["gpu_hours"] for our, bound in found)
        axes.plot([ours_cost], [100.0 * ours_missed], "kX", markersize=10, label="forescale")
        axes.axhline(1.0, color="#888888", linewidth=0.6, linestyle=":")
        axes.set_xlim(0.95, 6.0)
        axes.set_yscale("log")
        axes.set_ylim(0.1, 100.0)
        axes.set_title(f"start-up {startup_s:g} s", loc="left", fontsize=10)
        axes.set_xlabel("GPU-hours / clairvoyant", fontsize=8)
        axes.set_ylabel("% of requests that miss, worst series", fontsize=8)
        axes.grid(color="#dddddd", linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    return figure


def _curve(results: Results, name: str, startup_s: float) -> tuple[list[float], list[float]]:
    """(% that missed on the worst series, geometric mean of the GPU-hours) by setting of a peer's headroom."""
    curves = {
        series: results.curves(name, series, startup_s)[0]["grid"]
        for series in results.counted
        if results.bound(series) is not None
    }
    places = range(min(len(grid) for grid in curves.values()))
    missed, cost = [], []
    for place in places:
        points = {series: grid[place] for series, grid in curves.items()}
        missed.append(100.0 * max(1.0 - p["attainment_ratio"] for p in points.values()))
        cost.append(
            geometric_mean(
                p["gpu_hours"] / (results.bound(series) or {})["gpu_hours"]
                for series, p in points.items()
            )
        )
    return missed, cost


if __name__ == "__main__":
    main()
