"""llm-d's slo-aware guide: P90 latency over its SLO, a dead band, and KEDA's HPA behind it.

Source: the guide's PromQL (llm-d, KEDA + EPP). The signal is the worst ratio of P90 to its SLO, at most 2, averaged
over 45 s; above 0.55 it asks for more, below 0.40 for fewer, in between for what is there. Ready over wanted replicas
credits those that start, on the way up only. Behind it HPA: up by 100 % or 4 pods a minute after 30 s, down by 1 pod in
two minutes after 180 s. Here the latency is one request's, and its SLO the workload's threshold.
"""

from __future__ import annotations

import math
from typing import Any

from autoscaler.simulation.compiled import compilable
from autoscaler.simulation.peers.rule import (
    HEADROOM,
    LATENCY_S2,
    MAX,
    MIN,
    SEEN_S,
    THRESHOLD_S,
    Rule,
    geometric,
)
from autoscaler.simulation.peers.windows import highest, lowest, remember, ring, total
from autoscaler.simulation.scraped import Reads

THRESHOLD_UP = 0.55
THRESHOLD_DOWN = 0.40
SIGNAL_WINDOW_S = 45.0
UP_WINDOW_S, DOWN_WINDOW_S = 30.0, 180.0
UP_PERIOD_S, DOWN_PERIOD_S = 60.0, 120.0
TOLERANCE = 0.1
_WISHES = 13  # of three minutes, one each sync
_EVENTS = 9  # of two minutes
_UPS = ring(_WISHES)
_DOWNS = _UPS + ring(_EVENTS)


@compilable
def slo_aware_replicas(signal: Any, ready: Any, replicas: Any, up: Any, down: Any) -> Any:
    """What the guide's query asks for: more above `up`, fewer below `down`."""
    credited = signal * ready / max(replicas, 1)
    if credited > up:
        return replicas + int(math.ceil(replicas * (credited / up - 1.0) - 1e-9))
    if signal < down:
        return replicas - int(math.floor(replicas * (1.0 - signal / down) + 1e-9))
    return replicas


@compilable
def _latency(
    now_s: Any,
    replicas: Any,
    ready: Any,
    starting: Any,
    slow: Any,
    fast: Any,
    memory: Any,
    settings: Any,
) -> Any:
    if memory[0] == 0.0:
        # What HPA finds at its first sync is its first recommendation.
        remember(memory, 0, _WISHES, now_s, replicas)
    signal = 0.0
    if slow[SEEN_S] > 0.0:
        signal = slow[LATENCY_S2] / slow[SEEN_S] / settings[THRESHOLD_S]
    up = settings[HEADROOM]
    wanted = slo_aware_replicas(signal, ready, replicas, up, up * THRESHOLD_DOWN / THRESHOLD_UP)
    if abs(wanted / max(replicas, 1) - 1.0) <= TOLERANCE + 1e-12:
        wanted = replicas
    wanted = min(max(wanted, int(settings[MIN])), int(settings[MAX]))
    remember(memory, 0, _WISHES, now_s, wanted)
    if wanted > replicas:
        wish = max(replicas, lowest(memory, 0, _WISHES, now_s, UP_WINDOW_S, wanted))
        added = total(memory, _UPS, _EVENTS, now_s, UP_PERIOD_S)
        start = replicas - added
        after = min(wish, int(max(2.0 * start, start + 4.0)))
        after = max(after, replicas)
        if after > replicas:
            remember(memory, _UPS, _EVENTS, now_s, after - replicas)
        return after
    if wanted < replicas:
        wish = min(replicas, highest(memory, 0, _WISHES, now_s, DOWN_WINDOW_S, wanted))
        removed = total(memory, _DOWNS, _EVENTS, now_s, DOWN_PERIOD_S)
        after = max(wish, replicas - int(1.0 - removed))
        if after < replicas:
            remember(memory, _DOWNS, _EVENTS, now_s, replicas - after)
        return after
    return replicas


SLO_AWARE = Rule(
    name="llm-d slo-aware",
    decide=_latency,
    period_s=15.0,
    scrape_s=15.0,
    slow_s=SIGNAL_WINDOW_S,
    fast_s=SIGNAL_WINDOW_S,
    memory=ring(_WISHES) + 2 * ring(_EVENTS),
    headroom="P90 over the SLO",
    default=THRESHOLD_UP,
    sweep=geometric(0.09, 1.8),
    reads=Reads.LATENCY,
    sources="llm-d's slo-aware guide (KEDA + EPP)",
    notes="no traffic reads as 0, as in the guide",
)
