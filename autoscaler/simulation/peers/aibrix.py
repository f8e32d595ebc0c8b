"""AIBrix's APA: the load of a pod over its target, with tolerances, and at most double or half.

Source: aibrix.readthedocs.io; of vllm-project/aibrix algorithm/apa.go, and autoscaler.go for its guard (pull request
2671). Every 10 s; a metric averaged over 180 s; tolerances 0.1 up and down; rates 2 and 2; down only to the highest
wish of 300 s. Its metric here is the number of requests in a pod.
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
    POD_S,
    Rule,
    geometric,
)
from autoscaler.simulation.peers.windows import highest, remember, ring

OBSERVE_WINDOW_S = 180.0
TOLERANCE = 0.1
MAX_UP_RATE = 2.0
MAX_DOWN_RATE = 2.0
COOLDOWN_S = 300.0
_KEPT = 31


@compilable
def apa_replicas(current: Any, use: Any, target: Any, up_rate: Any, down_rate: Any) -> Any:
    """APA's calculation; bounds and cool-down are the caller's."""
    ratio = use / target
    if ratio > 1.0 + TOLERANCE + 1e-12:
        most = math.ceil(up_rate * current - 1e-9)
        return int(min(math.ceil(current * ratio - 1e-9), most))
    if ratio < 1.0 - TOLERANCE - 1e-12:
        fewest = math.floor(current / down_rate + 1e-9)
        return int(max(math.ceil(current * ratio - 1e-9), fewest))
    return int(current)


@compilable
def guarded(wanted: Any, current: Any, ready: Any, use: Any, target: Any) -> Any:
    """APA's guard for pods that are not ready: idle on the way up and at the target on the way down.

    It only brings what is wanted nearer to what is there.
    """
    pending = current - ready
    if pending <= 0 or wanted == current:
        return wanted
    if wanted > current:
        needed = int(math.ceil(use * ready / target - 1e-9))
        return min(max(needed, current), wanted)
    needed = int(math.ceil(use * ready / target + pending - 1e-9))
    return max(min(needed, current), wanted)


@compilable
def _ongoing(
    now_s: Any,
    replicas: Any,
    ready: Any,
    starting: Any,
    slow: Any,
    fast: Any,
    memory: Any,
    settings: Any,
) -> Any:
    if slow[POD_S] <= 0.0:
        return replicas
    use = slow[ONGOING_S] / slow[POD_S]
    target = settings[HEADROOM]
    wanted = apa_replicas(replicas, use, target, MAX_UP_RATE, MAX_DOWN_RATE)
    wanted = guarded(wanted, replicas, ready, use, target)
    wanted = min(max(wanted, int(settings[MIN])), int(settings[MAX]))
    after = wanted
    if wanted < replicas:
        after = min(replicas, highest(memory, 0, _KEPT, now_s, COOLDOWN_S, wanted))
    remember(memory, 0, _KEPT, now_s, wanted)
    return after


APA = Rule(
    name="AIBrix APA",
    decide=_ongoing,
    period_s=10.0,
    scrape_s=10.0,
    slow_s=OBSERVE_WINDOW_S,
    fast_s=OBSERVE_WINDOW_S,
    memory=ring(_KEPT),
    headroom="requests in a pod",
    default=0.7,
    sweep=geometric(0.05, 12.0),
    sources="aibrix.readthedocs.io, PodAutoscaler; apa.go, autoscaler.go",
    notes="the target has no default: 0.7 requests in a pod that serves one at a time; the cool-down is as documented, "
    "the code takes the lowest wish in place of the highest",
)
