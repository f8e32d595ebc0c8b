"""What a run must show, each a pure function of what was recorded: a named figure beside its limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoscaler.core.reasons import Reason
from autoscaler.core.types import Decision, Outcome, TickRecord
from loadtests.load.driver import MAX_LATENESS_S, lateness_p99_s
from loadtests.load.request_log import OK, Request


@dataclass(frozen=True, slots=True)
class Moment:
    """The cluster at one moment, once a second."""

    at_s: float
    desired: int
    ready: int
    pods: int
    """Every pod that holds a GPU: starting, ready and draining."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One requirement."""

    name: str
    passed: bool
    figure: str
    limit: str


def attainment(
    requests: Sequence[Request], threshold_s: float, excluded: Sequence[tuple[float, float]]
) -> float | None:
    """Share of the requests due outside the excluded spans that were answered within the threshold."""
    judged = [r for r in requests if not any(a <= r.due_s < b for a, b in excluded)]
    if not judged:
        return None
    good = sum(1 for r in judged if r.latency_s is not None and r.latency_s <= threshold_s)
    return good / len(judged)


def attained(
    requests: Sequence[Request],
    *,
    threshold_s: float,
    goal: float,
    excluded: Sequence[tuple[float, float]],
    settle_s: float = 120.0,
) -> Check:
    """At least `goal` of the requests within the threshold, outside the time that a start-up takes."""
    ratio = attainment(requests, threshold_s, excluded)
    everything = attainment(requests, threshold_s, ())
    return Check(
        name=f"attainment outside {settle_s:.0f} s after a step up",
        passed=ratio is not None and ratio >= goal,
        figure="no request" if ratio is None else f"{ratio:.2%} (of all requests {everything:.2%})",
        limit=f"at least {goal:.0%}",
    )


def gpu_seconds(moments: Sequence[Moment]) -> float:
    """Held from the request for a replica until it is gone."""
    return sum(
        before.pods * (after.at_s - before.at_s)
        for before, after in zip(moments, moments[1:], strict=False)
    )


def gpu_hours(moments: Sequence[Moment], *, static_replicas: int, limit_ratio: float) -> Check:
    """Against as many replicas as the peak needs, held all the time."""
    span_s = moments[-1].at_s - moments[0].at_s if moments else 0.0
    static_s = static_replicas * span_s
    ratio = gpu_seconds(moments) / static_s if static_s else float("inf")
    return Check(
        name="GPU-hours against a static peak",
        passed=ratio <= limit_ratio,
        figure=f"{ratio:.0%}: {gpu_seconds(moments) / 3600:.2f} GPU-h, {static_replicas} static {static_s / 3600:.2f}",
        limit=f"at most {limit_ratio:.0%}",
    )


def held_while_blind(moments: Sequence[Moment], span: tuple[float, float]) -> Check:
    """Nothing was lowered while Prometheus was stopped."""
    inside = [m for m in moments if span[0] <= m.at_s <= span[1]]
    drops = [
        (before.desired, after.desired)
        for before, after in zip(inside, inside[1:], strict=False)
        if after.desired < before.desired
    ]
    return Check(
        name="scaled down while Prometheus was stopped",
        passed=bool(inside) and not drops,
        figure=f"{len(drops)} times in {span[1] - span[0]:.0f} s" if inside else "not observed",
        limit="never",
    )


def capacity_in_time(
    moments: Sequence[Moment], *, step_s: float, replicas: int, startup_s: float, tick_s: float
) -> Check:
    """The replicas for the step were ready within one start-up time and four ticks."""
    reached = next((m.at_s for m in moments if m.at_s >= step_s and m.ready >= replicas), None)
    limit_s = startup_s + 4 * tick_s
    return Check(
        name=f"capacity for the step ({replicas} ready)",
        passed=reached is not None and reached - step_s <= limit_s,
        figure="never" if reached is None else f"after {reached - step_s:.0f} s",
        limit=f"within {limit_s:.0f} s (start-up {startup_s:.0f} s + 4 ticks)",
    )


def no_errors(requests: Sequence[Request]) -> Check:
    """No request met an error after it was sent; there are no retries that could hide one."""
    failed = [r for r in requests if r.sent_s is not None and r.outcome != OK]
    first = f", first: {failed[0].outcome} at {failed[0].server}" if failed else ""
    return Check(
        name="requests that failed after they were sent",
        passed=bool(requests) and not failed,
        figure=f"{len(failed)} of {len(requests)}{first}",
        limit="none",
    )


def on_time(requests: Sequence[Request]) -> Check:
    """The client itself kept up: else its latencies are its own."""
    late_s = lateness_p99_s(requests)
    return Check(
        name="the load was sent on time (p99)",
        passed=late_s <= MAX_LATENESS_S,
        figure=f"{late_s * 1000:.0f} ms late",
        limit=f"at most {MAX_LATENESS_S * 1000:.0f} ms",
    )


def rise_followed(
    decisions: Sequence[tuple[float, Decision]], *, killed_s: float, replicas: int, limit_s: float
) -> Check:
    """The leader was killed when a rise had just begun: the next one sees it whole at first sight."""
    asked = next((at_s for at_s, d in decisions if at_s > killed_s and d.target >= replicas), None)
    first = next((d.target for at_s, d in decisions if at_s > killed_s), None)
    return Check(
        name=f"the next leader asks for what a rise needs ({replicas})",
        passed=asked is not None and asked - killed_s <= limit_s,
        figure=("never" if asked is None else f"{asked - killed_s:.0f} s after the kill")
        + ("" if first is None else f", {first} at first"),
        limit=f"within {limit_s:.0f} s",
    )


def succession(old: Sequence[TickRecord], new: Sequence[TickRecord], *, killed_s: float) -> Check:
    """The next leader goes on where the killed one was: its first decision differs by at most one replica."""
    last = [d for r in old if r.result.now_s <= killed_s for d in r.result.decisions]
    first = [d for r in new if r.result.now_s > killed_s for d in r.result.decisions]
    if not last or not first:
        return Check(
            name="the next leader's first decision",
            passed=False,
            figure="no decision found",
            limit="at most 1 off",
        )
    apart = abs(first[0].target - last[-1].target)
    return Check(
        name="the next leader's first decision",
        passed=apart <= 1,
        figure=f"{first[0].target} after {last[-1].target}",
        limit="at most 1 off",
    )


def nothing_stale(
    old: Sequence[TickRecord], new: Sequence[TickRecord], *, killed_s: float
) -> Check:
    """The two never wrote in turns: the old one not after it was killed, the new one not before."""
    late = sum(_writes(r) for r in old if r.result.now_s > killed_s)
    early = sum(_writes(r) for r in new if r.result.now_s <= killed_s)
    conflicts = sum(
        1
        for r in (*old, *new)
        for a in r.actions
        if a.outcome in (Outcome.CONFLICT, Outcome.UNKNOWN)
    )
    return Check(
        name="stale writes",
        passed=bool(new) and late == 0 and early == 0,
        figure=f"{late} by the old leader after its end, {early} by the new one before ({conflicts} conflicts refused)",
        limit="none",
    )


def _writes(record: TickRecord) -> int:
    return sum(1 for action in record.actions if action.outcome is Outcome.APPLIED)


def edit_noticed(
    decisions: Sequence[tuple[float, Decision]], *, at_s: float, tick_s: float, name: str
) -> Check:
    """An edit by hand is reported within two ticks."""
    seen = next(
        (
            now_s
            for now_s, decision in decisions
            if now_s >= at_s and any(f.reason is Reason.EXTERNAL_EDIT for f in decision.findings)
        ),
        None,
    )
    return Check(
        name=f"{name} is noticed",
        passed=seen is not None and seen - at_s <= 2 * tick_s + 2.0,
        figure="never" if seen is None else f"after {seen - at_s:.0f} s",
        limit=f"within 2 ticks ({2 * tick_s:.0f} s)",
    )


def floor_kept(moments: Sequence[Moment], *, at_s: float, replicas: int, for_s: float) -> Check:
    """An edit upward is a floor until it expires, and no longer."""
    kept = [m.desired for m in moments if at_s + 2.0 <= m.at_s <= at_s + for_s - 2.0]
    after = [m.desired for m in moments if m.at_s > at_s + for_s]
    return Check(
        name="an edit upward is a floor that expires",
        passed=bool(kept) and min(kept) >= replicas and bool(after) and min(after) < replicas,
        figure=f"lowest {min(kept, default=0)} in its time, {min(after, default=0)} afterwards",
        limit=f"at least {replicas} for {for_s:.0f} s, fewer afterwards",
    )


def undone(moments: Sequence[Moment], *, at_s: float, needed: int, tick_s: float) -> Check:
    """An edit below what the SLO needs is undone."""
    back = next((m.at_s for m in moments if m.at_s > at_s + 1.0 and m.desired >= needed), None)
    return Check(
        name=f"an edit below the SLO's need ({needed}) is undone",
        passed=back is not None and back - at_s <= 2 * tick_s + 4.0,
        figure="never" if back is None else f"after {back - at_s:.0f} s",
        limit=f"within 2 ticks ({2 * tick_s:.0f} s)",
    )


def named(decisions: Sequence[tuple[float, Decision]], reason: Reason) -> Check:
    """A finding was reported at least once."""
    count = sum(1 for _, d in decisions for f in d.findings if f.reason is reason)
    return Check(
        name=f"{reason} is named",
        passed=count > 0,
        figure=f"in {count} ticks",
        limit="at least once",
    )
