"""A peer's rule as a function of numbers, and the adapter that feeds it from the modelled cluster.

A rule is written once. The request-level simulator calls it as Python; the fluid model compiles it. So it takes numbers
and arrays only, and calls nothing but `compilable` functions:

    decide(now_s, replicas, ready, starting, slow, fast, memory, settings) -> replicas

`slow` and `fast` are what changed over its two windows: differences of the running sums named below. `memory` is its
own, all zeros at first. `settings` begin with what every rule may know, then come its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.peers.policy import Seen
from autoscaler.simulation.scenario import Scenario
from autoscaler.simulation.scraped import Reads, Totals

Decide = Callable[..., Any]

# Running sums. POD_S and LATENCY_S2 are integrals of gauges over SEEN_S, the time in which they were seen.
SECONDS, SEEN_S, DONE, QUEUE_S, COMPUTE_S, BUSY_S, ONGOING_S, POD_S, LATENCY_S2 = range(9)
SUMS = 9

# A single latency counts at most so many times the threshold: llm-d's clamp, before it averages.
LATENCY_CLAMP = 2.0

# Settings that every rule has.
MIN, MAX, CAPACITY_RPS, SERVICE_S, REQUEST_S, THRESHOLD_S, HEADROOM = range(7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One peer: its rule, how often it is applied, what it looks at, and its documented defaults."""

    name: str
    decide: Decide
    period_s: float
    scrape_s: float
    slow_s: float
    """Its window, or the longer of its two."""
    fast_s: float
    memory: int
    """Numbers that it remembers."""
    headroom: str
    """What its one swept setting is."""
    default: float
    """Of the headroom: what its documentation gives."""
    sweep: tuple[float, ...]
    """Values that are tried, from the most replicas to the fewest."""
    own: tuple[float, ...] = ()
    """Its other settings, at their documented defaults."""
    reads: Reads = Reads.TOTALS
    sources: str = ""
    """Where the rule and the defaults are documented."""
    notes: str = field(default="")
    """What is not as in the product, or has no documented default."""

    def settings(self, known: Known, headroom: float | None = None) -> NDArray[np.float64]:
        """As the rule takes them."""
        chosen = self.default if headroom is None else headroom
        return np.array(
            [
                known.min_replicas,
                known.max_replicas,
                known.capacity_rps,
                known.service_s,
                known.request_s,
                known.threshold_s,
                chosen,
                *self.own,
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What whoever sets a peer up knows beforehand; forescale is told none of it but the bounds and the SLO."""

    min_replicas: int
    max_replicas: int
    capacity_rps: float
    """What one replica carries within the SLO, from a load test."""
    service_s: float
    """Of a request alone."""
    request_s: float
    """How much longer a request takes for each that is there before it: its share of a full batch."""
    threshold_s: float


class RulePolicy:
    """A rule under the request-level simulator."""

    def __init__(self, rule: Rule, known: Known, *, headroom: float | None = None) -> None:
        chosen = rule.default if headroom is None else headroom
        self.name = f"{rule.name} ({chosen:.3g})"
        self.rule = rule
        self.period_s = rule.scrape_s
        self.reads: Reads | None = rule.reads
        self._settings = rule.settings(known, headroom)
        self._memory = np.zeros(rule.memory)
        clamp_s = LATENCY_CLAMP * known.threshold_s
        self._history = History(max(rule.slow_s, rule.fast_s), clamp_s)
        self._due_s = 0.0

    def replicas(self, seen: Seen) -> int:
        """The rule's answer where its period is over, else what is there. Without metrics nothing changes."""
        totals = seen.totals()
        if totals is None:
            return seen.replicas
        history = self._history
        history.add(totals)
        if seen.now_s < self._due_s:
            return seen.replicas
        self._due_s = seen.now_s + self.rule.period_s - 1e-6
        return int(
            self.rule.decide(
                seen.now_s,
                seen.replicas,
                totals.scraped,
                max(0, seen.replicas - totals.scraped),
                history.over(self.rule.slow_s),
                history.over(self.rule.fast_s),
                self._memory,
                self._settings,
            )
        )


class History:
    """Running sums of what was scraped, for as long as a window reaches back."""

    def __init__(self, keeps_s: float, clamp_s: float) -> None:
        self._keeps_s, self._clamp_s = keeps_s, clamp_s
        self._rows: list[NDArray[np.float64]] = [np.zeros(SUMS)]

    def add(self, totals: Totals) -> None:
        """One scrape. What a gauge shows stands for the time since the scrape before, unless that was over 15 s ago.

        After a hole that is longer than its windows it begins anew: a rate over a minute has nothing of before.
        """
        last = self._rows[-1]
        span_s = max(0.0, totals.at_s - last[SECONDS])
        if span_s > self._keeps_s:
            self._rows.clear()
        seen_s = span_s if span_s <= 15.0 else 0.0
        row = np.empty(SUMS)
        row[SECONDS] = totals.at_s
        row[SEEN_S] = last[SEEN_S] + seen_s
        row[DONE], row[QUEUE_S] = totals.done, totals.queue_s
        row[COMPUTE_S], row[BUSY_S] = totals.compute_s, totals.busy_s
        row[ONGOING_S] = totals.ongoing_s
        row[POD_S] = last[POD_S] + seen_s * totals.scraped
        latency_s = min(totals.latency_p90_s or 0.0, self._clamp_s)
        row[LATENCY_S2] = last[LATENCY_S2] + seen_s * latency_s
        self._rows.append(row)
        while len(self._rows) > 2 and self._rows[1][SECONDS] <= totals.at_s - self._keeps_s:
            self._rows.pop(0)

    def over(self, window_s: float) -> NDArray[np.float64]:
        """What changed since the last scrape that is at least so long ago, or since the first."""
        last = self._rows[-1]
        start = self._rows[0]
        for row in reversed(self._rows):
            if row[SECONDS] <= last[SECONDS] - window_s + 1e-6:
                start = row
                break
        return last - start


def known_of(scenario: Scenario, capacity_rps: float) -> Known:
    """From a scenario, with the capacity that a load test of one replica gave."""
    server = scenario.server
    return Known(
        min_replicas=max(1, scenario.spec.min_replicas),
        max_replicas=scenario.most_replicas,
        capacity_rps=capacity_rps,
        service_s=server.service_s(1),
        request_s=1.0 / server.capacity_rps,
        threshold_s=scenario.threshold_s,
    )


def geometric(low: float, high: float, count: int = 24) -> tuple[float, ...]:
    """So many values from `low` to `high`, each the same factor above the one before."""
    return tuple(float(value) for value in np.geomspace(low, high, count))
