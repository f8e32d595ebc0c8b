"""The same servers behind a proxy that pins connections: the skew is named, and attainment recovers."""

from __future__ import annotations

import asyncio
import time

from rich.console import Console

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.core.reasons import Reason
from loadtests.e2e import checks, controllers, show
from loadtests.e2e.checks import Check
from loadtests.e2e.main_job import GOAL, MANIFEST, NAME, NAMESPACE, POLICY, THRESHOLD_S
from loadtests.e2e.proxy import ADDRESS, PORT, Proxy
from loadtests.e2e.recorder import Recorder
from loadtests.load import request_log
from loadtests.load.driver import Driver
from loadtests.load.pods import PodWatch
from loadtests.load.profile import Step, arrivals, duration_s
from loadtests.load.request_log import Request
from loadtests.load.targets import PinnedConnections
from loadtests.load.triton import Inferences
from loadtests.stack.stack import ROOT, Stack

FOLDER = ROOT / "build" / "e2e-proxy"
STEPS = (Step(duration_s=60.0, rate_rps=20.0), Step(duration_s=260.0, rate_rps=60.0))
LATE_S = 20.0
CONNECTIONS, MAX_AGE_S = 40, 75.0
JUDGED_S = 80.0
"""The end of the run: start-up, the proxy's delay and every connection's age have passed."""


async def run(stack: Stack, console: Console) -> bool:
    """The whole run on a stack that is up; whether every check passed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    policy = FOLDER / "policy.yaml"
    policy.write_text(POLICY)
    controllers.install(stack)
    stack.kubectl("apply", "-f", str(MANIFEST))
    stack.kubectl(
        "rollout", "status", f"deployment/{NAME}", f"--namespace={NAMESPACE}", "--timeout=90s"
    )
    proxy = Proxy(FOLDER, late_s=LATE_S)
    controller = controllers.start(stack, "one", port=18090, policy=policy, folder=FOLDER)
    try:
        requests, recorder, start_s = await _drive(stack, proxy, console)
    finally:
        controller.stop()
        proxy.stop()
    request_log.write(FOLDER / "requests.csv.gz", requests)
    told = controllers.decisions(controller.records(), NAME)
    step_s = start_s + STEPS[0].duration_s
    end_s = start_s + duration_s(STEPS)
    found = [
        checks.named(told, Reason.UNEVEN_LOAD),
        recovered(requests, since_s=end_s - JUDGED_S),
        checks.on_time(requests),
    ]
    moments = [m for m in recorder.moments if m.at_s >= start_s]
    console.print(show.replicas_plot(moments, [(step_s, "load rises")]))
    console.print(show.changes(told, start_s))
    show.save(FOLDER / "result.json", found, moments)
    return show.verdict(found, console)


async def _drive(
    stack: Stack, proxy: Proxy, console: Console
) -> tuple[list[Request], Recorder, float]:
    client = await KubernetesClient.connect(
        kubeconfig=str(stack.kubeconfig), context=None, timeout_s=5.0
    )
    watch, recorder = PodWatch(client, NAMESPACE, NAME), Recorder(client, NAMESPACE, NAME)
    background = [asyncio.create_task(work) for work in (watch.run(), recorder.run())]
    try:
        while not watch.ready() or controllers.leader(stack) is None:
            await asyncio.sleep(0.5)
        proxy.update(watch.ready(), first=True)
        background.append(asyncio.create_task(proxy.follow(watch.ready)))
        await asyncio.sleep(1.0)
        targets = PinnedConnections(
            f"{ADDRESS}:{PORT}", Inferences(NAME), connections=CONNECTIONS, max_age_s=MAX_AGE_S
        )
        driver = Driver(targets)
        start_s = time.time()
        console.print(
            f"{duration_s(STEPS):.0f} s of load through haproxy, {CONNECTIONS} connections that live {MAX_AGE_S:g} s"
        )
        await driver.run(arrivals(STEPS, seed=1))
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await client.close()
    return driver.requests, recorder, start_s


def recovered(requests: list[Request], *, since_s: float) -> Check:
    """The end of the run is within the SLO."""
    ratio = checks.attainment([r for r in requests if r.due_s >= since_s], THRESHOLD_S, ())
    before = checks.attainment([r for r in requests if r.due_s < since_s], THRESHOLD_S, ())
    return Check(
        name="attainment recovers",
        passed=ratio is not None and ratio >= GOAL,
        figure="no request"
        if ratio is None
        else f"{ratio:.2%} at the end ({before or 0.0:.2%} before)",
        limit=f"at least {GOAL:.0%}",
    )
