"""NVIDIA Dynamo's planner: its throughput mode, which forecasts, and its load mode, which reacts.

Source: docs.nvidia.com/dynamo (planner guide, planner design) and the defaults in ai-dynamo/dynamo. Throughput: every
180 s, the requests of the next interval over what an engine was profiled to carry within the SLA. Its predictor is a
Kalman filter of level and trend (1.0, 0.1, noise 10, from five points on); auto-ARIMA, the default, is not reproduced.
Load: every 5 s, one more when every engine's estimated latency is above the SLA, one fewer when every engine would be
below 80 % of it with the load of the one that goes; not while a change is under way.
"""

from __future__ import annotations

import math
from typing import Any

from autoscaler.simulation.compiled import compilable
from autoscaler.simulation.peers.rule import (
    CAPACITY_RPS,
    DONE,
    HEADROOM,
    MAX,
    MIN,
    ONGOING_S,
    POD_S,
    REQUEST_S,
    SECONDS,
    SERVICE_S,
    THRESHOLD_S,
    Rule,
    geometric,
)

INTERVAL_S = 180.0
LOAD_INTERVAL_S = 5.0
Q_LEVEL, Q_TREND, NOISE, MIN_POINTS = 1.0, 0.1, 10.0, 5
FIRST_VARIANCE = 1000.0
DOWN_SENSITIVITY = 0.8
# Places in the memory of the throughput mode: points seen, level, trend, and their covariance.
_POINTS, _LEVEL, _TREND, _P00, _P01, _P11 = range(6)


@compilable
def predict(memory: Any, value: Any) -> Any:
    """Takes in one interval's value and gives the next one's: a Kalman filter of a local linear trend."""
    if memory[_POINTS] == 0.0:
        memory[_LEVEL], memory[_TREND] = value, 0.0
        memory[_P00], memory[_P01], memory[_P11] = FIRST_VARIANCE, 0.0, FIRST_VARIANCE
    else:
        error = value - memory[_LEVEL]
        spread = memory[_P00] + NOISE
        gain_level, gain_trend = memory[_P00] / spread, memory[_P01] / spread
        memory[_LEVEL] += gain_level * error
        memory[_TREND] += gain_trend * error
        p00, p01 = memory[_P00], memory[_P01]
        memory[_P00] = (1.0 - gain_level) * p00
        memory[_P01] = (1.0 - gain_level) * p01
        memory[_P11] -= gain_trend * p01
    memory[_POINTS] += 1.0
    # One step ahead: the level moves by the trend, and both grow less certain.
    memory[_LEVEL] += memory[_TREND]
    memory[_P00] += 2.0 * memory[_P01] + memory[_P11] + Q_LEVEL
    memory[_P01] += memory[_P11]
    memory[_P11] += Q_TREND
    if memory[_POINTS] < MIN_POINTS:
        return value
    return max(0.0, memory[_LEVEL])


@compilable
def _throughput(
    now_s: Any,
    replicas: Any,
    ready: Any,
    starting: Any,
    slow: Any,
    fast: Any,
    memory: Any,
    settings: Any,
) -> Any:
    if slow[SECONDS] <= 0.0:
        return replicas
    next_rps = predict(memory, slow[DONE] / slow[SECONDS])
    carried_rps = settings[HEADROOM] * settings[CAPACITY_RPS]
    wanted = int(math.ceil(next_rps / carried_rps - 1e-9))
    return min(max(wanted, int(settings[MIN])), int(settings[MAX]))


@compilable
def load_replicas(
    waiting: Any, replicas: Any, service_s: Any, request_s: Any, target_s: Any
) -> Any:
    """One more, one fewer or as many, from the requests in each engine and what each adds to the time of one alone."""
    if service_s + waiting * request_s > target_s:
        return replicas + 1
    if replicas > 1:
        merged = waiting * replicas / (replicas - 1.0)
        if service_s + merged * request_s < DOWN_SENSITIVITY * target_s:
            return replicas - 1
    return replicas


@compilable
def _load(
    now_s: Any,
    replicas: Any,
    ready: Any,
    starting: Any,
    slow: Any,
    fast: Any,
    memory: Any,
    settings: Any,
) -> Any:
    if starting > 0 or fast[POD_S] <= 0.0:
        return replicas
    waiting = fast[ONGOING_S] / fast[POD_S]
    target_s = settings[HEADROOM] * settings[THRESHOLD_S]
    wanted = load_replicas(waiting, replicas, settings[SERVICE_S], settings[REQUEST_S], target_s)
    return min(max(wanted, int(settings[MIN])), int(settings[MAX]))


THROUGHPUT = Rule(
    name="Dynamo throughput",
    decide=_throughput,
    period_s=INTERVAL_S,
    scrape_s=15.0,
    slow_s=INTERVAL_S,
    fast_s=INTERVAL_S,
    memory=6,
    headroom="share of the profiled throughput",
    default=1.0,
    sweep=geometric(0.08, 1.25),
    sources="docs.nvidia.com/dynamo: planner design, planner guide",
    notes="Kalman predictor at its defaults; auto-ARIMA is not reproduced",
)
LOAD = Rule(
    name="Dynamo load",
    decide=_load,
    period_s=LOAD_INTERVAL_S,
    scrape_s=LOAD_INTERVAL_S,
    slow_s=LOAD_INTERVAL_S,
    fast_s=LOAD_INTERVAL_S,
    memory=1,
    headroom="share of the SLA",
    default=1.0,
    sweep=geometric(0.1, 2.0),
    sources="docs.nvidia.com/dynamo: planner design, planner guide",
    notes="an engine's latency is estimated as a request's alone, and its share of a full batch for each in it; "
    "the mean engine stands for all",
)
