"""What a run looked like, step by step: read from the cluster while it runs, and from its requests at the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.ledger import target_ratio
from autoscaler.core.types import Slo, SloForm
from autoscaler.simulation.cluster import ModelledCluster
from autoscaler.simulation.score import MIN_REQUESTS, MINUTE_S, Minutes

Known = tuple[float | None, ...]
RATE_WINDOW_S = 60.0
# A page has room for so many steps.
MOST_STEPS = 720


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Equal steps of whole minutes over a run."""

    step_s: float
    count: int

    def at(self, now_s: float) -> int:
        """In which step a time lies; the end belongs to the last."""
        return min(self.count - 1, max(0, math.ceil(now_s / self.step_s) - 1))


def steps_of(duration_s: float) -> Steps:
    """As fine as a page shows."""
    step_s = MINUTE_S * max(1, math.ceil(duration_s / MINUTE_S / MOST_STEPS))
    return Steps(step_s=step_s, count=max(1, math.ceil(duration_s / step_s)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The number of replicas was changed while so much was served, as far as known."""

    at_s: float
    before: int
    after: int
    served_rps: float | None


class Recorder:
    """Reads the cluster whenever a policy has decided; what is read last in a step stands for it."""

    def __init__(self, cluster: ModelledCluster, steps: Steps) -> None:
        self._cluster, self._steps = cluster, steps
        self.wanted = [0] * steps.count
        self.ready = [0] * steps.count
        self.starting = [0] * steps.count
        self.gpu_hours = [0.0] * steps.count
        self.served_rps: list[float | None] = [None] * steps.count
        """As a query over the last minute tells; None: metrics are gone."""
        self.changes: list[Change] = []
        self.pods = [(cluster.now_s, len(cluster.pods))]
        """(time, pods that hold a GPU: waiting, starting, ready and draining) at every change."""
        self._scrapes: list[tuple[float, float]] = []
        self._replicas = cluster.replicas

    def take(self, now_s: float) -> None:
        """Once a period."""
        at, cluster = self._steps.at(now_s), self._cluster
        self.wanted[at] = cluster.replicas
        self.ready[at] = sum(1 for pod in cluster.pods if pod.serves(now_s))
        self.starting[at] = sum(
            1 for pod in cluster.pods if pod.deleted_s is None and pod.ready_s > now_s
        )
        self.gpu_hours[at] = cluster.gpu_hours
        if self.pods[-1][1] != len(cluster.pods):
            self.pods.append((now_s, len(cluster.pods)))
        rate_rps = self.served_rps[at] = self._rate()
        if cluster.replicas != self._replicas:
            change = Change(
                at_s=now_s, before=self._replicas, after=cluster.replicas, served_rps=rate_rps
            )
            self.changes.append(change)
            self._replicas = cluster.replicas

    def _rate(self) -> float | None:
        totals = self._cluster.totals()
        if totals is None:
            self._scrapes.clear()
            return None
        self._scrapes.append((totals.at_s, totals.done))
        while len(self._scrapes) > 2 and self._scrapes[1][0] <= totals.at_s - RATE_WINDOW_S:
            self._scrapes.pop(0)
        (first_s, before), (last_s, after) = self._scrapes[0], self._scrapes[-1]
        return (after - before) / (last_s - first_s) if last_s > first_s else None

    def while_told(self, told: Callable[[float], None]) -> Callable[[float], None]:
        """Takes, and then tells the progress on."""

        def both(now_s: float) -> None:
            self.take(now_s)
            told(now_s)

        return both


def demand_rps(arrivals_s: NDArray[np.float64], steps: Steps) -> Known:
    """Requests a second that arrived in each step."""
    edges = np.arange(steps.count + 1) * steps.step_s
    counts, _ = np.histogram(arrivals_s, edges)
    return tuple((counts / steps.step_s).tolist())


def latency_s(
    latencies_s: NDArray[np.float32], arrivals_s: NDArray[np.float64], ratio: float, steps: Steps
) -> Known:
    """The quantile `ratio` of each step's requests; what never finished is infinite. None: too few requests."""
    edges = np.searchsorted(arrivals_s, np.arange(steps.count + 1) * steps.step_s)
    endless = np.where(np.isnan(latencies_s), np.inf, latencies_s)
    told: list[float | None] = []
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if last - first < MIN_REQUESTS:
            told.append(None)
            continue
        rank = math.ceil(ratio * (last - first)) - 1
        told.append(float(np.partition(endless[first:last], rank)[rank]))
    return tuple(told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The error budget of the run: `left` at the end of each step, 1 untouched, 0 spent, negative overspent."""

    target_ratio: float
    good_ratio: float
    left: Known


def budget(minutes: Minutes, slo: Slo, steps: Steps) -> Budget:
    """Of the first objective, as SLO accounting counts: of `p95 < T` a whole minute is bad, or none of it."""
    objective = slo.objectives[0]
    target = target_ratio(objective, slo)
    bad = minutes.total - minutes.good
    if objective.form is SloForm.MINUTES:
        bad = np.where(minutes.good < objective.ratio * minutes.total, minutes.total, 0.0)
    requests = max(1.0, float(minutes.total.sum()))
    spent = np.cumsum(bad) / ((1.0 - target) * requests)
    per_step = int(steps.step_s / MINUTE_S)
    ends = np.minimum(np.arange(1, steps.count + 1) * per_step, spent.size) - 1
    return Budget(
        target_ratio=target,
        good_ratio=1.0 - float(bad.sum()) / requests,
        left=tuple((1.0 - spent[ends]).tolist()),
    )
