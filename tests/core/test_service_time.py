"""Service times per batch size, from statistics, from counters, and from little of either."""

from __future__ import annotations

import pytest

from autoscaler.core.service_readings import take_counters, take_profile
from autoscaler.core.service_time import ServiceEvidence, service_times
from autoscaler.core.types import BatchTime, ModelProfile


def profile(*times: tuple[int, int, float], largest: int = 8) -> ModelProfile:
    """(batch size, executions, seconds each)."""
    return ModelProfile(
        model="m",
        max_batch_size=largest,
        batch_times=tuple(
            BatchTime(batch_size=size, count=count, total_s=count * each)
            for size, count, each in times
        ),
    )


def table(evidence: ServiceEvidence) -> list[float]:
    times = service_times(evidence)
    assert times is not None
    return [round(seconds, 4) for seconds in times.batch_s]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(
            profile((1, 100, 0.02), (2, 100, 0.03), (4, 100, 0.05), largest=4),
            [0.02, 0.03, 0.04, 0.05],
            id="straight lines between what was seen",
        ),
        pytest.param(
            profile((1, 100, 0.02), (2, 100, 0.03), largest=4),
            [0.02, 0.03, 0.04, 0.05],
            id="the slope goes on beyond",
        ),
        pytest.param(
            profile((1, 100, 0.02), (2, 100, 0.03), largest=8),
            [0.02, 0.03, 0.04, 0.05, 0.0625, 0.075, 0.0875, 0.1],
            id="but no further than to twice what was seen: from there on a larger batch gains nothing",
        ),
        pytest.param(
            profile(
                *((1, 900, 0.008), (2, 900, 0.008), (4, 900, 0.008), (6, 50, 0.012)), largest=8
            ),
            [0.008, 0.008, 0.008, 0.008, 0.01, 0.012, 0.014, 0.016],
            id="what is dear lately is dear beyond, however often small batches were cheap",
        ),
        pytest.param(
            profile((2, 100, 0.04), largest=4),
            [0.04, 0.04, 0.06, 0.08],
            id="one size only: no gain is assumed, none below either",
        ),
        pytest.param(
            profile((1, 100, 0.02), (2, 4, 9.0), largest=2),
            [0.02, 0.04],
            id="four executions prove nothing",
        ),
        pytest.param(
            profile((1, 100, 0.05), (2, 100, 0.04), largest=3),
            [0.05, 0.05, 0.05],
            id="a larger batch is never quicker",
        ),
    ],
)  # fmt: skip
def test_table_from_statistics(told: ModelProfile, expected: list[float]) -> None:
    assert table(take_profile(ServiceEvidence(), told, ())) == expected


def test_only_what_was_executed_since_the_last_reading_counts() -> None:
    first = profile((1, 100, 0.5), largest=1)
    second = ModelProfile(
        model="m",
        batch_times=(BatchTime(batch_size=1, count=200, total_s=100 * 0.5 + 100 * 0.02),),
    )
    evidence = take_profile(ServiceEvidence(), second, first.batch_times)
    assert table(evidence) == [0.02]


def test_a_restarted_server_counts_from_its_start() -> None:
    evidence = take_profile(
        ServiceEvidence(), profile((1, 50, 0.02), largest=1), profile((1, 900, 0.02)).batch_times
    )
    assert table(evidence) == [0.02]


def test_a_drifting_model_is_followed() -> None:
    evidence = take_profile(ServiceEvidence(), profile((1, 2000, 0.02), largest=1), ())
    for _ in range(8):
        evidence = take_profile(evidence, profile((1, 2000, 0.04), largest=1), ())
    assert table(evidence)[0] == pytest.approx(0.04, rel=0.01)


def test_counters_stand_in_until_statistics_come() -> None:
    counted = take_counters(ServiceEvidence(), mean_batch=2.1, compute_s=0.05, executions=300.0)
    assert table(counted) == [0.05, 0.05]
    exact = take_profile(counted, profile((1, 100, 0.02), largest=2), ())
    assert table(exact) == [0.02, 0.04]
    later = take_counters(exact, mean_batch=1.0, compute_s=9.0, executions=300.0)
    assert table(later) == [0.02, 0.04]


def test_what_was_read_while_much_changed_stands_in_until_it_is_read_evenly() -> None:
    """A backlog of 31 sequences, gone by the end of the window: 24.7 ms for a mean of 14, where 16.8 is true."""
    uneven = take_counters(
        ServiceEvidence(), mean_batch=14.0, compute_s=0.0247, executions=600.0, even=False
    )
    assert table(uneven)[-1] == 0.0247
    even = take_counters(uneven, mean_batch=3.0, compute_s=0.0081, executions=600.0)
    assert table(even) == [0.0081, 0.0081, 0.0081]
    again = take_counters(even, mean_batch=14.0, compute_s=0.0247, executions=600.0, even=False)
    assert again == even


def test_nothing_seen_is_unknown() -> None:
    assert service_times(ServiceEvidence()) is None
    assert service_times(take_profile(ServiceEvidence(), profile(), ())) is None


def test_work_of_an_inference_is_that_of_full_batches_on_all_instances() -> None:
    evidence = take_profile(
        ServiceEvidence(),
        ModelProfile(
            model="m",
            max_batch_size=2,
            instances=2,
            batch_times=(
                BatchTime(batch_size=1, count=10, total_s=0.52),
                BatchTime(batch_size=2, count=10, total_s=0.64),
            ),
        ),
        (),
    )
    times = service_times(evidence)
    assert times is not None
    assert times.work_s == pytest.approx(0.064 / (2 * 2))
