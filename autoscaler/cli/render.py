"""Tables and texts for people; every number with its unit, `-` for what is unknown."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from autoscaler.core.annotations import ASSUMED, POLICY
from autoscaler.core.nodes.observed import PoolDecision
from autoscaler.core.slices.observed import SlicesDecision
from autoscaler.core.types import Decision, Facts, Finding, WorkloadSpec
from autoscaler.core.untold import TOKEN_ENGINES

if TYPE_CHECKING:
    from autoscaler.simulation.changes import Change

UNKNOWN = "-"
NONE_ANNOTATED = "No workload is annotated with forescale.io/slo."
SOURCES = {
    "gateway": "gateway's histogram",
    "histogram": "servers' histogram",
    "summary": "servers' summaries",
}
# Without a terminal (a file, a CI log) there is no width to fit into.
PLAIN_WIDTH = 200
_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
WIDEST = 1000


class _Console(Console):
    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Names of models, and what servers say of themselves, are others' text: a terminal takes some characters of it
        for commands."""
        for segment in super().render(renderable, options):
            if segment.control or not _COMMANDS.search(segment.text):
                yield segment
            else:
                yield segment._replace(
                    text=_COMMANDS.sub("\N{REPLACEMENT CHARACTER}", segment.text)
                )

    def on_broken_pipe(self) -> None:
        """Rich would exit with 1: a reader that has seen enough (head, less) is no failure."""
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """For stdout, or for notes beside it."""
    stream = sys.stderr if stderr else sys.stdout
    if stream is None:
        # Started with the output closed: nobody hears what is told.
        stream = StringIO()
    width = None if stream.isatty() else PLAIN_WIDTH
    # What is printed holds names of others: "demand:office:" is no emoji, and "[a]" no style.
    return _Console(
        file=stream,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not stream.isatty(),
    )


def print_whole(out: Console, table: Table) -> None:
    """In the width that its figures need: a terminal that is narrower breaks lines, but no figure is cut short."""
    needed = Measurement.get(out, out.options.update(max_width=WIDEST), table).maximum
    before = out.size
    out.size = ConsoleDimensions(max(before.width, needed), before.height)
    out.print(table)
    out.size = before


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Says on a terminal what goes on, as long as it does: nothing that may take seconds is silent."""
    notes = console(stderr=True)
    if not notes.is_terminal:
        yield
        return
    with notes.status(text):
        yield


def pools_table(pools: Iterable[PoolDecision]) -> Table:
    """Headroom of node pools."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("POOL", "HEADROOM", "EXPECTED", "HELD", "FREE", "LEAD TIME", "REASON", "WHY"):
        table.add_column(name, no_wrap=name != "WHY")
    for pool in pools:
        facts = pool.facts
        table.add_row(
            pool.pool,
            number(pool.headroom),
            number(facts.demand),
            number(facts.held),
            number(facts.free),
            duration(facts.lead_time_s),
            pool.reason.value,
            "; ".join([pool.message, *(text for _, text in pool.findings)]),
        )
    return table


def decisions_table(rows: Iterable[tuple[Decision, WorkloadSpec]]) -> Table:
    """What `plan` shows."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("WORKLOAD", "SLO", "ENGINE", "MODE", "NOW", "TARGET", "REASON"):
        table.add_column(name, no_wrap=True)
    for name in ("DEMAND/S", "FOR/S", "ONE REPLICA/S", "LATENCY", "VIOLATED"):
        table.add_column(name, justify="right", no_wrap=True)
    for decision, spec in rows:
        facts = decision.facts
        table.add_row(
            str(decision.workload),
            spec.slo.text,
            f"{spec.engine} ({spec.engine_from.split()[0]})",
            decision.mode.value,
            str(decision.current),
            Text(str(decision.target), style="bold" if decision.target != decision.current else ""),
            decision.reason.value,
            *(
                rate(decision, spec, rps)
                for rps in (facts.offered_rps, facts.upper_rps, facts.capacity_rps)
            ),
            duration(facts.latency_s),
            share(facts.violated_ratio),
        )
    return table


def changes_table(changes: Iterable[Change]) -> Table:
    """What `explain --since` shows."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("AT (UTC)", "REPLICAS", "REASON", "WHY"):
        table.add_column(name, no_wrap=name != "WHY")
    for change in changes:
        at = datetime.fromtimestamp(change.at_s, tz=UTC)
        table.add_row(
            f"{at:%Y-%m-%d %H:%M:%S}",
            f"{change.before} -> {change.after}",
            UNKNOWN if change.reason is None else change.reason.value,
            change.message,
        )
    return table


def explanation(decision: Decision, spec: WorkloadSpec, now_s: float) -> Iterable[Text | Table]:
    """What `explain` shows: the answer, how it came about, what it rests on, what else one should know."""
    at = datetime.fromtimestamp(now_s, tz=UTC)
    yield Text.assemble(
        (str(decision.workload), "bold"),
        f"   {slo_of(spec)}   mode {decision.mode.value}   at {at:%Y-%m-%d %H:%M:%S} UTC",
    )
    change = (
        f"{decision.current}, stays"
        if decision.target == decision.current
        else f"{decision.current} -> {decision.target}"
    )
    yield Text.assemble((change, "bold"), f"   {decision.reason.value}: {decision.message}")
    yield Text()
    yield _steps(decision)
    yield Text()
    yield _facts(decision, spec)
    if decision.counterfactual:
        yield Text(f"\nOne fewer: {decision.counterfactual}")
    yield from finding_lines(decision.findings)


def slo_of(spec: WorkloadSpec) -> str:
    """As it was written, and by whom where that is not the team."""
    return f"{spec.slo.text} (the policy's)" if spec.slo_from == POLICY else spec.slo.text


def slice_lines(slices: SlicesDecision) -> Iterable[Text]:
    """One line for each variant group, template and slice pool, and one for each of a pool's findings."""
    for group in slices.groups:
        yield Text.assemble(("group ", ""), (group.group, "bold"), f"   {group.message}")
    for shape in slices.shapes:
        told = f"   {shape.shape}   {shape.reason.value}: {shape.message}"
        yield Text.assemble(("template ", ""), (shape.workload, "bold"), told)
    for pool in slices.pools:
        cut = ", ".join(f"{count} x {config or 'no config'}" for config, count in pool.configs)
        yield Text.assemble(
            ("slice pool ", ""),
            (pool.pool, "bold"),
            f"   {cut or 'no nodes'}   {pool.reason.value}: {pool.message}",
        )
        for reason, _, message in pool.findings:
            yield Text(f"! {reason.value}: {message}", style="yellow")


def finding_lines(findings: Iterable[Finding]) -> Iterable[Text]:
    """One line each."""
    for finding in findings:
        style = "yellow" if finding.severity.value == "Warning" else ""
        yield Text(f"! {finding.reason.value}: {finding.message}", style=style)


def _steps(decision: Decision) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("STEP", "REPLICAS", "REASON", "WHY"):
        table.add_column(name, no_wrap=name != "WHY")
    for step in decision.steps:
        moved = f"{step.before} -> {step.after}" if step.before != step.after else str(step.after)
        table.add_row(step.stage, moved, step.reason.value, step.message)
    return table


def _facts(decision: Decision, spec: WorkloadSpec) -> Table:
    facts = decision.facts
    table = Table(box=None, pad_edge=False, show_header=False)
    violated = share(facts.violated_ratio)
    if facts.violated_low_ratio is not None and facts.violated_high_ratio is not None:
        low, high = share(facts.violated_low_ratio), share(facts.violated_high_ratio)
        violated += f" (between {low} and {high})"
    if facts.violated_of is not None:
        violated += f" of {facts.violated_of}"
    if facts.violated_from is not None:
        estimated = ", an estimate" if facts.violated_from == "summary" else ""
        violated += f", from the {SOURCES[facts.violated_from]}{estimated}"
    unit = "tokens/s" if _tokens(decision, spec) else "inferences/s"
    rows = (
        ("engine", _engine(spec)),
        ("demand", _known(facts.offered_rps, "{} " + unit + " arriving")),
        ("provided for", _known(facts.upper_rps, "{} " + unit + ", over the lead time")),
        ("outgrown", _outgrown(facts)),
        ("one replica", _known(facts.capacity_rps, "carries {} " + unit + " within the SLO")),
        *([("limited by", facts.capacity_limit)] if facts.capacity_limit else []),
        *([("not proven", facts.capacity_unproven)] if facts.capacity_unproven else []),
        ("busy replicas", _known(facts.work_ratio, "{} replicas' work is asked for")),
        ("may be busy", _known(facts.utilization_limit_ratio, "{} of the time", share)),
        ("latency", _latency(facts)),
        ("violated", violated),
        ("pods", _pods(decision)),
        ("time to ready", _time_to_ready(decision)),
        (
            "metrics",
            _known(facts.coverage_ratio, "from {} of the ready pods", share)
            + _known(facts.sample_age_s, ", {} old", duration, unknown=""),
        ),
        ("bounds", _bounds(spec)),
    )
    for name, text in rows:
        table.add_row(name, text)
    return table


def _tokens(decision: Decision, spec: WorkloadSpec) -> bool:
    """Without a sample the engine tells, if it is one of forescale's own."""
    return decision.facts.tokens or spec.engine in TOKEN_ENGINES


def rate(decision: Decision, spec: WorkloadSpec, rps: float | None) -> str:
    """What its engine counts, a second."""
    return _known(rps, "{} tokens" if _tokens(decision, spec) else "{}")


def _known(
    value: float | None,
    text: str,
    shown: Callable[[float | None], str] | None = None,
    unknown: str = UNKNOWN,
) -> str:
    """The text around a figure; without the figure it would say nothing."""
    return unknown if value is None else text.format((shown or number)(value))


def _outgrown(facts: Facts) -> str:
    parts = (
        _known(facts.exceeded_ratio, "with a chance of {}", share, unknown=""),
        _known(facts.price, "a miss is priced at {} requests", unknown=""),
    )
    return "; ".join(filter(None, parts)) or UNKNOWN


def _latency(facts: Facts) -> str:
    parts = (
        _known(facts.latency_s, "{}", duration, unknown=""),
        _known(facts.queue_ratio, "queue's share {}", share, unknown=""),
    )
    return "; ".join(filter(None, parts)) or UNKNOWN


def _bounds(spec: WorkloadSpec) -> str:
    most = "the policy's max_replicas" if spec.max_replicas is None else str(spec.max_replicas)
    return f"{spec.min_replicas} to {most}, pause {spec.pause.value}"


def _engine(spec: WorkloadSpec) -> str:
    by = spec.engine_from
    return f"{spec.engine}, {by}" if by == ASSUMED else f"{spec.engine}, known by {by}"


def _time_to_ready(decision: Decision) -> str:
    facts = decision.facts
    text = duration(facts.lead_time_s)
    if facts.start_time_s is None or facts.start_time_s == facts.lead_time_s:
        return text
    return f"{text}, the wait for a node included; {duration(facts.start_time_s)} without"


def _pods(decision: Decision) -> str:
    facts = decision.facts
    text = f"{count(facts.ready)} ready, {count(facts.starting)} starting"
    return f"{text}; sick: {', '.join(ill.pod for ill in decision.sick)}" if decision.sick else text


def number(value: float | None) -> str:
    """Three digits."""
    return UNKNOWN if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def count(value: int | None) -> str:
    """As it is."""
    return UNKNOWN if value is None else str(value)


def counted(how_many: int, what: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{how_many} {what}" if how_many == 1 else f"{how_many} {what}s"


def share(ratio: float | None) -> str:
    """In percent; what is too small to matter is not told to its last digit."""
    if ratio is None:
        return UNKNOWN
    return "< 0.01 %" if 0.0 < ratio < 1e-4 else f"{ratio * 100:.3g} %"


def moment(at_s: float) -> str:
    """As options take it, in UTC."""
    return f"{datetime.fromtimestamp(at_s, tz=UTC):%Y-%m-%dT%H:%M:%SZ}"


def duration(seconds: float | None) -> str:
    """In milliseconds below a second, in seconds below two minutes, then in minutes, hours and days."""
    if seconds is None:
        return UNKNOWN
    if seconds < 1.0:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120.0:
        return f"{seconds:.3g} s"
    if seconds < 120.0 * 60.0:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h" if seconds < 48.0 * 3600.0 else f"{seconds / 86400:,.0f} days"
