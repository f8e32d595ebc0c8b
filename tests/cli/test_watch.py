"""`forescale watch`: each tick of a running controller, as it comes."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace

import pytest
from rich.live import Live

from autoscaler.cli.render import console
from autoscaler.cli.watch import follow
from autoscaler.cli.watched import Screen, shown_on, turns
from autoscaler.codec import encode
from autoscaler.controller.ports import Refused
from autoscaler.controller.server import DecisionsPage, page_of
from autoscaler.core.reasons import Reason
from autoscaler.core.types import Finding, Severity, WorkloadId
from autoscaler.errors import AutoscalerError, Problem
from tests.cli.command import forescale
from tests.fakes.answering import answering
from tests.fakes.clock import FakeClock
from tests.fakes.recorded import RecordedStory

LATE = Finding(
    reason=Reason.NOT_STARTING, message="not ready 11 minutes", severity=Severity.WARNING
)
REFUSED = Refused(
    workload=WorkloadId(namespace="team", name="gpt", kind="Deployment"),
    api_version="apps/v1",
    reason=Reason.INVALID_ANNOTATION,
    problems=(Problem("forescale.io/slo", "'fast'", "is no objective"),),
)


def surge() -> list[DecisionsPage]:
    """Three ticks: two replicas suffice, a surge, and it is answered."""
    story = RecordedStory(replicas=2)
    calm = story.record(120, rate_rps=30.0)[-1]
    risen, after = story.record(20, rate_rps=60.0)
    return [page_of(record, leader="forescale-a") for record in (calm, risen, after)]


def told(page: DecisionsPage, *findings: Finding) -> DecisionsPage:
    (decision,) = page.decisions
    return replace(page, decisions=(replace(decision, findings=findings),))


class Heard:
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.all: list[object] = []

    def tick(self, page: DecisionsPage) -> None:
        self.all.append(page)

    def waited(self, seconds: float) -> None:
        self.all.append(seconds)

    def without(self, why: str) -> None:
        self.all.append(why)


def followed(*answers: DecisionsPage | str, every_s: float = 4.0) -> list[object]:
    """What is shown of these answers, one each `every_s`; a text is none."""
    left, heard = list(answers), Heard()

    def ask() -> DecisionsPage:
        answer = left.pop(0)
        if isinstance(answer, str):
            raise AutoscalerError(answer)
        return answer

    for_s = every_s * (len(answers) - 1)
    asyncio.run(follow(ask, heard, FakeClock(), every_s=every_s, for_s=for_s))
    assert not left
    return heard.all


def test_a_tick_is_shown_once_and_an_answer_that_is_missing_is_waited_for() -> None:
    one, two, _ = surge()
    assert followed(one, one, one, "refused", two, one) == [one, 4.0, 8.0, "refused", two, one]


def test_a_controller_that_never_answered_is_an_error() -> None:
    with pytest.raises(AutoscalerError, match="refused"):
        followed("refused")


def test_turns_are_the_numbers_that_became_others() -> None:
    calm, risen, after = surge()
    (first,) = turns(None, calm)
    assert (first.before, first.after) == (2, 2)
    assert first.line.split("  ")[1:3] == ["team/bert", "2, stays"]
    (rise,) = turns(calm, risen)
    assert (rise.before, rise.after) == (2, 4)
    assert rise.why.startswith(risen.decisions[0].reason.value)
    assert turns(after, after) == []
    (gone,) = turns(after, replace(after, decisions=(), specs=()))
    assert (gone.workload, gone.after, gone.why) == ("team/bert", None, "is not managed now")


def test_lines_are_for_changes_and_for_troubles_as_they_begin(
    capsys: pytest.CaptureFixture[str],
) -> None:
    calm, risen, _ = surge()
    pages = iter(
        [
            told(calm),
            told(risen, LATE),
            told(replace(risen, now_s=risen.now_s + 10.0), replace(LATE, message="not ready 12")),
        ]
    )
    with shown_on(as_json=False) as shown:
        for page in pages:
            shown.tick(page)
        shown.without("connection refused")
        shown.without("connection refused")
    first, second, third, fourth = capsys.readouterr().out.splitlines()
    assert "  team/bert  2, stays  " in first
    assert "  team/bert  2 -> 4  " in second
    assert third.endswith("! team/bert: ReplicasNotStarting: not ready 11 minutes")
    assert fourth == "! connection refused"


def test_json_is_a_line_for_each_tick(capsys: pytest.CaptureFixture[str]) -> None:
    calm, _, _ = surge()
    with answering(200, encode(calm)) as url:
        code, out, err = forescale(capsys, "watch", "--controller", url, "--for", "0", "--json")
    assert (code, err) == (0, "")
    (line,) = out.splitlines()
    assert json.loads(line)["decisions"][0]["target"] == 2
    with shown_on(as_json=True) as shown:
        for _ in range(2):
            shown.without("connection refused")
        shown.tick(calm)
    told = capsys.readouterr()
    assert (told.out, told.err) == (out, "! connection refused\n")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("team/brt",), 1, "team/brt: is not known, did you mean team/bert?"),
        (("--every", "0"), 2, "--every: 0, must be 0.1 to 3600 s"),
        (("--every", "nan"), 2, "--every: nan, must be 0.1 to 3600 s"),
        (("--for", "-1"), 2, "--for: -1, must be 0 s or more"),
        (("--controller", "nowhere"), 2, "must be like http://127.0.0.1:8080"),
    ],
)
def test_bad_input(
    options: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(200, encode(surge()[0])) as url:
        given = ("watch", "--controller", url, "--for", "0", *options)
        found, _, err = forescale(capsys, *given)
    assert (found, said in err) == (code, True), err


def test_what_is_refused_is_known_too(capsys: pytest.CaptureFixture[str]) -> None:
    page = replace(surge()[0], refused=(REFUSED,))
    with answering(200, encode(page)) as url:
        code, out, _ = forescale(capsys, "watch", "team/gpt", "--controller", url, "--for", "0")
    assert code == 0
    assert out.splitlines()[0].endswith("! forescale.io/slo: 'fast', is no objective")


def test_a_screen_has_the_table_the_last_changes_and_what_is_wrong() -> None:
    calm, risen, after = surge()
    out = console()
    out.file, out.width, out.height = io.StringIO(), 120, 40
    with Live(console=out, auto_refresh=False) as live:
        screen = Screen(live)
        screen.without("not shown before there is anything")
        screen.tick(calm)
        screen.tick(told(risen, *[LATE] * 8))
        screen.waited(12.0)
        screen.tick(after)
        screen.waited(31.0)
        shown = "\n".join(
            "".join(segment.text for segment in line)
            for line in out.render_lines(live.renderable, pad=False)
        )
    lines = shown.splitlines()
    assert lines[0].startswith("forescale-a leads, tick of ")
    assert lines[1] == "! no new tick for 31 s"
    assert lines[2].split() == [
        "WORKLOAD",
        "SLO",
        "REPLICAS",
        "READY",
        "DEMAND/S",
        "FOR/S",
        "LATENCY",
        "VIOLATED",
        "REASON",
    ]
    assert lines[3].startswith("team/bert")
    lately = lines[lines.index("lately") + 1 :]
    assert ["  ".join(line.split("  ")[1:3]) for line in lately] == [
        "team/bert  4 -> 7",
        "team/bert  2 -> 4",
    ]


def test_tokens_are_called_tokens() -> None:
    calm, _, _ = surge()
    (decision,) = calm.decisions
    counts = replace(decision, facts=replace(decision.facts, offered_rps=900.0, tokens=True))
    out = console()
    out.file, out.width = io.StringIO(), 120
    with Live(console=out, auto_refresh=False) as live:
        Screen(live).tick(replace(calm, decisions=(counts,)))
        out.print(live.renderable)
    assert " 900 tokens " in out.file.getvalue()
