"""The main job: load rises and falls, Prometheus fails, leaders die, people edit - and the SLO holds."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.core.queueing import utilization_limit
from autoscaler.core.service_time import ServiceTimes
from loadtests.e2e import checks, controllers, show
from loadtests.e2e.controllers import Controller
from loadtests.e2e.recorder import Recorder
from loadtests.e2e.timeline import Timeline
from loadtests.load import request_log
from loadtests.load.driver import Driver
from loadtests.load.pods import PodWatch
from loadtests.load.profile import Step, arrivals, duration_s
from loadtests.load.targets import ReadyPods
from loadtests.load.triton import Inferences
from loadtests.stack.errors import StackError
from loadtests.stack.stack import ROOT, Stack

FOLDER = ROOT / "build" / "e2e"
MANIFEST = ROOT / "loadtests" / "e2e" / "manifests" / "bert.yaml"
NAMESPACE, NAME = "team", "bert"

THRESHOLD_S = 0.3
GOAL = 0.99
STARTUP_S = 16.0
"""The manifest's 12 s of delay, and the server's own start on a busy machine."""
TICK_S = 10.0
# Two inferences at once; 52 ms for one, 64 ms for two, as the manifest says.
MEASURED = ServiceTimes(batch_s=(0.052, 0.064))

STEPS = (
    Step(duration_s=130.0, rate_rps=24.0),
    Step(duration_s=160.0, rate_rps=120.0),
    Step(duration_s=400.0, rate_rps=16.0),
    # Just more than one replica can do: an edit to 1 is then one below what the SLO needs.
    Step(duration_s=270.0, rate_rps=27.0),
)
STEP_UP_S = 130.0
# When the rise has just begun, and nobody has seen it yet; and again when what it needs is there.
KILL_IN_RISE_S, KILL_LEADER_S = 133.0, 265.0
TAKEOVER_S = 22.0
"""The lease's 15 s, 2 s until a follower looks, and a first tick."""
# Right after the load has fallen: the fewer replicas that are needed must wait until it is seen again.
STOP_PROMETHEUS_S, START_PROMETHEUS_S = 296.0, 341.0
EDIT_UP_S, FLOOR_S = 720.0, 60.0
EDIT_DOWN_S = 890.0
# One more than the demand asks for at that time, else it is no edit.
EDIT_UP_TO = 4

POLICY = f"""
# Shorter than the defaults, so that everything happens within one run.
engine:
  external_floor_s: {FLOOR_S:g}
  behavior:
    scale_down:
      stabilization_window_s: 60
      policies:
        - {{type: Percent, value: 50, period_s: 30}}
        - {{type: Pods, value: 1, period_s: 30}}
"""


@dataclass(slots=True, kw_only=True)
class Events(Timeline):
    """What was done to the system, and when."""

    killed: list[tuple[Controller, float]] = field(default_factory=list)
    blind: tuple[float, float] = (0.0, 0.0)
    edited_up_s: float = 0.0
    edited_down_s: float = 0.0


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
    team = [
        controllers.start(stack, name, port=18090 + index, policy=policy, folder=FOLDER)
        for index, name in enumerate(("one", "two", "three"))
    ]
    try:
        events, driver, recorder = await _drive(stack, team, console)
    finally:
        for controller in team:
            controller.stop()
    return _judge(team, events, driver, recorder, console)


async def _drive(
    stack: Stack, team: list[Controller], console: Console
) -> tuple[Events, Driver, Recorder]:
    client = await KubernetesClient.connect(
        kubeconfig=str(stack.kubeconfig), context=None, timeout_s=5.0
    )
    watch, recorder = PodWatch(client, NAMESPACE, NAME), Recorder(client, NAMESPACE, NAME)
    background = [asyncio.create_task(work) for work in (watch.run(), recorder.run())]
    try:
        while not watch.ready() or controllers.leader(stack) is None:
            await asyncio.sleep(0.5)
        driver = Driver(ReadyPods(watch.ready, Inferences(NAME)))
        events = Events(start_s=time.time())
        console.print(
            f"{duration_s(STEPS):.0f} s of load: {' -> '.join(f'{step.rate_rps:g}' for step in STEPS)} rps, "
            f"leader {controllers.leader(stack)}"
        )
        faults = asyncio.create_task(_faults(stack, team, events, console))
        await driver.run(arrivals(STEPS, seed=1))
        await faults
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await client.close()
    return events, driver, recorder


async def _faults(stack: Stack, team: list[Controller], events: Events, console: Console) -> None:
    async def until(at_s: float) -> None:
        await asyncio.sleep(max(0.0, events.start_s + at_s - time.time()))

    await until(STEP_UP_S)
    events.mark("load rises", console)
    for at_s in (KILL_IN_RISE_S, KILL_LEADER_S):
        await until(at_s)
        leading = await asyncio.to_thread(controllers.leader, stack)
        killed = next(c for c in team if c.name == leading)
        events.killed.append((killed, await asyncio.to_thread(killed.kill)))
        events.mark(f"leader {leading} killed", console)
    await until(STEP_UP_S + STEPS[1].duration_s)
    events.mark("load falls", console)
    await until(STOP_PROMETHEUS_S)
    await asyncio.to_thread(stack.stop, "prometheus")
    stopped_s = events.mark("Prometheus stopped", console)
    await until(START_PROMETHEUS_S)
    events.blind = (stopped_s, time.time())
    await asyncio.to_thread(stack.start, "prometheus")
    events.mark("Prometheus started", console)
    await until(EDIT_UP_S)
    await asyncio.to_thread(_scale, stack, EDIT_UP_TO)
    events.edited_up_s = events.mark(f"kubectl scale --replicas={EDIT_UP_TO}", console)
    await until(EDIT_DOWN_S)
    # An edit to 0 would be a switch-off, so 1 is the least.
    await asyncio.to_thread(_scale, stack, 1)
    events.edited_down_s = events.mark("kubectl scale --replicas=1", console)


def _scale(stack: Stack, replicas: int) -> None:
    stack.kubectl("scale", "deployment", NAME, f"--namespace={NAMESPACE}", f"--replicas={replicas}")


def _after_steps_up(start_s: float) -> list[tuple[float, float]]:
    """Two minutes after every step up: what a start-up can't prevent is not judged."""
    spans, at_s = [], start_s
    for before, after in zip(STEPS, STEPS[1:], strict=False):
        at_s += before.duration_s
        if after.rate_rps > before.rate_rps:
            spans.append((at_s, at_s + 120.0))
    return spans


def static_replicas() -> int:
    """The fewest replicas that hold the peak, as an operator who knows the servers would set them for good."""
    from loadtests.e2e.static_peak import fewest

    return fewest(
        MEASURED, rate_rps=max(s.rate_rps for s in STEPS), threshold_s=THRESHOLD_S, goal=GOAL
    )


def needed(rate_rps: float) -> int:
    """Replicas that the queueing model asks for at a steady rate."""
    limit = utilization_limit(MEASURED, ratio=GOAL, threshold_s=THRESHOLD_S, variability=1.0)
    if limit is None:
        raise StackError("the SLO is below the service time: the manifest and this file disagree")
    return math.ceil(rate_rps * MEASURED.work_s / limit)


def _judge(
    team: list[Controller], events: Events, driver: Driver, recorder: Recorder, console: Console
) -> bool:
    requests, start_s = driver.requests, events.start_s
    request_log.write(FOLDER / "requests.csv.gz", requests)
    moments = [m for m in recorder.moments if m.at_s >= start_s]
    (first, in_rise_s), (second, killed_s) = events.killed
    (survivor,) = [c for c in team if c not in (first, second)]
    before, old, new = first.records(), second.records(), survivor.records()
    told = controllers.decisions(sorted([*before, *old, *new], key=lambda r: r.result.now_s), NAME)
    step_s = start_s + STEP_UP_S
    found = [
        checks.attained(
            requests, threshold_s=THRESHOLD_S, goal=GOAL, excluded=_after_steps_up(start_s)
        ),
        checks.gpu_hours(moments, static_replicas=static_replicas(), limit_ratio=0.7),
        checks.capacity_in_time(
            moments, step_s=step_s, replicas=static_replicas(), startup_s=STARTUP_S, tick_s=TICK_S
        ),
        checks.held_while_blind(moments, events.blind),
        checks.rise_followed(
            told, killed_s=in_rise_s, replicas=needed(STEPS[1].rate_rps), limit_s=TAKEOVER_S
        ),
        checks.succession(old, new, killed_s=killed_s),
        checks.nothing_stale(before, [*old, *new], killed_s=in_rise_s),
        checks.nothing_stale(old, new, killed_s=killed_s),
        checks.no_errors(requests),
        checks.edit_noticed(told, at_s=events.edited_up_s, tick_s=TICK_S, name="an edit upward"),
        checks.floor_kept(
            moments, at_s=events.edited_up_s, replicas=EDIT_UP_TO, for_s=FLOOR_S + 2 * TICK_S
        ),
        checks.edit_noticed(
            told, at_s=events.edited_down_s, tick_s=TICK_S, name="an edit downward"
        ),
        checks.undone(
            moments, at_s=events.edited_down_s, needed=needed(STEPS[-1].rate_rps), tick_s=TICK_S
        ),
        checks.on_time(requests),
    ]
    console.print(show.replicas_plot(moments, events.marks))
    console.print(show.changes(told, start_s))
    show.save(FOLDER / "result.json", found, moments)
    return show.verdict(found, console)


def folder() -> Path:
    """Where the logs of the last run are."""
    return FOLDER
