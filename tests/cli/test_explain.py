"""`forescale explain`: every step of a decision, at any time of a journal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscaler.cli import main
from autoscaler.cli.explain import unknown_workload
from autoscaler.codec import encode
from autoscaler.controller.ports import Refused
from autoscaler.controller.server import page_of
from autoscaler.core.profile import BatchPrior, ModelPrior, WorkloadPrior
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import WorkloadId
from autoscaler.errors import Problem
from autoscaler.simulation.journal_file import JournalHeader, header_line, record_line
from tests.cli.command import forescale
from tests.fakes.answering import answering
from tests.fakes.recorded import RecordedStory


def test_explain_shows_every_step(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = forescale(capsys, "explain", "team/bert", "--journal", str(journal.parent))
    assert code == 0
    for said in ("team/bert", "99% < 300ms", "STEP", "one replica", "time to ready", "demand"):
        assert said in out


def test_explain_says_why_a_capacity_is_not_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batches = (BatchPrior(batch_size=1, mean_s=0.05),)
    prior = WorkloadPrior(workload="team/bert", models=(ModelPrior(model="m", batches=batches),))
    story = RecordedStory(config=EngineConfig(priors=(prior,)))
    for pod in story.pods:  # within the quarantine of their warm-up
        pod.ready_s = story.now_s
    header = JournalHeader(config=story.config, state=story.engine.snapshot())
    lines = [record_line(record) for record in story.record(20, rate_rps=10.0)]
    path = tmp_path / "forescale.jsonl"
    path.write_bytes(header_line(header) + b"".join(lines))
    code, out, _ = forescale(capsys, "explain", "team/bert", "--journal", str(path))
    assert code == 0
    assert "not proven" in out
    assert "known from an imported profile" in out
    assert main(["replay", str(path)]) == 0


def test_explain_at_a_time_takes_the_tick_before(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("explain", "team/bert", "--journal", str(journal), "--json", "--at")
    _, out, _ = forescale(capsys, *argv, "2001-09-09T01:46:59")
    first = json.loads(out)["now_s"]
    _, out, _ = forescale(capsys, *argv, "2001-09-09T01:47:35Z")
    assert json.loads(out)["now_s"] == 1_000_000_050.0
    assert first < 1_000_000_050.0


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2001-09-09T01:56:40Z", ""),
        (
            "2001-09-09T02:26:00Z",
            "! no tick then: this is the last one, 30 min before 2001-09-09T02:26:00Z; "
            "other parts of the journal may have it\n",
        ),
    ],
)
def test_explain_at_a_time_without_ticks_says_so(
    at: str, said: str, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = forescale(
        capsys, "explain", "team/bert", "--journal", str(journal), "--at", at
    )
    assert (code, err) == (0, said)
    assert "at 2001-09-09 01:56:00 UTC" in out


def test_explain_at_a_time_looks_into_the_older_files_too(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two files of five minutes each: the time lies in the first, whose last line was not finished."""
    lines = journal.read_bytes().splitlines(keepends=True)
    folder = journal.parent / "journal"
    folder.mkdir()
    (folder / "forescale-20010909T015140-000.jsonl").write_bytes(b"".join(lines[:31])[:-40])
    (folder / "forescale.jsonl").write_bytes(lines[0] + b"".join(lines[31:]))
    argv = ("explain", "team/bert", "--journal", str(folder), "--json")
    _, out, _ = forescale(capsys, *argv, "--at", "2001-09-09T01:47:35Z")
    assert json.loads(out)["now_s"] == 1_000_000_050.0
    _, out, _ = forescale(capsys, *argv)
    assert json.loads(out)["now_s"] == 1_000_000_560.0
    code, _, err = forescale(capsys, *argv, "--at", "1990-01-01T00:00:00Z")
    assert code == 2
    assert "--at: '1990-01-01T00:00:00Z', " in err
    assert "begins at 2001-09-09T01:46:" in err


def test_explain_of_an_unknown_workload_says_which_exist(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = forescale(capsys, "explain", "team/bart", "--journal", str(journal))
    assert code == 1
    assert err == "forescale: team/bart: is not known, did you mean team/bert?\n"


@pytest.mark.parametrize(
    ("given", "names", "said"),
    [
        ("bert", ["team/bert"], "did you mean team/bert?"),
        ("other/bert", ["team/bert", "x/llama"], "did you mean team/bert?"),
        ("q/zzz", ["team/bert", "x/llama"], "there are: team/bert, x/llama"),
        ("q/zzz", [], "annotate one with forescale.io/slo"),
    ],
)
def test_near_matches(given: str, names: list[str], said: str) -> None:
    assert said in unknown_workload(given, names)


def test_every_change_since_a_time_is_told_in_a_line(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ("explain", "team/bert", "--journal", str(journal))
    code, out, err = forescale(capsys, *ask, "--since", "2001-09-09T01:40:00Z")
    head, *lines = out.splitlines()
    assert (code, head.split()) == (0, ["AT", "(UTC)", "REPLICAS", "REASON", "WHY"])
    assert f"! {journal} begins at 2001-09-09T01:46:" in err
    assert [line for line in lines if "DemandRising" in line]
    code, out, _ = forescale(capsys, *ask, "--since", "2001-09-09T01:40:00Z", "--json")
    changes = json.loads(out)["changes"]
    assert len(changes) == len(lines)
    # The moment that is shown is one that can be asked about.
    _, out, _ = forescale(capsys, *ask, "--at", lines[0][:19].replace(" ", "T"))
    assert f"{changes[0]['before']} -> {changes[0]['after']}" in out


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--since", "02:13"), 1, "its last tick is of 2001-09-09T01:5"),
        (("--since", "2:13"), 2, "--since: '2:13', must be like 2026-01-31T14:10:00Z, or 14:10"),
        (("--since", "02:13", "--at", "02:13"), 2, "--at and --since, give one of them"),
    ],
)
def test_a_time_that_nothing_is_told_of(
    more: tuple[str, ...], code: int, said: str, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, _, err = forescale(capsys, "explain", "team/bert", "--journal", str(journal), *more)
    assert (found, said in err) == (code, True), err


def test_a_time_of_the_day_is_the_last_such(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whenever that is, it is long after the journal."""
    ask = ("explain", "team/bert", "--journal", str(journal), "--at", "02:13")
    code, out, err = forescale(capsys, *ask)
    assert (code, "at 2001-09-09" in out) == (0, True)
    assert "! no tick then: this is the last one, " in err


def test_explain_asks_a_running_controller(capsys: pytest.CaptureFixture[str]) -> None:
    story = RecordedStory()
    page = page_of(story.record(60, rate_rps=40)[-1], leader="me")
    with answering(200, encode(page)) as url:
        code, out, _ = forescale(capsys, "explain", "team/bert", "--controller", url)
    assert code == 0
    assert "99% < 300ms" in out


def test_explain_says_what_the_controller_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    """It is known, and left alone: no other name was meant."""
    problem = Problem(
        "team/brt forescale.io/mode", "'on'", "one of auto, recommend, off is allowed"
    )
    refused = Refused(
        workload=WorkloadId(namespace="team", name="brt"),
        api_version="apps/v1",
        problems=(problem,),
    )
    page = page_of(RecordedStory().record(60, rate_rps=40)[-1], leader="me", refused=(refused,))
    with answering(200, encode(page)) as url:
        code, _, err = forescale(capsys, "explain", "team/brt", "--controller", url)
    assert (code, err) == (1, f"forescale: {problem}\n")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            503,
            b'{"error": "this one does not lead; the leader is b-7d5-x2-1a2b", "leader": "b-7d5-x2-1a2b"}',
            "/debug/decisions: this one does not lead; the leader is b-7d5-x2-1a2b, ask that one: "
            "kubectl port-forward pod/b-7d5-x2 8080, in its namespace\n",
        ),
        (
            503,
            b'{"error": "this one does not lead; the leader is nobody yet", "leader": null}',
            "the leader is nobody yet, ask again in a while\n",
        ),
        (
            503,
            b'{"error": "no tick was completed yet"}',
            "no tick was completed yet, ask again in a",
        ),
        (502, b"bad gateway", "/debug/decisions: HTTP 502: bad gateway\n"),
        (200, b"<html>", "JSON is malformed"),
        (200, b'{"now_s": 1}', "missing required field"),
    ],
)
def test_explain_of_a_controller_that_answers_oddly(
    status: int, body: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(status, body) as url:
        code, _, err = forescale(capsys, "explain", "team/bert", "--controller", url)
    assert code == 1
    assert said in err
    assert err.count("\n") == 1


def test_what_is_unknown_is_a_dash_without_words_around_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of the first tick: no rate is known yet."""
    page = page_of(RecordedStory().record(10, rate_rps=40)[0], leader="me")
    with answering(200, encode(page)) as url:
        _, out, _ = forescale(capsys, "explain", "team/bert", "--controller", url)
    unknown = [line.split() for line in out.splitlines()]
    for name in ("demand", "outgrown", "latency"):
        assert [name, "-"] in unknown
    assert "with a chance of -" not in out
    assert "1 to the policy's max_replicas, pause none" in out
