"""`forescale slo`: compliance from a journal or a controller, with its bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscaler.cli.slo import between
from autoscaler.core.compliance import Bounds
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import TickInput, TickRecord
from autoscaler.engine import DecisionEngine
from autoscaler.simulation.journal_file import record_line
from tests.cli.command import forescale


def test_compliance_is_counted_from_a_journal(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The story's servers tell no latency, so nothing is known of how many were slow."""
    code, out, _ = forescale(capsys, "slo", "--journal", str(journal), "--json")
    assert code == 0
    (told,) = json.loads(out)["workloads"]
    (objective,) = told["objectives"]
    assert [window["window"] for window in objective["windows"]] == ["1h", "24h", "28d"]
    assert objective["windows"][0]["known_ratio"] == 0.0
    code, out, _ = forescale(capsys, "slo", "--journal", str(journal.parent))
    assert code == 0
    assert "BUDGET LEFT" in out
    assert "team/bert" in out


@pytest.mark.parametrize("command", [("slo", "--journal"), ("report", "--no-estimate")])
def test_a_line_that_its_writer_left_without_an_end_is_left_out_and_a_broken_one_is_not(
    command: tuple[str, str], journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A controller that is killed leaves one, and the next puts that file away among the others."""
    lines = journal.read_bytes().splitlines(keepends=True)
    folder = journal.parent / "journal"
    folder.mkdir()
    (folder / "forescale-20260101T000000-000.jsonl").write_bytes(b"".join(lines)[:-40])
    (folder / "forescale-20260102T000000-000.jsonl").write_bytes(lines[0][:-40])
    (folder / "forescale.jsonl").write_bytes(b"".join(lines))
    assert forescale(capsys, *command, str(folder))[0] == 0
    (folder / "forescale.jsonl").write_bytes(b"".join([*lines[:9], b"{}x\n", *lines[9:]]))
    code, _, err = forescale(capsys, *command, str(folder))
    assert (code, "forescale.jsonl:10: " in err) == (1, True)


def test_nothing_to_tell_is_said_and_is_no_bare_table(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A journal just begun has a header and no tick; one of an empty cluster has ticks and no workload."""
    header, *_ = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(header)
    for more in ((), ("--json",)):
        code, out, err = forescale(capsys, "slo", "--journal", str(journal), *more)
        assert (code, out) == (1, "")
        assert f"{journal}: holds no tick yet, let the controller run on" in err
    nobody = TickInput(now_s=1e9, workloads=())
    result = DecisionEngine(EngineConfig()).tick(nobody)
    journal.write_bytes(header + record_line(TickRecord(input=nobody, result=result)))
    assert forescale(capsys, "slo", "--journal", str(journal)) == (
        0,
        "No workload is annotated with forescale.io/slo.\n",
        "",
    )
    code, out, _ = forescale(capsys, "slo", "--journal", str(journal), "--json")
    assert (code, json.loads(out)) == (0, {"workloads": []})


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "slo: neither is given, give --controller or --journal"),
        (("--controller", "http://127.0.0.1:1", "--journal", "x"), "slo: both are given"),
    ],
)
def test_compliance_comes_from_one_place(
    argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = forescale(capsys, "slo", *argv)
    assert code == 2
    assert said in err


def test_bounds_are_shown_where_it_is_not_exact() -> None:
    told = Bounds(low=0.991, estimate=0.995, high=0.9975)
    assert between(told, 100.0, " %", digits=4) == "99.5 % (99.1 to 99.75)"
    spent = Bounds(low=-28.3, estimate=-18.7, high=-10.7)
    assert between(spent, 100.0, " %", digits=3) == "-1,870 % (-2,830 to -1,070)"
    assert between(Bounds(low=0.5, estimate=0.5, high=0.5), 1.0, "", digits=3) == "0.5"
    assert between(Bounds(low=0.0, estimate=None, high=1.0), 1.0, "", digits=3) == "-"
