"""KPA's rule against Knative's documentation and the cases that its own tests give."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from autoscaler.simulation.peers.kpa import KPA, kpa_replicas
from tests.simulation.peers.dashboard import Dashboard, asked, policy


def begun() -> NDArray[np.float64]:
    """The memory of one that runs, and does not panic."""
    return np.array([0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("ready", "stable", "panic", "target", "up_rate", "wanted"),
    [
        pytest.param(8, 100.0, 100.0, 7.0, 1000.0, 15, id="100 requests at 70 % of 10 are 15 pods"),
        pytest.param(5, 50.0, 50.0, 10.0, 1000.0, 5, id="50 requests at 10 are 5"),
        pytest.param(2, 3.0, 3.0, 1.0, 1.1, 3, id="a rate of 1.1 still adds one to two"),
        pytest.param(10, 10.0, 10.0, 10.0, 1000.0, 5, id="down to a half at most"),
        pytest.param(10, 0.0, 0.0, 10.0, 1000.0, 5, id="idle as well"),
        pytest.param(1, 0.0, 0.0, 10.0, 1000.0, 0, id="the last goes: the bounds decide"),
        pytest.param(10, 100.0, 190.0, 10.0, 1000.0, 10, id="19 for 10 is no panic"),
        pytest.param(10, 100.0, 200.0, 10.0, 1000.0, 20, id="20 for 10 is"),
        pytest.param(0, 100.0, 100.0, 10.0, 1000.0, 10, id="none ready counts as one"),
    ],
)
def test_kpas_calculation(
    ready: int, stable: float, panic: float, target: float, up_rate: float, wanted: int
) -> None:
    assert kpa_replicas(100.0, ready, stable, panic, target, up_rate, begun()) == wanted


def test_a_panic_never_lowers_and_lasts_a_stable_window() -> None:
    memory = begun()
    assert kpa_replicas(100.0, 10, 50.0, 300.0, 10.0, 1000.0, memory) == 30
    # What is ready is not twice as much any more; for 60 s nothing is given back.
    assert kpa_replicas(102.0, 30, 50.0, 50.0, 10.0, 1000.0, memory) == 30
    assert kpa_replicas(160.0, 30, 50.0, 50.0, 10.0, 1000.0, memory) == 30
    assert kpa_replicas(161.0, 30, 50.0, 50.0, 10.0, 1000.0, memory) == 15


@pytest.mark.parametrize(
    ("ready", "answers"),
    [
        pytest.param(8, [8] * 30 + [8, 4], id="several are kept for a window"),
        pytest.param(1, [1] * 32, id="one is the least anyhow"),
    ],
)
def test_it_begins_in_panic_where_it_finds_several_pods(ready: int, answers: list[int]) -> None:
    kpa, seen = policy(KPA), Dashboard(ready)
    seen.ongoing = 8.0
    assert asked(kpa, seen, 32) == answers


def test_concurrency_is_averaged_over_60_and_6_seconds() -> None:
    kpa, seen = policy(KPA, 1.0), Dashboard(4)
    seen.ongoing = 4.0
    assert set(asked(kpa, seen, 40)) == {4}
    # 6 s of 8 requests where 4 are ready: panic.
    seen.ongoing = 8.0
    assert asked(kpa, seen, 3, obey=False) == [5, 5, 8]


def test_the_default_is_70_requests_in_a_pod() -> None:
    kpa, seen = policy(KPA), Dashboard(2)
    seen.ongoing = 141.0
    assert asked(kpa, seen, 60)[-1] == 3
