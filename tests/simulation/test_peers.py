"""HPA's rule against Kubernetes' documentation, and its controller's order of steps, by numbers."""

from __future__ import annotations

import pytest

from autoscaler.core.types import (
    ModelCounters,
    PodSample,
    PodStatus,
    ReplicaStatus,
    TickInput,
    WorkloadInput,
)
from autoscaler.simulation.peers import HpaQueueComputeRatio, Static, hpa_replicas
from tests.core.story import START_S, spec


@pytest.mark.parametrize(
    ("usages", "missing", "pending", "current", "wanted"),
    [
        pytest.param([2.0], 0, 0, 1, 2, id="documentation: 200m for 100m doubles"),
        pytest.param([0.5] * 4, 0, 0, 4, 2, id="documentation: 50m for 100m halves"),
        pytest.param([1.1] * 10, 0, 0, 10, 10, id="documentation: within 0.1, no change"),
        pytest.param([0.9] * 10, 0, 0, 10, 10, id="nor downwards"),
        pytest.param([1.11] * 10, 0, 0, 10, 12, id="just beyond it, rounded up"),
        pytest.param([1.3] * 10, 0, 0, 10, 13, id="ten times 1.3 is 13, not 13.000000000000002"),
        pytest.param([3.0, 3.0], 0, 2, 4, 6, id="pending pods count as idle on the way up"),
        pytest.param([1.5, 1.5], 0, 2, 4, 4, id="and so may stop it"),
        pytest.param([0.5, 0.5], 0, 2, 4, 1, id="and are ignored on the way down"),
        pytest.param([0.95] * 4, 0, 4, 8, 8, id="also by the tolerance"),
        pytest.param([3.0, 3.0], 2, 0, 4, 6, id="missing pods count as idle on the way up"),
        pytest.param([1.5, 1.5], 2, 0, 4, 4, id="and so may stop that"),
        pytest.param([0.5, 0.5], 2, 0, 4, 3, id="and count in full on the way down"),
        pytest.param([0.0, 0.8], 8, 0, 10, 9, id="so that a few idle ones lower little"),
        pytest.param([0.5], 9, 0, 10, 10, id="or nothing, within the tolerance"),
        pytest.param([8.0], 1, 0, 9, 9, id="a rise never lowers"),
        pytest.param([0.0] * 4, 0, 0, 4, 0, id="idle: the bounds decide"),
        pytest.param([], 3, 0, 3, 3, id="no metric, no change"),
    ],
)
def test_hpas_calculation(
    usages: list[float], missing: int, pending: int, current: int, wanted: int
) -> None:
    assert hpa_replicas(usages, missing=missing, pending=pending, current=current) == wanted


class Pods:
    """Pods whose queue:compute ratio is as told; compute time grows by one second a second."""

    def __init__(self, replicas: int) -> None:
        self.now_s = START_S
        self.replicas = replicas
        self.starting = 0
        self.queue_s = 0.0
        self.metrics_up = True

    def after(self, seconds: float, *, ratio: float) -> TickInput:
        self.now_s += seconds
        self.queue_s += ratio * seconds
        ready = self.replicas - self.starting
        model = ModelCounters(model="m", queue_s=self.queue_s, compute_s=self.now_s - START_S)
        return TickInput(
            now_s=self.now_s,
            workloads=(
                WorkloadInput(
                    spec=spec(),
                    replicas=ReplicaStatus(desired=self.replicas),
                    pods=tuple(
                        PodStatus(name=f"p{n}", created_s=START_S) for n in range(self.replicas)
                    ),
                    samples=tuple(
                        PodSample(pod=f"p{n}", sampled_at_s=self.now_s - 1.0, models=(model,))
                        for n in range(ready)
                    )
                    if self.metrics_up
                    else (),
                ),
            ),
        )


def sync(
    hpa: HpaQueueComputeRatio, pods: Pods, times: int, ratio: float, *, obey: bool = True
) -> list[int]:
    """The answers of so many syncs, 15 s apart."""
    answers = []
    for _ in range(times):
        answers.append(hpa.replicas(pods.after(15.0, ratio=ratio)))
        if obey:
            pods.replicas = answers[-1]
    return answers


def test_a_rise_is_followed_at_once_and_at_most_doubled_or_by_four_in_15_s() -> None:
    hpa, pods = HpaQueueComputeRatio(max_replicas=40), Pods(2)
    assert sync(hpa, pods, 3, 1.0) == [2, 2, 2]
    # Twice two is four, four more are six: the larger counts.
    assert sync(hpa, pods, 1, 60.0) == [6]
    assert sync(hpa, pods, 3, 60.0) == [12, 24, 40]


def test_what_was_there_at_the_first_sync_is_held_for_five_minutes() -> None:
    hpa, pods = HpaQueueComputeRatio(), Pods(4)
    # 20 syncs are 300 s; the first is the recommendation that the window remembers.
    assert sync(hpa, pods, 20, 0.25) == [4] * 20
    assert sync(hpa, pods, 1, 0.25) == [1]


def test_a_fall_waits_for_the_highest_recommendation_of_five_minutes() -> None:
    hpa, pods = HpaQueueComputeRatio(), Pods(4)
    sync(hpa, pods, 24, 1.0)
    assert sync(hpa, pods, 4, 0.01) == [4, 4, 4, 4], "rates are over a minute"
    assert sync(hpa, pods, 15, 0.01) == [4] * 15
    assert sync(hpa, pods, 5, 0.01)[-1] == 1


def test_a_missing_metric_changes_nothing() -> None:
    hpa, pods = HpaQueueComputeRatio(), Pods(4)
    sync(hpa, pods, 4, 1.0)
    pods.metrics_up = False
    assert sync(hpa, pods, 40, 9.0) == [4] * 40


def test_pods_that_start_count_at_the_target_on_the_way_down() -> None:
    hpa, pods = HpaQueueComputeRatio(), Pods(4)
    pods.starting = 2
    # 0 + 0 + 1 + 1: two, not one.
    assert sync(hpa, pods, 22, 0.0)[-1] == 2


@pytest.mark.parametrize(
    ("ratio", "expected"), [pytest.param(0.0, 3, id="min"), pytest.param(99.0, 7, id="max")]
)
def test_bounds(ratio: float, expected: int) -> None:
    hpa, pods = HpaQueueComputeRatio(min_replicas=3, max_replicas=7), Pods(5)
    assert sync(hpa, pods, 30, ratio)[-1] == expected


def test_the_target_divides_the_ratio() -> None:
    hpa, pods = HpaQueueComputeRatio(target=2.0), Pods(4)
    assert sync(hpa, pods, 8, 2.0)[-1] == 4
    assert sync(hpa, pods, 8, 3.0, obey=False)[-1] == 6


def test_a_static_number_is_static() -> None:
    assert Static(7).replicas(Pods(2).after(15.0, ratio=9.0)) == 7
