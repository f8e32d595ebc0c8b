"""What a simulation is told: the demand, the workload, its servers, the cluster and what goes wrong in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.types import HistoryPoint, WorkloadSpec
from autoscaler.simulation.arrivals import poisson_arrivals
from autoscaler.simulation.clients import PATIENT, Clients, Users
from autoscaler.simulation.continuous_model import ContinuousModel
from autoscaler.simulation.nodes import NodeSettings, Span
from autoscaler.simulation.serving import Routing, ServingModel
from autoscaler.simulation.startup import Startup

MINUTE_S = 60.0
# Of a workload that names no ceiling, as the policy's default has it.
MOST_REPLICAS = 100
NO_CLIENTS_OF_TOKENS = "not modelled for servers that generate tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Requests a second, by second, from 0 on; before 0 lies what the engine is told as its history.

    Raises ValueError for a rate that is negative or not finite, and for a dispersion or a burst that can't be.
    """

    name: str
    rates_rps: NDArray[np.float64]
    arrivals_s: NDArray[np.float64] | None = None
    """The requests themselves, where they are known; else they are drawn around the rates."""
    past_rps: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """By minute; its last minute ends at 0."""
    dispersion: float = 1.0
    """Variance of the counts over their mean, in bursts of `burst_s`; 1 is Poisson."""
    burst_s: int = 1

    def __post_init__(self) -> None:
        rates = self.rates_rps
        if not rates.size or not bool(np.isfinite(rates).all() and (rates >= 0.0).all()):
            raise ValueError(f"{self.name}: at least one rate, none negative, all finite")
        if not 1.0 <= self.dispersion < math.inf:
            raise ValueError(f"dispersion: {self.dispersion}, 1 or more")
        if self.burst_s < 1:
            raise ValueError(f"burst_s: {self.burst_s}, at least 1")

    @property
    def duration_s(self) -> float:
        """How long it goes on."""
        return float(self.rates_rps.size)

    def arrivals(self, seed: int) -> NDArray[np.float64]:
        """When each request arrives, ascending; the same for every policy."""
        if self.arrivals_s is not None:
            return self.arrivals_s
        return poisson_arrivals(
            self.rates_rps,
            np.random.default_rng(seed),
            dispersion=self.dispersion,
            burst_steps=self.burst_s,
        )

    def backfill(self, epoch_s: float, work: float = 1.0) -> tuple[HistoryPoint, ...]:
        """The past as Prometheus would tell it, where 0 is at `epoch_s` and a request counts as `work`."""
        first_s = epoch_s - MINUTE_S * self.past_rps.size
        return tuple(
            HistoryPoint(minute_s=first_s + MINUTE_S * minute, offered_rps=work * rate)
            for minute, rate in enumerate(self.past_rps.tolist())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Pods and nodes that end without warning. Raises ValueError where the numbers can't be."""

    pod_mean_between_s: float | None = None
    """Mean life of a pod, exponential; None: they live."""
    node_losses_s: tuple[float, ...] = ()
    """When the oldest node goes, with what is on it."""

    def __post_init__(self) -> None:
        mean_s = self.pod_mean_between_s
        if mean_s is not None and not 0.0 < mean_s < math.inf:
            raise ValueError(f"pod_mean_between_s: {mean_s}, more than 0, or none")
        if any(not 0.0 <= at_s < math.inf for at_s in self.node_losses_s):
            raise ValueError(f"node_losses_s: {self.node_losses_s}, 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One workload on one modelled cluster. Raises ValueError for clients of servers that generate tokens."""

    name: str
    spec: WorkloadSpec
    server: ServingModel | ContinuousModel
    demand: Demand | Users
    """What arrives by itself, or users who wait for an answer before they send the next."""
    startup: Startup
    goal_ratio: float
    """Share of the requests within the threshold at which policies are compared."""
    first_replicas: int = 1
    routing: Routing = Routing.LEAST_OUTSTANDING
    connections: int = 64
    connection_life_s: float | None = None
    gateway: bool = False
    """A gateway or mesh counts exactly what missed the threshold; else only the servers' summaries tell."""
    nodes: NodeSettings = field(default_factory=NodeSettings)
    outages: tuple[Span, ...] = ()
    """No metrics; Triton's own API goes on to answer, as it does while Prometheus is away."""
    failures: Failures = field(default_factory=Failures)
    clients: Clients = PATIENT

    def __post_init__(self) -> None:
        if isinstance(self.server, ContinuousModel):
            if self.users is not None:
                raise ValueError(f"users: {self.demand.name}, {NO_CLIENTS_OF_TOKENS}")
            if not self.clients.are_patient:
                raise ValueError(f"clients: given, {NO_CLIENTS_OF_TOKENS}")

    @property
    def users(self) -> Users | None:
        """Those of a closed loop; None: requests arrive by themselves."""
        return self.demand if isinstance(self.demand, Users) else None

    @property
    def open_demand(self) -> Demand:
        """What arrives by itself. Raises ValueError where users ask in a closed loop."""
        if isinstance(self.demand, Users):
            raise ValueError(f"{self.name}: not known of users, who ask when they were answered")
        return self.demand

    @property
    def threshold_s(self) -> float:
        """The latency that the SLO asks for."""
        return self.spec.slo.objectives[0].threshold_s

    @property
    def work_per_request(self) -> float:
        """What demand counts of a request: tokens of its answer, where servers generate them."""
        server = self.server
        return server.lengths.answer_tokens if isinstance(server, ContinuousModel) else 1.0

    @property
    def batching(self) -> ServingModel:
        """Its servers, where they serve batches. Raises ValueError where they generate tokens."""
        if isinstance(self.server, ContinuousModel):
            raise ValueError(f"{self.name}: not modelled for servers with continuous batching")
        return self.server

    @property
    def most_replicas(self) -> int:
        """What every policy is bounded by."""
        return self.spec.max_replicas or MOST_REPLICAS


def past_of(rates_rps: NDArray[np.float64], step_s: float) -> NDArray[np.float64]:
    """Rates of steps as means of minutes; steps of more than a minute fill all of theirs."""
    minutes = math.floor(rates_rps.size * step_s / MINUTE_S)
    if step_s >= MINUTE_S:
        places = (np.arange(minutes) * MINUTE_S / step_s).astype(np.int64)
        return rates_rps[places]
    of_minute = (np.arange(rates_rps.size) * step_s / MINUTE_S).astype(np.int64)
    sums = np.bincount(of_minute, weights=rates_rps, minlength=minutes)[:minutes]
    return np.asarray(sums / np.bincount(of_minute, minlength=minutes)[:minutes], dtype=np.float64)
