"""A schedule of servers on the modelled cluster, and how two traces are put beside each other."""

from __future__ import annotations

import numpy as np
import pytest

from autoscaler.core.service_time import ServiceTimes
from autoscaler.simulation.startup import Startup
from loadtests.validate.scaling import (
    MeasuredStarts,
    Schedule,
    Trace,
    apart_s,
    scaling_figures,
    settled,
    simulate_schedule,
    where_traces_differ,
    windows,
)

SCHEDULE = Schedule(load=((20.0, 0.5), (40.0, 1.5)), servers=((20.0, 2), (50.0, 1)))
# 100 a second.
TIMES = ServiceTimes(batch_s=(0.01,))
SENT_S = np.concatenate((np.arange(0.0, 20.0, 0.02), np.arange(20.0, 60.0, 1.0 / 150.0)))


def simulated(*starts_s: float) -> Trace:
    startup = MeasuredStarts(median_s=5.0, times_s=starts_s)
    return simulate_schedule(SCHEDULE, SENT_S, TIMES, startup, overhead_s=0.002)


def test_a_server_is_ready_at_the_probe_after_its_start_and_gone_at_once() -> None:
    assert simulated(7.0).ready == ((0.0, 1), (30.0, 2), (50.0, 1))
    assert simulated(10.0).ready == ((0.0, 1), (30.0, 2), (50.0, 1))
    assert simulated(11.0).ready == ((0.0, 1), (35.0, 2), (50.0, 1))


def test_what_waits_is_worked_off_by_the_second_server() -> None:
    found = windows(simulated(7.0), simulated(7.0))
    p95_s = {window.start_s: window.simulated_p95_s for window in found}
    assert p95_s[0.0] == pytest.approx(0.012)
    # 50 a second too many for 10 s: 500 requests of 10 ms each. They stay with the first server.
    assert 4.0 < p95_s[20.0] < 5.5
    assert p95_s[40.0] < 4.0
    assert all(window.off_percent == 0.0 for window in found)


def test_the_same_changes_are_so_long_apart() -> None:
    one = ((0.0, 1), (30.0, 2), (50.0, 3), (50.01, 2), (50.02, 1))
    assert settled(one) == [(0.0, 1), (30.0, 2), (50.02, 1)]
    assert apart_s(one, ((0.0, 1), (35.0, 2), (50.0, 1))) == 5.0
    assert apart_s(one, ((0.0, 1), (35.0, 2))) is None
    assert apart_s(one, ((0.0, 1), (35.0, 3), (50.0, 1))) is None


def test_figures_and_where_it_does_not_agree() -> None:
    real, late = simulated(7.0), simulated(11.0)
    told = scaling_figures(real, late, late, spread_s=1.5, lateness_p99_s=0.002)
    assert [(f.value, f.target) for f in told][0] == (5.0, 11.5)
    assert told[1].unit == "of 6"
    lines = where_traces_differ(real, late, late)
    assert len(lines) == 6 - told[1].value
    assert "30 to 40 s: p95" in lines[0]
    assert where_traces_differ(real, real, real) == []


def test_the_load_of_a_schedule() -> None:
    steps = SCHEDULE.steps(100.0)
    assert [(step.duration_s, step.rate_rps) for step in steps] == [(20.0, 50.0), (40.0, 150.0)]
    assert SCHEDULE.duration_s == 60.0
    assert Startup(median_s=5.0, p99_ratio=1.0).draw_s(1) == 5.0
