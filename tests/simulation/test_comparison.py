"""Policies side by side, and the command that shows them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autoscaler.cli import main
from autoscaler.cli.side_by_side import DEFAULT_POLICIES
from autoscaler.config.settings import ForecastSettings
from autoscaler.errors import ConfigError
from autoscaler.simulation.clients import Clients, Users
from autoscaler.simulation.comparison import compare
from autoscaler.simulation.forecasts import NoForecasts, forecasts_of
from autoscaler.simulation.trial import Trial, parse_policies, parse_policy
from tests.simulation.test_fluid import RISE, world

QUARTER = world((0.0, 40.0), (600.0, 90.0), hours=0.5, replicas=6)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("forescale", ("forescale", None)),
        ("keda=0.6", ("keda", 0.6)),
        (" kpa ", ("kpa", None)),
    ],
)
def test_a_policy_as_people_write_it(text: str, parsed: tuple[str, float | None]) -> None:
    assert parse_policy(text) == parsed


@pytest.mark.parametrize("text", ["keda=", "keda=-1", "keda=x", "forescale=2", "vpa", "keda=nan"])
def test_a_policy_that_can_not_be(text: str) -> None:
    with pytest.raises(ConfigError, match="--policies"):
        parse_policy(text)


def test_all_that_is_wrong_with_a_list_of_policies_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as told:
        parse_policies("KEDA,keda=0,forescal,kpa,kpa")
    assert [line.partition("? ")[0] for line in str(told.value).splitlines()] == [
        "--policies: 'KEDA', did you mean keda",
        "--policies: 'keda=0', a headroom is more than 0",
        "--policies: 'forescal', did you mean forescale",
        "--policies: kpa is given twice, each once",
    ]
    assert parse_policies("keda, keda=0.6") == (("keda", None), ("keda", 0.6))


def test_every_start_up_policy_and_seed_is_run_beside_one_clairvoyant() -> None:
    seen: set[str] = set()
    found = compare(
        QUARTER,
        [("keda", None), ("keda", 0.3), ("static", None)],
        startups_s=(4.0, 240.0),
        seeds=(1, 2),
        step=lambda what, _share: seen.add(what),
    )
    assert [(row.startup_s, row.policy) for row in found.rows] == [
        (startup_s, policy)
        for startup_s in (4.0, 240.0)
        for policy in ("KEDA requests/s (0.7)", "KEDA requests/s (0.3)", "static (10)")
    ]
    assert len(found.scores) == 12
    fast, slow = found.rows[0], found.rows[3]
    assert fast.attainment_ratio > slow.attainment_ratio
    thin, lavish = found.rows[3], found.rows[4]
    assert lavish.clairvoyant_ratio is not None
    assert thin.clairvoyant_ratio is not None
    assert lavish.clairvoyant_ratio > thin.clairvoyant_ratio > 1.0
    assert "clairvoyant" in seen


def test_what_clients_ask_again_is_told_and_not_counted_as_wanted() -> None:
    storm = replace(QUARTER, clients=Clients(timeout_s=1.0, retries=2))
    patient, asked = (
        compare(told, [("static", 7.0)], startups_s=(100.0,), seeds=(1, 2))
        for told in (QUARTER, storm)
    )
    assert asked.requests == patient.requests
    (plain,), (row,) = patient.rows, asked.rows
    assert (plain.requests, plain.attempts_ratio) == (patient.requests, None)
    assert row.requests == patient.requests
    assert row.attempts_ratio is not None
    assert 1.1 < row.attempts_ratio < 3.0
    # Seven carry 70 a second of the 90 that come from ten minutes on.
    assert row.attainment_ratio < plain.attainment_ratio


def test_how_much_users_ask_is_each_policys_and_has_no_bound() -> None:
    """Forty users on servers of ten a second: with two they wait for most of the time, with ten they think."""
    loop = replace(QUARTER, demand=Users(name="users", counts=np.full(600, 40), think_s=1.0))
    found = compare(loop, [("static", 2.0), ("static", 10.0)], startups_s=(100.0,), seeds=(1,))
    assert found.requests is None
    few, many = found.rows
    assert few.requests == pytest.approx(600 * 20.0, rel=0.02)
    assert many.requests == pytest.approx(600 * 40 / 1.1, rel=0.02)
    # By the interactive law 40 users at 20 a second wait for 40 / 20 - 1 s.
    assert (few.attainment_ratio, many.attainment_ratio) == (pytest.approx(0.7, abs=0.2), 1.0)
    assert few.clairvoyant_ratio is None
    assert few.attempts_ratio is None


CLIENTS_FILE = """
workload: {slo: "p99 < 1s", first_replicas: 6}
demand: {%s, hours: 0.1}
server: {batch_service_s: [0.1]}
startup: {median_s: 60}
clients: {timeout_s: 2, retries: 1}
"""


@pytest.mark.parametrize(
    ("demand", "shown", "hidden"),
    [("shape: constant(20)", "ATTEMPTS", "REQUESTS"), ("users: constant(20)", "REQUESTS", "KPA")],
)
def test_the_table_has_the_columns_that_clients_give_reason_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], demand: str, shown: str, hidden: str
) -> None:
    path = tmp_path / "clients.yaml"
    path.write_text(CLIENTS_FILE % demand)
    assert main(["simulate", str(path), "--policies", "static=6"]) == 0
    table = capsys.readouterr().out
    assert shown in table
    assert hidden not in table
    assert "x 1.00" in table


def test_how_many_hold_is_not_searched_for_users_before_anything_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "clients.yaml"
    path.write_text(CLIENTS_FILE % "users: constant(20)")
    assert main(["simulate", str(path)]) == 2
    assert "static=REPLICAS: how many hold is not searched for users" in capsys.readouterr().err


def test_the_static_peak_holds_every_minute_and_one_fewer_does_not() -> None:
    trial = Trial(RISE, 1)
    peak = trial.static_peak()
    assert trial.score("static").worst_minute_ratio >= 0.99
    assert trial.score("static", float(peak - 2)).worst_minute_ratio < 0.99


def test_the_command_shows_a_table_or_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["simulate", "constant(40)", "--hours", "0.5", "--policies", "keda,hpa-gpu=0.5"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "KEDA requests/s (0.7)" in told
    assert "HPA GPU utilisation (0.5)" in told
    assert main([*arguments, "--json", "--startup", "4,100"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["startup_s"] for row in rows] == [4.0, 4.0, 100.0, 100.0]
    trace = tmp_path / "demand.csv"
    trace.write_text("minute,count\n" + "".join(f"{minute},2400\n" for minute in range(30)))
    assert main(["simulate", str(trace), "--policies", "keda"]) == 0
    assert "demand: 0.5 h, 72," in capsys.readouterr().out


def test_a_name_with_colons_or_brackets_is_shown_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "demand.csv"
    trace.write_text("minute,office,[b]\n" + "".join(f"{m},2400,2400\n" for m in range(15)))
    for column in ("office", "[b]"):
        assert main(["simulate", str(trace), "--column", column, "--policies", "keda"]) == 0
        assert f"demand:{column}: 0.2 h" in capsys.readouterr().out


def test_forescale_runs_with_forecasts_unless_they_are_off() -> None:
    told = [name for name, _ in (parse_policy(text) for text in DEFAULT_POLICIES.split(","))]
    assert told[0] == "forescale"
    shown = compare(
        QUARTER,
        [("forescale", None), ("forescale-no-forecast", None)],
        startups_s=(4.0,),
        seeds=(1,),
    )
    assert [row.policy for row in shown.rows] == ["forescale", "forescale-no-forecast"]
    assert isinstance(forecasts_of(ForecastSettings(enabled=False)), NoForecasts)


def test_a_first_hour_above_what_is_run_begins_with_all_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """800 requests a second would begin with 115 replicas at 70 %, and 100 are the most."""
    arguments = ["simulate", "constant(800)", "--hours", "0.02", "--policies", "keda"]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert "constant(800): 72 s, " in shown.out
    # Progress is for terminals.
    assert shown.err == ""


def test_forescale_below_its_goal_is_exit_code_99(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(
        """
workload: {slo: "99% < 1s", max_replicas: 2}
demand: {shape: constant(40), hours: 0.2}
server: {batch_service_s: [0.1]}
startup: {median_s: 60}
"""
    )
    assert main(["simulate", str(path), "--policies", "forescale"]) == 99
    # Without forecasts it is the same engine; of peers alone nothing is judged.
    assert main(["simulate", str(path), "--policies", "keda,forescale-no-forecast"]) == 99
    assert main(["simulate", str(path), "--policies", "keda"]) == 0


def test_an_objective_below_the_service_time_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["simulate", "constant(20)", "--hours", "0.1", "--policies", "static=3"]
    for slo, said in (
        ("95% < 1.1s", ""),
        (
            "95% < 50ms",
            "! a request takes 100 ms without any queue, the objective is 50 ms: no number of replicas meets it\n",
        ),
    ):
        assert main([*argv, "--slo", slo]) == 0
        assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing.csv"], "nothing.csv: No such file"),
        (["nothing.yaml"], "nothing.yaml: No such file"),
        (["sine(3)"], "not a shape"),
        (
            ["constant(3)", "--policies", "keda,vpa"],
            "--policies: 'vpa', did you mean kpa? one of forescale, forescale-no-forecast, static",
        ),
        (["constant(3)", "--policies", "kdea=0.6"], "--policies: 'kdea=0.6', did you mean keda?"),
        (["constant(3)", "--policies", "forescale=1"], "'forescale=1', forescale has no headroom"),
        (["constant(3)", "--policies", "static=1.5"], "'static=1.5', a whole number of replicas"),
        (["constant(3)", "--policies", "static=0.5"], "'static=0.5', a whole number of replicas"),
        (
            ["constant(3)", "--policies", "static=101"],
            "'static=101', at most 100, workload.max_replicas",
        ),
        (["constant(3)", "--startup", "soon"], "--startup: 'soon', seconds with commas"),
        (["constant(3)", "--startup", "4,60,4.0"], "--startup: '4,60,4.0', each once"),
        (["constant(3)", "--policies", "kpa,kpa=70"], "--policies: kpa is given twice, each once"),
        (["constant(3)", "--seeds", "0"], "--seeds: 0, 1 to 100"),
        (["constant(3)", "--slo", "fast"], "--slo: "),
        (["constant(3)", "--service-s", "-1"], "--service-s: -1, 0.00001 to 86400 seconds"),
        (["constant(3)", "--service-s", "nan"], "--service-s: nan, 0.00001 to"),
        (["constant(3)", "--service-s", "1e-9"], "--service-s: 1e-09, 0.00001 to"),
        (["x.yaml", "--slo", "99% < 1s"], "a scenario file says it itself"),
        (["constant(3)", "--slo", ""], "--slo: '' is no objective"),
        (
            ["constant(3)", "--slo", "p95 ttft < 1s"],
            "--slo: an objective on ttft, needs a scenario file",
        ),
        (["constant(3)", "--service-s", "0"], "--service-s: 0, 0.00001 to"),
        (["constant(3)", "--column", "chat"], "--column: given, of a trace alone"),
        (["constant(3)", "--last-days", "1"], "--last-days: given, of a trace alone"),
        (["x.csv", "--hours", "3"], "--hours: given, of a shape alone"),
        (
            ["constant(0.001)", "--hours", "0.01", "--policies", "static"],
            "constant(0.001): no request came, though some could have, at least one is needed",
        ),
        (["constant(0)"], "constant(0): no request at all, at least one is needed to judge by"),
        (["constant(1e12)"], "constant(1e12): 8.64e+16 requests, at most 5e+08: run less of it"),
        (
            ["constant(2000)", "--hours", "1"],
            "keeps 200 replicas busy at 0.1 s a request, at most 100",
        ),
        ([str(Path(__file__))], "a file or folder of no known kind, a name in .yaml, .csv or"),
    ],
)
def test_what_can_not_be_is_exit_code_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", *arguments]) == 2
    assert told in capsys.readouterr().err
