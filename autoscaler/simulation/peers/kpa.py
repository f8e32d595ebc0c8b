"""Knative's Pod Autoscaler on concurrency: stable window and panic window.

Source: knative.dev/docs/serving/autoscaling (concurrency, kpa-specific) and its decision in knative/serving,
pkg/autoscaler/scaling. Every 2 s; windows of 60 and 6 s; panic at twice what is ready; a target of 100 at 70 %. Where
it finds more than one pod it begins in panic, so that it lowers nothing before it has seen a window. Requests go
straight to the pods: the activator's queue is not modelled.
"""

from __future__ import annotations

import math
from typing import Any

from autoscaler.simulation.compiled import compilable
from autoscaler.simulation.peers.rule import (
    HEADROOM,
    MAX,
    MIN,
    ONGOING_S,
    SECONDS,
    Rule,
    geometric,
)

STABLE_WINDOW_S = 60.0
PANIC_WINDOW_S = 6.0
PANIC_THRESHOLD = 2.0
MAX_UP_RATE = 1000.0
MAX_DOWN_RATE = 2.0
# Places in its memory: since when it panics, the most pods since, and whether it has begun.
_PANIC_S, _PANIC_PODS, _BEGUN = 0, 1, 2


@compilable
def kpa_replicas(
    now_s: Any, ready: Any, stable: Any, panic: Any, target: Any, up_rate: Any, memory: Any
) -> Any:
    """KPA's calculation from the concurrency over all pods in its two windows; bounds are the caller's."""
    pods = max(ready, 1)
    most = math.ceil(up_rate * pods)
    fewest = math.floor(pods / MAX_DOWN_RATE)
    for_stable = math.ceil(stable / target - 1e-9)
    for_panic = math.ceil(panic / target - 1e-9)
    wanted_stable = min(max(for_stable, fewest), most)
    wanted_panic = min(max(for_panic, fewest), most)
    if memory[_BEGUN] == 0.0:
        memory[_BEGUN] = 1.0
        if ready > 1:
            memory[_PANIC_S] = now_s
            memory[_PANIC_PODS] = ready
    if for_panic / pods >= PANIC_THRESHOLD:
        memory[_PANIC_S] = now_s
    elif memory[_PANIC_S] > 0.0 and memory[_PANIC_S] + STABLE_WINDOW_S < now_s:
        memory[_PANIC_S] = 0.0
        memory[_PANIC_PODS] = 0.0
    wanted = wanted_stable
    if memory[_PANIC_S] > 0.0:
        # While it panics it never lowers.
        memory[_PANIC_PODS] = max(memory[_PANIC_PODS], wanted_stable, wanted_panic)
        wanted = memory[_PANIC_PODS]
    return int(wanted)


@compilable
def _concurrency(
    now_s: Any,
    replicas: Any,
    ready: Any,
    starting: Any,
    slow: Any,
    fast: Any,
    memory: Any,
    settings: Any,
) -> Any:
    if slow[SECONDS] <= 0.0 or fast[SECONDS] <= 0.0:
        return replicas
    stable = slow[ONGOING_S] / slow[SECONDS]
    panic = fast[ONGOING_S] / fast[SECONDS]
    wanted = kpa_replicas(now_s, ready, stable, panic, settings[HEADROOM], MAX_UP_RATE, memory)
    return min(max(wanted, int(settings[MIN])), int(settings[MAX]))


KPA = Rule(
    name="KPA concurrency",
    decide=_concurrency,
    period_s=2.0,
    scrape_s=2.0,
    slow_s=STABLE_WINDOW_S,
    fast_s=PANIC_WINDOW_S,
    memory=3,
    headroom="requests in a pod",
    default=70.0,
    sweep=geometric(0.05, 12.0, 23) + (70.0,),
    sources="knative.dev/docs/serving/autoscaling/kpa-specific",
)
