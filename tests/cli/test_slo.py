"""`forescale slo`: compliance from a journal or a controller, with its bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscaler.cli.slo import between
from autoscaler.core.compliance import (
    Bounds,
    ObjectiveCompliance,
    WindowCompliance,
    WorkloadCompliance,
)
from autoscaler.core.latency import LatencySource
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import TickInput, TickRecord, WorkloadId
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


def test_a_journal_is_judged_by_another_slo(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ("slo", "--journal", str(journal), "--json", "--slo")
    code, out, _ = forescale(capsys, *ask, "99.9% < 200ms over 7d")
    (told,) = json.loads(out)["workloads"]
    (objective,) = told["objectives"]
    assert (code, told["slo"]) == (0, "99.9% < 200ms over 7d")
    assert (objective["objective"], objective["target_ratio"]) == (
        "99.9% < 200ms",
        pytest.approx(0.999),
    )
    assert [window["window"] for window in objective["windows"]] == ["1h", "24h", "7d"]
    code, _, err = forescale(capsys, *ask, "fast")
    assert (code, "--slo: 'fast' is no objective" in err) == (2, True)
    code, _, err = forescale(capsys, "slo", "--controller", "http://x", "--slo", "99% < 1s")
    assert (code, "--slo: without --journal" in err) == (2, True)


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


def left(name: str, *estimates: float | None) -> WorkloadCompliance:
    """One objective over an hour and its window of 7 or 28 days, with so much left of the budget of 1 %."""
    spans = (("1h", 3600.0), ("7d" if name == "d" else "28d", 28 * 86400.0))
    windows = tuple(
        WindowCompliance(
            window=window,
            window_s=span_s,
            requests=100.0,
            compliance=exactly(None if ratio is None else 1.0 - 0.01 * (1.0 - ratio)),
            budget_left=exactly(ratio),
            burn_rate=exactly(None if ratio is None else 1.0 - ratio),
            known_ratio=1.0,
        )
        for (window, span_s), ratio in zip(spans, estimates, strict=True)
    )
    objective = ObjectiveCompliance(
        objective="p95 tpot < 50ms",
        target_ratio=0.99,
        source=LatencySource.HISTOGRAM,
        windows=windows,
    )
    return WorkloadCompliance(
        workload=WorkloadId(namespace="team", name=name),
        slo="p95 tpot < 50ms",
        at_s=0.0,
        objectives=(objective,),
    )


def exactly(ratio: float | None) -> Bounds:
    return Bounds(low=ratio or 0.0, estimate=ratio, high=1.0 if ratio is None else ratio)


FLEET = (
    left("a", 1.0, 0.7),
    left("b", None, None),
    left("c", 0.9, -0.2),
    left("d", -3.0, 0.1),
)


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four workloads, as a controller tells of them."""
    monkeypatch.setattr("autoscaler.cli.slo._told", lambda _: FLEET)


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        ((), ["a 1h", "a 28d", "b 1h", "b 28d", "c 1h", "c 28d", "d 1h", "d 7d"]),
        # Of which nothing is known is not the worst: it comes last.
        (("--worst", "2", "--window", "1h"), ["c 1h", "d 1h"]),
        (("--worst", "9", "--window", "1h"), ["c 1h", "d 1h", "a 1h", "b 1h"]),
        (("--window", "7d"), ["d 7d"]),
    ],
)
@pytest.mark.usefixtures("fleet")
def test_who_spends_the_most_is_seen_at_a_glance(
    argv: tuple[str, ...], shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = forescale(capsys, "slo", "--controller", "http://x", *argv, "--json")
    assert code == 0
    assert shown == [
        f"{item['workload']['name']} {window['window']}"
        for item in json.loads(out)["workloads"]
        for window in item["objectives"][0]["windows"]
    ]


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("team/a",), 0, ""),
        (("team/d", "--window", "7d"), 0, ""),
        (("team/d", "--window", "1h"), 99, "! team/d p95 tpot < 50ms over 1h: 96 % good, below 99 %\n"),
        (("team/b", "--window", "1h"), 99, "! team/b p95 tpot < 50ms over 1h: nothing is known\n"),
        (("--worst", "1"), 99, "! team/c p95 tpot < 50ms over 28d: 98.8 % good, below 99 %\n"),
        (("--window", "3h"), 2, "--window: '3h', one of 1h, 28d, 7d is allowed"),
        (("--worst", "0"), 2, "--worst: 0, 1 or more is allowed"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("fleet")
def test_a_release_can_be_judged_by_what_was_kept(
    argv: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("slo", "--controller", "http://x", *argv, "--judge")
    told, _, err = forescale(capsys, *given)
    assert told == code
    assert err == said if code != 2 else said in err


def test_bounds_are_shown_where_it_is_not_exact() -> None:
    told = Bounds(low=0.991, estimate=0.995, high=0.9975)
    assert between(told, 100.0, " %", digits=4) == "99.5 % (99.1 to 99.75)"
    spent = Bounds(low=-28.3, estimate=-18.7, high=-10.7)
    assert between(spent, 100.0, " %", digits=3) == "-1,870 % (-2,830 to -1,070)"
    assert between(Bounds(low=0.5, estimate=0.5, high=0.5), 1.0, "", digits=3) == "0.5"
    assert between(Bounds(low=0.0, estimate=None, high=1.0), 1.0, "", digits=3) == "-"
