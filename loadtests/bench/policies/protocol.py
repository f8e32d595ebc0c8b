"""The protocol: what is compared, and the single steps - cells - that it consists of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from autoscaler.core.slo import parse_slo
from autoscaler.core.types import Slo, WorkloadId, WorkloadSpec
from autoscaler.simulation.peers.catalog import OWN
from autoscaler.simulation.scenario import Scenario
from autoscaler.simulation.scenario_file import goal_of
from autoscaler.simulation.startup import Startup
from loadtests.bench.policies import series
from loadtests.bench.policies.servers import SERVERS, SINGLE, peak_rps

SLO = "95% < 1.1s"
MAX_REPLICAS = 100
# A run begins with what its first hour needs when 70 % busy, whatever the policy.
FIRST_LOAD = 0.7

ROOT = Path(__file__).parents[3]
_OWN = tuple(
    f"loadtests/bench/policies/{name}.py"
    for name in ("protocol", "series", "servers", "cells", "faults")
)
_SIMULATION = tuple(
    f"autoscaler/simulation/{name}.py"
    for name in ("demand", "scenario", "traces", "shapes", "arrivals", "startup", "bounds", "score")
)
_FLUID = tuple(
    f"autoscaler/simulation/{name}.py"
    for name in ("fluid", "fluid_kernel", "fluid_servers", "compiled")
)
_REQUESTS = tuple(
    f"autoscaler/simulation/{name}.py"
    for name in (
        "clients",
        "cluster",
        "deployment",
        "gateway",
        "load_test",
        "nodes",
        "places",
        "pods",
        "pools",
        "run",
        "scenario_file",
        "scraped",
        "serving",
        "serving_clients",
        "serving_input",
        "serving_kernel",
        "serving_model",
        "serving_recent",
        "serving_state",
        "trial",
        "world",
    )
)
_ENGINE = ("autoscaler/core", "autoscaler/engine.py", "autoscaler/simulation/forecasts.py")
_FORECASTS = ("forecasting", "autoscaler/forecasts.py", "autoscaler/config/settings.py")
# What a result depends on, by the kind of cell; those of forescale's runs come on top.
_CODE = {
    "record": (*_OWN[:3], *_SIMULATION[:4], *_FORECASTS),
    "curve": (*_OWN, *_SIMULATION, *_FLUID, "autoscaler/simulation/peers"),
    "point": (*_OWN, *_SIMULATION, *_FLUID, "autoscaler/simulation/peers"),
}
_RUN = (*_OWN, *_SIMULATION, *_FLUID, *_REQUESTS, "autoscaler/simulation/peers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How much is compared."""

    server: str = SINGLE
    """One of `SERVERS`."""
    days: float = 3.0
    startups_s: tuple[float, ...] = (4.0, 100.0, 240.0, 600.0)
    seeds: tuple[int, ...] = (1, 2, 3)
    names: tuple[str, ...] = ()
    """Series; empty: all."""
    points: int = 14
    """Settings of each peer's sweep that are tried."""
    fault_startup_s: float = 100.0
    """The start-up under which metrics are taken away."""

    @property
    def series(self) -> tuple[series.Series, ...]:
        if self.names:
            return tuple(series.named(name) for name in self.names)
        return series.all_series()


# Parts of forescale that are changed to see what each is worth.
VARIANTS = ("no forecasts", "ungated forecasts", "no gateway", "fixed price", "true capacity")
ABLATION_STARTUP_S = 100.0
QUICK = Protocol(days=1.0, startups_s=(100.0,), seeds=(1,), points=12)
QUICK_RECORDED = ("azure_llm", "f_e369")
QUICK_GENERATED = ("noisy", "hourly")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One step. `kind`: `curve` or `point` (fluid model); `bound`, `run`, `outage` or `step` (request by request)."""

    kind: str
    series: str
    days: float
    seed: int
    startup_s: float = 0.0
    policy: str = ""
    headroom: float | None = None
    part: str = "test"
    points: int = 0
    server: str = SINGLE
    variant: str = ""
    """Of forescale: which of its parts is changed, see `VARIANTS`."""

    def path(self, folder: Path) -> Path:
        """Where its result is kept: another version of the code, or another parameter, is another file."""
        told = json.dumps([asdict(self), version(self.kind, self.policy in OWN)], sort_keys=True)
        key = hashlib.sha256(told.encode()).hexdigest()[:20]
        return folder / f"{self.kind}-{self.series}-{key}.json"


@cache
def version(kind: str, with_engine: bool) -> str:
    """A hash of the code that a result depends on."""
    places = _CODE.get(kind, _RUN)
    digest = hashlib.sha256()
    for place in (*places, *((*_ENGINE, *_FORECASTS) if with_engine else ())):
        path = ROOT / place
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        for file in files:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def scenario(
    name: str,
    *,
    days: float,
    startup_s: float,
    part: str,
    server: str = SINGLE,
    gateway: bool = True,
) -> Scenario:
    """The workload of the comparison under one series, on one of `SERVERS`."""
    serves = SERVERS[server]
    slo = parse_slo(SLO, "slo")
    assert isinstance(slo, Slo)
    demand = series.demand(name, days=days, part=part, peak_rps=peak_rps(server))
    first_rps = float(demand.rates_rps[:3600].mean())
    return Scenario(
        name=name,
        spec=WorkloadSpec(
            id=WorkloadId(namespace="bench", name=name), slo=slo, max_replicas=MAX_REPLICAS
        ),
        server=serves,
        demand=demand,
        startup=Startup(median_s=startup_s),
        goal_ratio=goal_of(slo),
        first_replicas=max(1, round(first_rps / serves.capacity_rps / FIRST_LOAD + 0.5)),
        gateway=gateway,
    )
