"""A journal's demand run again: what is taken from it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.cli import main
from autoscaler.core.slo import parse_slo
from autoscaler.core.types import BatchTime, ModelProfile, Slo
from autoscaler.errors import ConfigError
from autoscaler.simulation.backtest import by_second, scenario_of, served
from autoscaler.simulation.journal_file import JournalHeader, header_line
from tests.fakes.recorded import surge_journal


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return surge_journal(tmp_path)


def test_demand_servers_and_start_ups_are_taken_from_it(journal: Path) -> None:
    scenario = scenario_of([journal])
    assert str(scenario.spec.id) == "team/bert"
    assert scenario.demand.duration_s == pytest.approx(600.0, abs=30.0)
    assert scenario.open_demand.rates_rps[-60:] == pytest.approx([10.0] * 60, rel=0.05)
    assert scenario.open_demand.rates_rps.max() == pytest.approx(60.0, rel=0.05)
    # 52 ms for one, 64 ms for two.
    assert scenario.batching.batch_service_s == pytest.approx((0.052, 0.064), rel=0.01)
    # The pods of the story start in 20 s.
    assert scenario.startup.median_s == pytest.approx(20.0, abs=10.0)
    assert scenario.goal_ratio == pytest.approx(0.998)


def test_another_slo_may_be_asked_about(journal: Path) -> None:
    tighter = parse_slo("99% < 200ms", "test")
    assert isinstance(tighter, Slo)
    scenario = scenario_of([journal], slo=tighter)
    assert (scenario.threshold_s, scenario.goal_ratio) == (0.2, pytest.approx(0.998))
    assert scenario.spec.slo.text == "99% < 200ms"


def test_the_command_runs_it_beside_a_peer(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backtest", str(journal), "--policies", "keda=0.5"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("team/bert: 0.2 h")
    assert "KEDA requests/s (0.5)" in told


def test_each_ticks_rate_holds_until_the_next() -> None:
    rates = by_second([(100.0, 5.0), (110.0, 7.0), (140.0, 1.0), (150.0, 0.0)])
    assert rates.tolist() == [5.0] * 10 + [7.0] * 30 + [1.0] * 10


def test_batch_sizes_that_were_not_seen_lie_on_the_line() -> None:
    profile = ModelProfile(
        model="m",
        max_batch_size=4,
        instances=2,
        batch_times=(
            BatchTime(batch_size=1, count=10, total_s=1.0),
            BatchTime(batch_size=3, count=10, total_s=2.0),
        ),
    )
    server = served(profile)
    assert server.batch_service_s == pytest.approx((0.1, 0.15, 0.2, 0.2))
    assert server.instances == 2


def test_what_can_not_be_run(journal: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--workload: team/none, one of team/bert"):
        scenario_of([journal], "team/none")
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(header_line(JournalHeader()))
    with pytest.raises(ConfigError, match="holds no workload, let the controller"):
        scenario_of([empty])
    lines = journal.read_bytes().splitlines(keepends=True)
    short = tmp_path / "short.jsonl"
    short.write_bytes(b"".join(lines[:2]))
    with pytest.raises(ConfigError, match="no demand was seen"):
        scenario_of([short])
    lines = journal.read_bytes().splitlines(keepends=True)
    jump = tmp_path / "jump.jsonl"
    later = lines[-1].replace(b'"now_s":10', b'"now_s":18')
    jump.write_bytes(b"".join([*lines, later]))
    with pytest.raises(
        ConfigError, match="9,259 days from the first tick to the last, at most 366"
    ):
        scenario_of([jump])
    tokens = tmp_path / "tokens.jsonl"
    tokens.write_bytes(journal.read_bytes().replace(b'"signal":"latency"', b'"signal":"ttft"'))
    with pytest.raises(ConfigError, match="an objective on ttft, one on latency is run again"):
        scenario_of([tokens])
    assert main(["backtest", str(short)]) == 2
    assert main(["backtest", str(tmp_path / "none.jsonl")]) == 2
