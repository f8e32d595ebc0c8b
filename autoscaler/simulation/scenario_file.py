"""Reads scenario files (docs/simulation.md) and says everything that is wrong with one at once, each with its line."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pydantic

from autoscaler.core.slo import parse_slo
from autoscaler.core.types import Slo, SloForm, WorkloadId, WorkloadSpec
from autoscaler.errors import ConfigError, Problem
from autoscaler.simulation.clients import Clients, Users
from autoscaler.simulation.continuous_model import ContinuousModel, Lengths
from autoscaler.simulation.demand import (
    MOST_REQUESTS,
    demand_of_shape,
    demand_of_trace,
    users_of_shape,
)
from autoscaler.simulation.scenario import (
    MOST_REPLICAS,
    NO_CLIENTS_OF_TOKENS,
    Demand,
    Scenario,
)
from autoscaler.simulation.scenario_sections import (
    BalancingSection,
    ContinuousSection,
    DemandSection,
    Document,
    ServerSection,
    StartupSection,
    WorkloadSection,
)
from autoscaler.simulation.scenario_text import (
    UNKNOWN,
    document_of,
    place_of,
    refusals,
)
from autoscaler.simulation.serving import ServingModel
from autoscaler.simulation.serving_clients import ALL_AT_ONCE
from autoscaler.simulation.startup import Startup

Made = TypeVar("Made")
# Scaling's share of the error budget of `95% < T` objectives: what the engine aims at, and what runs are compared at.
SCALING_BUDGET_RATIO = 0.2

# Of one run: numbers of servers are 16 bits wide there, those that start and drain included.
MOST_SERVERS = 10_000
MOST_CONNECTIONS = 1_000_000
# The ways to give demand, and the keys that belong to each.
WAYS = {"shape": "a shape", "trace": "a trace", "users": "users"}
DEMAND_KEYS = {
    "shape": ("hours", "peak_rps", "dispersion", "burst_s"),
    "trace": ("column", "last_days", "peak_rps", "dispersion", "burst_s"),
    "users": ("hours", "think_s"),
}


def read_scenario(path: Path) -> Scenario:
    """The scenario of a file. A trace that it names is looked for beside it.

    Raises ConfigError with everything that is wrong.
    """
    document, lines = document_of(path, Document, _beside)
    reader = Reader(path, lines)
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
        if item["type"] in UNKNOWN:
            _at(known, sections).pop(last, None)
        # Without a misspelt `shape` there would be neither shape nor trace, which is not what is wrong.
        if item["type"] not in UNKNOWN or sections == ["demand"]:
            wrong.add(item["loc"][0])
    reader = Reader(path, lines)
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


class Reader:
    """From sections whose types fit to values that make sense. `prefix` is where in the file they stand."""

    def __init__(self, path: Path, lines: dict[str, int], prefix: str = "") -> None:
        self._path, self._lines, self._prefix = path, lines, prefix
        self.problems: list[Problem] = []

    def scenario(self, document: Document) -> Scenario | None:
        """None: a value can't be, and that was told."""
        given = document.workload
        slo = self.workload(given)
        server = self.server(document.server)
        if slo is not None and isinstance(server, ServingModel) and (said := of_tokens(slo)):
            self.wrong("workload.slo", said, "needs server.continuous")
        startup = self.startup(document.startup)
        self.balancing(document.balancing)
        demand = self.demand(document.demand)
        if slo is None or server is None or startup is None or demand is None:
            return None
        if not self._fit(demand, document.clients, server, given):
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
            clients=document.clients,
        )

    def _fit(
        self,
        demand: Demand | Users,
        clients: Clients,
        server: ServingModel | ContinuousModel,
        given: WorkloadSection,
    ) -> bool:
        """Whether these clients can be before these servers."""
        before = len(self.problems)
        if isinstance(server, ContinuousModel):
            if isinstance(demand, Users):
                self.wrong("demand.users", repr(demand.name), NO_CLIENTS_OF_TOKENS)
            if not clients.are_patient:
                self.wrong("clients", "given", NO_CLIENTS_OF_TOKENS)
        elif isinstance(demand, Users):
            if demand.think_s == 0.0 and server.max_queue_size is not None:
                self.wrong("demand.think_s", 0.0, ALL_AT_ONCE)
            most = (given.max_replicas or MOST_REPLICAS) * server.capacity_rps
            cycle_s = demand.think_s + min(server.batch_service_s)
            requests = float(np.minimum(demand.counts / cycle_s, most).sum())
            if requests > MOST_REQUESTS:
                allowed = f"at most {MOST_REQUESTS:.3g}: fewer users, or for less time"
                self.wrong("demand.users", f"up to {requests:.3g} requests", allowed)
        return len(self.problems) == before

    def workload(self, given: WorkloadSection) -> Slo | None:
        """Its SLO, the rest checked."""
        if given.max_replicas is not None and given.max_replicas < given.min_replicas:
            self.wrong("workload.max_replicas", given.max_replicas, "at least min_replicas")
        for key in ("min_replicas", "first_replicas"):
            if getattr(given, key) < 1:
                self.wrong(f"workload.{key}", getattr(given, key), "at least 1")
        most = given.max_replicas or MOST_REPLICAS
        if given.first_replicas > most:
            self.wrong(
                "workload.first_replicas", given.first_replicas, f"at most {most}, max_replicas"
            )
        if most > MOST_SERVERS:
            self.wrong("workload.max_replicas", most, f"at most {MOST_SERVERS} are run")
        if given.goal_ratio is not None and not 0.0 < given.goal_ratio < 1.0:
            self.wrong("workload.goal_ratio", given.goal_ratio, "between 0 and 1")
        return self._slo(given.slo)

    def wrong(self, key: str, given: object, allowed: str) -> None:
        """One more problem."""
        self.problems.append(Problem(self._place(key), str(given), allowed))

    def _place(self, key: str) -> str:
        return place_of(self._path, self._lines, f"{self._prefix}{key}")

    def _slo(self, text: str) -> Slo | None:
        found = parse_slo(text, self._place("workload.slo"))
        if isinstance(found, Slo):
            return found
        self.problems.extend(found)
        return None

    def server(self, given: ServerSection) -> ServingModel | ContinuousModel | None:
        if (given.batch_service_s is None) == (given.continuous is None):
            count = "neither" if given.continuous is None else "both"
            self.wrong("server", count, "batch_service_s or continuous, one of them")
            return None
        if given.continuous is not None:
            return self._continuous(given, given.continuous)
        assert given.batch_service_s is not None
        told = {f.name: getattr(given, f.name) for f in fields(given) if f.name != "continuous"}
        return self._made("server", _serving_model, told)

    def _continuous(
        self, given: ServerSection, engine: ContinuousSection
    ) -> ContinuousModel | None:
        usual = ServerSection(continuous=engine)
        for item in fields(given):
            if getattr(given, item.name) != getattr(usual, item.name):
                value = getattr(given, item.name)
                self.wrong(f"server.{item.name}", value, "of servers that batch, not of continuous")
        values = {item.name: getattr(engine, item.name) for item in fields(engine)}
        return self._made("server.continuous", _continuous_model, values)

    def startup(self, given: StartupSection) -> Startup | None:
        told = {"median_s": given.median_s, "p99_ratio": given.p99_ratio}
        return self._made("startup", _startup, told)

    def _made(
        self, section: str, make: Callable[..., Made], told: Mapping[str, object]
    ) -> Made | None:
        """None: a value can't be, and each that can't was told."""
        refused = refusals(make, told)
        for said in refused:
            self._refused(section, said)
        return None if refused else make(**told)

    def balancing(self, given: BalancingSection) -> None:
        """Of connections, at least one and for some time."""
        if not 1 <= given.connections <= MOST_CONNECTIONS:
            self.wrong("balancing.connections", given.connections, f"1 to {MOST_CONNECTIONS}")
        if given.connection_life_s is not None and given.connection_life_s <= 0.0:
            life_s = given.connection_life_s
            self.wrong("balancing.connection_life_s", life_s, "more than 0, or null")

    def demand(self, given: DemandSection) -> Demand | Users | None:
        ways = [way for way in WAYS if getattr(given, way) is not None]
        if len(ways) != 1:
            told = " and ".join(ways) or "none of them"
            self.wrong("demand", told, "shape, trace or users, one of them")
            return None
        self._fits_way(given, ways[0])
        try:
            if given.users is not None:
                return users_of_shape(
                    given.users,
                    hours=24.0 if given.hours is None else given.hours,
                    think_s=1.0 if given.think_s is None else given.think_s,
                )
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
            self._refused("demand", str(error))
        return None

    def _fits_way(self, given: DemandSection, way: str) -> None:
        """Keys that belong to another way to give demand would be overlooked."""
        usual = DemandSection()
        for key in sorted({key for keys in DEMAND_KEYS.values() for key in keys}):
            if key not in DEMAND_KEYS[way] and getattr(given, key) != getattr(usual, key):
                owners = [WAYS[other] for other, keys in DEMAND_KEYS.items() if key in keys]
                allowed = f"of {' or '.join(owners)} alone: leave it out"
                self.wrong(f"demand.{key}", getattr(given, key), allowed)

    def _refused(self, section: str, said: str) -> None:
        """A value's own type says `name: given, allowed`."""
        name, _, rest = said.partition(": ")
        key = f"{section}.{name}"
        known = key if f"{self._prefix}{key}" in self._lines else section
        self.wrong(known, rest if known == key else said, "see docs/simulation.md")


def _serving_model(batch_service_s: tuple[float, ...] = (1.0,), **told: Any) -> ServingModel:
    """As many times as there are is the largest batch."""
    size = len(batch_service_s)
    if not size:
        raise ValueError("batch_service_s: none, a time for each batch size from 1 on")
    return ServingModel(max_batch_size=size, batch_service_s=batch_service_s, **told)


def _continuous_model(
    base_step_s: float = 0.02,
    sequence_s: float = 0.0,
    prompt_token_s: float = 0.0,
    lengths: Lengths | None = None,
    **told: Any,
) -> ContinuousModel:
    """Without lengths those of an answer of one token."""
    return ContinuousModel(
        base_step_s=base_step_s,
        sequence_s=sequence_s,
        prompt_token_s=prompt_token_s,
        lengths=lengths or Lengths(prompt_tokens=1.0, answer_tokens=1.0),
        **told,
    )


def _startup(median_s: float = 0.0, p99_ratio: float = 1.0) -> Startup:
    return Startup(median_s=median_s, p99_ratio=p99_ratio)


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
