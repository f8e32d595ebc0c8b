"""The figures of the comparison, beside what is to be reached; and the curves that they are read from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from rich.table import Table

from autoscaler.simulation.peers.catalog import RULES
from loadtests.bench.policies.choose import KINDS, Outcome
from loadtests.bench.policies.promises import promises_of
from loadtests.bench.policies.protocol import ABLATION_STARTUP_S, VARIANTS, Protocol
from loadtests.bench.policies.results import Results
from loadtests.bench.report import Figure

# GPU-hours over the clairvoyant's, geometric mean of the counted series, by start-up.
TARGETS = {4.0: 1.15, 100.0: 1.27, 240.0: 1.38, 600.0: 1.58}
LOWEST = {4.0: 0.99, 100.0: 0.985, 240.0: 0.985, 600.0: 0.975}
HOLDING = {4.0: 7, 100.0: 6, 240.0: 6, 600.0: 5}
# Percent of GPU-hours, by kind of the peers' setting.
TO_SAVE = {"tuned": 15.0, "one for all": 35.0, "hindsight": 0.0}
STEP_S = 25.0
MINUTES = 60.0


def figures_of(results: Results) -> list[Figure]:
    """What is promised, beside what came of it: of the peers the one that forescale saves least against."""
    figures: list[Figure] = []
    startups_s = results.protocol.startups_s
    for startup_s in startups_s:
        figures += _ours(results, startup_s)
        figures += _bounds(results, startup_s)
        figures += [
            item
            for kind in ("tuned", "hindsight")
            if (item := _least_saved(results, (startup_s,), kind, TO_SAVE[kind])) is not None
        ]
    pooled = _least_saved(results, startups_s, "one for all", TO_SAVE["one for all"])
    if pooled is not None:
        figures.append(pooled)
    figures += promises_of(results)
    figures += _taken(_faults(results))
    figures += _taken(_ablation(results))
    if results.protocol == Protocol():
        # Of a part of it the time says nothing.
        figures.append(
            Figure(
                name="the whole comparison on two cores",
                value=results.cpu_s() / 2.0 / 60.0,
                unit="min",
                target=MINUTES,
                note="processor time of all that is kept, halved",
            )
        )
    return figures


def _taken(figures: Iterator[Figure]) -> Iterator[Figure]:
    """Up to the first of which a run is missing: what was not measured is absent."""
    try:
        yield from figures
    except FileNotFoundError:
        return


def peers_figures(results: Results) -> list[Figure]:
    """What each peer costs at each kind of setting, and what forescale saves against it."""
    figures: list[Figure] = []
    for startup_s in results.protocol.startups_s:
        for kind in KINDS:
            for name, rule in RULES.items():
                found = _outcomes(results, name, kind, startup_s)
                ratios = _ratios(results, found or {})
                if not found or not ratios:
                    continue  # no setting of this kind holds: the curves say how near it comes
                holding = sum(item.holds(results.goal) for item in found.values())
                where = f"{kind}, start-up {startup_s:g} s"
                figures.append(
                    Figure(
                        name=f"{rule.name} / clairvoyant, {where}, geometric mean",
                        value=geometric_mean(ratios),
                        unit="x",
                        note=f"fluid model; {holding} of {len(found)} series at {results.goal:.0%}",
                    )
                )
                saved = _least_saved(results, (startup_s,), kind, None, (name,))
                figures += [] if saved is None else [saved]
    return figures


def peers_table(results: Results) -> Table:
    """Peers by kind of setting and start-up: GPU-hours over the clairvoyant's, and how many series hold."""
    startups_s = results.protocol.startups_s
    table = Table(
        title="GPU-hours / clairvoyant, geometric mean (series that hold the goal)",
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("policy", no_wrap=True)
    table.add_column("setting", no_wrap=True)
    for startup_s in startups_s:
        table.add_column(f"{startup_s:g} s", justify="right", no_wrap=True)
    ours = [
        _told(results, {name: results.ours(name, startup_s) for name in results.counted})
        for startup_s in startups_s
    ]
    table.add_row("forescale", "default", *ours, style="bold")
    for name, rule in RULES.items():
        for kind in KINDS:
            found = [_outcomes(results, name, kind, startup_s) for startup_s in startups_s]
            table.add_row(rule.name, kind, *(_told(results, item) for item in found))
    return table


def _told(results: Results, found: dict[str, Outcome] | None) -> str:
    ratios = _ratios(results, found or {})
    if not found or not ratios:
        return "none holds"
    holding = sum(item.holds(results.goal) for item in found.values())
    return f"{geometric_mean(ratios):.2f} ({holding})"


def _ours(results: Results, startup_s: float) -> Iterator[Figure]:
    found = {name: results.ours(name, startup_s) for name in results.counted}
    ratios = _ratios(results, found)
    where = f"start-up {startup_s:g} s"
    whole = len(results.counted) == 7
    if ratios:
        yield Figure(
            name=f"forescale / clairvoyant, {where}, geometric mean",
            value=geometric_mean(ratios),
            unit="x",
            target=TARGETS.get(startup_s) if whole else None,
            note=f"{len(ratios)} series, defaults",
        )
    holding = sum(item.holds(results.goal) for item in found.values())
    yield Figure(
        name=f"forescale, series at {results.goal:.0%}, {where}",
        value=float(holding),
        unit=f"of {len(found)}",
        target=float(HOLDING[startup_s]) if whole and startup_s in HOLDING else None,
        better="higher",
    )
    worst = min(found, key=lambda name: found[name].attainment_ratio)
    yield Figure(
        name=f"forescale, lowest attainment, {where}",
        value=100.0 * found[worst].attainment_ratio,
        unit="%",
        target=100.0 * LOWEST[startup_s] if startup_s in LOWEST else None,
        better="higher",
        note=worst,
    )


def _faults(results: Results) -> Iterator[Figure]:
    pairs = {name: results.outage(name) for name in results.counted}
    lost = {
        name: usual["attainment_ratio"] - without["attainment_ratio"]
        for name, (without, usual) in pairs.items()
    }
    worst = max(lost, key=lambda name: lost[name])
    yield Figure(
        name="metrics gone for 10 min at the steepest rise, attainment lost",
        value=100.0 * max(lost[worst], 0.0),
        unit="points",
        target=1.0,
        note=f"{worst}, start-up {results.protocol.fault_startup_s:g} s",
    )
    yield Figure(
        name="metrics gone for 10 min, replicas lowered meanwhile",
        value=float(sum(without["lowered"] for without, _ in pairs.values())),
        unit="times",
        target=0.0,
        note=f"{len(pairs)} series",
    )
    for startup_s in results.protocol.startups_s:
        asked_s = results.step(startup_s)["asked_s"]
        if asked_s is not None:
            yield Figure(
                name=f"load x 4 at once, capacity asked for after, start-up {startup_s:g} s",
                value=asked_s,
                unit="s",
                target=STEP_S,
                note="two ticks and a scrape; the start-up comes on top",
            )


def _ablation(results: Results) -> Iterator[Figure]:
    """What each part is worth: GPU-hours and attainment with it changed, over those as it is."""
    if ABLATION_STARTUP_S not in results.protocol.startups_s:
        return
    usual = {name: results.changed(name, "") for name in results.counted}
    for variant in filter(results.was_changed, VARIANTS):
        found = {name: results.changed(name, variant) for name in results.counted}
        lowest = min(found, key=lambda name: found[name].attainment_ratio)
        holding = sum(item.holds(results.goal) for item in found.values())
        yield Figure(
            name=f"forescale with {variant}, GPU-hours over forescale's, start-up {ABLATION_STARTUP_S:g} s",
            value=geometric_mean(found[n].gpu_hours / usual[n].gpu_hours for n in usual),
            unit="x",
            note=(
                f"{holding} of {len(found)} series at {results.goal:.0%}, lowest "
                f"{100.0 * found[lowest].attainment_ratio:.2f} % ({lowest})"
            ),
        )


def _bounds(results: Results, startup_s: float) -> Iterator[Figure]:
    ratios = []
    for name in results.counted:
        bound = results.bound(name)
        least = None if bound is None else bound["least_gpu_hours"].get(f"{startup_s:g}")
        if bound is not None and least is not None:
            ratios.append(least / bound["gpu_hours"])
    if ratios:
        yield Figure(
            name=f"least that pays start-ups / clairvoyant, start-up {startup_s:g} s",
            value=geometric_mean(ratios),
            unit="x",
            note="fluid model; exact for the clairvoyant's replicas",
        )


def _outcomes(
    results: Results, name: str, kind: str, startup_s: float
) -> dict[str, Outcome] | None:
    """A peer's outcomes by series; None: on some series no setting of this kind holds."""
    found = {
        series: results.peer(name, kind, series, startup_s, confirmed=True)
        for series in results.counted
    }
    known = {series: item for series, item in found.items() if item is not None}
    return known if len(known) == len(found) else None


def _least_saved(
    results: Results,
    startups_s: Sequence[float],
    kind: str,
    target: float | None,
    names: Sequence[str] = (),
) -> Figure | None:
    """GPU-hours saved against the peer against which least is saved, of `names` or of all."""
    least: tuple[float, str, int, int] | None = None
    for name in names or RULES:
        by_startup = [_outcomes(results, name, kind, startup_s) for startup_s in startups_s]
        if any(item is None for item in by_startup):
            continue
        pairs = [
            (results.ours(series, startup_s), theirs)
            for startup_s, found in zip(startups_s, by_startup, strict=True)
            for series, theirs in (found or {}).items()
        ]
        saved = 1.0 - geometric_mean(our.gpu_hours / their.gpu_hours for our, their in pairs)
        holding = sum(their.holds(results.goal) for _, their in pairs)
        if least is None or saved < least[0]:
            least = (saved, RULES[name].name, holding, len(pairs))
    if least is None:
        return None
    saved, rule, holding, count = least
    when = f"start-up {startups_s[0]:g} s" if len(startups_s) == 1 else "all start-ups"
    against = rule if len(names) == 1 else "every peer"
    return Figure(
        name=f"GPU-hours saved against {against}, {kind}, {when}",
        value=100.0 * saved,
        unit="%",
        target=target,
        better="higher",
        note=f"{rule}, which attains {results.goal:.0%} on {holding} of {count}",
    )


def _ratios(results: Results, found: dict[str, Outcome]) -> list[float]:
    ratios = []
    for series, item in found.items():
        bound = results.bound(series)
        if bound is not None:
            ratios.append(item.gpu_hours / bound["gpu_hours"])
    return ratios


def write_curves(results: Results, folder: Path) -> None:
    """The whole comparison as JSON: every series, start-up, policy and setting that was tried."""
    content = {
        "goal_ratio": results.goal,
        "series": {
            s.name: {
                "counted": s.counted,
                "bound": results.bound(s.name),
                "startups": {
                    f"{startup_s:g}": _everything(results, s.name, startup_s)
                    for startup_s in results.protocol.startups_s
                },
            }
            for s in results.protocol.series
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "curves.json").write_text(json.dumps(content, indent=1) + "\n")


def _everything(results: Results, series: str, startup_s: float) -> dict[str, Any]:
    peers = {}
    for name in RULES:
        kinds = {kind: results.peer(name, kind, series, startup_s) for kind in KINDS}
        peers[name] = {
            "settings": {
                kind: None if item is None else asdict(item) for kind, item in kinds.items()
            },
            "confirmed": {
                kind: asdict(confirmed)
                for kind, item in kinds.items()
                if item is not None
                and (confirmed := results.confirmed(series, startup_s, name, item.headroom))
            },
            "curve": [curve["grid"] for curve in results.curves(name, series, startup_s)],
        }
    return {"forescale": asdict(results.ours(series, startup_s)), "peers": peers}
