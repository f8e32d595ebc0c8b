"""The report as a page: what was there on the left, forescale's estimated run on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoscaler import __version__
from autoscaler.report.content import (
    Card,
    Cell,
    Form,
    Kind,
    Look,
    Page,
    Plot,
    Section,
    Series,
    Table,
    Turns,
    Values,
    Why,
)
from autoscaler.simulation import plots
from autoscaler.simulation.recommended.comparison import (
    WorkloadReport,
    percent,
    places,
    shifted,
    summed,
)
from autoscaler.simulation.recommended.estimate import Estimate
from autoscaler.simulation.recommended.node_hours import RULE
from autoscaler.simulation.recommended.observed import Observed

THERE, OURS = "what was there", "forescale, estimated"
NOTES = (
    "Observed: from the metrics that the controller read. What was not seen does not count as good; bounds "
    "take in what the source of latency can't tell exactly, and what the unseen time may have held.",
    "Estimated: the demand that was observed, run once more on a modelled cluster with service times and start-ups as "
    "they were measured, with the engine deciding. It begins without memory, and without forecasts.",
    "The range: the same model was given the replicas that really ran; as far as it is from what was observed of them, "
    "the estimate may be off too. That is no confidence interval, and a demand that reacts to latency is not modelled.",
    "Not known: nodes that would have had to boot, requests that clients gave up, what other workloads' pods took.",
    "GPU-hours: of every pod from its creation until it was gone, in the time in which pods were known.",
    f"Nodes, by one rule for both sides and not as they really were: {RULE}; pods share them and never move.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One workload: what was seen, what is estimated, and the figures of both."""

    observed: Observed
    found: Estimate | str
    report: WorkloadReport


def page_of(where: str, compared: Sequence[Compared], nodes: tuple[float, float] | None) -> Page:
    """Everything. `where` names the journal; `nodes` are the nodes' GPU-hours there and by the estimate."""
    reports = [item.report for item in compared]
    many = "1 workload" if len(reports) == 1 else f"{len(reports)} workloads"
    return Page(
        title="What forescale would have run",
        lead=f"{many} over {max((r.hours for r in reports), default=0.0):.1f} h, from {where}: what "
        "was there, and beside it what forescale would have run, as an estimate whose range is shown.",
        cards=_cards(reports, nodes),
        table=_table(reports),
        sections=tuple(_section(item) for item in compared),
        notes=(f"forescale {__version__}. Times are UTC.", *NOTES),
    )


def _cards(
    reports: Sequence[WorkloadReport], nodes: tuple[float, float] | None
) -> tuple[Card, ...]:
    there, ours, both = summed(reports)
    change = "" if there <= 0.0 else f", {100 * (ours - there) / there:+.0f} %"
    kept = sum(r.kept is True for r in reports)
    missed = sum(r.kept is False for r in reports)
    would = sum(r.would_keep is True for r in reports)
    fails = sum(r.would_keep is False for r in reports)
    paid = ("", "") if nodes is None else tuple(f"; nodes {hours:.1f} GPU-hours" for hours in nodes)
    return (
        Card(
            title=THERE,
            figure=f"{there:.1f} GPU-hours",
            text=f"objectives: {kept} kept, {missed} missed, {len(reports) - kept - missed} uncertain{paid[0]}",
        ),
        Card(
            title=OURS,
            figure=f"{ours:.1f} GPU-hours{change}",
            text=f"objectives: {would} kept, {fails} missed, {len(reports) - would - fails} uncertain"
            f"{paid[1]}",
        ),
        Card(
            title="compared",
            figure=f"{both} of {len(reports)}",
            text="workloads have an estimate; GPU-hours are of these",
        ),
    )


def _table(reports: Sequence[WorkloadReport]) -> Table:
    rows = []
    for r in reports:
        rows.append(
            (
                Cell(text=str(r.workload)),
                Cell(text=r.judged),
                Cell(text=r.held_by or f"mode {r.mode}"),
                Cell(text=percent(r.good), good=r.kept),
                Cell(text=percent(r.estimated_good), good=r.would_keep),
                Cell(text=f"{100 * r.target_ratio:.4g}%"),
                Cell(text=f"{r.gpu_hours:.1f}"),
                Cell(text="-" if r.estimated_gpu_hours is None else f"{r.estimated_gpu_hours:.1f}"),
            )
        )
    columns = (
        *("workload", "objective", "scaled by", "good, observed", "good, estimated", "target"),
        *("GPU-hours there", "GPU-hours estimated"),
    )
    return Table(columns=columns, rows=tuple(rows))


def _section(item: Compared) -> Section:
    observed, report = item.observed, item.report
    estimated = None if isinstance(item.found, str) else item.found
    turns = [
        Turns(
            title=f"What forescale recommended at the time: {len(observed.explained.turns)} turns",
            turns=observed.explained.turns,
        )
    ]
    if estimated is not None and estimated.run.explained is not None:
        own = shifted(estimated.run.explained.turns, estimated.offset_s)
        turns.append(Turns(title=f"{OURS}: {len(own)} turns", turns=own))
    return Section(
        title=str(observed.spec.id),
        lead=(
            observed.spec.slo.text,
            report.held_by or f"mode {report.mode}",
            f"from {report.from_time} UTC, {report.hours:.1f} h",
            f"{report.requests:,.0f} requests seen",
        ),
        notes=(*_judged(report), *_hours(report)),
        start_s=observed.start_s,
        step_s=observed.steps.step_s,
        steps=observed.steps.count,
        plots=_plots(observed, estimated),
        turns=tuple(turns),
    )


def _judged(report: WorkloadReport) -> tuple[str, ...]:
    if report.model_good_ratio is None or report.model_gpu_hours is None:
        return (f"No estimate: {report.no_estimate}.",)
    return (
        f"How far the model can be trusted here: of the replicas that were there it tells "
        f"{100 * report.model_good_ratio:.2f}% good and {report.model_gpu_hours:.1f} GPU-hours; observed were "
        f"{percent(report.good)} and {report.gpu_hours:.1f}.",
    )


def _hours(report: WorkloadReport) -> tuple[str, ...]:
    if not report.differed_most:
        return ()
    told = "; ".join(
        f"{hour.from_time[11:]} {hour.there:.1f} there, {hour.ours:.1f} forescale ({hour.why})"
        for hour in report.differed_most
    )
    return (f"They differed most, in mean replicas of the hour, from {told}.",)


def _plots(observed: Observed, estimated: Estimate | None) -> tuple[Plot, ...]:
    told = observed.explained
    tops = plots.highest(told.seen_rps, told.provided_rps)
    known = (plots.provided(told.provided_rps), plots.seen("known", told.seen_rps))
    demand = plots.demand("demand", known=known, arriving=None, high=tops)
    there = plots.replicas(
        f"{THERE}: replicas",
        wanted=observed.wanted,
        ready=observed.ready,
        starting=observed.starting,
        high=_tops(observed, estimated),
        also=(
            Series(
                label="recommended then", look=Look.PROVIDED, values=told.targets, form=Form.STEP
            ),
        ),
        why=told.why,
    )
    if estimated is None:
        return demand, there, _gpu_hours(observed, None)
    at = places(observed, estimated)
    run, own = estimated.run, estimated.run.explained
    ours = plots.replicas(
        f"{OURS}: replicas",
        wanted=_placed(run.wanted, at),
        ready=_placed(run.ready, at),
        starting=_placed(run.starting, at),
        high=_tops(observed, estimated),
        why=_placed_why(own.why, at) if own else None,
    )
    seen = own.seen_rps if own else ()
    provided = own.provided_rps if own else ()
    modelled = plots.demand(
        f"{OURS}: demand",
        known=(plots.provided(_placed(provided, at)), plots.seen("known", _placed(seen, at))),
        arriving=None,
        high=tops,
    )
    budgets = plots.budgets(
        "Error budget of this time that is left",
        [(OURS, _placed(run.budget.left, at)), (f"{THERE}, observed", observed.budget_left)],
    )
    return demand, modelled, there, ours, budgets, _gpu_hours(observed, estimated)


def _gpu_hours(observed: Observed, estimated: Estimate | None) -> Plot:
    told: list[tuple[str, Values]] = [(f"{THERE}, observed", observed.gpu_hours_by_step)]
    if estimated is not None:
        share = observed.spec.gpus_per_replica
        hours = tuple(share * value for value in estimated.run.gpu_hours)
        told.insert(0, (OURS, _placed(hours, places(observed, estimated))))
    looks = plots.LOOKS if estimated is not None else plots.LOOKS[1:]
    series = tuple(
        Series(label=name, look=look, values=values)
        for (name, values), look in zip(told, looks, strict=False)
    )
    return Plot(title="GPU-hours", unit="since the start", series=series)


def _tops(observed: Observed, estimated: Estimate | None) -> float:
    there = [
        (ready or 0.0) + (starting or 0.0)
        for ready, starting in zip(observed.ready, observed.starting, strict=True)
    ]
    ours: list[float | None] = [*observed.explained.targets]
    if estimated is not None:
        run = estimated.run
        ours = [*run.wanted, *(a + b for a, b in zip(run.ready, run.starting, strict=True))]
    return plots.highest(observed.wanted, there, ours)


def _placed(values: Values, at: Sequence[int | None]) -> Values:
    return tuple(None if place is None or place >= len(values) else values[place] for place in at)


def _placed_why(why: Why, at: Sequence[int | None]) -> Why:
    return Why(
        kinds=[Kind.HOLD if place is None else why.kinds[place] for place in at],
        texts=["" if place is None else why.texts[place] for place in at],
    )
