"""Runs the comparison: `python -m loadtests.bench.policies [--quick]`. What is done already is not done again."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from autoscaler.simulation.peers.catalog import FORESCALE, REACTIVE, RULES
from loadtests.bench.policies import cells, series
from loadtests.bench.policies.figures import figures_of, peers_figures, peers_table, write_curves
from loadtests.bench.policies.protocol import (
    ABLATION_STARTUP_S,
    QUICK,
    QUICK_GENERATED,
    QUICK_RECORDED,
    VARIANTS,
    Cell,
    Protocol,
)
from loadtests.bench.policies.results import Results, variant_cell
from loadtests.bench.policies.servers import SERVERS, SINGLE
from loadtests.bench.policies.settings import confirmations, tuned_points
from loadtests.bench.policies.workers import compute
from loadtests.bench.report import FOLDER, report

WORKERS = 2
# A peer's setting that fails when it is confirmed gives way to its next best, so many times.
ROUNDS = 4


def main(argv: Sequence[str] | None = None) -> None:
    """Computes what is missing, phase by phase, and reports."""
    parser = argparse.ArgumentParser(prog="bench-policies", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a subset, five minutes")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes (%(default)s)")
    parser.add_argument(
        "--seeds", type=int, default=3, help="draws of arrivals and start-ups (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of confirmation (%(default)s)")
    parser.add_argument(
        "--counted", action="store_true", help="without the series that are only shown"
    )
    parser.add_argument(
        "--ablation",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also forescale with one of its parts changed, an hour of a core",
    )
    parser.add_argument("--series", default="", help="only these, by name, with commas")
    parser.add_argument("--server", choices=SERVERS, default=SINGLE, help="(%(default)s)")
    given = parser.parse_args(argv)
    protocol = QUICK if given.quick else Protocol(seeds=tuple(range(1, given.seeds + 1)))
    protocol = replace(protocol, server=given.server)
    if given.quick:
        names = QUICK_RECORDED if series.are_recorded() else QUICK_GENERATED
        protocol = replace(protocol, names=names)
    elif given.series:
        chosen = series.chosen(parser, "--series", given.series, series.all_series())
        protocol = replace(protocol, names=chosen)
    elif given.counted:
        protocol = counted(protocol)
    console = Console(stderr=True)
    if not series.are_recorded():
        console.print(f"{series.FOLDER}: no recorded traces there; generated demand is used.")
    folder = kept(protocol.server)
    results = Results(protocol, folder)
    phases: tuple[tuple[str, Callable[[], list[Cell]]], ...] = (
        ("bounds and peers' curves", lambda: [*bounds(protocol), *curves(protocol)]),
        ("forecasts", lambda: records(protocol)),
        ("forescale", lambda: [*ours(protocol), *faults(protocol)]),
        *((("forescale, changed", lambda: ablation(protocol)),) if given.ablation else ()),
        ("peers as tuned", lambda: tuned_points(results)),
        *(("confirmed request by request", lambda: confirmations(results)),) * given.rounds,
    )
    for text, planned in phases:
        compute(text, planned(), folder / "cells", workers=given.workers, console=console)
    write_curves(results, folder)
    name = f"{folder.name}-quick" if given.quick else folder.name
    Console().print(peers_table(results))
    report(name, figures_of(results), unshown=peers_figures(results))


def kept(server: str) -> Path:
    """Where what the comparison on these servers came to is kept; its figures are beside it under the same name."""
    return FOLDER / ("policies" if server == SINGLE else f"policies-{server}")


def counted(protocol: Protocol) -> Protocol:
    """With the series that the figures are about alone."""
    return replace(protocol, names=tuple(s.name for s in protocol.series if s.counted))


def bounds(protocol: Protocol) -> list[Cell]:
    """The clairvoyant, for every series and seed."""
    return [
        Cell(kind="bound", series=s.name, days=protocol.days, seed=seed, server=protocol.server)
        for s in protocol.series
        for seed in protocol.seeds
    ]


def curves(protocol: Protocol) -> list[Cell]:
    """Every peer's curve on the days of the test, and on those before with one seed."""
    return [
        Cell(
            kind="curve",
            series=s.name,
            days=protocol.days,
            seed=seed,
            startup_s=startup_s,
            policy=name,
            part=part,
            points=protocol.points,
            server=protocol.server,
        )
        for s in protocol.series
        for part in ("test", "train")
        for seed in (protocol.seeds if part == "test" else protocol.seeds[:1])
        for startup_s in protocol.startups_s
        for name in RULES
    ]


def records(protocol: Protocol) -> list[Cell]:
    """What is forecast of each series, once for all runs."""
    return [
        Cell(
            kind="record",
            series=s.name,
            days=protocol.days,
            seed=cells.RECORD_SEED,
            server=protocol.server,
        )
        for s in protocol.series
    ]


def ablation(protocol: Protocol) -> list[Cell]:
    """forescale with one of its parts changed, on each counted series."""
    if ABLATION_STARTUP_S not in protocol.startups_s:
        return []
    return [
        variant_cell(protocol, s.name, variant)
        for s in protocol.series
        if s.counted
        for variant in VARIANTS
    ]


def ours(protocol: Protocol) -> list[Cell]:
    """forescale at its defaults; of the series that are only shown, one seed."""
    return [
        Cell(
            kind="run",
            series=s.name,
            days=protocol.days,
            seed=seed,
            startup_s=startup_s,
            policy=FORESCALE,
            server=protocol.server,
        )
        for s in protocol.series
        for seed in (protocol.seeds if s.counted else protocol.seeds[:1])
        for startup_s in protocol.startups_s
    ]


def faults(protocol: Protocol) -> list[Cell]:
    """forescale without metrics at the steepest rise of each counted series, and at a step of the load."""

    def cell(kind: str, name: str, startup_s: float) -> Cell:
        return Cell(
            kind=kind,
            series=name,
            days=protocol.days,
            seed=protocol.seeds[0],
            startup_s=startup_s,
            policy=REACTIVE if kind == "step" else FORESCALE,
            server=protocol.server,
        )

    names = [s.name for s in protocol.series if s.counted]
    return [
        *(cell("outage", name, protocol.fault_startup_s) for name in names),
        *(cell("step", protocol.series[0].name, at_s) for at_s in protocol.startups_s),
    ]


if __name__ == "__main__":
    main()
