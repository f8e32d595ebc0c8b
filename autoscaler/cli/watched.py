"""What `forescale watch` shows of each tick: on a terminal, in lines, or as JSON."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from autoscaler.cli.render import (
    NONE_ANNOTATED,
    UNKNOWN,
    console,
    count,
    duration,
    rate,
    share,
)
from autoscaler.codec import encode
from autoscaler.controller.server import DecisionsPage
from autoscaler.core.types import Decision, Severity, WorkloadSpec

# Changes that are kept in sight, and troubles.
LATELY, TROUBLES = 8, 6
# Three ticks without a new one are told.
LATE_S = 30.0


class Shown(Protocol):
    """Takes what comes."""

    def tick(self, page: DecisionsPage) -> None:
        """One that was not there before."""
        ...

    def waited(self, seconds: float) -> None:
        """For so long there has been no new one."""
        ...

    def without(self, why: str) -> None:
        """The controller gives no answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Another number of replicas is wanted than in the tick before, or the first that is seen."""

    at_s: float
    workload: str
    before: int
    after: int | None
    """None: the workload is not managed any more."""
    why: str

    @property
    def line(self) -> str:
        after = UNKNOWN if self.after is None else str(self.after)
        change = f"{after}, stays" if self.before == self.after else f"{self.before} -> {after}"
        return f"{_time(self.at_s)}  {self.workload}  {change}  {self.why}"


def turns(before: DecisionsPage | None, page: DecisionsPage) -> list[Turn]:
    """What became another number from one tick to the next; of the first tick, every workload."""
    was = {str(d.workload): d for d in before.decisions} if before else {}
    found = []
    for decision in page.decisions:
        last = was.pop(str(decision.workload), None)
        if last is not None and last.target == decision.target:
            continue
        found.append(
            Turn(
                at_s=page.now_s,
                workload=str(decision.workload),
                before=decision.current,
                after=decision.target,
                why=f"{decision.reason.value}: {decision.message}",
            )
        )
    found += [
        Turn(
            at_s=page.now_s, workload=name, before=last.target, after=None, why="is not managed now"
        )
        for name, last in was.items()
    ]
    return found


@contextmanager
def shown_on(*, as_json: bool) -> Iterator[Shown]:
    """The one that suits the output."""
    out = console()
    if as_json or not out.is_terminal:
        yield _Json() if as_json else _Lines(out)
        return
    with Live(console=out, auto_refresh=False, transient=False) as live:
        yield Screen(live)


def only(page: DecisionsPage, workloads: Collection[str]) -> DecisionsPage:
    """What is about these workloads, and about the fleet; of none, all of it."""
    if not workloads:
        return page
    kept = [
        (decision, spec)
        for decision, spec in zip(page.decisions, page.specs, strict=True)
        if str(decision.workload) in workloads
    ]
    return replace(
        page,
        decisions=tuple(decision for decision, _ in kept),
        specs=tuple(spec for _, spec in kept),
        refused=tuple(r for r in page.refused if str(r.workload) in workloads),
    )


class _Json:
    def __init__(self) -> None:
        self._missing: str | None = None

    def tick(self, page: DecisionsPage) -> None:
        self._missing = None
        print(encode(page).decode(), flush=True)

    def waited(self, seconds: float) -> None:
        """The next line is the next tick."""

    def without(self, why: str) -> None:
        if why != self._missing:
            console(stderr=True).print(f"! {why}")
        self._missing = why


class _Lines:
    def __init__(self, out: Console) -> None:
        self._out = out
        self._before: DecisionsPage | None = None
        self._told: set[tuple[str, str]] = set()

    def tick(self, page: DecisionsPage) -> None:
        for turn in turns(self._before, page):
            self._print(turn.line)
        self._before = page
        # Each when it begins: of one that lasts every tick tells.
        now = _troubles(page)
        for trouble in now:
            if trouble.about not in self._told:
                self._print(f"{_time(page.now_s)}  {trouble.text}")
        self._told = {trouble.about for trouble in now}

    def waited(self, seconds: float) -> None:
        if seconds > LATE_S:
            self.without("no new tick has come for half a minute")

    def without(self, why: str) -> None:
        if (why, "") not in self._told:
            self._told.add((why, ""))
            self._print(f"! {why}")

    def _print(self, text: str) -> None:
        self._out.print(text)
        self._out.file.flush()


class Screen:
    """A table that is kept as it is now."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._page: DecisionsPage | None = None
        self._lately: deque[Turn] = deque(maxlen=LATELY)

    def tick(self, page: DecisionsPage) -> None:
        if self._page is not None:
            self._lately.extend(turns(self._page, page))
        self._page = page
        self._draw("")

    def waited(self, seconds: float) -> None:
        self._draw(f"no new tick for {duration(seconds)}" if seconds > LATE_S else "")

    def without(self, why: str) -> None:
        self._draw(why)

    def _draw(self, trouble: str) -> None:
        page = self._page
        if page is None:
            return
        leader = f"{page.leader} leads, " if page.leader else ""
        parts: list[Text | Table] = [Text(f"{leader}tick of {_time(page.now_s)} UTC", style="dim")]
        if trouble:
            parts.append(Text(f"! {trouble}", style="yellow"))
        parts.append(_table(page) if page.decisions else Text(NONE_ANNOTATED))
        parts += _first_few(_troubles(page))
        if self._lately:
            parts.append(Text("\nlately", style="bold"))
            parts += [
                Text(turn.line, no_wrap=True, overflow="ellipsis")
                for turn in reversed(self._lately)
            ]
        self._live.update(Group(*parts), refresh=True)


def _table(page: DecisionsPage) -> Table:
    """Those that are to become another number first: a terminal may be too short for all."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("WORKLOAD", "SLO", "REPLICAS"):
        table.add_column(name, no_wrap=True)
    for name in ("READY", "DEMAND/S", "FOR/S", "LATENCY", "VIOLATED"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("REASON", no_wrap=True)
    rows = zip(page.decisions, page.specs, strict=True)
    for decision, spec in sorted(rows, key=lambda row: row[0].target == row[0].current):
        table.add_row(*_row(decision, spec))
    return table


def _row(decision: Decision, spec: WorkloadSpec) -> tuple[str | Text, ...]:
    facts, moves = decision.facts, decision.target != decision.current
    replicas = f"{decision.current} -> {decision.target}" if moves else str(decision.current)
    return (
        str(decision.workload),
        spec.slo.text,
        Text(replicas, style="bold" if moves else ""),
        count(facts.ready),
        rate(decision, spec, facts.offered_rps),
        rate(decision, spec, facts.upper_rps),
        duration(facts.latency_s),
        share(facts.violated_ratio),
        decision.reason.value,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    about: tuple[str, str]
    """Of one that lasts the words may change each tick, as minutes do."""
    text: str
    warns: bool = True


def _troubles(page: DecisionsPage) -> list[_Trouble]:
    """Of the fleet, of workloads, and of annotations that were refused."""
    findings = [("", finding) for finding in page.fleet]
    findings += [(str(d.workload), finding) for d in page.decisions for finding in d.findings]
    found = [
        _Trouble(
            about=(whose, finding.reason.value + finding.about),
            text=f"! {whose}{': ' if whose else ''}{finding.reason.value}: {finding.message}",
            warns=finding.severity is Severity.WARNING,
        )
        for whose, finding in findings
    ]
    found += [
        _Trouble(about=(str(refused.workload), str(problem)), text=f"! {problem}")
        for refused in page.refused
        for problem in refused.problems
    ]
    return found


def _first_few(troubles: Sequence[_Trouble]) -> Iterator[Text]:
    for trouble in troubles[:TROUBLES]:
        yield Text(trouble.text, style="yellow" if trouble.warns else "")
    if len(troubles) > TROUBLES:
        yield Text(f"! and {len(troubles) - TROUBLES} more")


def _time(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, tz=UTC):%H:%M:%S}"
