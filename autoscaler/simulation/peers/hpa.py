"""Kubernetes' HPA v2: its calculation, its stabilisation and its rates, and three metrics that people give it.

Source: kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale (algorithm details, default behaviour). Sync
every 15 s, tolerance 0.1, five minutes of stabilisation down, up by 100 % or 4 pods in 15 s, whichever is more.
"""

from __future__ import annotations

import math
from typing import Any

from autoscaler.simulation.compiled import compilable
from autoscaler.simulation.peers.rule import (
    BUSY_S,
    CAPACITY_RPS,
    COMPUTE_S,
    DONE,
    HEADROOM,
    MAX,
    MIN,
    POD_S,
    QUEUE_S,
    SECONDS,
    Rule,
    geometric,
)
from autoscaler.simulation.peers.windows import highest, remember, ring

SYNC_S = 15.0
TOLERANCE = 0.1
DOWN_WINDOW_S = 300.0
# Recommendations of five minutes, one each sync.
_KEPT = 21
SOURCES = "kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale"


@compilable
def hpa_replicas(
    mean: Any, counted: Any, missing: Any, pending: Any, current: Any, tolerance: Any
) -> Any:
    """HPA's calculation for a metric of pods: `mean` is the metric over its target, of the `counted` pods that have it.

    ceil(pods x mean), unless the mean is within the tolerance of 1. `missing` pods run and show no metric: they count
    as idle on the way up and as exactly at the target on the way down. `pending` pods don't run yet: idle on the way
    up, ignored on the way down. If that turns the direction, or brings it within the tolerance, nothing changes; nor
    does it where no pod has a metric. Bounds are the caller's.
    """
    if counted <= 0:
        return current
    total = mean * counted
    pods = counted + missing
    if mean < 1.0:
        total += missing
    elif mean > 1.0:
        pods += pending
    careful = total / pods
    if abs(careful - 1.0) <= tolerance + 1e-12 or (mean - 1.0) * (careful - 1.0) < 0.0:
        return current
    # So that 10 * 1.3 is 13 and not 14.
    wanted = int(math.ceil(total - 1e-9))
    if careful > 1.0:
        return max(wanted, current)
    return min(wanted, current)


@compilable
def external_replicas(total: Any, target: Any, current: Any, tolerance: Any) -> Any:
    """HPA's calculation for an external metric with an AverageValue: ceil(total / target), beyond the tolerance."""
    if current > 0 and abs(total / (target * current) - 1.0) <= tolerance + 1e-12:
        return current
    return int(math.ceil(total / target - 1e-9))


@compilable
def behave(now_s: Any, current: Any, wanted: Any, memory: Any, settings: Any) -> Any:
    """HPA's default behaviour: bounds, the highest recommendation of five minutes, and at most double or four more."""
    if memory[0] == 0.0:
        # HPA takes what it finds at its first sync for a recommendation, and so holds it for the window.
        remember(memory, 0, _KEPT, now_s, current)
    wanted = min(max(wanted, int(settings[MIN])), int(settings[MAX]))
    after = wanted
    if wanted < current:
        after = min(current, highest(memory, 0, _KEPT, now_s, DOWN_WINDOW_S, wanted))
    remember(memory, 0, _KEPT, now_s, wanted)
    return min(after, max(2 * current, current + 4))


@compilable
def _queue_compute(
    now_s: Any,
    replicas: Any,
    ready: Any,
    starting: Any,
    slow: Any,
    fast: Any,
    memory: Any,
    settings: Any,
) -> Any:
    """Queue time over compute time of the last minute, which a pod without requests has as 0."""
    wanted = replicas
    if slow[SECONDS] > 0.0:
        ratio = slow[QUEUE_S] / max(slow[COMPUTE_S], 1e-6)
        # A modelled pod that starts loads its model: it runs, and shows no metric yet.
        wanted = hpa_replicas(ratio / settings[HEADROOM], ready, starting, 0, replicas, TOLERANCE)
    return behave(now_s, replicas, wanted, memory, settings)


@compilable
def _gpu_utilisation(
    now_s: Any,
    replicas: Any,
    ready: Any,
    starting: Any,
    slow: Any,
    fast: Any,
    memory: Any,
    settings: Any,
) -> Any:
    """Busy share of the GPUs over the last minute."""
    wanted = replicas
    if slow[POD_S] > 0.0:
        busy = slow[BUSY_S] / slow[POD_S]
        wanted = hpa_replicas(busy / settings[HEADROOM], ready, starting, 0, replicas, TOLERANCE)
    return behave(now_s, replicas, wanted, memory, settings)


@compilable
def _requests(
    now_s: Any,
    replicas: Any,
    ready: Any,
    starting: Any,
    slow: Any,
    fast: Any,
    memory: Any,
    settings: Any,
) -> Any:
    """sum(rate(requests[1m])) over a threshold for each replica, as KEDA's Prometheus trigger hands it to HPA."""
    wanted = replicas
    if slow[SECONDS] > 0.0:
        rate_rps = slow[DONE] / slow[SECONDS]
        target_rps = settings[HEADROOM] * settings[CAPACITY_RPS]
        wanted = external_replicas(rate_rps, target_rps, replicas, TOLERANCE)
    return behave(now_s, replicas, wanted, memory, settings)


QUEUE_COMPUTE = Rule(
    name="HPA queue:compute",
    decide=_queue_compute,
    period_s=SYNC_S,
    scrape_s=5.0,
    slow_s=60.0,
    fast_s=60.0,
    memory=ring(_KEPT),
    headroom="queue:compute ratio",
    default=1.0,
    sweep=geometric(0.0005, 8.0),
    sources=f"{SOURCES}; NVIDIA's recipe for Triton (target 1000m)",
)
GPU_UTILISATION = Rule(
    name="HPA GPU utilisation",
    decide=_gpu_utilisation,
    period_s=SYNC_S,
    scrape_s=5.0,
    slow_s=60.0,
    fast_s=60.0,
    memory=ring(_KEPT),
    headroom="busy share",
    default=0.75,
    sweep=geometric(0.05, 0.98),
    sources=f"{SOURCES}; keda-gpu-scaler's profile for Triton (75 %)",
)
KEDA_REQUESTS = Rule(
    name="KEDA requests/s",
    decide=_requests,
    period_s=SYNC_S,
    scrape_s=5.0,
    slow_s=60.0,
    fast_s=60.0,
    memory=ring(_KEPT),
    headroom="share of a replica's capacity",
    default=0.7,
    sweep=geometric(0.05, 1.15),
    sources=f"{SOURCES}; keda.sh/docs/latest/scalers/prometheus",
    notes="the threshold has no default: 70 % of a replica's measured capacity",
)
