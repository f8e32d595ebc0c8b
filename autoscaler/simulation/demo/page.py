"""The demo's runs as a page: each workload's day under forescale and, beside it, under HPA."""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler import __version__
from autoscaler.report.content import (
    Card,
    Cell,
    Page,
    Plot,
    Section,
    Span,
    Table,
    Turn,
    Turns,
)
from autoscaler.simulation import plots
from autoscaler.simulation.cluster import EPOCH_S
from autoscaler.simulation.demo.runs import NAMES, Day
from autoscaler.simulation.recorded import Run
from autoscaler.simulation.recorder import Change

HOUR_S = 3600.0


def page_of(days: Sequence[Day], seed: int) -> Page:
    """Everything that the runs told."""
    hours = days[0].workload.scenario.demand.duration_s / HOUR_S
    requests = sum(day.requests for day in days)
    return Page(
        title="forescale beside HPA",
        lead=f"{hours:g} hours of {len(days)} workloads, {requests:,} requests, on modelled clusters in virtual time. "
        "The engine is the one that runs in a cluster; it is told the SLO, and measures what a replica carries and how "
        "long it takes to start. HPA is told what a load test of one replica gave.",
        cards=tuple(_card(days, place, name) for place, name in enumerate(NAMES)),
        table=_table(days),
        sections=tuple(_section(day) for day in days),
        notes=_notes(seed),
    )


def _card(days: Sequence[Day], place: int, name: str) -> Card:
    runs = [day.runs[place] for day in days]
    kept = sum(run.budget.good_ratio >= run.budget.target_ratio for run in runs)
    gpu_hours = sum(run.score.gpu_hours for run in runs)
    return Card(
        title=name,
        figure=f"{gpu_hours:.0f} GPU-hours",
        text=f"{kept} of {len(runs)} objectives kept"
        + (", known only afterwards" if place == len(NAMES) - 1 else ""),
    )


def _table(days: Sequence[Day]) -> Table:
    columns = (
        *("workload", "objective", "policy", "good", "target", "budget left", "GPU-hours"),
        *("changes", "worst 5 min"),
    )
    rows = []
    for day in days:
        for run in day.runs:
            first = run is day.ours
            kept = run.budget.good_ratio >= run.budget.target_ratio
            rows.append(
                (
                    Cell(text=day.workload.name if first else ""),
                    Cell(text=day.workload.scenario.spec.slo.text if first else ""),
                    Cell(text=run.score.policy),
                    Cell(text=f"{run.budget.good_ratio:.2%}", good=kept),
                    Cell(text=f"{100 * run.budget.target_ratio:.4g}%"),
                    Cell(text=f"{100 * (run.budget.left[-1] or 0.0):.0f}%", good=kept),
                    Cell(text=f"{run.score.gpu_hours:.0f}"),
                    Cell(text=f"{run.score.changes}"),
                    Cell(text=f"{run.score.worst_window_ratio:.1%}"),
                )
            )
    return Table(columns=columns, rows=tuple(rows), wide=frozenset({"objective", "target"}))


def _section(day: Day) -> Section:
    scenario = day.workload.scenario
    return Section(
        title=day.workload.name,
        lead=(
            scenario.spec.slo.text,
            f"start-up {scenario.startup.median_s:g} s",
            f"{day.requests:,} requests",
            f"static peak: {day.static.wanted[-1]} replicas",
        ),
        notes=(day.workload.told,),
        start_s=EPOCH_S,
        step_s=day.steps.step_s,
        steps=day.steps.count,
        spans=tuple(
            Span(from_s=span.start_s, to_s=span.end_s, label=name)
            for span, name in day.workload.events
        ),
        plots=(
            *(_demand(day, run) for run in (day.ours, day.theirs)),
            *(_replicas(day, run) for run in (day.ours, day.theirs)),
            *(_latency(day, run) for run in (day.ours, day.theirs)),
            plots.budgets(
                "Error budget of the day that is left",
                [(run.score.policy, run.budget.left) for run in day.runs],
            ),
            _gpu_hours(day),
        ),
        turns=(
            Turns(
                title=f"forescale: {len(_turns(day.ours))} turns, each with its reason",
                turns=_turns(day.ours),
            ),
            Turns(
                title=f"HPA: {len(day.theirs.changes)} turns",
                turns=tuple(_hpa_turn(change, day.target_rps) for change in day.theirs.changes),
            ),
        ),
    )


def _turns(run: Run) -> tuple[Turn, ...]:
    return run.explained.turns if run.explained else ()


def _hpa_turn(change: Change, target_rps: float) -> Turn:
    served = "unknown" if change.served_rps is None else f"{change.served_rps:.1f}"
    why = f"{served} requests/s served in the last minute, {target_rps:.1f} for each replica"
    return Turn(at_s=change.at_s, before=change.before, after=change.after, why=why)


def _demand(day: Day, run: Run) -> Plot:
    """With what was known of it: an outage is a gap, and HPA sees what is served, not what arrives."""
    ours, told = day.ours.explained, run.explained
    known = (
        (plots.provided(told.provided_rps), plots.seen("known", told.seen_rps))
        if told
        else (plots.seen("known (served)", run.served_rps),)
    )
    return plots.demand(
        f"{run.score.policy}: demand",
        known=known,
        arriving=day.demand_rps,
        high=plots.highest(day.demand_rps, ours.provided_rps if ours else ()),
    )


def _replicas(day: Day, run: Run) -> Plot:
    tops = [
        max(wanted, ready + starting)
        for one in (day.ours, day.theirs)
        for wanted, ready, starting in zip(one.wanted, one.ready, one.starting, strict=True)
    ]
    return plots.replicas(
        f"{run.score.policy}: replicas",
        wanted=run.wanted,
        ready=run.ready,
        starting=run.starting,
        high=plots.highest(tops),
        why=run.explained.why if run.explained else None,
    )


def _latency(day: Day, run: Run) -> Plot:
    beside = (*day.ours.latency_s, *day.theirs.latency_s)
    objective = day.workload.scenario.spec.slo.objectives[0]
    return plots.latency(run.score.policy, run.latency_s, objective, beside=beside)


def _gpu_hours(day: Day) -> Plot:
    told = [(run.score.policy, run.gpu_hours) for run in day.runs]
    return Plot(title="GPU-hours", unit="since the start", series=plots.compared(told))


def _notes(seed: int) -> tuple[str, ...]:
    return (
        f"forescale {__version__}, seed {seed}. Times are UTC of a made-up day. The same seed gives the same page.",
        "The modelled cluster holds one workload, so each is a trial of its own, with its own cluster and engine; "
        "brakes over the fleet and scarce GPUs play no part. Policies meet the same requests and the same start-ups.",
        "Good: as the SLO counts, so that of `pN < T` a whole minute is good or bad. The budget is that of this day. "
        "Requests that failed or never finished are bad.",
        "Demand provided for: what those replicas carry that are worth their price, until another could be ready. "
        "Forecasts are those of the model that new workloads get, which begins to learn an hour into the day; one of a "
        "workload's own needs a day of history and minutes to fit (docs/forecasting.md).",
        "HPA: version 2 with its default behaviour on served requests a second through KEDA, 70 % of what one replica "
        "carried in a load test for each replica, or on the GPUs' busy share at 75 %. All have at most 40 replicas. "
        "Other metrics and autoscalers: `forescale simulate`.",
        "Static peak: the fewest replicas that keep the objective in every minute, known only afterwards.",
        "GPU-hours: from the request for a replica until it is gone, start-up and drain included.",
    )
