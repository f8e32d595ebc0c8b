"""The demo: its figures, its page, what it refuses; and what a run looked like, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from autoscaler.core.slo import parse_slo
from autoscaler.core.types import ScheduledFloor, Slo
from autoscaler.simulation import demo
from autoscaler.simulation.cluster import ModelledCluster
from autoscaler.simulation.demo.workloads import workloads
from autoscaler.simulation.peers.cron import WithCron
from autoscaler.simulation.peers.static import Static
from autoscaler.simulation.recorder import (
    Recorder,
    Steps,
    budget,
    demand_rps,
    latency_s,
    steps_of,
)
from autoscaler.simulation.run import run
from autoscaler.simulation.score import Minutes
from autoscaler.simulation.startup import Startup
from tests.simulation.worlds import arrivals, scenario


def slo(text: str) -> Slo:
    parsed = parse_slo(text, "test")
    assert isinstance(parsed, Slo)
    return parsed


def test_a_page_that_can_not_be_written_is_told_before_the_day_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ran(*_given: object, **_told: object) -> None:
        raise AssertionError("it ran")

    monkeypatch.setattr("autoscaler.simulation.demo.command.run_days", ran)
    with pytest.raises(IsADirectoryError):
        demo.main(["--html", str(tmp_path)])


def test_it_tells_its_figures_and_writes_its_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "made" / "report.html"
    assert demo.main(["--hours", "1", "--json", "--jobs", "1", "--html", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(item["workload"], item["policy"]) for item in told[:5]] == [
        ("web/search", "forescale"),
        ("web/search", "HPA on requests/s"),
        ("web/search", "HPA on GPU busy"),
        ("web/search", "static peak"),
        ("batch/docs", "forescale"),
    ]
    assert len(told) == 12
    assert all(0.0 <= item["good_ratio"] <= 1.0 for item in told)
    page = path.read_text()
    assert len(page) < 3_000_000
    for item in told:
        assert f"{item['good_ratio']:.2%}" in page
        assert f"<td>{item['gpu_hours']:.0f}</td>" in page
    for name in ("web/search", "batch/docs", "shop/offers"):
        assert f"<h2>{name}</h2>" in page
    assert "ScheduledFloor" in page


def test_processes_change_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for jobs in ("1", "3"):
        assert demo.main(["--hours", "1", "--json", "--jobs", jobs]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1]


@pytest.mark.parametrize("argument", ["--hours=0", "--hours=99", "--jobs=0", "--seed=-1"])
def test_what_it_refuses(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        demo.main([argument])
    assert stopped.value.code == 2
    assert "is allowed" in capsys.readouterr().err


def test_the_workloads_differ_in_what_matters() -> None:
    found = [item.scenario for item in workloads(hours=24.0, seed=1)]
    assert [item.spec.slo.text for item in found] == [
        "99% < 400ms",
        "95% < 2s",
        "p95 < 800ms for 98%",
    ]
    assert [item.startup.median_s for item in found] == [60.0, 90.0, 180.0]
    assert [len(item.outages) for item in found] == [1, 0, 0]


# ---------------------------------------------------------------- what is recorded

TWO_MINUTES = Steps(step_s=60.0, count=2)


@pytest.mark.parametrize(
    ("duration_s", "steps"),
    [
        (3600.0, Steps(step_s=60.0, count=60)),
        (86400.0, Steps(step_s=120.0, count=720)),
        (90.0, TWO_MINUTES),
    ],
)
def test_steps_are_whole_minutes_and_not_too_many(duration_s: float, steps: Steps) -> None:
    assert steps_of(duration_s) == steps


def test_a_step_holds_its_end() -> None:
    assert [TWO_MINUTES.at(now_s) for now_s in (0.0, 1.0, 60.0, 60.1, 120.0)] == [0, 0, 0, 1, 1]


def test_demand_and_latency_of_each_step() -> None:
    due = np.concatenate([np.linspace(0.0, 59.0, 100), np.linspace(60.0, 119.0, 20)])
    slow = np.concatenate([np.arange(1, 100) / 100.0, [np.nan], np.full(20, 0.1)])
    assert demand_rps(due, TWO_MINUTES) == pytest.approx((100 / 60, 20 / 60))
    # The hundredth never finished, and the second step has too few requests to tell.
    told = latency_s(slow.astype(np.float32), due, 0.99, TWO_MINUTES)
    assert told[0] == pytest.approx(0.99)
    assert told[1] is None
    assert latency_s(slow.astype(np.float32), due, 0.999, TWO_MINUTES)[0] == float("inf")


@pytest.mark.parametrize(
    ("text", "good_ratio", "left"),
    [
        # 2 of 200 allowed; 1 is missed in the first minute and 9 more in the second.
        ("99% < 1s", 0.95, (0.5, -4.0)),
        # The second minute has 9 % misses and is bad as a whole: 100 of 200, where 2 are allowed.
        ("p95 < 1s", 0.5, (1.0, -49.0)),
    ],
)
def test_a_budget_by_hand(text: str, good_ratio: float, left: tuple[float, ...]) -> None:
    minutes = Minutes(total=np.array([100.0, 100.0]), good=np.array([99.0, 91.0]))
    found = budget(minutes, slo(text), TWO_MINUTES)
    assert found.target_ratio == 0.99
    assert found.good_ratio == pytest.approx(good_ratio)
    assert found.left == pytest.approx(left)


def test_replicas_and_gpu_hours_are_read_while_it_runs() -> None:
    due = arrivals(20.0, 240.0)
    steps = Steps(step_s=60.0, count=4)
    world = ModelledCluster(
        scenario(startup=Startup(median_s=90.0, p99_ratio=1.0)), due, replicas=1
    )
    recorder = Recorder(world, steps)
    run(Static(2), world, duration_s=240.0, progress=recorder.take)
    # Asked for at 60 s, ready 90 s later.
    assert recorder.wanted == [2, 2, 2, 2]
    assert recorder.ready == [1, 1, 2, 2]
    assert recorder.starting == [1, 1, 0, 0]
    assert recorder.gpu_hours == pytest.approx([60 / 3600, 180 / 3600, 300 / 3600, 420 / 3600])
    assert [(c.at_s, c.before, c.after) for c in recorder.changes] == [(60.0, 1, 2)]


def test_of_two_triggers_the_higher_counts() -> None:
    class Midnight:
        now_s, replicas = 0.0, 1

        def totals(self) -> None:
            return None

    floor = ScheduledFloor(cron="0 0 * * *", duration_s=3600.0, min_replicas=4)
    seen = Midnight()
    both = WithCron(Static(2), (floor,))
    assert both.replicas(seen) == 4  # type: ignore[arg-type]
    seen.now_s = 3600.0
    assert both.replicas(seen) == 2  # type: ignore[arg-type]
