"""The other peers' rules by the numbers of their own documentation and tests."""

from __future__ import annotations

import numpy as np
import pytest

from autoscaler.simulation.peers import dynamo
from autoscaler.simulation.peers.aibrix import APA, apa_replicas, guarded
from autoscaler.simulation.peers.catalog import RULES
from autoscaler.simulation.peers.dynamo import LOAD, THROUGHPUT, load_replicas, predict
from autoscaler.simulation.peers.ray_serve import RAY_SERVE
from autoscaler.simulation.peers.rule import Rule
from autoscaler.simulation.peers.slo_aware import SLO_AWARE, slo_aware_replicas
from autoscaler.simulation.peers.static import STATIC, Static
from tests.simulation.peers.dashboard import Dashboard, asked, policy

# ---------------------------------------------------------------- AIBrix


@pytest.mark.parametrize(
    ("current", "use", "up_rate", "down_rate", "wanted"),
    [
        pytest.param(2, 45.0, 2.0, 2.0, 3, id="basic scale up"),
        pytest.param(2, 35.0, 2.0, 2.0, 3, id="up to the ceiling"),
        pytest.param(2, 90.0, 2.0, 2.0, 4, id="at most double"),
        pytest.param(2, 90.0, 2.5, 2.0, 5, id="or two and a half"),
        pytest.param(6, 20.0, 2.0, 2.0, 4, id="basic scale down"),
        pytest.param(6, 18.0, 2.0, 2.0, 4, id="down to the ceiling"),
        pytest.param(6, 10.0, 2.0, 2.0, 3, id="at most half"),
        pytest.param(6, 5.0, 2.0, 2.5, 2, id="or a part of 2.5, rounded down"),
        pytest.param(2, 33.0, 2.0, 2.0, 2, id="within the tolerance up"),
        pytest.param(2, 27.0, 2.0, 2.0, 2, id="within the tolerance down"),
    ],
)
def test_apas_calculation(
    current: int, use: float, up_rate: float, down_rate: float, wanted: int
) -> None:
    assert apa_replicas(current, use, 30.0, up_rate, down_rate) == wanted


@pytest.mark.parametrize(
    ("use", "ready", "up_rate", "wanted"),
    [
        pytest.param(90.0, 2, 4.0, 4, id="its own test: those that start make up for the rise"),
        pytest.param(10.0, 2, 4.0, 3, id="its own test: and hold back a fall"),
        pytest.param(90.0, 4, 4.0, 8, id="its own test: all are ready, nothing is guarded"),
        pytest.param(250.0, 2, 2.0, 8, id="a rise beyond them goes on, at most double"),
        pytest.param(250.0, 1, 2.0, 5, id="counted from those that are ready"),
        pytest.param(50.0, 2, 2.0, 4, id="on target: as many"),
    ],
)
def test_apas_guard_for_pods_that_start(
    use: float, ready: int, up_rate: float, wanted: int
) -> None:
    asked_for = apa_replicas(4, use, 50.0, up_rate, 2.0)
    assert guarded(asked_for, 4, ready, use, 50.0) == wanted


def test_apa_does_not_take_a_surge_for_a_fall_while_most_pods_start() -> None:
    apa, seen = policy(APA, 1.0), Dashboard(8)
    seen.starting = 6
    # Two serve 12 requests, six times their target, for longer than any window: 12 are needed, and never fewer than 8.
    seen.ongoing = 12.0
    answers = asked(apa, seen, 60, obey=False)
    assert set(answers) == {12}


def test_apa_gives_back_after_a_cool_down_of_five_minutes() -> None:
    apa, seen = policy(APA, 1.0), Dashboard(8)
    seen.ongoing = 8.0
    asked(apa, seen, 40)
    seen.ongoing = 2.0
    # 180 s until the window has forgotten, 300 s until the wishes have.
    answers = asked(apa, seen, 60)
    assert answers[:30] == [8] * 30
    assert answers[-1] < 8


# ---------------------------------------------------------------- llm-d


@pytest.mark.parametrize(
    ("signal", "ready", "replicas", "wanted"),
    [
        pytest.param(0.50, 4, 4, 4, id="between 0.40 and 0.55: as many"),
        pytest.param(0.55, 4, 4, 4, id="the band's edge belongs to it"),
        pytest.param(1.10, 4, 4, 8, id="twice the threshold: twice as many"),
        pytest.param(2.00, 4, 8, 15, id="half of them ready: 1.0 is credited"),
        pytest.param(1.10, 2, 4, 4, id="those that start are credited in full"),
        pytest.param(0.20, 4, 4, 2, id="half the lower threshold: half"),
        pytest.param(0.20, 2, 4, 2, id="no credit on the way down"),
        pytest.param(0.00, 4, 4, 0, id="no traffic reads as 0"),
    ],
)
def test_slo_aware_calculation(signal: float, ready: int, replicas: int, wanted: int) -> None:
    assert slo_aware_replicas(signal, ready, replicas, 0.55, 0.40) == wanted


def test_slo_aware_doubles_in_a_minute_after_30_s_and_gives_back_one_in_two() -> None:
    llmd, seen = policy(SLO_AWARE), Dashboard(4)
    seen.latency_p90_s = 0.5
    assert set(asked(llmd, seen, 10)) == {4}
    seen.latency_p90_s = 2.0
    # 45 s averages, then the lowest wish of 30 s; at most double or four more in a minute.
    assert asked(llmd, seen, 8) == [4, 8, 8, 8, 8, 16, 16, 16]
    seen.latency_p90_s = 0.0
    # The average still asks for more once; three minutes later one goes every 120 s.
    assert asked(llmd, seen, 32) == [16] + [20] * 12 + [19] * 8 + [18] * 8 + [17] * 3


def test_slo_aware_holds_what_it_found_for_its_window() -> None:
    llmd, seen = policy(SLO_AWARE), Dashboard(4)
    seen.latency_p90_s = 0.0
    # The first sync is the recommendation that its window of 180 s remembers.
    assert asked(llmd, seen, 14) == [4] * 12 + [3, 3]


# ---------------------------------------------------------------- Dynamo


def test_the_predictor_follows_a_line_and_a_level() -> None:
    memory = np.zeros(6)
    assert [predict(memory, 100.0) for _ in range(8)] == [pytest.approx(100.0)] * 8
    memory = np.zeros(6)
    told = [predict(memory, 100.0 + 10.0 * step) for step in range(60)]
    assert told[:4] == [100.0, 110.0, 120.0, 130.0], "below five points: the last value"
    assert told[-1] == pytest.approx(100.0 + 10.0 * 60, rel=0.001)


def test_throughput_mode_takes_the_next_interval_over_what_an_engine_carries() -> None:
    planner, seen = policy(THROUGHPUT), Dashboard(4)
    # 95 a second at 10 each; decided every 180 s.
    answers = asked(planner, seen, 26, rps=95.0)
    assert answers[0] == 10
    assert set(answers[13:]) == {10}
    halved = policy(THROUGHPUT, 0.5)
    assert asked(halved, Dashboard(4), 30, rps=95.0)[-1] == 19


@pytest.mark.parametrize(
    ("waiting", "replicas", "wanted"),
    [
        pytest.param(9.5, 4, 5, id="1.05 s for 1 s: one more"),
        pytest.param(8.0, 4, 4, id="0.9 s: as many"),
        pytest.param(5.0, 4, 3, id="(5 x 4/3 + 1) x 0.1 s is 0.77, below 80 %: one fewer"),
        pytest.param(5.5, 4, 4, id="0.83 s with the load of the one that goes: stays"),
        pytest.param(0.0, 1, 1, id="the last one stays"),
    ],
)
def test_load_mode(waiting: float, replicas: int, wanted: int) -> None:
    assert load_replicas(waiting, replicas, 0.1, 0.1, 1.0) == wanted


def test_load_mode_waits_for_what_starts() -> None:
    planner, seen = policy(LOAD), Dashboard(4)
    seen.ongoing = 100.0
    assert asked(planner, seen, 2) == [5, 6]
    seen.starting = 1
    assert asked(planner, seen, 5) == [6] * 5
    assert dynamo.LOAD_INTERVAL_S == 5.0


# ---------------------------------------------------------------- Ray Serve


def test_ray_serve_waits_30_s_for_more_and_600_s_for_fewer() -> None:
    ray, seen = policy(RAY_SERVE), Dashboard(4)
    seen.ongoing = 8.0
    assert set(asked(ray, seen, 20)) == {4}, "two for each, its default"
    seen.ongoing = 16.0
    answers = asked(ray, seen, 12)
    assert answers[:6] == [4] * 6
    assert 7 <= answers[6] <= 8
    assert answers[-1] == answers[6]
    seen.ongoing, seen.replicas = 2.0, 8
    answers = asked(ray, seen, 130)
    assert answers[:118] == [8] * 118
    assert answers[-1] == 1


# ---------------------------------------------------------------- all


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_every_rule_obeys_its_bounds_and_says_where_it_is_from(rule: Rule) -> None:
    assert rule.sources
    assert rule.headroom
    assert len(rule.sweep) >= 20
    if rule is STATIC:
        return
    peer, seen = policy(rule, min_replicas=3, max_replicas=7), Dashboard(5)
    seen.ongoing, seen.latency_p90_s = 1e6, 100.0
    assert max(asked(peer, seen, 400, rps=1e4, queue_ratio=1e3, busy=1.0)) == 7
    seen.ongoing, seen.latency_p90_s = 0.0, 0.0
    assert min(asked(peer, seen, 900)) == 3


def test_a_static_number_is_static() -> None:
    assert Static(7).replicas(Dashboard(2).after(15.0)) == 7
    assert asked(policy(STATIC, 7.0), Dashboard(2), 3) == [7, 7, 7]
