"""Share of slow requests from summaries and histograms, with its bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.latency import worst_share
from autoscaler.core.types import ModelCounters
from autoscaler.core.violations import MissShare, misses_between, misses_from_quantiles, pooled
from tests.core.test_ledger import slo

NAN, INF = float("nan"), float("inf")
INF_LE = 1e308


@pytest.mark.parametrize(
    ("quantiles", "low", "estimate", "high"),
    [
        pytest.param(((0.9, 0.15), (0.95, 0.25)), 0.05, 0.075, 0.10, id="between two quantiles"),
        pytest.param(((0.9, 0.15), (0.95, 0.20)), 0.0, 0.0, 0.05, id="the last one just holds"),
        pytest.param(((0.5, 0.30), (0.9, 0.40)), 0.5, 2 / 3, 1.0, id="even the median misses"),
        pytest.param(((0.5, 0.10), (0.999, NAN)), 0.0, 0.0, 0.5, id="a NaN is no observation"),
    ],
)
def test_misses_from_quantiles(
    quantiles: tuple[tuple[float, float], ...], low: float, estimate: float, high: float
) -> None:
    share = misses_from_quantiles(quantiles, 0.2)
    assert share is not None
    assert (share.low, share.estimate, share.high) == pytest.approx((low, estimate, high))


def test_no_quantile_is_unknown() -> None:
    assert misses_from_quantiles((), 0.2) is None
    assert misses_from_quantiles(((0.5, NAN), (0.9, NAN)), 0.2) is None


@pytest.mark.parametrize(
    ("before", "now", "low", "estimate", "high"),
    [
        pytest.param(
            ((0.1, 10.0), (0.2, 20.0), (1e308, 20.0)),
            ((0.1, 60.0), (0.2, 110.0), (1e308, 120.0)),
            0.1, 0.1, 0.1,
            id="a bucket at the threshold is exact",
        ),
        pytest.param(
            (),
            ((0.1, 50.0), (0.5, 90.0), (1e308, 100.0)),
            0.1, 0.4, 0.5,
            id="a coarse bucket bounds it",
        ),
        pytest.param(
            ((0.2, 900.0), (1e308, 1000.0)),
            ((0.2, 9.0), (1e308, 10.0)),
            0.1, 0.1, 0.1,
            id="a server that restarted",
        ),
    ],
)  # fmt: skip
def test_misses_between(
    before: tuple[tuple[float, float], ...],
    now: tuple[tuple[float, float], ...],
    low: float,
    estimate: float,
    high: float,
) -> None:
    share = misses_between(before, now, 0.2)
    assert share is not None
    assert (share.low, share.estimate, share.high) == pytest.approx((low, estimate, high))


def test_a_histogram_without_new_requests_is_unknown() -> None:
    assert misses_between(((0.2, 5.0), (1e308, 6.0)), ((0.2, 5.0), (1e308, 6.0)), 0.2) is None


def test_of_several_objectives_the_one_that_is_missed_most_is_named() -> None:
    """2 % over a second are two fifths of ttft's 5 %; 4 % over 50 ms are eight tenths of it."""
    answered = ModelCounters(
        model="m",
        ttft_buckets=((1.0, 98.0), (INF_LE, 100.0)),
        tpot_buckets=((0.05, 96.0), (INF_LE, 100.0)),
    )
    both = slo("p95 ttft < 1s, p95 tpot < 50ms")
    worst = worst_share(None, answered, both)
    assert worst is not None
    assert (worst.estimate, worst.of) == (pytest.approx(0.04), "p95 tpot < 50ms")
    well = replace(answered, tpot_buckets=((0.05, 100.0), (INF_LE, 100.0)))
    first = worst_share(None, well, both)
    assert first is not None
    assert first.of == "p95 ttft < 1s"
    shares = [(worst, 100.0), (first, 300.0)]
    together = pooled(shares, 0.0)
    assert together is not None
    assert together.of == "p95 ttft < 1s"  # six requests of 300, and four of 100
    alone = worst_share(None, answered, slo("p95 tpot < 50ms"))
    assert alone is not None
    assert alone.of == ""


def test_pods_are_weighted_by_their_requests_and_failures_are_misses() -> None:
    quiet = MissShare(low=0.0, estimate=0.0, high=0.0)
    busy = MissShare(low=0.1, estimate=0.2, high=0.3)
    share = pooled([(quiet, 100.0), (busy, 300.0)], failed=100.0)
    assert share is not None
    assert share.low == pytest.approx((30.0 + 100.0) / 500.0)
    assert share.estimate == pytest.approx((60.0 + 100.0) / 500.0)
    assert pooled([], failed=0.0) is None
