"""A Deployment of Triton-style servers in virtual time, seen only through what Kubernetes and Prometheus would show.

A pod needs a GPU on a node, and waits where there is none. Virtual time begins at 0; the engine is shown times from
`EPOCH_S` on, as a live one would see.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.types import TickInput
from autoscaler.simulation.deployment import Deployment, PodTemplate
from autoscaler.simulation.gateway import Gateway
from autoscaler.simulation.nodes import NodePool
from autoscaler.simulation.pods import EPOCH_S, Pod
from autoscaler.simulation.pools import pool_of
from autoscaler.simulation.scenario import Scenario
from autoscaler.simulation.scraped import Reads, Scraped, Totals
from autoscaler.simulation.world import World

__all__ = ["EPOCH_S", "ModelledCluster"]


class ModelledCluster:
    """One Deployment under given arrivals. `nodes` None: a pool as the scenario has it."""

    def __init__(
        self,
        scenario: Scenario,
        arrivals_s: NDArray[np.float64],
        *,
        replicas: int | None = None,
        seed: int = 0,
        nodes: NodePool | None = None,
    ) -> None:
        self.scenario = scenario
        self._pool = pool_of(scenario, arrivals_s, seed)
        self._nodes = NodePool(scenario.nodes) if nodes is None else nodes
        self._deployment = Deployment(
            template=PodTemplate(
                startup=scenario.startup,
                life_s=scenario.failures.pod_mean_between_s,
                seed=seed,
            ),
            pool=self._pool,
            nodes=self._nodes,
            replicas=scenario.first_replicas if replicas is None else replicas,
        )
        self._world = World(
            self._nodes, (self._deployment,), node_losses_s=scenario.failures.node_losses_s
        )
        self._scraped = Scraped(
            self._deployment,
            gateway=Gateway(scenario.threshold_s, scenario.clients.timeout_s)
            if scenario.gateway
            else None,
            backfill=scenario.demand.backfill(EPOCH_S, scenario.work_per_request),
        )

    @property
    def now_s(self) -> float:
        """Virtual time."""
        return self._world.now_s

    @property
    def replicas(self) -> int:
        """`spec.replicas`."""
        return self._deployment.replicas

    @property
    def pods(self) -> tuple[Pod, ...]:
        """Those that are there now: waiting, starting, ready and draining."""
        return tuple(self._deployment.pods)

    @property
    def wanted_s(self) -> NDArray[np.float64]:
        """When each thing that clients want was asked for first, ascending: every request where nobody asks again."""
        return self._pool.wanted_s

    @property
    def answers_s(self) -> NDArray[np.floating[Any]]:
        """From then to its answer; infinite where a client left for good, NaN where it has not come."""
        return self._pool.answers_s

    @property
    def attempts(self) -> int:
        """Requests that have arrived, each time that something is asked again included."""
        return self._pool.arrived

    @property
    def gpu_hours(self) -> float:
        """From the request for each replica until it was gone."""
        return self._deployment.pod_hours(self.now_s)

    @property
    def node_gpu_hours(self) -> float:
        """Of every GPU of every node, from the request for the node until it was gone."""
        return self._nodes.gpu_hours(self.now_s)

    def advance(self, to_s: float, *, reads: Reads | None = Reads.SAMPLES) -> None:
        """Lets time pass, and reads the last scrape before `to_s`; None: nothing."""
        read = self._scraped.read
        self._world.advance(to_s, None if reads is None else lambda at_s: read(at_s, reads))

    def set_replicas(self, replicas: int) -> None:
        """A scale."""
        self._deployment.set_replicas(replicas, self.now_s)

    @property
    def is_blind(self) -> bool:
        """Whether metrics can't be had now."""
        return any(outage.holds(self.now_s) for outage in self.scenario.outages)

    def totals(self) -> Totals | None:
        """What a query over all pods answers now; None: no connection."""
        return None if self.is_blind else self._scraped.totals

    def tick_input(self) -> TickInput:
        """What live collectors would deliver now; the first also tells what was before the run."""
        given = self._scraped.workload(self.scenario.spec, self.now_s, blind=self.is_blind)
        return TickInput(now_s=EPOCH_S + self.now_s, workloads=(given,))
