"""SLO accounting: what became of the requests of one objective, over an hour, a day and the SLO's own window.

Kept in steps - minutes for the hour, quarters for the day, about 112 steps for the window - so that four weeks of one
objective are 270 entries. A step counts requests and the bad among them. Bad is, in the form `99% < T`, a request that
missed; in the form `p95 < T` every request of a minute in which more than 5 % missed. What was not seen is neither good
nor bad: its time is added up as unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from autoscaler.core.gateway import at_gateway, preferred
from autoscaler.core.latency import LatencySource
from autoscaler.core.slo import objective_text
from autoscaler.core.tally import NOTHING, Seen, Tally, tally_pod
from autoscaler.core.types import LatencyObjective, Slo, SloForm, WorkloadId, WorkloadInput

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0
QUARTER_S = 900.0
# Four weeks in steps of six hours.
STEPS = 112
# As for decisions: with fewer of the ready pods seen, what the others did is not known either.
MIN_COVERAGE_RATIO = 0.8
# A pod that has just become ready need not have been scraped yet.
SETTLE_S = 30.0
# Ticks further apart than this were not ticks of one process: the time between is unknown.
LONGEST_TICK_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A stretch of time from `start_s` on. Bad requests lie between `low` and `high`."""

    start_s: float
    requests: float = 0.0
    low: float = 0.0
    bad: float = 0.0
    high: float = 0.0
    known_s: float = 0.0
    unknown_s: float = 0.0

    def plus(self, other: Step) -> Step:
        """Both together, from the earlier start."""
        return Step(
            start_s=min(self.start_s, other.start_s),
            requests=self.requests + other.requests,
            low=self.low + other.low,
            bad=self.bad + other.bad,
            high=self.high + other.high,
            known_s=self.known_s + other.known_s,
            unknown_s=self.unknown_s + other.unknown_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The last `window_s` in steps of `step_s`, oldest first."""

    window_s: float
    step_s: float
    steps: tuple[Step, ...] = ()

    def add(self, minute: Step) -> Span:
        """With one more minute; what is older than the window goes."""
        start_s = minute.start_s - minute.start_s % self.step_s
        steps = self.steps
        if steps and start_s <= steps[-1].start_s:
            steps = (*steps[:-1], steps[-1].plus(replace(minute, start_s=steps[-1].start_s)))
        else:
            steps = (*steps, replace(minute, start_s=start_s))
        oldest_s = minute.start_s + MINUTE_S - self.window_s
        return replace(self, steps=tuple(s for s in steps if s.start_s + self.step_s > oldest_s))

    def total(self) -> Step:
        """Everything in it."""
        total = Step(start_s=self.steps[0].start_s if self.steps else 0.0)
        for step in self.steps:
            total = total.plus(step)
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """One objective of one workload."""

    objective: str
    """As people write it: `p95 < 200ms`."""
    hour: Span
    day: Span
    window: Span
    total: Step = field(default_factory=lambda: Step(start_s=0.0))
    """Since this process began; never falls, so that it can be shown as counters. Not kept over a restart: a counter
    that went on a little behind where it was would look like a reset, and all of it would count again."""
    minute_s: float = 0.0
    """The minute that is being filled, and what it holds so far."""
    filling: Tally = field(default_factory=Tally)
    known_s: float = 0.0
    unknown_s: float = 0.0
    source: LatencySource | None = None
    """Where the last requests' latency was read; None: none was seen yet."""

    def each(self, change: Callable[[Span], Span]) -> Ledger:
        """With all three spans changed alike."""
        return replace(
            self, hour=change(self.hour), day=change(self.day), window=change(self.window)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The ledgers of one workload, one for each objective."""

    workload: WorkloadId
    slo: Slo
    at_s: float
    """When it was last looked at."""
    ledgers: tuple[Ledger, ...]
    """One for each of the SLO's objectives, in their order."""
    watched_since_s: float | None = None
    """Since when without a gap. Neither this nor `seen` is kept over a restart: the time between is unknown."""
    seen: tuple[Seen, ...] = ()
    """The last scrapes of pods, and"""
    gateway_seen: tuple[Seen, ...] = ()
    """of a gateway's instances."""

    def resting(self) -> Account:
        """What is worth keeping over a restart."""
        ledgers = tuple(replace(ledger, total=Step(start_s=0.0)) for ledger in self.ledgers)
        return replace(self, watched_since_s=None, seen=(), gateway_seen=(), ledgers=ledgers)


def advance(
    account: Account | None, given: WorkloadInput, now_s: float, *, stale_after_s: float
) -> Account:
    """The account with what was seen at `now_s`; a scrape older than `stale_after_s` tells nothing.

    A workload whose SLO was changed keeps the ledgers of the objectives that stayed.
    """
    slo = given.spec.slo
    span_s = 0.0 if account is None else now_s - account.at_s
    followed = account is not None and 0.0 <= span_s <= LONGEST_TICK_S
    since_s = account.watched_since_s if account is not None and followed else None
    kept = account if account is not None and followed else None
    fresh_from_s = now_s - stale_after_s
    tallies, tellers, seen = _tallies(
        given, kept.seen if kept else (), since_s=since_s, fresh_from_s=fresh_from_s
    )
    told, gateway_seen = at_gateway(
        given, kept.gateway_seen if kept else (), fresh_from_s=fresh_from_s
    )
    known = {ledger.objective: ledger for ledger in account.ledgers} if account else {}
    # A workload that is switched off has no requests to be judged.
    seconds = 0.0 if given.replicas.desired == 0 else max(0.0, span_s)
    ledgers = []
    for index, objective in enumerate(slo.objectives):
        ledger = known.get(objective_text(objective)) or _opened(objective)
        own = tallies[index] if _covered(given, tellers[index], now_s) else None
        tally = preferred(told[index], own) if since_s is not None else None
        ledger = _sized(ledger, slo.window_s)
        ledgers.append(_filled(ledger, objective, tally, now_s=now_s, seconds=seconds))
    return Account(
        workload=given.spec.id,
        slo=slo,
        at_s=now_s,
        ledgers=tuple(ledgers),
        watched_since_s=now_s if since_s is None else since_s,
        seen=seen,
        gateway_seen=gateway_seen,
    )


def _opened(objective: LatencyObjective) -> Ledger:
    return Ledger(
        objective=objective_text(objective),
        hour=Span(window_s=HOUR_S, step_s=MINUTE_S),
        day=Span(window_s=DAY_S, step_s=QUARTER_S),
        window=Span(window_s=0.0, step_s=MINUTE_S),
    )


def _sized(ledger: Ledger, window_s: float) -> Ledger:
    """With the SLO's present window. One that was changed begins with what the day knows."""
    if ledger.window.window_s == window_s:
        return ledger
    step_s = max(MINUTE_S, MINUTE_S * round(window_s / STEPS / MINUTE_S))
    span = Span(window_s=window_s, step_s=step_s)
    for step in ledger.day.steps:
        span = span.add(step)
    return replace(ledger, window=span)


def _tallies(
    given: WorkloadInput, before: tuple[Seen, ...], *, since_s: float | None, fresh_from_s: float
) -> tuple[tuple[Tally, ...], tuple[set[str], ...], tuple[Seen, ...]]:
    """(each objective's tally over all pods, the pods that told it, the last scrapes)."""
    objectives = given.spec.slo.objectives
    pods = {pod.name: pod for pod in given.pods}
    seen = {entry.pod: entry for entry in before if entry.pod in pods}
    totals = [NOTHING for _ in objectives]
    tellers: tuple[set[str], ...] = tuple(set() for _ in objectives)
    for sample in given.samples:
        pod = pods.get(sample.pod)
        if pod is None or sample.sampled_at_s < fresh_from_s:
            continue
        told = tally_pod(
            seen.get(pod.name),
            sample,
            pod=pod,
            objectives=objectives,
            model=given.spec.model,
            watched_since_s=since_s,
        )
        seen[pod.name] = told.seen
        for index, tally in enumerate(told.tallies):
            if tally is not None:
                totals[index] = totals[index].plus(tally)
                tellers[index].add(pod.name)
    return tuple(totals), tellers, tuple(seen.values())


def _covered(given: WorkloadInput, tellers: set[str], now_s: float) -> bool:
    """Whether enough of the ready pods told what they did."""
    due = [
        pod
        for pod in given.pods
        if pod.ready_s is not None
        and pod.deleted_s is None
        and (now_s - pod.ready_s > SETTLE_S or pod.name in tellers)
    ]
    told = sum(1 for pod in due if pod.name in tellers)
    return given.pods_known and bool(due) and told >= MIN_COVERAGE_RATIO * len(due)


def _filled(
    ledger: Ledger,
    objective: LatencyObjective,
    tally: Tally | None,
    *,
    now_s: float,
    seconds: float,
) -> Ledger:
    """With one tick's tally; closes the minute that is over."""
    # What a tick at a full minute sees has happened in the minute before.
    middle_s = now_s - min(seconds, LONGEST_TICK_S) / 2.0
    minute_s = middle_s - middle_s % MINUTE_S
    if minute_s < ledger.minute_s:
        ledger = _set_back(ledger, minute_s)
    if ledger.minute_s and minute_s > ledger.minute_s:
        ledger = _closed(ledger, objective)
    if not ledger.minute_s or minute_s > ledger.minute_s:
        ledger = replace(ledger, minute_s=minute_s, filling=Tally(), known_s=0.0, unknown_s=0.0)
    if seconds > LONGEST_TICK_S:
        ledger, seconds = _unwatched(ledger, now_s - seconds, now_s), 0.0
    if tally is None:
        return replace(ledger, unknown_s=ledger.unknown_s + seconds)
    return replace(
        ledger,
        filling=ledger.filling.plus(tally),
        known_s=ledger.known_s + seconds,
        source=tally.source or ledger.source,
    )


def _set_back(ledger: Ledger, minute_s: float) -> Ledger:
    """After a clock that was ahead: what is of a time to come was seen just now, and the time in between never was."""

    def past(span: Span) -> Span:
        ahead = [step for step in span.steps if step.start_s > minute_s]
        if not ahead:
            return span
        span = replace(span, steps=span.steps[: -len(ahead)])
        for step in ahead:
            span = span.add(replace(step, start_s=minute_s, unknown_s=0.0))
        return span

    return replace(ledger.each(past), minute_s=minute_s)


def _unwatched(ledger: Ledger, from_s: float, to_s: float) -> Ledger:
    """With a gap as unknown time in the steps to which it belongs."""

    def gap(span: Span) -> Span:
        start_s = max(from_s, to_s - span.window_s)
        while start_s < to_s:
            end_s = min(to_s, start_s - start_s % span.step_s + span.step_s)
            span = span.add(Step(start_s=start_s, unknown_s=end_s - start_s))
            start_s = end_s
        return span

    total = ledger.total.plus(Step(start_s=from_s, unknown_s=to_s - from_s))
    return replace(ledger.each(gap), total=total)


def _closed(ledger: Ledger, objective: LatencyObjective) -> Ledger:
    minute = judged(
        ledger.filling,
        objective,
        start_s=ledger.minute_s,
        known_s=ledger.known_s,
        unknown_s=ledger.unknown_s,
    )
    return replace(ledger.each(lambda span: span.add(minute)), total=ledger.total.plus(minute))


def judged(
    tally: Tally, objective: LatencyObjective, *, start_s: float, known_s: float, unknown_s: float
) -> Step:
    """A minute as a step: which of its requests are bad.

    In the form MINUTES it is all or none of them, and a minute of which less than half was seen has no verdict.
    """
    if objective.form is SloForm.REQUESTS:
        low, bad, high = tally.low, tally.estimate, tally.high
    elif unknown_s > known_s:
        return Step(start_s=start_s, unknown_s=known_s + unknown_s)
    else:
        allowed = (1.0 - objective.ratio) * tally.requests + 1e-9
        low, bad, high = (
            tally.requests if missed > allowed else 0.0
            for missed in (tally.low, tally.estimate, tally.high)
        )
    return Step(
        start_s=start_s,
        requests=tally.requests,
        low=low,
        bad=bad,
        high=high,
        known_s=known_s,
        unknown_s=unknown_s,
    )


def target_ratio(objective: LatencyObjective, slo: Slo) -> float:
    """The share of requests that must be good: the objective's own, or in the form MINUTES the SLO's `for`."""
    return slo.compliance_ratio if objective.form is SloForm.MINUTES else objective.ratio
