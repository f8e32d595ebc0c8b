"""KServe: an InferenceService of its own Python model server, under load that rises and falls."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.core.service_time import ServiceTimes
from autoscaler.errors import SourceError
from loadtests.e2e import checks, controllers, kserve_checks, show
from loadtests.e2e.recorder import Recorder
from loadtests.e2e.static_peak import fewest
from loadtests.kserve.controller import StandInController
from loadtests.load import request_log
from loadtests.load.driver import Driver
from loadtests.load.pods import PodWatch
from loadtests.load.profile import Step, arrivals, duration_s
from loadtests.load.targets import ReadyPods
from loadtests.load.triton import Inferences
from loadtests.stack.agent.kserve_server import HTTP
from loadtests.stack.stack import ROOT, Stack

FOLDER = ROOT / "build" / "e2e-kserve"
CRD = ROOT / "loadtests" / "stack" / "manifests" / "inferenceservice-crd.yaml"
MANIFEST = ROOT / "loadtests" / "e2e" / "manifests" / "inferenceservice.yaml"
NAMESPACE, NAME, DEPLOYMENT = "team", "bert", "bert-predictor"

THRESHOLD_S, GOAL = 0.9, 0.99
TICK_S = 10.0
STARTUP_S = 12.0
"""The manifest's 8 s of delay, and the start of Python and its packages on a busy machine."""
SETTLE_S = 60.0
# One prediction at a time, 150 ms, as the manifest says.
MEASURED = ServiceTimes(batch_s=(0.15,))

STEPS = (
    Step(duration_s=50.0, rate_rps=4.0),
    # The two replicas are 82 % busy with it, and within the SLO they may be 60 %. Not more than they can do: a flooded
    # server answers no scrape either (docs/engines.md).
    Step(duration_s=90.0, rate_rps=11.0),
    Step(duration_s=90.0, rate_rps=3.0),
)
POLICY = """
# Shorter than the defaults, so that everything happens within one run.
engine:
  behavior:
    scale_down:
      stabilization_window_s: 30
      policies:
        - {type: Percent, value: 50, period_s: 20}
        - {type: Pods, value: 1, period_s: 20}
"""
Object = dict[str, Any]


@dataclass(slots=True)
class Seen:
    """What was recorded during the load."""

    start_s: float
    driver: Driver
    recorder: Recorder
    before: Object
    pods: dict[str, Object] = field(default_factory=dict)
    """Every pod of the predictor as it was last seen, by name."""
    after: Object = field(default_factory=dict)


async def run(stack: Stack, console: Console) -> bool:
    """The whole run on a stack that is up; whether every check passed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    policy = FOLDER / "policy.yaml"
    policy.write_text(POLICY)
    stack.kubectl("apply", "-f", str(CRD))
    stack.wait_for_crds("-f", str(CRD))
    controllers.install(stack)
    stack.kubectl("apply", "-f", str(MANIFEST))
    client = await KubernetesClient.connect(
        kubeconfig=str(stack.kubeconfig), context=None, timeout_s=5.0
    )
    standin = asyncio.create_task(StandInController(client).run())
    controller = controllers.start(stack, "one", port=18090, policy=policy, folder=FOLDER)
    try:
        seen = await _drive(stack, client, console)
    finally:
        controller.stop()
        standin.cancel()
        await asyncio.gather(standin, return_exceptions=True)
        await client.close()
    return _judge(controller, seen, console)


async def _drive(stack: Stack, client: KubernetesClient, console: Console) -> Seen:
    watch = PodWatch(client, NAMESPACE, DEPLOYMENT)
    recorder = Recorder(client, NAMESPACE, DEPLOYMENT)
    background = [asyncio.create_task(work) for work in (watch.run(), recorder.run())]
    try:
        while len(watch.ready()) < 2 or controllers.leader(stack) is None:
            await asyncio.sleep(0.5)
        seen = Seen(
            start_s=time.time(),
            driver=Driver(ReadyPods(watch.ready, Inferences(NAME), port=HTTP)),
            recorder=recorder,
            before=service(stack),
        )
        background.append(asyncio.create_task(_note_pods(client, seen.pods)))
        rates = " -> ".join(f"{step.rate_rps:g}" for step in STEPS)
        console.print(f"{duration_s(STEPS):.0f} s of load: {rates} rps")
        await seen.driver.run(arrivals(STEPS, seed=1))
        seen.after = service(stack)
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
    return seen


def service(stack: Stack) -> Object:
    """The InferenceService as it is now."""
    text = stack.kubectl("get", "isvc", NAME, f"--namespace={NAMESPACE}", "-o", "json")
    found: Object = json.loads(text)
    return found


async def _note_pods(client: KubernetesClient, pods: dict[str, Object]) -> None:
    while True:
        try:
            listed = await client.read(f"/api/v1/namespaces/{NAMESPACE}/pods")
            pods.update({pod["metadata"]["name"]: pod for pod in listed["items"]})
        except SourceError:
            pass  # the next look is as good
        await asyncio.sleep(2.0)


def _judge(controller: controllers.Controller, seen: Seen, console: Console) -> bool:
    requests, start_s = seen.driver.requests, seen.start_s
    request_log.write(FOLDER / "requests.csv.gz", requests)
    moments = [m for m in seen.recorder.moments if m.at_s >= start_s]
    records = controller.records()
    up_s = start_s + STEPS[0].duration_s
    down_s = up_s + STEPS[1].duration_s
    found = [
        kserve_checks.detected(records, NAME, "kserve"),
        checks.attained(
            requests,
            threshold_s=THRESHOLD_S,
            goal=GOAL,
            excluded=[(up_s, up_s + SETTLE_S)],
            settle_s=SETTLE_S,
        ),
        checks.capacity_in_time(
            moments, step_s=up_s, replicas=peak(), startup_s=STARTUP_S, tick_s=TICK_S
        ),
        kserve_checks.given_back(moments, since_s=down_s, replicas=2),
        checks.no_errors(requests),
        kserve_checks.never_written(seen.before, seen.after),
        kserve_checks.not_restarted(list(seen.pods.values())),
        checks.on_time(requests),
    ]
    marks = [(up_s, "load rises"), (down_s, "load falls")]
    console.print(show.replicas_plot(moments, marks))
    console.print(show.changes(controllers.decisions(records, NAME), start_s))
    show.save(FOLDER / "result.json", found, moments)
    return show.verdict(found, console)


def peak() -> int:
    """The fewest replicas that hold the high load for good, and more than there are at the start."""
    highest = max(step.rate_rps for step in STEPS)
    return max(3, fewest(MEASURED, rate_rps=highest, threshold_s=THRESHOLD_S, goal=GOAL))
