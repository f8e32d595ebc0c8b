"""A cluster whose sums are as told, to ask rules what they make of them."""

from __future__ import annotations

from autoscaler.core.types import TickInput
from autoscaler.simulation.peers.rule import Known, Rule, RulePolicy
from autoscaler.simulation.scraped import Totals

KNOWN = Known(
    min_replicas=1,
    max_replicas=100,
    capacity_rps=10.0,
    service_s=0.1,
    request_s=0.1,
    threshold_s=1.0,
)


class Dashboard:
    """Pods of which each serves as told; `up` False: the metrics are gone."""

    def __init__(self, replicas: int) -> None:
        self.now_s = 0.0
        self.replicas = replicas
        self.starting = 0
        self.up = True
        self.ongoing = 0.0
        self.latency_p90_s: float | None = None
        self._sums = [0.0, 0.0, 0.0, 0.0, 0.0]

    def after(
        self, seconds: float, *, rps: float = 0.0, queue_ratio: float = 0.0, busy: float = 0.0
    ) -> Dashboard:
        """Lets time pass at a rate, a ratio of queue to compute time, and a busy share of each pod."""
        self.now_s += seconds
        busy_pods = busy * (self.replicas - self.starting)
        added = (rps, queue_ratio, 1.0, busy_pods, self.ongoing)
        self._sums = [old + seconds * new for old, new in zip(self._sums, added, strict=True)]
        return self

    def totals(self) -> Totals | None:
        if not self.up:
            return None
        done, queue_s, compute_s, busy_s, ongoing_s = self._sums
        return Totals(
            at_s=self.now_s,
            done=done,
            queue_s=queue_s,
            compute_s=compute_s,
            busy_s=busy_s,
            ongoing_s=ongoing_s,
            ongoing=self.ongoing,
            scraped=self.replicas - self.starting,
            latency_p90_s=self.latency_p90_s,
        )

    def tick_input(self) -> TickInput:
        raise AssertionError("a peer sees sums only")


def policy(rule: Rule, headroom: float | None = None, **known: int) -> RulePolicy:
    bounds = {"min_replicas": 1, "max_replicas": 100} | known
    told = Known(
        capacity_rps=KNOWN.capacity_rps,
        service_s=KNOWN.service_s,
        request_s=KNOWN.request_s,
        threshold_s=KNOWN.threshold_s,
        **bounds,
    )
    return RulePolicy(rule, told, headroom=headroom)


def asked(
    peer: RulePolicy, seen: Dashboard, times: int, *, obey: bool = True, **load: float
) -> list[int]:
    """The answers at so many of its scrapes under a load."""
    answers = []
    for _ in range(times):
        answers.append(peer.replicas(seen.after(peer.period_s, **load)))
        if obey:
            seen.replicas = answers[-1]
    return answers
