"""Reads scenario files of several workloads (docs/simulation.md): every problem at once, each with its line."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydantic

from autoscaler.core.mig.catalogue import find_gpu
from autoscaler.core.mig.geometry import GpuModel, parse_geometry, realise
from autoscaler.errors import ConfigError, GpuError, Problem
from autoscaler.simulation.fleet.scenario import (
    FleetPool,
    FleetScenario,
    FleetWorkload,
    Shape,
)
from autoscaler.simulation.fleet.sections import (
    FleetDocument,
    FleetWorkloadSection,
    PoolSection,
    ShapeSection,
)
from autoscaler.simulation.nodes import NodeSettings
from autoscaler.simulation.scenario import MOST_REPLICAS, Scenario
from autoscaler.simulation.scenario_file import MOST_SERVERS, Reader
from autoscaler.simulation.scenario_sections import Document, ServerSection, WorkloadSection
from autoscaler.simulation.scenario_text import (
    UNKNOWN,
    document_of,
    parsed,
    place_of,
    refusals,
    text_of,
)

# Nodes of headroom that a pool which grows may be asked for, where the file does not say.
HEADROOM_NODES = 2


def is_fleet(path: Path) -> bool:
    """Whether it tells of several workloads. Raises ConfigError where it can't be read."""
    content, _ = parsed(path, text_of(path))
    return "workloads" in content or "pools" in content


def read_fleet(path: Path) -> FleetScenario:
    """The fleet of a file. Traces that it names are looked for beside it.

    Raises ConfigError with everything that is wrong.
    """
    document, lines = document_of(path, FleetDocument, _beside)
    reader = _FleetReader(path, lines)
    fleet = reader.fleet(document)
    if reader.problems or fleet is None:
        raise ConfigError(tuple(reader.problems))
    return fleet


def _beside(
    path: Path, lines: dict[str, int], content: dict[str, Any], error: pydantic.ValidationError
) -> list[Problem]:
    """What is wrong beside keys that are not known: else a file would be mended, and only then be told of it."""
    known, misspelt = copy.deepcopy(content), set()
    for item in error.errors():
        *section, last = item["loc"]
        if item["type"] not in UNKNOWN:
            return []
        owner: Any = known
        for key in section:
            owner = owner[key]
        owner.pop(last, None)
        # Without a misspelt `shape` there would be neither shape nor trace, which is not what is wrong.
        if section and section[-1] in ("demand", "server"):
            misspelt.add(".".join(map(str, section)))
    reader = _FleetReader(path, lines)
    reader.fleet(pydantic.TypeAdapter(FleetDocument).validate_python(known))
    return [
        problem
        for problem in reader.problems
        if not any(f": {section}" in problem.where for section in misspelt)
    ]


class _FleetReader:
    """From a document whose types fit to a fleet whose values make sense."""

    def __init__(self, path: Path, lines: dict[str, int]) -> None:
        self._path, self._lines = path, lines
        self.problems: list[Problem] = []

    def fleet(self, document: FleetDocument) -> FleetScenario | None:
        """None: a value can't be, and that was told."""
        gpu = self._gpu(document.gpu)
        if document.planner_s < 0.0:
            self._wrong("planner_s", document.planner_s, "0 or more")
        for key, told in (("pools", document.pools), ("workloads", document.workloads)):
            if not told:
                self._wrong(key, "none", "at least one")
        self._twice("pools", "name", [one.name for one in document.pools])
        self._twice("workloads", "workload.name", [one.workload.name for one in document.workloads])
        pools = [self._pool(f"pools.{place}", one, gpu) for place, one in enumerate(document.pools)]
        known = [pool for pool in pools if pool is not None]
        offered = sorted({name for pool in known for name in pool.shapes})
        # What a pool that could not be read has is not known.
        whole = len(known) == len(pools) and gpu is not None
        workloads = [
            self._workload(f"workloads.{place}.", one, offered if whole else None)
            for place, one in enumerate(document.workloads)
        ]
        if gpu is None or self.problems:
            return None
        return FleetScenario(
            name=document.name or self._path.stem,
            gpu=gpu.name,
            workloads=tuple(one for one in workloads if one is not None),
            pools=tuple(known),
            mig=document.mig,
            planner_s=document.planner_s,
            outages=document.outages,
            failures=document.failures,
        )

    def _wrong(self, key: str, given: object, allowed: str) -> None:
        place = place_of(self._path, self._lines, key)
        self.problems.append(Problem(place, str(given), allowed))

    def _twice(self, section: str, key: str, names: list[str]) -> None:
        counts = Counter(names)
        for place, name in enumerate(names):
            if counts[name] > 1 and names.index(name) != place:
                self._wrong(f"{section}.{place}.{key}", name, "a name that no other has")

    def _gpu(self, name: str) -> GpuModel | None:
        try:
            return find_gpu(name)
        except GpuError as error:
            self._wrong("gpu", repr(name), str(error))
            return None

    # ------------------------------------------------------------ pools

    def _pool(self, where: str, given: PoolSection, gpu: GpuModel | None) -> FleetPool | None:
        before = len(self.problems)
        fixed = bool(given.layouts)
        self._fits_kind(where, given, fixed=fixed)
        layouts = dict(given.layouts) if fixed else {}
        if given.layout is not None and not fixed:
            layouts[given.layout] = given.layout
        for name, text in layouts.items():
            key = f"{where}.layouts.{name}" if fixed else f"{where}.layout"
            self._layout(key, text, gpu, alone=not fixed)
        settings = self._settings(where, given)
        if settings is None or len(self.problems) > before:
            return None
        pool = FleetPool(name=given.name, settings=settings, layouts=layouts, begins=given.nodes)
        if fixed:
            return pool
        units = settings.gpus
        if layouts:
            units = sum(pool.slices(given.layout or "").values())
        headroom = HEADROOM_NODES * units if given.max_headroom is None else given.max_headroom
        return replace(pool, max_headroom=headroom)

    def _fits_kind(self, where: str, given: PoolSection, *, fixed: bool) -> None:
        grown = ("layout", "boot_s", "unneeded_s", "most", "stock_outs", "max_headroom")
        usual = PoolSection(name=given.name)
        if not fixed:
            if given.nodes:
                self._wrong(f"{where}.nodes", given.nodes, "of a fixed pool, with layouts")
            if given.max_headroom is not None and given.max_headroom < 0:
                self._wrong(f"{where}.max_headroom", given.max_headroom, "0 or more")
            return
        for key in grown:
            if getattr(given, key) != getattr(usual, key):
                self._wrong(f"{where}.{key}", getattr(given, key), "of a pool without layouts")
        if not sum(given.nodes.values()):
            self._wrong(f"{where}.nodes", "none", "how many nodes begin with which layout")
        for name, count in given.nodes.items():
            if name not in given.layouts:
                told = f"one of its layouts: {', '.join(given.layouts)}"
                self._wrong(f"{where}.nodes.{name}", repr(name), told)
            if count < 0:
                self._wrong(f"{where}.nodes.{name}", count, "0 or more")

    def _layout(self, key: str, text: str, gpu: GpuModel | None, *, alone: bool) -> None:
        if gpu is None:
            return
        try:
            geometry = parse_geometry(text)
            fits = realise(gpu, geometry) is not None
        except GpuError as error:
            self._wrong(key, repr(text), str(error))
            return
        if not fits:
            self._wrong(key, repr(text), f"must fit onto one {gpu.name}")
        elif alone and len(geometry.counts) > 1:
            self._wrong(key, repr(text), "one profile: a pool that grows is asked for in one")

    def _settings(self, where: str, given: PoolSection) -> NodeSettings | None:
        told = {
            key: getattr(given, key)
            for key in ("gpus", "boot_s", "unneeded_s", "most", "stock_outs")
            if getattr(given, key) is not None
        }
        refused = refusals(NodeSettings, told)
        for said in refused:
            name, _, rest = said.partition(": ")
            self._wrong(f"{where}.{name}", rest, "see docs/simulation.md")
        return None if refused else NodeSettings(**told)

    # ------------------------------------------------------------ workloads

    def _workload(
        self, where: str, given: FleetWorkloadSection, offered: list[str] | None
    ) -> FleetWorkload | None:
        """`offered` are the shapes of all pools; None: not known."""
        reader = Reader(self._path, self._lines, where)
        alone = reader.scenario(
            Document(
                name=given.workload.name,
                workload=given.workload,
                demand=given.demand,
                server=given.server,
                startup=given.startup,
                balancing=given.balancing,
            )
        )
        self.problems.extend(reader.problems)
        self._fits_shapes(where, given)
        shapes = []
        for place, one in enumerate(given.shapes):
            key = f"{where}shapes.{place}"
            if offered is not None and one.profile not in offered:
                told = f"what a pool has: {', '.join(offered) or 'none'}"
                self._wrong(f"{key}.profile", repr(one.profile), told)
            shapes.append(self._shape(key, one, given.server))
        if alone is None:
            return None
        return _workload_of(alone, given, shapes)

    def _fits_shapes(self, where: str, given: FleetWorkloadSection) -> None:
        if given.server.continuous is not None:
            told = "batch_service_s: engines that make tokens are not modelled in a fleet"
            self._wrong(f"{where}server.continuous", "given", told)
        if given.demand.users is not None:
            told = "shape or trace: users in a closed loop are not modelled in a fleet"
            self._wrong(f"{where}demand.users", repr(given.demand.users), told)
        if not given.shapes:
            self._wrong(f"{where}shapes", "none", "at least one")
        self._twice(f"{where}shapes", "profile", [one.profile for one in given.shapes])
        if len(given.shapes) < 2:
            self._fits_single(where, given.shapes)
            return
        most = sum(_most(one) for one in given.shapes)
        if most > MOST_SERVERS:
            self._wrong(f"{where}shapes", f"{most} replicas", f"at most {MOST_SERVERS} are run")
        usual = WorkloadSection(slo=given.workload.slo)
        for key in ("min_replicas", "max_replicas", "first_replicas"):
            value = getattr(given.workload, key)
            if value != getattr(usual, key):
                self._wrong(f"{where}workload.{key}", value, "of each of its shapes")
        if given.balancing.gateway:
            told = "false: a gateway before several Deployments is not modelled"
            self._wrong(f"{where}balancing.gateway", "true", told)

    def _fits_single(self, where: str, shapes: tuple[ShapeSection, ...]) -> None:
        for one in shapes:
            for key in ("min_replicas", "max_replicas", "first_replicas"):
                value = getattr(one, key)
                if value != getattr(ShapeSection(profile=one.profile), key):
                    told = "of the workload itself, where it has one shape"
                    self._wrong(f"{where}shapes.0.{key}", value, told)

    def _shape(self, key: str, given: ShapeSection, server: ServerSection) -> Shape:
        for name, told in _replica_problems(given):
            self._wrong(f"{key}.{name}", getattr(given, name), told)
        return Shape(
            name=given.profile,
            slowdown_ratios=self._slowdown(key, given, server.batch_service_s or ()),
            min_replicas=given.min_replicas,
            max_replicas=given.max_replicas,
            first_replicas=given.first_replicas,
        )

    def _slowdown(
        self, key: str, given: ShapeSection, whole_s: tuple[float, ...]
    ) -> tuple[float, ...]:
        """Over the server's own times, by batch size."""
        if given.slowdown_ratio is not None and given.batch_service_s is not None:
            self._wrong(key, "both", "slowdown_ratio or batch_service_s, one of them")
        if given.batch_service_s is not None:
            times_s = given.batch_service_s
            if len(times_s) != len(whole_s):
                told = f"{len(whole_s)} times, as many as server.batch_service_s"
                self._wrong(f"{key}.batch_service_s", len(times_s), told)
                return ()
            if any(not value > 0.0 for value in times_s):
                self._wrong(f"{key}.batch_service_s", list(times_s), "more than 0")
                return ()
            return tuple(own / of for own, of in zip(times_s, whole_s, strict=True))
        ratio = 1.0 if given.slowdown_ratio is None else given.slowdown_ratio
        if not ratio > 0.0:
            self._wrong(f"{key}.slowdown_ratio", ratio, "more than 0")
        return () if ratio == 1.0 else (ratio,) * len(whole_s)


def _most(given: ShapeSection) -> int:
    return MOST_REPLICAS if given.max_replicas is None else given.max_replicas


def _replica_problems(given: ShapeSection) -> Iterator[tuple[str, str]]:
    """(key, what is allowed)."""
    most = _most(given)
    if given.min_replicas < 0:
        yield "min_replicas", "0 or more"
    if most < max(1, given.min_replicas):
        yield "max_replicas", "at least min_replicas, and 1"
    elif not 0 <= given.first_replicas <= most:
        yield "first_replicas", f"0 to {most}, max_replicas"


def _workload_of(
    alone: Scenario, given: FleetWorkloadSection, shapes: list[Shape]
) -> FleetWorkload:
    if len(shapes) == 1:
        (shape,) = shapes
        told: dict[str, Any] = {
            "min_replicas": given.workload.min_replicas,
            "max_replicas": given.workload.max_replicas,
            "first_replicas": given.workload.first_replicas,
        }
        return FleetWorkload(alone=alone, shapes=(replace(shape, **told),))
    most = sum(_most(one) for one in given.shapes)
    return FleetWorkload(
        alone=replace(alone, spec=replace(alone.spec, max_replicas=most)), shapes=tuple(shapes)
    )
