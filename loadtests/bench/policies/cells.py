"""Computes cells, and keeps what they came to."""

from __future__ import annotations

import gc
import json
import time
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscaler.config.settings import ForecastSettings
from autoscaler.core.rehearsal import PRIOR_PRICE
from autoscaler.core.settings import EngineConfig
from autoscaler.simulation.fluid import Point, point
from autoscaler.simulation.forecasts import ForecastRecord, record_of
from autoscaler.simulation.peers.catalog import OWN, RULES
from autoscaler.simulation.peers.rule import Rule
from autoscaler.simulation.trial import Trial
from loadtests.bench.policies import faults
from loadtests.bench.policies.protocol import Cell, scenario

# Between the thinnest setting that holds and the first that does not, so many halvings.
HALVINGS = 5
RECORD_SEED = 1


def compute(cell: Cell, folder: Path) -> None:
    """Computes a cell in this process, unless it is there."""
    path = cell.path(folder)
    if path.exists():
        return
    start_s = time.process_time()
    path.parent.mkdir(parents=True, exist_ok=True)
    found = _record(cell, path) if cell.kind == "record" else KINDS[cell.kind](cell, folder)
    content = {
        "cell": asdict(cell),
        "found": found,
        "cpu_s": round(time.process_time() - start_s, 2),
    }
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content) + "\n")
    part.rename(path)


def read(cell: Cell, folder: Path) -> Any:
    """What it came to."""
    return json.loads(cell.path(folder).read_text())["found"]


def warm_up() -> None:
    """For a process that computes many: what is loaded stays, and rubbish is looked for less often.

    The engine makes many small values that die at once; looking through all of them at every 700th costs a tenth.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@lru_cache(maxsize=1)
def _arrivals(name: str, server: str, days: float, part: str, seed: int) -> NDArray[np.float64]:
    told = scenario(name, days=days, startup_s=1.0, part=part, server=server)
    return told.demand.arrivals(seed)


def _trial(cell: Cell) -> Trial:
    return _trial_of(cell.series, cell.server, cell.days, cell.startup_s, cell.part, cell.seed)


@lru_cache(maxsize=1)
def _trial_of(name: str, server: str, days: float, startup_s: float, part: str, seed: int) -> Trial:
    told = scenario(name, days=days, startup_s=startup_s, part=part, server=server)
    return Trial(told, seed, arrivals_s=_arrivals(name, server, days, part, seed))


def record_cell(cell: Cell) -> Cell:
    """The forecasts that a run of forescale goes by: the same for all start-ups, and of the first seed's arrivals."""
    return Cell(
        kind="record",
        series=cell.series,
        days=cell.days,
        seed=RECORD_SEED,
        server=cell.server,
    )


def record_file(path: Path) -> Path:
    """The arrays of a record, beside what is told of it."""
    return path.with_suffix(".npz")


def _record(cell: Cell, path: Path) -> Any:
    told = scenario(
        cell.series, days=cell.days, startup_s=1.0, part=cell.part, server=cell.server
    ).open_demand
    minutes = int(np.ceil(told.duration_s / 60.0))
    arrivals_s = _arrivals(cell.series, cell.server, cell.days, cell.part, cell.seed)
    by_minute = np.bincount((arrivals_s / 60.0).astype(np.int64), minlength=minutes)[:minutes]
    record = record_of(told.past_rps, by_minute / 60.0, ForecastSettings())
    with record_file(path).open("wb") as file:
        np.savez(file, maximum_rps=record.maximum_rps, skills=record.skills)
    return {"minutes": minutes}


@lru_cache(maxsize=1)
def _recorded(file: Path) -> ForecastRecord:
    with np.load(file) as kept:
        return ForecastRecord(
            maximum_rps=kept["maximum_rps"],
            skills=kept["skills"],
            lasts_s=ForecastSettings().lasts_s,
        )


def _own_trial(cell: Cell, folder: Path) -> Trial:
    """forescale's, with one of its parts changed as the cell says."""
    gateway = cell.variant != "no gateway"
    told = scenario(
        cell.series,
        days=cell.days,
        startup_s=cell.startup_s,
        part=cell.part,
        server=cell.server,
        gateway=gateway,
    )
    config = EngineConfig()
    if cell.variant == "fixed price":
        config = replace(config, miss_price=PRIOR_PRICE)
    if cell.variant == "true capacity":
        config = replace(config, replica_rps=_trial(cell).known.capacity_rps)
    record = _recorded(record_file(record_cell(cell).path(folder)))
    if cell.variant == "ungated forecasts":
        record = replace(record, skills=np.ones_like(record.skills))
    arrivals_s = _arrivals(cell.series, cell.server, cell.days, cell.part, cell.seed)
    return Trial(told, cell.seed, arrivals_s=arrivals_s, config=config, record=record)


def _bound(cell: Cell, folder: Path) -> Any:
    trial = _trial(cell)
    found = trial.clairvoyant()
    return {
        "requests": int(trial.arrivals_s.size),
        "capacity_rps": trial.known.capacity_rps,
        "clairvoyant": None if found is None else _figures(asdict(found)),
        "least_gpu_hours": {
            f"{startup_s:g}": trial.least_gpu_hours(startup_s)
            for startup_s in (4.0, 100.0, 240.0, 600.0)
        },
    }


def _curve(cell: Cell, folder: Path) -> Any:
    trial, rule = _trial(cell), RULES[cell.policy]
    headrooms = swept(rule, cell.points)
    points = {h: point(h, trial.fluid.run(rule, h)) for h in headrooms}
    goal = trial.scenario.goal_ratio
    holding = [h for h in headrooms if points[h].attainment_ratio >= goal]
    best = min(holding, key=lambda h: points[h].gpu_hours, default=None)
    refined = [] if best is None else _refined(trial, rule, points, best, goal)
    standard = point(rule.default, trial.fluid.run(rule))
    return {
        "default": asdict(standard),
        "grid": [asdict(points[h]) for h in headrooms],
        "refined": [asdict(item) for item in refined],
    }


def swept(rule: Rule, count: int) -> list[float]:
    """So many of its settings, evenly taken."""
    places = np.unique(np.linspace(0, len(rule.sweep) - 1, count).round().astype(int))
    return [rule.sweep[place] for place in places.tolist()]


def _refined(
    trial: Trial, rule: Rule, points: dict[float, Point], best: float, goal: float
) -> list[Point]:
    """Settings between the best that holds and its thinner neighbour, which does not or costs more."""
    headrooms = list(points)
    place = headrooms.index(best)
    if place + 1 == len(headrooms):
        return []
    holds, fails = best, headrooms[place + 1]
    tried = []
    for _ in range(HALVINGS):
        middle = float(np.sqrt(holds * fails))
        found = point(middle, trial.fluid.run(rule, middle))
        tried.append(found)
        if found.attainment_ratio >= goal and found.gpu_hours <= points[best].gpu_hours:
            holds = middle
        else:
            fails = middle
    return tried


def _point(cell: Cell, folder: Path) -> Any:
    assert cell.headroom is not None
    return asdict(point(cell.headroom, _trial(cell).fluid.run(RULES[cell.policy], cell.headroom)))


def _run(cell: Cell, folder: Path) -> Any:
    trial = _own_trial(cell, folder) if cell.policy in OWN else _trial(cell)
    return _figures(asdict(trial.score(cell.policy, cell.headroom)))


def _outage(cell: Cell, folder: Path) -> Any:
    return _figures(faults.outage(_own_trial(cell, folder)))


def _step(cell: Cell, folder: Path) -> Any:
    told = scenario(
        cell.series,
        days=cell.days,
        startup_s=cell.startup_s,
        part=cell.part,
        server=cell.server,
    )
    return _figures(faults.step(told, cell.startup_s, cell.seed))


def _figures(score: dict[str, Any]) -> dict[str, Any]:
    """Without the timeline, of which there would be too much."""
    return {key: value for key, value in score.items() if key != "replicas"}


KINDS = {
    "bound": _bound,
    "curve": _curve,
    "point": _point,
    "run": _run,
    "outage": _outage,
    "step": _step,
}
