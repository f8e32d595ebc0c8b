"""SLO accounting as stories: minutes of known requests and misses, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from autoscaler.core.compliance import ObjectiveCompliance, WindowCompliance, compliance_of, of_step
from autoscaler.core.ledger import Account, Span, Step, advance
from autoscaler.core.slo import objective_text, parse_slo, window_text
from autoscaler.core.types import (
    ModelCounters,
    PodSample,
    PodStatus,
    ReplicaStatus,
    Slo,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)

START_S = 1_000_000_000.0 - 1_000_000_000.0 % 86400.0


def slo(text: str) -> Slo:
    parsed = parse_slo(text, "test")
    assert isinstance(parsed, Slo)
    return parsed


@dataclass
class Service:
    """Two pods that serve `rps` requests a second together, of which a share is slow, in ticks of 10 s."""

    slo: Slo
    rps: float = 10.0
    now_s: float = START_S
    account: Account | None = None
    scraped: tuple[str, ...] = ("a", "b")
    replicas: int = 2
    served: dict[str, list[float]] = field(
        default_factory=lambda: {"a": [0.0, 0.0], "b": [0.0, 0.0]}
    )

    def __post_init__(self) -> None:
        self.tick()

    def run(self, seconds: float, *, slow: float = 0.0, rps: float | None = None) -> None:
        """Serves and looks each 10 s."""
        for _ in range(round(seconds / 10.0)):
            self.serve(10.0, slow=slow, rps=rps)
            self.tick()

    def serve(self, seconds: float, *, slow: float = 0.0, rps: float | None = None) -> None:
        """Serves without being looked at."""
        self.now_s += seconds
        for counts in self.served.values():
            requests = (self.rps if rps is None else rps) * seconds / 2.0
            counts[0] += requests
            counts[1] += requests * slow

    def tick(self) -> None:
        self.account = advance(self.account, self.given(), self.now_s, stale_after_s=30.0)

    def given(self) -> WorkloadInput:
        threshold_s = self.slo.objectives[0].threshold_s
        return WorkloadInput(
            spec=WorkloadSpec(id=WorkloadId(namespace="team", name="bert"), slo=self.slo),
            replicas=ReplicaStatus(desired=self.replicas),
            pods=tuple(
                PodStatus(name=name, created_s=START_S - 99.0, ready_s=START_S - 90.0)
                for name in self.served
            ),
            samples=tuple(
                PodSample(
                    pod=name,
                    sampled_at_s=self.now_s,
                    models=(
                        ModelCounters(
                            model="m",
                            success=requests,
                            latency_buckets=((threshold_s, requests - slow), (1e308, requests)),
                        ),
                    ),
                )
                for name, (requests, slow) in self.served.items()
                if name in self.scraped
            ),
        )

    @property
    def told(self) -> ObjectiveCompliance:
        assert self.account is not None
        (objective,) = compliance_of(self.account).objectives
        return objective

    def window(self, name: str) -> WindowCompliance:
        return next(item for item in self.told.windows if item.window == name)


def test_requests_of_the_whole_window_are_judged_together() -> None:
    """`99% < 200ms`: 50 minutes without a miss and 10 with 3 % are 0.5 % missed, half of the budget."""
    service = Service(slo("99% < 200ms"))
    service.run(50 * 60)
    service.run(10 * 60 + 10, slow=0.03)
    hour = service.window("1h")
    assert hour.requests == pytest.approx(36_000, rel=0.01)
    assert hour.compliance.estimate == pytest.approx(0.995, abs=2e-4)
    assert hour.burn_rate.estimate == pytest.approx(0.5, abs=0.02)
    assert hour.budget_left.estimate == pytest.approx(0.5, abs=0.02)
    assert hour.known_ratio == 1.0


@pytest.mark.parametrize(
    ("slow", "bad_minutes"),
    [
        pytest.param(0.05, 0, id="5 % are allowed in each minute"),
        pytest.param(0.06, 6, id="6 % make every request of the minute bad"),
        pytest.param(1.0, 6, id="and so do 100 %, no more than that"),
    ],
)
def test_minutes_are_good_or_bad_as_a_whole(slow: float, bad_minutes: int) -> None:
    """`p95 < 200ms`: 99 % of the requests are to be in good minutes."""
    service = Service(slo("p95 < 200ms"))
    service.run(54 * 60)
    service.run(6 * 60 + 10, slow=slow)
    hour = service.window("1h")
    assert hour.compliance.estimate == pytest.approx(1.0 - bad_minutes / 60.0, abs=0.02)
    assert hour.burn_rate.estimate == pytest.approx(bad_minutes / 60.0 / 0.01, abs=2.0)


def test_a_busy_bad_minute_weighs_more_than_a_quiet_one() -> None:
    service = Service(slo("p95 < 200ms"))
    service.run(30 * 60, rps=10.0)
    service.run(60, rps=300.0, slow=0.5)
    service.run(10, rps=0.0)
    assert service.window("1h").compliance.estimate == pytest.approx(0.5, abs=0.02)


def test_unknown_minutes_are_neither_good_nor_bad_and_widen_the_bounds() -> None:
    """30 minutes without a miss, 30 without metrics: all known ones were good, half of all may have been bad."""
    service = Service(slo("99% < 200ms"))
    service.run(30 * 60)
    service.scraped = ()
    service.run(30 * 60)
    hour = service.window("1h")
    assert hour.requests == pytest.approx(18_000, rel=0.01)
    assert hour.compliance.estimate == 1.0
    assert hour.compliance.high == 1.0
    assert hour.compliance.low == pytest.approx(0.5, abs=0.02)
    assert hour.known_ratio == pytest.approx(0.5, abs=0.02)


def test_an_hour_of_which_nothing_is_known_has_no_compliance() -> None:
    service = Service(slo("99% < 200ms"))
    service.scraped = ()
    service.run(60 * 60)
    hour = service.window("1h")
    assert hour.compliance.estimate is None
    assert (hour.compliance.low, hour.compliance.high) == (0.0, 1.0)
    assert hour.known_ratio == 0.0


def test_half_of_the_pods_tell_nothing_of_the_whole() -> None:
    service = Service(slo("99% < 200ms"))
    service.scraped = ("a",)
    service.run(10 * 60)
    assert service.window("1h").known_ratio == 0.0


def test_an_idle_service_is_known_and_spends_nothing() -> None:
    service = Service(slo("99% < 200ms"), rps=0.0)
    service.run(10 * 60)
    hour = service.window("1h")
    assert hour.known_ratio == 1.0
    assert hour.compliance.estimate is None
    assert (hour.budget_left.low, hour.budget_left.high) == (1.0, 1.0)


def test_a_service_that_is_switched_off_is_not_unknown() -> None:
    service = Service(slo("99% < 200ms"))
    service.scraped, service.replicas = (), 0
    service.run(10 * 60)
    assert service.window("1h").known_ratio is None


def test_what_is_older_than_the_window_is_forgotten() -> None:
    service = Service(slo("99% < 200ms over 7d"))
    service.run(10 * 60, slow=1.0)
    service.run(61 * 60)
    assert service.window("1h").compliance.estimate == 1.0
    assert service.window("24h").compliance.estimate == pytest.approx(61 / 71, abs=0.02)
    assert service.window("7d").compliance.estimate == pytest.approx(61 / 71, abs=0.02)


def test_counters_never_fall() -> None:
    service = Service(slo("99% < 200ms over 1h"))
    totals = []
    for slow in (0.0, 0.5, 0.0, 1.0):
        service.run(40 * 60, slow=slow)
        assert service.account is not None
        totals.append(service.account.ledgers[0].total.requests)
    assert totals == sorted(totals)
    assert totals[-1] == pytest.approx(160 * 600, rel=0.01)


def test_a_restart_leaves_a_gap_and_the_rest_stays() -> None:
    """What was kept is taken over; the 20 minutes between are unknown, in the minutes where they belong."""
    service = Service(slo("99% < 200ms"))
    service.run(30 * 60, slow=0.01)
    assert service.account is not None
    service.account = service.account.resting()
    service.serve(20 * 60, slow=1.0)
    service.tick()
    service.run(10 * 60, slow=0.01)
    hour = service.window("1h")
    assert hour.compliance.estimate == pytest.approx(0.99, abs=1e-4)
    assert hour.known_ratio == pytest.approx(40 / 60, abs=0.03)


def test_a_clock_that_steps_back_adds_nothing() -> None:
    service = Service(slo("99% < 200ms"))
    service.run(10 * 60)
    before = service.window("1h").requests
    service.now_s -= 300.0
    service.tick()
    assert service.window("1h").requests == before


@pytest.mark.parametrize("ahead_s", [3600.0, 30 * 86400.0])
def test_after_a_clock_that_was_ahead_minutes_are_judged_as_before(ahead_s: float) -> None:
    """Nothing was ever later than the minute that was being filled: accounting stood still for as long."""
    service = Service(slo("95% < 200ms"))
    service.run(7200.0)
    service.now_s += ahead_s
    service.run(60.0)
    service.now_s -= ahead_s
    service.run(3600.0, slow=0.5)
    hour = service.window("1h")
    assert hour.known_ratio == pytest.approx(1.0, abs=0.02)
    assert hour.compliance is not None
    assert hour.compliance.estimate == pytest.approx(0.5, abs=0.02)


def test_objectives_that_stay_keep_their_ledger_when_the_slo_is_edited() -> None:
    service = Service(slo("99% < 200ms over 7d"))
    service.run(10 * 60, slow=0.1)
    service.slo = slo("99% < 200ms over 14d")
    service.run(60)
    assert service.window("14d").compliance.estimate == pytest.approx(0.91, abs=0.02)


def test_every_objective_is_judged_by_itself() -> None:
    service = Service(slo("99% < 200ms"))
    service.slo = slo("99% < 200ms, 90% < 200ms")
    service.run(20 * 60, slow=0.05)
    assert service.account is not None
    strict, loose = compliance_of(service.account).objectives
    assert (strict.target_ratio, loose.target_ratio) == (0.99, 0.9)
    assert strict.windows[0].burn_rate.estimate == pytest.approx(5.0)
    assert loose.windows[0].burn_rate.estimate == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("99% < 200ms", ["1h", "24h", "28d"]),
        ("99% < 200ms over 1d", ["1h", "24h"]),
        ("p95 < 200ms over 1h", ["1h", "24h"]),
        ("p95 < 200ms for 99.9% over 2w", ["1h", "24h", "14d"]),
    ],
)
def test_windows(text: str, windows: list[str]) -> None:
    assert [item.window for item in Service(slo(text)).told.windows] == windows


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("p95<0.2s", "p95 < 200ms"),
        ("99.9% < 1500ms", "99.9% < 1.5s"),
        ("p99 ttft < 2s", "p99 ttft < 2s"),
        ("p95 tpot < 50ms", "p95 tpot < 50ms"),
        ("p99.99 < 1m", "p99.99 < 60s"),
    ],
)
def test_one_spelling_of_an_objective(given: str, told: str) -> None:
    assert objective_text(slo(given).objectives[0]) == told


@pytest.mark.parametrize(
    ("window_s", "told"),
    [(3600.0, "1h"), (86400.0, "24h"), (129600.0, "36h"), (28 * 86400.0, "28d"), (5400.0, "90m")],
)
def test_windows_in_words(window_s: float, told: str) -> None:
    assert window_text(window_s) == told


@settings(max_examples=100)
@drawn(
    minutes=st.lists(
        st.tuples(st.floats(0.0, 1e5), st.floats(0.0, 1.0), st.booleans()), min_size=1, max_size=90
    ),
    target=st.floats(0.5, 0.9999),
)
def test_the_truth_lies_between_the_bounds(
    minutes: list[tuple[float, float, bool]], target: float
) -> None:
    """Minutes at the mean rate that nobody saw: whatever happened in them, compliance stayed within the bounds."""
    span = Span(window_s=2 * 3600.0, step_s=60.0)
    for index, (requests, bad, seen) in enumerate(minutes):
        step = Step(start_s=START_S + 60.0 * index, unknown_s=60.0)
        if seen:
            share = requests * bad
            step = replace(
                step, requests=requests, low=share, bad=share, high=share, known_s=60.0, unknown_s=0
            )
        span = span.add(step)
    told = of_step(span.total(), window="2h", window_s=7200.0, target=target)
    assert 0.0 <= told.compliance.low <= told.compliance.high <= 1.0
    if told.compliance.estimate is not None:
        assert told.compliance.low - 1e-9 <= told.compliance.estimate <= told.compliance.high + 1e-9
    assert told.budget_left.low <= told.budget_left.high
