"""One replica of four throttles, later the GPU of another has an error: each is told of and replaced by one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.core.reasons import Reason
from autoscaler.core.sickness import Ailment
from autoscaler.core.types import Decision
from loadtests.e2e import checks, controllers, show
from loadtests.e2e.checks import Check, Moment
from loadtests.e2e.main_job import MANIFEST, NAME, NAMESPACE
from loadtests.e2e.recorder import Recorder
from loadtests.e2e.timeline import Timeline
from loadtests.load import request_log
from loadtests.load.driver import Driver
from loadtests.load.pods import PodWatch
from loadtests.load.profile import Step, arrivals, duration_s
from loadtests.load.targets import ReadyPods
from loadtests.load.triton import Inferences
from loadtests.stack.agent.pods import SLOW_RATIO, XID
from loadtests.stack.stack import ROOT, Stack

FOLDER = ROOT / "build" / "e2e-sick"
# Three that carry 29 each would be more than full, and four leave room for chance: so each has three siblings. At 94 a
# second a fifth is worth keeping in some minutes, and stands in for a sick one by itself.
REPLICAS, RATE_RPS = 4, 90.0
STEPS = (Step(duration_s=470.0, rate_rps=RATE_RPS),)
# By then what a cold controller adds at first has been given back; each story is over before the next one begins.
THROTTLED_S, DELETED_S, BROKEN_S = 170.0, 290.0, 400.0
RATIO, CODE = "5", "79"
TICK_S = 10.0
# From the first slow batch: scrapes of 5 s until the window shows it, a minute to be sure, two ticks.
STRAGGLER_LIMIT_S = 60.0 + 30.0 + 2 * TICK_S
# The exporter is scraped every 5 s.
ERROR_LIMIT_S = 5.0 + 2 * TICK_S

POLICY = """
engine:
  behavior:
    scale_down:
      stabilization_window_s: 60
"""


@dataclass(slots=True, kw_only=True)
class Events(Timeline):
    """Who was made ill, and when."""

    throttled: str = ""
    throttled_s: float = 0.0
    deleted_s: float = 0.0
    broken: str = ""
    broken_s: float = 0.0


async def run(stack: Stack, console: Console) -> bool:
    """The whole run on a stack that is up; whether every check passed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    policy = FOLDER / "policy.yaml"
    policy.write_text(POLICY)
    controllers.install(stack)
    stack.kubectl("apply", "-f", str(MANIFEST))
    own = f"--namespace={NAMESPACE}"
    stack.kubectl("scale", "deployment", NAME, own, f"--replicas={REPLICAS}")
    stack.kubectl("rollout", "status", f"deployment/{NAME}", own, "--timeout=120s")
    controller = controllers.start(stack, "one", port=18090, policy=policy, folder=FOLDER)
    try:
        events, driver, recorder = await _drive(stack, console)
    finally:
        controller.stop()
    requests = driver.requests
    request_log.write(FOLDER / "requests.csv.gz", requests)
    told = controllers.decisions(controller.records(), NAME)
    moments = [m for m in recorder.moments if m.at_s >= events.start_s]
    event_texts = _events(stack)
    before = [d.target for at_s, d in told if at_s < events.throttled_s][-1]
    found = [
        named(told, events.throttled, Ailment.SLOW, events.throttled_s, STRAGGLER_LIMIT_S),
        replaced_once(
            moments,
            before,
            since_s=events.throttled_s,
            until_s=events.deleted_s,
            what="a straggler",
        ),
        evented(event_texts, events.throttled, "times as long for a batch as its siblings"),
        forgotten(told, events.throttled, since_s=events.deleted_s),
        named(told, events.broken, Ailment.HARDWARE_ERROR, events.broken_s, ERROR_LIMIT_S),
        replaced_once(
            moments,
            before,
            since_s=events.broken_s,
            until_s=events.start_s + duration_s(STEPS),
            what="a hardware error",
        ),
        evented(event_texts, events.broken, f"has XID {CODE}"),
        checks.no_errors(requests),
        checks.on_time(requests),
    ]
    console.print(show.replicas_plot(moments, events.marks))
    console.print(show.changes(told, events.start_s))
    show.save(FOLDER / "result.json", found, moments)
    return show.verdict(found, console)


async def _drive(stack: Stack, console: Console) -> tuple[Events, Driver, Recorder]:
    client = await KubernetesClient.connect(
        kubeconfig=str(stack.kubeconfig), context=None, timeout_s=5.0
    )
    watch, recorder = PodWatch(client, NAMESPACE, NAME), Recorder(client, NAMESPACE, NAME)
    background = [asyncio.create_task(work) for work in (watch.run(), recorder.run())]
    try:
        while len(watch.ready()) < REPLICAS or controllers.leader(stack) is None:
            await asyncio.sleep(0.5)
        driver = Driver(ReadyPods(watch.ready, Inferences(NAME)))
        events = Events(start_s=time.time())
        console.print(f"{duration_s(STEPS):.0f} s of {RATE_RPS:g} rps on {REPLICAS} replicas")
        faults = asyncio.create_task(_faults(stack, watch, events, console))
        await driver.run(arrivals(STEPS, seed=1))
        await faults
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await client.close()
    return events, driver, recorder


async def _faults(stack: Stack, watch: PodWatch, events: Events, console: Console) -> None:
    first = list(watch.ready())

    def one_of_the_first() -> str:
        """That has been there for long enough to be compared, if a scale-down left any."""
        there = watch.ready()
        return next((name for name in first if name in there), next(iter(there)))

    async def until(at_s: float) -> None:
        await asyncio.sleep(max(0.0, events.start_s + at_s - time.time()))

    async def change(*arguments: str) -> None:
        await asyncio.to_thread(stack.kubectl, *arguments, f"--namespace={NAMESPACE}")

    await until(THROTTLED_S)
    events.throttled = one_of_the_first()
    await change("annotate", "pod", events.throttled, f"{SLOW_RATIO}={RATIO}")
    events.throttled_s = events.mark(f"{events.throttled} takes {RATIO} times as long", console)
    await until(DELETED_S)
    events.deleted_s = events.mark(f"kubectl delete pod {events.throttled}", console)
    await change("delete", "pod", events.throttled, "--wait=false")
    await until(BROKEN_S)
    events.broken = one_of_the_first()
    await change("annotate", "pod", events.broken, f"{XID}={CODE}")
    events.broken_s = events.mark(f"XID {CODE} on the GPU of {events.broken}", console)


def _events(stack: Stack) -> list[str]:
    listed = json.loads(stack.kubectl("get", "events", f"--namespace={NAMESPACE}", "-o", "json"))
    return [
        str(item.get("note") or item.get("message"))
        for item in listed["items"]
        if item.get("reason") == Reason.SICK_REPLICAS.value
    ]


def named(
    decisions: Sequence[tuple[float, Decision]],
    pod: str,
    ailment: Ailment,
    since_s: float,
    limit_s: float,
) -> Check:
    """The very pod is found to be ill, with what it has, and no other one ever is while it is there."""
    first = next(
        (
            at_s - since_s
            for at_s, decision in decisions
            if at_s >= since_s
            and [(ill.pod, ill.ailment) for ill in decision.sick] == [(pod, ailment)]
        ),
        None,
    )
    return Check(
        name=f"{pod} is found to be ill ({ailment})",
        passed=first is not None and first <= limit_s,
        figure="never" if first is None else f"after {first:.0f} s",
        limit=f"within {limit_s:.0f} s",
    )


def replaced_once(
    moments: Sequence[Moment], before: int, *, since_s: float, until_s: float, what: str
) -> Check:
    """One more replica than before, and never more."""
    asked = [m.desired for m in moments if since_s <= m.at_s < until_s]
    highest = max(asked, default=0)
    return Check(
        name=f"replicas for {what}",
        passed=highest == before + 1 and bool(asked) and asked[-1] == before + 1,
        figure=f"{before} -> {highest}, at the end {asked[-1] if asked else 0}",
        limit=f"exactly {before + 1}",
    )


def evented(texts: Sequence[str], pod: str, what: str) -> Check:
    """A Kubernetes Event at the workload names the pod, its node and what it has."""
    found = [text for text in texts if pod in text and what in text and " on node " in text]
    return Check(
        name=f"Event {Reason.SICK_REPLICAS} of {pod}",
        passed=bool(found),
        figure=found[0][:80] if found else f"none of {len(texts)}",
        limit=f"says: {what}",
    )


def forgotten(decisions: Sequence[tuple[float, Decision]], pod: str, *, since_s: float) -> Check:
    """When it is gone it is not told of any more."""
    times_s = [at_s - since_s for at_s, d in decisions if any(ill.pod == pod for ill in d.sick)]
    return Check(
        name=f"{pod} is told of no longer than it is there",
        passed=bool(times_s) and max(times_s) <= 2 * TICK_S,
        figure=f"last {max(times_s):.0f} s after its deletion" if times_s else "never told of",
        limit=f"within {2 * TICK_S:.0f} s",
    )
