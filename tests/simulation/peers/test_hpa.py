"""HPA's rule against Kubernetes' documentation, and its controller's order of steps, by numbers."""

from __future__ import annotations

import pytest

from autoscaler.simulation.peers.hpa import (
    GPU_UTILISATION,
    KEDA_REQUESTS,
    QUEUE_COMPUTE,
    external_replicas,
    hpa_replicas,
)
from autoscaler.simulation.peers.rule import RulePolicy
from tests.simulation.peers.dashboard import Dashboard, asked, policy


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
    mean = sum(usages) / len(usages) if usages else 0.0
    assert hpa_replicas(mean, len(usages), missing, pending, current, 0.1) == wanted


@pytest.mark.parametrize(
    ("total", "target", "current", "wanted"),
    [
        pytest.param(150.0, 50.0, 1, 3, id="KEDA's threshold is for each replica"),
        pytest.param(154.0, 50.0, 3, 3, id="within the tolerance"),
        pytest.param(166.0, 50.0, 3, 4, id="beyond it, rounded up"),
        pytest.param(0.0, 50.0, 3, 0, id="nothing: the bounds decide"),
    ],
)
def test_an_external_metric(total: float, target: float, current: int, wanted: int) -> None:
    assert external_replicas(total, target, current, 0.1) == wanted


def sync(
    hpa: RulePolicy, seen: Dashboard, times: int, ratio: float, *, obey: bool = True
) -> list[int]:
    """The answers of so many syncs: every third scrape of 5 s."""
    return asked(hpa, seen, 3 * times, obey=obey, queue_ratio=ratio)[::3]


def test_it_decides_every_15_s_on_scrapes_of_5_s() -> None:
    hpa, seen = policy(QUEUE_COMPUTE), Dashboard(2)
    assert asked(hpa, seen, 7, queue_ratio=9.0) == [6, 6, 6, 12, 12, 12, 24]


def test_a_rise_is_followed_at_once_and_at_most_doubled_or_by_four_in_15_s() -> None:
    hpa, seen = policy(QUEUE_COMPUTE, max_replicas=40), Dashboard(2)
    assert sync(hpa, seen, 3, 1.0) == [2, 2, 2]
    # Twice two is four, four more are six: the larger counts.
    assert sync(hpa, seen, 1, 60.0) == [6]
    assert sync(hpa, seen, 3, 60.0) == [12, 24, 40]


def test_what_was_there_at_the_first_sync_is_held_for_five_minutes() -> None:
    hpa, seen = policy(QUEUE_COMPUTE), Dashboard(4)
    # 20 syncs are 300 s; the first is the recommendation that the window remembers.
    assert sync(hpa, seen, 20, 0.25) == [4] * 20
    assert sync(hpa, seen, 1, 0.25) == [1]


def test_a_fall_waits_for_the_highest_recommendation_of_five_minutes() -> None:
    hpa, seen = policy(QUEUE_COMPUTE), Dashboard(4)
    sync(hpa, seen, 24, 1.0)
    assert sync(hpa, seen, 4, 0.01) == [4, 4, 4, 4], "rates are over a minute"
    assert sync(hpa, seen, 15, 0.01) == [4] * 15
    assert sync(hpa, seen, 5, 0.01)[-1] == 1


def test_a_missing_metric_changes_nothing() -> None:
    hpa, seen = policy(QUEUE_COMPUTE), Dashboard(4)
    sync(hpa, seen, 4, 1.0)
    seen.up = False
    assert sync(hpa, seen, 40, 9.0) == [4] * 40


def test_after_an_outage_a_rate_is_of_what_came_since() -> None:
    keda, seen = policy(KEDA_REQUESTS), Dashboard(4)
    assert asked(keda, seen, 24, rps=28.0)[-1] == 4
    seen.up = False
    assert set(asked(keda, seen, 239, rps=28.0)) == {4}
    seen.up = True
    # One scrape tells no rate; the next sync sees 112 a second at 7 each, and not a mean over twenty minutes.
    assert asked(keda, seen, 7, rps=112.0) == [4, 4, 4, 8, 8, 8, 16]


def test_pods_that_start_count_at_the_target_on_the_way_down() -> None:
    hpa, seen = policy(QUEUE_COMPUTE), Dashboard(4)
    seen.starting = 2
    # 0 + 0 + 1 + 1: two, not one.
    assert sync(hpa, seen, 22, 0.0)[-1] == 2


@pytest.mark.parametrize(
    ("ratio", "expected"), [pytest.param(0.0, 3, id="min"), pytest.param(99.0, 7, id="max")]
)
def test_bounds(ratio: float, expected: int) -> None:
    hpa, seen = policy(QUEUE_COMPUTE, min_replicas=3, max_replicas=7), Dashboard(5)
    assert sync(hpa, seen, 30, ratio)[-1] == expected


def test_the_target_divides_the_ratio() -> None:
    hpa, seen = policy(QUEUE_COMPUTE, 2.0), Dashboard(4)
    assert sync(hpa, seen, 8, 2.0)[-1] == 4
    assert sync(hpa, seen, 8, 3.0, obey=False)[-1] == 6


def test_gpu_utilisation_over_its_target() -> None:
    hpa, seen = policy(GPU_UTILISATION, 0.5), Dashboard(4)
    # 75 % busy for 50 %: one and a half times as many.
    assert asked(hpa, seen, 16, busy=0.75, obey=False)[-1] == 6


def test_requests_for_each_replica_through_keda() -> None:
    hpa, seen = policy(KEDA_REQUESTS), Dashboard(4)
    # 56 a second at 70 % of 10 for each.
    assert asked(hpa, seen, 16, rps=56.0)[-1] == 8
