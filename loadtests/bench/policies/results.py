"""What the cells came to, put together: outcomes by peer, kind of setting, series and start-up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from autoscaler.core.slo import parse_slo
from autoscaler.core.types import Slo
from autoscaler.simulation.peers.catalog import FORESCALE, REACTIVE, RULES
from autoscaler.simulation.scenario_file import goal_of
from loadtests.bench.policies import cells, choose
from loadtests.bench.policies.choose import Found, Outcome
from loadtests.bench.policies.protocol import ABLATION_STARTUP_S, SLO, Cell, Protocol


class Results:
    """Reads cells that are there; raises FileNotFoundError for those that are not."""

    def __init__(self, protocol: Protocol, folder: Path) -> None:
        self.protocol = protocol
        self._folder = folder / "cells"
        self._curves: dict[tuple[str, str, float, str], list[Found]] = {}

    @cached_property
    def goal(self) -> float:
        """At which all are compared."""
        slo = parse_slo(SLO, "slo")
        assert isinstance(slo, Slo)
        return goal_of(slo)

    @cached_property
    def counted(self) -> tuple[str, ...]:
        """Names of the series that the figures are about."""
        return tuple(s.name for s in self.protocol.series if s.counted)

    def cell(self, kind: str, series: str, seed: int, **given: Any) -> Cell:
        """One of this protocol."""
        return Cell(
            kind=kind,
            series=series,
            days=self.protocol.days,
            seed=seed,
            server=self.protocol.server,
            **given,
        )

    def bound(self, series: str) -> Found | None:
        """Mean GPU-hours of the clairvoyant and of the least with start-ups; None: a seed can't attain the goal."""
        found = [
            cells.read(self.cell("bound", series, seed), self._folder)
            for seed in self.protocol.seeds
        ]
        if any(item["clairvoyant"] is None for item in found):
            return None
        least = found[0]["least_gpu_hours"]
        return {
            "gpu_hours": fmean(item["clairvoyant"]["gpu_hours"] for item in found),
            "least_gpu_hours": {
                startup: fmean(item["least_gpu_hours"][startup] for item in found)
                for startup in least
                if all(item["least_gpu_hours"][startup] is not None for item in found)
            },
        }

    def curves(self, rule: str, series: str, startup_s: float, part: str = "test") -> list[Found]:
        """A peer's curve, by seed."""
        key = (rule, series, startup_s, part)
        if key not in self._curves:
            seeds = self.protocol.seeds if part == "test" else self.protocol.seeds[:1]
            self._curves[key] = [
                cells.read(
                    self.cell(
                        "curve",
                        series,
                        seed,
                        startup_s=startup_s,
                        policy=rule,
                        part=part,
                        points=self.protocol.points,
                    ),
                    self._folder,
                )
                for seed in seeds
            ]
        return self._curves[key]

    def tuned_headroom(self, rule: str, series: str, startup_s: float) -> float:
        """What whoever tunes a peer for this workload takes, from the days before."""
        (train,) = self.curves(rule, series, startup_s, "train")
        return choose.tuned(train, self.goal)

    def peer(
        self, rule: str, kind: str, series: str, startup_s: float, *, confirmed: bool = False
    ) -> Outcome | None:
        """A peer at one kind of setting, by the fluid model; None: no setting of this kind holds.

        `confirmed`: request by request, where it was run so.
        """
        found = self._peer(rule, kind, series, startup_s)
        if found is None or not confirmed:
            return found
        return self.confirmed(series, startup_s, rule, found.headroom) or found

    def _peer(self, rule: str, kind: str, series: str, startup_s: float) -> Outcome | None:
        found = self.curves(rule, series, startup_s)
        if kind == "default":
            points = [curve["default"] for curve in found]
            return choose.outcome(points, headroom=RULES[rule].default, source="fluid")
        if kind == "hindsight":
            return choose.in_hindsight(found, self.goal, self.failed(rule, series, startup_s))
        if kind == "tuned":
            headroom = self.tuned_headroom(rule, series, startup_s)
            points = [
                cells.read(
                    self.cell(
                        "point",
                        series,
                        seed,
                        startup_s=startup_s,
                        policy=rule,
                        headroom=headroom,
                    ),
                    self._folder,
                )
                for seed in self.protocol.seeds
            ]
            return choose.outcome(points, headroom=headroom, source="fluid")
        chosen = choose.one_for_all(
            {name: self.curves(rule, name, startup_s) for name in self.counted},
            self.goal,
            {item for name in self.counted for item in self.failed(rule, name, startup_s)},
        )
        if chosen is None:
            return None
        headroom, outcomes = chosen
        if series in outcomes:
            return outcomes[series]
        place = [point["headroom"] for point in found[0]["grid"]].index(headroom)
        points = [curve["grid"][place] for curve in found]
        return choose.outcome(points, headroom=headroom, source="fluid")

    def failed(self, rule: str, series: str, startup_s: float) -> set[float]:
        """Settings that held in the fluid model and not request by request: the next best is taken."""
        first = self.curves(rule, series, startup_s)[0]
        tried = {float(item["headroom"]) for item in choose.all_points(first)}
        runs = {item: self.confirmed(series, startup_s, rule, item) for item in tried}
        return {
            headroom
            for headroom, found in runs.items()
            if found is not None and not found.holds(self.goal)
        }

    def best_peer(self, kind: str, series: str, startup_s: float) -> tuple[str, Outcome] | None:
        """The cheapest peer that attains the goal at this kind of setting."""
        found = [
            (name, item)
            for name in RULES
            if (item := self.peer(name, kind, series, startup_s)) is not None
            and item.holds(self.goal)
        ]
        return min(found, key=lambda pair: pair[1].gpu_hours, default=None)

    def run_cell(self, series: str, startup_s: float, policy: str, headroom: float | None) -> Cell:
        """A request-level run with the first seed."""
        return self.cell(
            "run",
            series,
            self.protocol.seeds[0],
            startup_s=startup_s,
            policy=policy,
            headroom=headroom,
        )

    def confirmed(
        self, series: str, startup_s: float, policy: str, headroom: float | None
    ) -> Outcome | None:
        """What a run that was confirmed request by request came to; None: it was not."""
        cell = self.run_cell(series, startup_s, policy, headroom)
        if not cell.path(self._folder).exists():
            return None
        found = cells.read(cell, self._folder)
        return choose.outcome([found], headroom=headroom, source="requests")

    def outage(self, series: str) -> tuple[Found, Found]:
        """forescale without metrics for a while, and with them, under the same luck."""
        startup_s, seed = self.protocol.fault_startup_s, self.protocol.seeds[0]
        without, usual = (
            cells.read(
                self.cell(kind, series, seed, startup_s=startup_s, policy=FORESCALE), self._folder
            )
            for kind in ("outage", "run")
        )
        return without, usual

    def step(self, startup_s: float) -> Found:
        """forescale at a fourfold step of the load."""
        first, seed = self.protocol.series[0].name, self.protocol.seeds[0]
        cell = self.cell("step", first, seed, startup_s=startup_s, policy=REACTIVE)
        found: Found = cells.read(cell, self._folder)
        return found

    def cpu_s(self) -> float:
        """What everything that is kept took, of one core."""
        files = self._folder.glob("*.json")
        return sum(float(json.loads(file.read_text())["cpu_s"]) for file in files)

    def ours(self, series: str, startup_s: float) -> Outcome:
        """forescale, request by request."""
        counted = series in self.counted
        seeds: Sequence[int] = self.protocol.seeds if counted else self.protocol.seeds[:1]
        found = [
            cells.read(
                self.cell("run", series, seed, startup_s=startup_s, policy=FORESCALE),
                self._folder,
            )
            for seed in seeds
        ]
        return choose.outcome(found, headroom=None, source="requests")

    def was_changed(self, variant: str) -> bool:
        """Whether forescale was run with this part changed, on every counted series."""
        told = [variant_cell(self.protocol, name, variant) for name in self.counted]
        return all(cell.path(self._folder).exists() for cell in told)

    def changed(self, series: str, variant: str) -> Outcome:
        """forescale with one of its parts changed, at the start-up of the ablation and with the first seed."""
        cell = variant_cell(self.protocol, series, variant)
        found = [cells.read(cell, self._folder)]
        return choose.outcome(found, headroom=None, source="requests")


def variant_cell(protocol: Protocol, series: str, variant: str) -> Cell:
    """The run of forescale with one of its parts changed; empty: none."""
    without = variant == "no forecasts"
    return Cell(
        kind="run",
        series=series,
        days=protocol.days,
        seed=protocol.seeds[0],
        startup_s=ABLATION_STARTUP_S,
        policy=REACTIVE if without else FORESCALE,
        variant="" if without else variant,
        server=protocol.server,
    )
