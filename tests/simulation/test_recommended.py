"""What forescale would have run: what is observed, what is estimated and how far, and what can't be known."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autoscaler.cli import main
from autoscaler.core.compliance import Bounds
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import (
    LatencyObjective,
    ModelCounters,
    PodSample,
    PodStatus,
    ReplicaStatus,
    Slo,
    SloForm,
    TickInput,
    TickRecord,
    WorkloadInput,
)
from autoscaler.engine import DecisionEngine
from autoscaler.simulation.backtest import Watched
from autoscaler.simulation.journal_file import (
    JournalHeader,
    JournalInvalid,
    header_line,
    record_line,
)
from autoscaler.simulation.nodes import Span
from autoscaler.simulation.recommended.comparison import (
    WorkloadReport,
    percent,
    report_of,
    summed,
    worse,
)
from autoscaler.simulation.recommended.estimate import AsItWas, Estimate, estimate
from autoscaler.simulation.recommended.node_hours import Held, both_sides, node_gpu_hours
from autoscaler.simulation.recommended.observed import Told, read
from tests.core.story import spec
from tests.core.test_ledger import slo
from tests.fakes.watched import HPA, watched_journal

HOURS = 0.75


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six replicas for a hump of demand that needs two or three."""
    path = tmp_path_factory.mktemp("watched") / "forescale.jsonl"
    return watched_journal(path, hours=HOURS, replicas=6)


@pytest.fixture(scope="module")
def told(journal: Path) -> Told:
    return read([journal])


@pytest.fixture(scope="module")
def found(told: Told) -> Estimate:
    answer = estimate(told.observed[0], told.watched[0], told.config)
    assert isinstance(answer, Estimate)
    return answer


@pytest.fixture(scope="module")
def report(told: Told, found: Estimate) -> WorkloadReport:
    return report_of(told.observed[0], found)


def test_what_was_there_is_counted(told: Told) -> None:
    (observed,) = told.observed
    # Six GPUs from the first tick at 10 s to the last at 2,690 s.
    assert observed.gpu_hours == pytest.approx(6 * 2680 / 3600)
    assert observed.replica_hours == observed.gpu_hours
    assert observed.known_s == 2680.0
    assert observed.held_by == HPA
    assert observed.replicas == ((0.0, 6),)
    assert set(observed.wanted) == {6.0}
    assert observed.compliance.compliance.estimate == pytest.approx(1.0)
    assert observed.budget_left[-1] == pytest.approx(1.0, abs=0.01)


def test_the_estimate_follows_forescale_and_not_its_next_steps(
    told: Told, found: Estimate, report: WorkloadReport
) -> None:
    (observed,) = told.observed
    assert found.run.wanted[-1] < 3
    assert found.gpu_hours < 0.7 * observed.gpu_hours
    # From six, the controller never came to say as few: it was never followed.
    assert report.recommended_replica_hours > report.estimated_gpu_hours  # type: ignore[operator]


def test_the_model_is_judged_by_what_was_there(told: Told, found: Estimate) -> None:
    (observed,) = told.observed
    assert found.there_gpu_hours == pytest.approx(observed.gpu_hours, rel=0.02)
    seen = observed.compliance.compliance
    off = max(abs(found.there_good_ratio - seen.low), abs(found.there_good_ratio - seen.high))
    assert found.low_ratio == pytest.approx(max(0.0, found.good_ratio - off))
    assert found.low_ratio <= found.good_ratio <= found.high_ratio


def test_what_was_not_seen_makes_both_sides_uncertain(tmp_path: Path) -> None:
    path = watched_journal(
        tmp_path / "forescale.jsonl", hours=0.5, replicas=4, outage=Span(start_s=600.0, end_s=900.0)
    )
    blind = read([path])
    (observed,) = blind.observed
    assert observed.compliance.compliance.low < 0.9
    assert observed.explained.seen_rps[12] is None
    answer = estimate(observed, blind.watched[0], blind.config)
    assert isinstance(answer, Estimate)
    both = report_of(observed, answer)
    assert both.kept is None
    assert both.would_keep is None


def test_they_differ_most_where_most_replicas_were_too_many(report: WorkloadReport) -> None:
    (hour,) = report.differed_most
    assert (hour.from_time, hour.there) == ("2026-01-01 00:00", 6.0)
    assert hour.ours < 5.0
    assert hour.replica_hours == pytest.approx((hour.ours - 6.0) * HOURS, rel=0.05)
    assert hour.why.startswith("DemandFalling: ")


@pytest.mark.parametrize(
    ("text", "late", "judged", "good"),
    [
        ("p95 ttft < 1s, p95 tpot < 50ms", 0.4, "p95 tpot < 50ms", 0.0),
        ("p95 ttft < 1s, p95 tpot < 50ms", 0.0, "p95 ttft < 1s", 1.0),
        ("99% < 10s, 99% tpot < 50ms", 0.4, "99% tpot < 50ms", 0.6),
        # Estimates are made for the first of those on latency, and both sides are of the same.
        ("99% < 10s, 95% < 1s", 0.0, "99% < 10s", 1.0),
    ],
)
def test_of_several_objectives_the_one_that_spent_most_is_told(
    text: str, late: float, judged: str, good: float, tmp_path: Path
) -> None:
    """100 answers in each 10 s: first tokens all within a second, 10 % of whole answers not, `late` of tokens slow."""
    engine = DecisionEngine(EngineConfig())
    header = JournalHeader(config=EngineConfig(), state=engine.snapshot())
    lines = [header_line(header)]
    pods = (PodStatus(name="llm-0", template_hash="h", created_s=0.0, ready_s=1.0),)
    for tick in range(1, 31):
        done = 100.0 * tick
        counters = ModelCounters(
            model="m",
            success=done,
            latency_buckets=((1.0, 0.9 * done), (10.0, done), (1e308, done)),
            ttft_buckets=((1.0, done), (1e308, done)),
            tpot_buckets=((0.05, (1.0 - late) * done), (1e308, done)),
        )
        now_s = 1e9 + 10.0 * tick
        given = WorkloadInput(
            spec=spec("llm", slo=slo(text), engine="vllm"),
            replicas=ReplicaStatus(desired=1, template_hash="h"),
            pods=pods,
            samples=(PodSample(pod="llm-0", sampled_at_s=now_s - 1.0, models=(counters,)),),
        )
        asked = TickInput(now_s=now_s, workloads=(given,))
        lines.append(record_line(TickRecord(input=asked, result=engine.tick(asked))))
    path = tmp_path / "forescale.jsonl"
    path.write_bytes(b"".join(lines))
    (observed,) = read([path]).observed
    told = report_of(observed, "it was not asked for")
    assert told.judged == f"{judged} (of several)"
    assert told.good.estimate == pytest.approx(good, abs=0.02)
    assert (observed.budget_left[-1] or 0.0) == pytest.approx(
        1.0 - (1.0 - good) / 0.01, rel=0.1, abs=0.02
    )


def test_tokens_and_unmeasured_servers_get_no_estimate(told: Told) -> None:
    (observed,) = told.observed
    ttft = LatencyObjective(form=SloForm.MINUTES, ratio=0.99, threshold_s=2.0, signal="ttft")
    tokens = replace(observed, spec=replace(observed.spec, slo=Slo(objectives=(ttft,))))
    assert "on tokens" in str(estimate(tokens, told.watched[0], EngineConfig()))
    unmeasured = Watched(last=told.watched[0].last, demand=told.watched[0].demand)
    assert "no service time was measured" in str(estimate(observed, unmeasured, EngineConfig()))
    none = report_of(observed, "it was not asked for")
    assert (none.would_keep, none.estimated_gpu_hours) == (None, None)
    # Then the hours compare with what was recommended at the time.
    assert none.differed_most[0].ours > 2.0
    assert summed([none]) == (0.0, 0.0, 0)


def bounds(low: float, high: float) -> Bounds:
    return Bounds(low=low, estimate=(low + high) / 2.0, high=high)


@pytest.mark.parametrize(
    ("good", "estimated", "kept", "would_keep"),
    [
        (bounds(0.995, 0.999), bounds(0.98, 0.985), True, False),
        (bounds(0.97, 0.98), bounds(0.99, 1.0), False, True),
        (bounds(0.98, 0.999), bounds(0.98, 0.999), None, None),
        (bounds(0.98, 0.99), None, None, None),
    ],
)
def test_an_objective_is_kept_missed_or_uncertain(
    report: WorkloadReport,
    good: Bounds,
    estimated: Bounds | None,
    kept: bool | None,
    would_keep: bool | None,
) -> None:
    changed = replace(report, good=good, estimated_good=estimated, target_ratio=0.99)
    assert (changed.kept, changed.would_keep) == (kept, would_keep)


# ---------------------------------------------------------------- nodes


@pytest.mark.parametrize(
    ("workloads", "gpu_hours"),
    [
        pytest.param([(1.0, ((0.0, 3),))], 8.0, id="three pods are one node for the hour"),
        pytest.param([(1.0, ((0.0, 9),))], 16.0, id="the ninth needs a second"),
        pytest.param(
            [(1.0, ((0.0, 9), (900.0, 8)))],
            8.0 + 8.0 * 1500.0 / 3600.0,
            id="which goes 10 minutes after it",
        ),
        pytest.param(
            [(1.0, ((0.0, 9), (900.0, 8), (1200.0, 9)))],
            16.0,
            id="unless another comes within them",
        ),
        pytest.param([(4.0, ((0.0, 1),)), (4.0, ((0.0, 1),))], 8.0, id="workloads share a node"),
        pytest.param([(4.0, ((0.0, 3),))], 16.0, id="two replicas of four GPUs a node"),
        pytest.param([(1.0 / 7.0, ((0.0, 56),))], 8.0, id="eight times seven slices"),
        pytest.param([(16.0, ((0.0, 1),))], 16.0, id="a replica larger than a node"),
        pytest.param(
            [(1.0, ((0.0, 8),)), (1.0, ((0.0, 8), (0.5, 0)))],
            8.0 + 8.0 * 600.5 / 3600.0,
            id="a workload that is gone leaves its node idle",
        ),
        pytest.param([], 0.0, id="nothing"),
    ],
)
def test_nodes_are_paid_from_the_request_until_they_are_gone(
    workloads: list[tuple[float, tuple[tuple[float, int], ...]]], gpu_hours: float
) -> None:
    held = [Held(gpus_per_replica=gpus, pods=pods) for gpus, pods in workloads]
    assert node_gpu_hours(held, until_s=3600.0) == pytest.approx(gpu_hours)


def test_both_sides_pay_for_nodes_over_the_same_time(told: Told, found: Estimate) -> None:
    """Six replicas and two or three: one node either way, and nothing is saved by it."""
    (observed,) = told.observed
    nodes = both_sides([(observed, found)])
    assert nodes is not None
    paid_s = observed.duration_s - found.offset_s
    assert nodes == pytest.approx((8 * paid_s / 3600, 8 * paid_s / 3600))
    assert both_sides([(observed, "it was not asked for")]) is None


def test_shares_show_their_bounds() -> None:
    assert percent(bounds(0.99, 0.995)) == "99.25% (99.00 to 99.50)"
    assert percent(bounds(1.0, 1.0)) == "100.00%"
    assert percent(None) == "-"


def test_replicas_as_they_were() -> None:
    class At:
        replicas = 0

        def __init__(self, now_s: float) -> None:
            self.now_s = now_s

    was = AsItWas(((-5.0, 2), (100.0, 4)))
    assert [was.replicas(At(now_s)) for now_s in (0.0, 99.0, 100.0)] == [2, 2, 4]  # type: ignore[arg-type]
    assert AsItWas(((50.0, 3),)).replicas(At(0.0)) == 3  # type: ignore[arg-type]


def test_a_torn_last_line_is_left_out_wherever_it_is(journal: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(journal.read_bytes()[:-40])
    assert len(read([torn]).observed) == 1
    assert len(read([torn, journal]).observed) == 1
    torn.write_bytes(journal.read_bytes()[:40])
    with pytest.raises(JournalInvalid, match="torn.jsonl:1: .* the writer was stopped"):
        read([torn])


# ---------------------------------------------------------------- the command


def test_the_command_shows_both_sides_and_writes_a_page(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "report.html"
    assert main(["report", str(journal.parent), "--html", str(html)]) == 0
    shown = capsys.readouterr().out
    for said in ("GOOD, ESTIMATED", HPA, "6.0 replicas there", "their nodes: ", str(html)):
        assert said in shown
    page = html.read_text()
    for said in (
        "What forescale would have run",
        "How far the model can be trusted here",
        "no confidence interval",
        "recommended then",
        "nodes of 8 GPUs, each gone 10 minutes after its last pod",
    ):
        assert said in page


def test_as_json_and_without_an_estimate(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(journal), "--json", "--no-estimate"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["total"]["workloads"] == 0
    assert told["total"]["node_gpu_hours"] is None
    (one,) = told["workloads"]
    assert one["held_by"] == HPA
    assert one["no_estimate"] == "it was not asked for"
    assert one["estimated_good"] is None


def test_what_many_have_in_common_is_said_once(
    journal: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def three(paths: list[Path], workload: str | None, **others: object) -> Told:
        told = read(paths, workload)
        return replace(told, observed=told.observed * 3, watched=told.watched * 3)

    monkeypatch.setattr("autoscaler.simulation.recommended.observed.read", three)
    assert main(["report", str(journal), "--no-estimate"]) == 0
    out = capsys.readouterr().out
    assert out.count("no estimate") == 1
    assert " and 2 more: no estimate: it was not asked for" in out


def test_worse_is_what_was_kept_and_would_certainly_have_been_missed(
    report: WorkloadReport,
) -> None:
    kept = replace(report, good=bounds(0.995, 0.999), target_ratio=0.99)
    lost = replace(kept, estimated_good=bounds(0.9, 0.95))
    unsure = replace(kept, estimated_good=bounds(0.9, 0.999))
    both_missed = replace(lost, good=bounds(0.9, 0.95))
    assert worse([kept, lost, unsure, both_missed]) == (lost,)


def test_without_what_the_model_needs_it_tells_the_rest(journal: Path) -> None:
    code = (
        "import sys; sys.modules['numba'] = None; from autoscaler.cli import main; "
        f"sys.exit(main(['report', {str(journal)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (
        "no estimate: numba is not installed, run: pip install 'forescale[simulation]'"
        in done.stdout
    )


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "holds no journal, name a journal file, or a folder with forescale.jsonl in it"),
        (("none.jsonl",), "No such file"),
    ],
)
def test_without_a_journal(
    argv: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path.joinpath(*argv))]) == 2
    assert said in capsys.readouterr().err


def test_a_page_that_can_not_be_written(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(journal), "--no-estimate", "--html", str(tmp_path)]) == 1
    assert f"{tmp_path}: Is a directory, name another place" in capsys.readouterr().err


def test_an_empty_journal_or_an_unknown_workload(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "forescale.jsonl"
    empty.write_bytes(header_line(JournalHeader()))
    assert main(["report", str(empty)]) == 1
    assert "holds no workload over two ticks yet" in capsys.readouterr().err
    assert main(["report", str(journal), "--workload", "team/none"]) == 1
    assert "does not hold team/none" in capsys.readouterr().err
