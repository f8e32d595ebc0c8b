"""What is counted between two scrapes: a request once, a failure as a miss, and nothing that was not seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.latency import LatencySource
from autoscaler.core.tally import Seen, Tally, tally_pod
from autoscaler.core.types import LatencyObjective, ModelCounters, PodSample, PodStatus, SloForm

OBJECTIVE = LatencyObjective(form=SloForm.REQUESTS, ratio=0.99, threshold_s=0.3)
POD = PodStatus(name="bert-0", created_s=0.0, ready_s=10.0)


def counters(
    success: float, slow: float = 0.0, *, failure: float | None = 0.0, pending: float | None = None
) -> ModelCounters:
    """A histogram with a bucket at the threshold."""
    return ModelCounters(
        model="m",
        success=success,
        failure=failure,
        pending=pending,
        latency_buckets=((0.3, success - slow), (1e308, success)),
    )


def between(
    last: ModelCounters | None,
    now: ModelCounters,
    *,
    seconds: float = 10.0,
    seen: Seen | None = None,
    watched_since_s: float | None = None,
    pod: PodStatus = POD,
) -> Tally | None:
    """The tally of `OBJECTIVE` from one scrape to the next."""
    if last is not None:
        seen = Seen(pod="bert-0", sampled_at_s=100.0, models=(last,))
    told = tally_pod(
        seen,
        PodSample(pod="bert-0", sampled_at_s=100.0 + seconds, models=(now,)),
        pod=pod,
        objectives=(OBJECTIVE,),
        model=None,
        watched_since_s=watched_since_s,
    )
    return told.tallies[0]


def test_slow_requests_of_a_histogram_are_exact() -> None:
    told = between(counters(1000.0, 10.0), counters(1100.0, 15.0))
    assert told is not None
    assert told.source is LatencySource.HISTOGRAM
    assert (told.requests, told.low, told.estimate, told.high) == pytest.approx((100, 5, 5, 5))


def test_a_summary_bounds_them() -> None:
    """99 % within 250 ms and 99.9 % within 350 ms: between 0.1 and 1 % of 1000 were slower than 300 ms."""
    last = ModelCounters(model="m", success=0.0)
    now = replace(last, success=1000.0, latency_quantiles=((0.99, 0.25), (0.999, 0.35)))
    told = between(last, now)
    assert told is not None
    assert told.source is LatencySource.SUMMARY
    assert (told.low, told.estimate, told.high) == pytest.approx((1.0, 5.5, 10.0))


@pytest.mark.parametrize(
    ("before", "now", "requests", "missed"),
    [
        pytest.param(counters(0.0), counters(90.0, failure=10.0), 100.0, 10.0, id="failures"),
        pytest.param(
            counters(0.0, failure=None), counters(0.0, failure=7.0), 7.0, 7.0,
            id="the first failures, with nothing else",
        ),
        pytest.param(counters(5000.0), counters(40.0, 2.0), 40.0, 2.0, id="a restarted server"),
        pytest.param(counters(7.0), counters(7.0), 0.0, 0.0, id="no request"),
        pytest.param(
            counters(0.0, pending=0.0), counters(100.0, pending=4.0), 100.0, 0.0,
            id="four that wait at 10 a second have waited for less than 0.4 s, of which 3 may",
        ),
    ],
)  # fmt: skip
def test_what_counts(
    before: ModelCounters, now: ModelCounters, requests: float, missed: float
) -> None:
    told = between(before, now)
    assert told is not None
    assert told.requests == pytest.approx(requests, abs=0.9)
    assert told.estimate == pytest.approx(missed, abs=0.9)


def test_a_backlog_counts_once() -> None:
    """100 arrive a second and 50 are served: 500 wait at the end, 30 of them for less than 300 ms. They are answered
    in the next ten seconds, all of them late, and are no further misses."""
    first = tally_pod(
        Seen(pod="bert-0", sampled_at_s=100.0, models=(counters(0.0, pending=0.0),)),
        PodSample(
            pod="bert-0", sampled_at_s=110.0, models=(counters(500.0, 500.0, pending=500.0),)
        ),
        pod=POD,
        objectives=(OBJECTIVE,),
        model=None,
        watched_since_s=None,
    )
    (waiting,) = first.tallies
    assert waiting is not None
    assert (waiting.requests, waiting.estimate) == pytest.approx((970.0, 970.0))
    drained = tally_pod(
        first.seen,
        PodSample(
            pod="bert-0", sampled_at_s=120.0, models=(counters(1000.0, 1000.0, pending=0.0),)
        ),
        pod=POD,
        objectives=(OBJECTIVE,),
        model=None,
        watched_since_s=None,
    )
    (answered,) = drained.tallies
    assert answered is not None
    assert (answered.requests, answered.estimate) == pytest.approx((30.0, 30.0))


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(ModelCounters(model="m", success=100.0), id="nobody tells latency"),
        pytest.param(counters(float("nan")), id="a NaN"),
        pytest.param(ModelCounters(model="m"), id="no counter"),
    ],
)
def test_what_is_not_told_is_unknown(now: ModelCounters) -> None:
    assert between(counters(0.0), now) is None


def test_what_happened_in_a_long_gap_is_unknown() -> None:
    assert between(counters(0.0), counters(100.0), seconds=121.0) is None


def test_a_pod_that_was_seen_to_become_ready_counts_from_zero() -> None:
    started = replace(POD, ready_s=102.0)
    told = between(None, counters(80.0, 8.0), pod=started, watched_since_s=50.0)
    assert told is not None
    assert (told.requests, told.estimate) == pytest.approx((80.0, 8.0))


@pytest.mark.parametrize(
    ("pod", "since_s"),
    [
        pytest.param(replace(POD, ready_s=102.0), 103.0, id="it was ready before"),
        pytest.param(replace(POD, ready_s=102.0, restarts=1), 50.0, id="its container restarted"),
        pytest.param(replace(POD, ready_s=102.0), None, id="nobody watched"),
    ],
)
def test_a_pod_that_is_new_to_us_only_has_no_tally_yet(
    pod: PodStatus, since_s: float | None
) -> None:
    assert between(None, counters(80.0), pod=pod, watched_since_s=since_s) is None


@settings(max_examples=200)
@given(
    success=st.floats(0.0, 1e6),
    share=st.floats(0.0, 1.0),
    failure=st.floats(0.0, 1e6),
    pending=st.floats(0.0, 1e6),
    before=st.floats(0.0, 1e6),
)
def test_bounds_hold(
    success: float, share: float, failure: float, pending: float, before: float
) -> None:
    told = between(
        counters(0.0, pending=before),
        counters(success, share * success, failure=failure, pending=pending),
    )
    assert told is not None
    assert 0.0 <= told.low <= told.estimate + 1e-6 <= told.high + 2e-6 <= told.requests + 3e-6
