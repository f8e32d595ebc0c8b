"""Time to ready: the P90 of what was seen, pods that still start included."""

from __future__ import annotations

import pytest

from autoscaler.core.lead_time import LeadTimes, learn, p90_s
from autoscaler.core.learn import lead_times, start_times
from autoscaler.core.types import PodStatus


@pytest.mark.parametrize(
    ("observed", "waiting", "p90"),
    [
        pytest.param((), (), 120.0, id="nothing seen: the seed"),
        pytest.param((20.0,), (), 120.0, id="one quick start does not replace the seed"),
        pytest.param((20.0,) * 5, (), 20.0, id="five do"),
        pytest.param(tuple(float(s) for s in range(10, 110, 10)), (), 90.0, id="nine of ten"),
        pytest.param(
            (20.0,) * 9, (300.0, 310.0), 310.0, id="pods that wait longer than all before"
        ),
        pytest.param((20.0,) * 9, (5.0,), 20.0, id="a pod that has just begun says nothing"),
        pytest.param((), (400.0,), 400.0, id="slower than the seed already"),
    ],
)
def test_p90(observed: tuple[float, ...], waiting: tuple[float, ...], p90: float) -> None:
    assert p90_s(LeadTimes(observed_s=observed), seed_s=120.0, waiting_s=list(waiting)) == p90


def test_each_pod_counts_once_and_the_oldest_of_fifty_are_forgotten() -> None:
    times = LeadTimes()
    for number in range(60):
        times = learn(times, [(f"pod-{number}", float(number)), (f"pod-{number}", 1.0)])
        times = learn(times, [(f"pod-{number}", 999.0)])
    assert times.observed_s == tuple(float(number) for number in range(10, 60))


def test_a_start_before_its_creation_is_no_start() -> None:
    assert learn(LeadTimes(), [("pod", -3.0)]) == LeadTimes()


@pytest.mark.parametrize(
    ("ready_after_s", "watched", "learned"),
    [
        pytest.param(240.0, (), (240.0,), id="it was there when the controller came"),
        pytest.param(
            3 * 86400.0, (), (), id="ready again on its third day, after a probe that failed"
        ),
        pytest.param(2000.0, (), (), id="longer than is ever looked ahead over"),
        pytest.param(2000.0, ("bert-1",), (2000.0,), id="so long while somebody watched"),
    ],
)
def test_what_the_pods_that_are_there_tell(
    ready_after_s: float, watched: tuple[str, ...], learned: tuple[float, ...]
) -> None:
    pod = PodStatus(
        name="bert-1", created_s=1000.0, scheduled_s=1000.0, first_ready_s=1000.0 + ready_after_s
    )
    assert lead_times(LeadTimes(), (pod,), watched).observed_s == learned
    assert start_times(LeadTimes(), (pod,), watched).observed_s == learned
