"""Reads scenario files (docs/simulation.md) and says everything that is wrong with one at once, each with its line."""

from __future__ import annotations

import copy
import difflib
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import pydantic
import yaml

from autoscaler.core.slo import parse_slo
from autoscaler.core.types import Slo, SloForm, WorkloadId, WorkloadSpec
from autoscaler.errors import ConfigError, Problem
from autoscaler.simulation.continuous_model import ContinuousModel, Lengths
from autoscaler.simulation.demand import demand_of_shape, demand_of_trace
from autoscaler.simulation.nodes import NodeSettings, Span
from autoscaler.simulation.scenario import MOST_REPLICAS, Demand, Failures, Scenario
from autoscaler.simulation.serving import Routing, ServingModel
from autoscaler.simulation.startup import Startup
from autoscaler.yaml_text import UniqueKeyLoader

# Scaling's share of the error budget of `95% < T` objectives: what the engine aims at, and what runs are compared at.
SCALING_BUDGET_RATIO = 0.2

# Of one run: numbers of servers are 16 bits wide there, those that start and drain included.
MOST_SERVERS = 10_000
MOST_CONNECTIONS = 1_000_000
OF_TRACES, OF_SHAPES = ("column", "last_days"), ("hours",)

_STRICT = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)


@pydantic.with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class DemandSection:
    """`shape` or `trace`."""

    shape: str | None = None
    trace: str | None = None
    column: str | None = None
    hours: float | None = None
    last_days: float | None = None
    peak_rps: float | None = None
    dispersion: float = 1.0
    burst_s: int = 1


@pydantic.with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class WorkloadSection:
    """What its annotations would say, and what it begins with."""

    slo: str
    name: str = "model"
    min_replicas: int = 1
    max_replicas: int | None = None
    first_replicas: int = 1
    goal_ratio: float | None = None


@pydantic.with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class ContinuousSection:
    """An engine that generates tokens, and how long the requests are."""

    base_step_s: float
    sequence_s: float
    prompt_token_s: float
    lengths: Lengths
    max_sequences: int = 256
    step_tokens: int = 2048
    cache_tokens: int = 200_000
    block_tokens: int = 16


@pydantic.with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class ServerSection:
    """One replica: `batch_service_s` or `continuous`."""

    batch_service_s: tuple[float, ...] | None = None
    continuous: ContinuousSection | None = None
    instances: int = 1
    max_queue_delay_s: float = 0.0
    service_cv: float = 0.0
    max_queue_size: int | None = None


@pydantic.with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class BalancingSection:
    """How requests are given to replicas."""

    routing: Routing = Routing.LEAST_OUTSTANDING
    connections: int = 64
    connection_life_s: float | None = None
    gateway: bool = False


@pydantic.with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class StartupSection:
    """Time to ready."""

    median_s: float
    p99_ratio: float = 2.3


@pydantic.with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole file."""

    workload: WorkloadSection
    demand: DemandSection
    server: ServerSection
    startup: StartupSection
    name: str | None = None
    balancing: BalancingSection = field(default_factory=BalancingSection)
    nodes: NodeSettings = field(default_factory=NodeSettings)
    outages: tuple[Span, ...] = ()
    failures: Failures = field(default_factory=Failures)


for _type in (NodeSettings, Span, Failures, Lengths):
    pydantic.with_config(_STRICT)(_type)
_document = pydantic.TypeAdapter(Document)
_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")


def read_scenario(path: Path) -> Scenario:
    """The scenario of a file. A trace that it names is looked for beside it.

    Raises ConfigError with everything that is wrong.
    """
    text = _text(path)
    content, lines = _parsed(path, text)
    try:
        document = _document.validate_python(content)
    except pydantic.ValidationError as error:
        told = [_problem(path, lines, item) for item in error.errors()]
        raise ConfigError((*told, *_beside(path, lines, content, error))) from error
    reader = _Reader(path, lines)
    scenario = reader.scenario(document)
    if reader.problems or scenario is None:
        raise ConfigError(tuple(reader.problems))
    return scenario


def _beside(
    path: Path, lines: dict[str, int], content: dict[str, Any], error: pydantic.ValidationError
) -> list[Problem]:
    """What is wrong with the values of those sections whose types fit once unknown keys are left out.

    Else a file with a misspelt key would be mended, and only then be told that its SLO can't be read.
    """
    known = copy.deepcopy(content)
    wrong = set()
    for item in error.errors():
        *sections, last = item["loc"]
        if item["type"] in _UNKNOWN:
            _at(known, sections).pop(last, None)
        # Without a misspelt `shape` there would be neither shape nor trace, which is not what is wrong.
        if item["type"] not in _UNKNOWN or sections == ["demand"]:
            wrong.add(item["loc"][0])
    reader = _Reader(path, lines)
    checks: tuple[tuple[str, Any, Callable[[Any], object]], ...] = (
        ("workload", WorkloadSection, reader.workload),
        ("server", ServerSection, reader.server),
        ("startup", StartupSection, reader.startup),
        ("balancing", BalancingSection, reader.balancing),
        ("demand", DemandSection, reader.demand),
    )
    for name, type_, check in checks:
        if name in known and name not in wrong:
            check(pydantic.TypeAdapter(type_).validate_python(known[name]))
    return reader.problems


def _at(content: Any, keys: Sequence[Any]) -> Any:
    for key in keys:
        content = content[key]
    return content


class _Reader:
    """From a document whose types fit to a scenario whose values make sense."""

    def __init__(self, path: Path, lines: dict[str, int]) -> None:
        self._path, self._lines = path, lines
        self.problems: list[Problem] = []

    def scenario(self, document: Document) -> Scenario | None:
        """None: a value can't be, and that was told."""
        given = document.workload
        slo = self.workload(given)
        server = self.server(document.server)
        if slo is not None and isinstance(server, ServingModel) and (said := of_tokens(slo)):
            self._wrong("workload.slo", said, "needs server.continuous")
        startup = self.startup(document.startup)
        self.balancing(document.balancing)
        demand = self.demand(document.demand)
        if slo is None or server is None or startup is None or demand is None:
            return None
        return Scenario(
            name=document.name or self._path.stem,
            spec=WorkloadSpec(
                id=WorkloadId(namespace="simulated", name=given.name),
                slo=slo,
                min_replicas=given.min_replicas,
                max_replicas=given.max_replicas,
            ),
            server=server,
            demand=demand,
            startup=startup,
            goal_ratio=given.goal_ratio or goal_of(slo),
            first_replicas=given.first_replicas,
            routing=document.balancing.routing,
            connections=document.balancing.connections,
            connection_life_s=document.balancing.connection_life_s,
            gateway=document.balancing.gateway,
            nodes=document.nodes,
            outages=document.outages,
            failures=document.failures,
        )

    def workload(self, given: WorkloadSection) -> Slo | None:
        """Its SLO, the rest checked."""
        if given.max_replicas is not None and given.max_replicas < given.min_replicas:
            self._wrong("workload.max_replicas", given.max_replicas, "at least min_replicas")
        for key in ("min_replicas", "first_replicas"):
            if getattr(given, key) < 1:
                self._wrong(f"workload.{key}", getattr(given, key), "at least 1")
        most = given.max_replicas or MOST_REPLICAS
        if given.first_replicas > most:
            self._wrong(
                "workload.first_replicas", given.first_replicas, f"at most {most}, max_replicas"
            )
        if most > MOST_SERVERS:
            self._wrong("workload.max_replicas", most, f"at most {MOST_SERVERS} are run")
        if given.goal_ratio is not None and not 0.0 < given.goal_ratio < 1.0:
            self._wrong("workload.goal_ratio", given.goal_ratio, "between 0 and 1")
        return self._slo(given.slo)

    def _wrong(self, key: str, given: object, allowed: str) -> None:
        self.problems.append(Problem(_place(self._path, self._lines, key), str(given), allowed))

    def _slo(self, text: str) -> Slo | None:
        found = parse_slo(text, _place(self._path, self._lines, "workload.slo"))
        if isinstance(found, Slo):
            return found
        self.problems.extend(found)
        return None

    def server(self, given: ServerSection) -> ServingModel | ContinuousModel | None:
        if (given.batch_service_s is None) == (given.continuous is None):
            count = "neither" if given.continuous is None else "both"
            self._wrong("server", count, "batch_service_s or continuous, one of them")
            return None
        if given.continuous is not None:
            return self._continuous(given, given.continuous)
        assert given.batch_service_s is not None
        try:
            return ServingModel(
                max_batch_size=len(given.batch_service_s),
                batch_service_s=given.batch_service_s,
                instances=given.instances,
                max_queue_delay_s=given.max_queue_delay_s,
                service_cv=given.service_cv,
                max_queue_size=given.max_queue_size,
            )
        except ValueError as error:
            self._refused("server", error)
            return None

    def _continuous(
        self, given: ServerSection, engine: ContinuousSection
    ) -> ContinuousModel | None:
        usual = ServerSection(continuous=engine)
        for item in fields(given):
            if getattr(given, item.name) != getattr(usual, item.name):
                value = getattr(given, item.name)
                self._wrong(
                    f"server.{item.name}", value, "of servers that batch, not of continuous"
                )
        values = {item.name: getattr(engine, item.name) for item in fields(engine)}
        try:
            return ContinuousModel(**values)
        except ValueError as error:
            self._refused("server.continuous", error)
            return None

    def startup(self, given: StartupSection) -> Startup | None:
        try:
            return Startup(median_s=given.median_s, p99_ratio=given.p99_ratio)
        except ValueError as error:
            self._refused("startup", error)
            return None

    def balancing(self, given: BalancingSection) -> None:
        """Of connections, at least one and for some time."""
        if not 1 <= given.connections <= MOST_CONNECTIONS:
            self._wrong("balancing.connections", given.connections, f"1 to {MOST_CONNECTIONS}")
        if given.connection_life_s is not None and given.connection_life_s <= 0.0:
            life_s = given.connection_life_s
            self._wrong("balancing.connection_life_s", life_s, "more than 0, or null")

    def demand(self, given: DemandSection) -> Demand | None:
        if (given.shape is None) == (given.trace is None):
            both = "neither" if given.shape is None else "both"
            self._wrong("demand", both, "either shape or trace")
            return None
        of, other = ("trace", OF_TRACES) if given.trace is None else ("shape", OF_SHAPES)
        for key in other:
            if getattr(given, key) is not None:
                self._wrong(f"demand.{key}", getattr(given, key), f"of a {of} alone: leave it out")
        try:
            if given.shape is not None:
                return demand_of_shape(
                    given.shape,
                    hours=24.0 if given.hours is None else given.hours,
                    peak_rps=given.peak_rps,
                    dispersion=given.dispersion,
                    burst_s=given.burst_s,
                )
            return demand_of_trace(
                self._path.parent / str(given.trace),
                column=given.column,
                last_days=given.last_days,
                peak_rps=given.peak_rps,
                dispersion=given.dispersion,
                burst_s=given.burst_s,
            )
        except ConfigError as error:
            self.problems.extend(error.problems)
        except ValueError as error:
            self._refused("demand", error)
        return None

    def _refused(self, section: str, error: ValueError) -> None:
        """A value's own type says `name: given, allowed`."""
        name, _, rest = str(error).partition(": ")
        key = f"{section}.{name}"
        known = key if key in self._lines else section
        self._wrong(known, rest if known == key else str(error), "see docs/simulation.md")


def of_tokens(slo: Slo) -> str:
    """An objective that servers which answer whole requests tell nothing of; empty: none."""
    signals = [item.signal for item in slo.objectives if item.signal != "latency"]
    return f"an objective on {signals[0]}" if signals else ""


def goal_of(slo: Slo) -> float:
    """The attainment at which runs are compared: the objective's share less what is kept for incidents."""
    objective = slo.objectives[0]
    if objective.form is SloForm.MINUTES:
        return objective.ratio
    return 1.0 - SCALING_BUDGET_RATIO * (1.0 - objective.ratio)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError((Problem(str(path), said, "name a readable YAML file"),)) from error


def _parsed(path: Path, text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The content, and the line of every key."""
    try:
        content = yaml.load(text, UniqueKeyLoader)
        node = yaml.compose(text, UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError((Problem(place, said, "must be YAML"),)) from error
    if not isinstance(content, dict):
        given = "is empty" if content is None else f"a {type(content).__name__}"
        raise ConfigError((Problem(str(path), given, "must be a mapping of sections"),))
    return content, dict(_lines_of(node, ""))


def _lines_of(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{prefix}{key.value}", key.start_mark.line + 1
            yield from _lines_of(value, f"{prefix}{key.value}.")
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield f"{prefix}{index}", value.start_mark.line + 1
            yield from _lines_of(value, f"{prefix}{index}.")


def _place(path: Path, lines: dict[str, int], key: str) -> str:
    """`file:line: key`, with the line of the nearest key above that is in the file."""
    parts = key.split(".")
    known = (lines.get(".".join(parts[:end])) for end in range(len(parts), 0, -1))
    line = next((number for number in known if number is not None), 1)
    return f"{path}:{line}: {key}"


def _problem(path: Path, lines: dict[str, int], item: Any) -> Problem:
    key = ".".join(str(part) for part in item["loc"])
    place = _place(path, lines, key)
    if item["type"] in _UNKNOWN:
        return Problem(place, "is not known", _nearest(item["loc"]))
    if item["type"] in ("missing", "missing_keyword_only_argument", "missing_argument"):
        return Problem(place, "is missing", "must be given")
    if item["type"] == "value_error":
        return Problem(place, str(item["ctx"]["error"]), "see docs/simulation.md")
    given = repr(item["input"])
    shown = given if len(given) <= 60 else f"{given[:57]}..."
    if item["type"] in ("dataclass_type", "tuple_type"):
        return Problem(
            place, shown, "must be a list" if item["type"] == "tuple_type" else "must be a mapping"
        )
    said = item["msg"].split(", unable to")[0]
    return Problem(place, shown, said.replace("Input should be", "must be"))


def _nearest(loc: tuple[object, ...]) -> str:
    section: Any = Document
    for part in loc[:-1]:
        section = None if isinstance(part, int) else _section(section, str(part))
    section = section or Span
    known = [item.name for item in fields(section)]
    near = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"did you mean {near[0]}?" if near else f"allowed here: {', '.join(known)}"


def _section(owner: Any, key: str) -> Any:
    """The dataclass that a key of `owner` holds; None where it holds none."""
    hint = typing.get_type_hints(owner).get(key) if owner is not None else None
    if isinstance(hint, types.UnionType):
        hint = next((part for part in typing.get_args(hint) if is_dataclass(part)), None)
    return hint if is_dataclass(hint) else None
