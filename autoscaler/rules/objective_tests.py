"""promtool's unit tests of an objective's rules: for every alert a service that fires it, and one that does not."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.core.types import WorkloadSpec
from autoscaler.rules.burn import MINUTE_S, BurnAlert
from autoscaler.rules.document import AlertCheck, Rule, UnitTest
from autoscaler.rules.objectives import (
    BURNING,
    SPENT,
    UNKNOWN,
    UNKNOWN_FOR_MINUTES,
    ObjectiveRules,
    rules_of,
)

# Requests in each minute of a test: a hundredth of a per cent of them is a whole number.
A_MINUTE = 60_000
# Until a burn rate is seen: the recorded rate's own window, and an evaluation or two.
SEEN_MINUTES = 12
# Prometheus extrapolates the edges of a rate: nearer to a limit than this, who is right is chance.
MARGIN = 0.05


def unit_tests(spec: WorkloadSpec, *, namespace_label: str) -> tuple[UnitTest, ...]:
    """All tests of one workload. Its other objectives are well meanwhile."""
    objectives = rules_of(spec, namespace_label=namespace_label)
    others = {
        told.text: {
            other.series("forescale_slo_watched_seconds_total", state="known"): "0+60x100"
            for other in objectives
            if other.text != told.text
        }
        for told in objectives
    }
    return tuple(
        replace(test, series={**others[told.text], **test.series})
        for told in objectives
        for test in (
            _healthy(told),
            *(_burns(told, alert) for alert in told.alerts),
            _spends(told),
            _goes_blind(told),
            _disappears(told),
        )
    )


def _healthy(told: ObjectiveRules) -> UnitTest:
    return UnitTest(
        name=_named(told, "half of what may be spent is spent"),
        series=_served(told, 0.5 * (1.0 - told.target), SEEN_MINUTES),
        checks=tuple(
            AlertCheck(at=f"{SEEN_MINUTES}m", alert=name) for name in (BURNING, SPENT, UNKNOWN)
        ),
    )


def _burns(told: ObjectiveRules, alert: BurnAlert) -> UnitTest:
    """A little below the alert's rate, a little above it, twice as fast, then no bad request until all has ended."""
    fastest = 1.0 / (1.0 - told.target)
    ends = int(alert.short_s / MINUTE_S) + 4
    calm = int(max(a.short_s for a in told.alerts) / MINUTE_S) + SEEN_MINUTES
    phases = (
        (0.8 * alert.rate, SEEN_MINUTES),
        # So long that the time before weighs little in the long window.
        (min(1.2 * alert.rate, fastest), 10 * SEEN_MINUTES),
        (min(2.0 * alert.rate, fastest), int(alert.long_s / MINUTE_S)),
        (0.0, calm),
    )
    burns = [rate for rate, minutes in phases for _ in range(minutes)]
    surged = len(burns) - calm
    looks = (SEEN_MINUTES, 11 * SEEN_MINUTES, surged, surged + ends, len(burns))
    return UnitTest(
        name=_named(told, f"a burn rate of {alert.rate:g}"),
        series=_phases(told, tuple((rate / fastest, minutes) for rate, minutes in phases)),
        checks=tuple(
            AlertCheck(at=f"{minute}m", alert=BURNING, fire=fire)
            for minute in looks
            if (fire := _firing(told, burns[:minute])) is not None
        ),
    )


def _firing(told: ObjectiveRules, burns: list[float]) -> tuple[Rule, ...] | None:
    """The alerts after minutes of these burn rates, by plain means. None: one of them is too near its limit to tell."""
    fire = []
    for alert in told.alerts:
        lowest = min(_mean(burns, alert.long_s), _mean(burns, alert.short_s))
        if abs(lowest / alert.rate - 1.0) < MARGIN:
            return None
        if lowest > alert.rate:
            fire.append(told.burning(alert))
    return tuple(fire)


def _mean(burns: list[float], window_s: float) -> float:
    last = burns[-int(window_s / MINUTE_S) :]
    return sum(last) / len(last)


def _spends(told: ObjectiveRules) -> UnitTest:
    spent = told.spent_series()
    return UnitTest(
        name=_named(told, "the budget is spent"),
        series={**_served(told, 0.0, SEEN_MINUTES), spent: f"-0.1x{SEEN_MINUTES}"},
        checks=(AlertCheck(at=f"{SEEN_MINUTES}m", alert=SPENT, fire=(told.spent(),)),),
    )


def _goes_blind(told: ObjectiveRules) -> UnitTest:
    """Unknown minutes are no bad ones: nobody is paged for a burn, and somebody is told that nothing is known."""
    end = 10 + UNKNOWN_FOR_MINUTES + 2
    return UnitTest(
        name=_named(told, "no metrics"),
        series={
            told.series("forescale_slo_requests_total"): f"0+0x{end}",
            told.series("forescale_slo_bad_requests_total", bound="estimate"): f"0+0x{end}",
            told.series("forescale_slo_watched_seconds_total", state="known"): f"0+0x{end}",
            told.series("forescale_slo_watched_seconds_total", state="unknown"): f"0+60x{end}",
        },
        checks=(
            AlertCheck(at=f"{end}m", alert=UNKNOWN, fire=(told.unknown(),)),
            AlertCheck(at=f"{end}m", alert=BURNING),
        ),
    )


def _disappears(told: ObjectiveRules) -> UnitTest:
    end = UNKNOWN_FOR_MINUTES + 2
    return UnitTest(
        name=_named(told, "forescale does not watch it"),
        series={'forescale_build_info{version="0"}': f"1x{end}"},
        checks=(AlertCheck(at=f"{end}m", alert=UNKNOWN, fire=(told.unknown(),)),),
    )


def _served(told: ObjectiveRules, bad_share: float, minutes: int) -> dict[str, str]:
    return _phases(told, ((bad_share, minutes),))


def _phases(told: ObjectiveRules, phases: tuple[tuple[float, int], ...]) -> dict[str, str]:
    """Steady traffic of which a share is bad, phase after phase of (share, minutes)."""
    total = sum(minutes for _, minutes in phases)
    count = 0.0
    parts: list[str] = []
    for share, minutes in phases:
        rise = share * A_MINUTE
        first = count if not parts else count + rise
        steps = minutes if not parts else minutes - 1
        parts.append(f"{first:.9g}+{rise:.9g}x{steps}")
        count += rise * minutes
    return {
        told.series("forescale_slo_requests_total"): f"0+{A_MINUTE}x{total}",
        told.series("forescale_slo_bad_requests_total", bound="estimate"): " ".join(parts),
        told.series("forescale_slo_watched_seconds_total", state="known"): f"0+60x{total}",
        told.series("forescale_slo_watched_seconds_total", state="unknown"): f"0+0x{total}",
    }


def _named(told: ObjectiveRules, what: str) -> str:
    return f"{told.spec.id}, {told.text}: {what}"
