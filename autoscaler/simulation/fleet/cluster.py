"""A fleet in virtual time, seen only through what Kubernetes and Prometheus would show.

Each workload is one stream of requests behind one balancer; the Deployments of a variant group share it, as a router
that weights their Services would have them. All pods share the nodes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.nodes.observed import Backend, NodeStatus, PoolInput, StockOut
from autoscaler.core.slices.observed import Holder, MigAction, SlicesInput
from autoscaler.core.types import HistoryPoint, MigResult, TickInput, WorkloadSpec
from autoscaler.simulation.deployment import Deployment, PodTemplate
from autoscaler.simulation.fleet.mig import MigManager
from autoscaler.simulation.fleet.pools import FixedPool, Pools
from autoscaler.simulation.fleet.scenario import FleetScenario, FleetWorkload, Shape
from autoscaler.simulation.gateway import Gateway
from autoscaler.simulation.nodes import Node, NodePool
from autoscaler.simulation.pods import EPOCH_S
from autoscaler.simulation.pools import Pool, pool_of
from autoscaler.simulation.scraped import Reads, Scraped, Totals
from autoscaler.simulation.startup import Startup
from autoscaler.simulation.world import World

# A stock-out is seen in a pod's events within two minutes; after that it is history.
STOCK_OUT_SEEN_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One Deployment with all that is known of it."""

    spec: WorkloadSpec
    workload: FleetWorkload
    shape: Shape
    deployment: Deployment
    scraped: Scraped

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return str(self.spec.id)


class FleetCluster:
    """All workloads under their arrivals, each of which is drawn from the seed and its place in the file."""

    def __init__(self, scenario: FleetScenario, seed: int) -> None:
        self.scenario = scenario
        self._nodes = Pools(
            [
                FixedPool(pool)
                if pool.is_fixed
                else NodePool(
                    pool.settings,
                    name=pool.name,
                    slices=pool.slices(next(iter(pool.layouts))) if pool.layouts else None,
                )
                for pool in scenario.pools
            ]
        )
        self.managers = {
            name: MigManager(pool, scenario.mig, seed)
            for name, pool in self._nodes.pools.items()
            if isinstance(pool, FixedPool)
        }
        self.arrivals_s: dict[str, NDArray[np.float64]] = {}
        self._servers: dict[str, Pool] = {}
        self.members: list[Member] = []
        for place, workload in enumerate(scenario.workloads):
            self._add(workload, seed + 1000 * place)
        self._by_name = {member.key: member for member in self.members}
        self._world = World(
            self._nodes,
            [member.deployment for member in self.members],
            node_losses_s=scenario.failures.node_losses_s,
            follow=self._follow,
        )
        self.used_gpu_hours = 0.0
        """Of nodes with a pod on them."""
        self._used_until_s = 0.0

    def _add(self, workload: FleetWorkload, seed: int) -> None:
        alone, scenario = workload.alone, self.scenario
        arrivals_s = self.arrivals_s[workload.name] = alone.demand.arrivals(seed)
        pool = self._servers[workload.name] = pool_of(alone, arrivals_s, seed)
        backfill = alone.demand.backfill(EPOCH_S)
        for place, shape in enumerate(workload.shapes):
            spec = workload.spec_of(shape, scenario.compute_of(shape.name))
            deployment = Deployment(
                template=PodTemplate(
                    startup=Startup(
                        median_s=alone.startup.median_s,
                        p99_ratio=alone.startup.p99_ratio,
                        seed=seed + 100 * place,
                    ),
                    name=spec.id.name,
                    shape=shape.name,
                    gpus=scenario.gpus_of(shape.name),
                    slowdown_ratios=shape.slowdown_ratios,
                    life_s=scenario.failures.pod_mean_between_s,
                    seed=seed + 100 * place,
                ),
                pool=pool,
                nodes=self._nodes,
                replicas=shape.first_replicas,
            )
            scraped = Scraped(
                deployment,
                gateway=Gateway(alone.threshold_s) if alone.gateway else None,
                backfill=_shared(backfill, workload, shape),
                names_nodes=True,
            )
            self.members.append(
                Member(
                    spec=spec,
                    workload=workload,
                    shape=shape,
                    deployment=deployment,
                    scraped=scraped,
                )
            )

    @property
    def now_s(self) -> float:
        """Virtual time."""
        return self._world.now_s

    def latencies_s(self, workload: str) -> NDArray[np.floating]:
        """Of every request of that workload; NaN where it has not finished."""
        return self._servers[workload].latencies_s

    def gpu_hours(self, workload: str) -> float:
        """Of its replicas, a slice as the part of a GPU that it takes."""
        return sum(
            one.deployment.pod_hours(self.now_s) * one.deployment.template.gpus
            for one in self.members
            if one.workload.name == workload
        )

    @property
    def node_gpu_hours(self) -> float:
        """Of every GPU of every node, from the request for the node until it was gone."""
        return self._nodes.gpu_hours(self.now_s)

    def advance(self, to_s: float, *, reads: Reads | None = Reads.SAMPLES) -> None:
        """Lets time pass, and reads the last scrape before `to_s`; None: nothing."""

        def read(at_s: float) -> None:
            assert reads is not None
            for member in self.members:
                member.scraped.read(at_s, reads)

        self._world.advance(to_s, None if reads is None else read)

    def _follow(self, now_s: float) -> None:
        self.used_gpu_hours += self._nodes.used_gpus() * (now_s - self._used_until_s) / 3600.0
        self._used_until_s = now_s
        for manager in self.managers.values():
            manager.follow(now_s)
        self._nodes.keep_buffer(now_s)

    # ---------------------------------------------------------------- what is written

    def set_replicas(self, key: str, replicas: int, *, marked: Collection[str] = ()) -> None:
        """A scale of one Deployment."""
        self._by_name[key].deployment.set_replicas(replicas, self.now_s, marked=frozenset(marked))

    def set_headroom(self, pool: str, units: int) -> None:
        """What its CapacityBuffer asks for."""
        self._nodes.pools[pool].buffer = units

    def write_node(self, action: MigAction) -> MigResult:
        """A cordon, a label of the MIG manager's, or an uncordon."""
        return self.managers[action.pool].write(action, self.now_s)

    # ---------------------------------------------------------------- what is seen

    @property
    def is_blind(self) -> bool:
        """Whether metrics can't be had now."""
        return any(outage.holds(self.now_s) for outage in self.scenario.outages)

    def replicas(self, key: str) -> int:
        """`spec.replicas` of one Deployment."""
        return self._by_name[key].deployment.replicas

    def totals(self, key: str) -> Totals | None:
        """What a query over all pods of one Deployment answers now; None: no connection."""
        return None if self.is_blind else self._by_name[key].scraped.totals

    def tick_input(self) -> TickInput:
        """What live collectors would deliver now."""
        blind = self.is_blind
        holders = self._holders()

        def held(node: Node) -> tuple[Holder, ...]:
            return tuple(holders.get(node.name, ()))

        return TickInput(
            now_s=EPOCH_S + self.now_s,
            workloads=tuple(
                one.scraped.workload(one.spec, self.now_s, blind=blind) for one in self.members
            ),
            pools=tuple(
                self._pool_input(pool)
                for name, pool in self._nodes.pools.items()
                if name not in self.managers
            ),
            slices=SlicesInput(
                nodes=tuple(
                    node
                    for manager in self.managers.values()
                    for node in manager.seen(held, blind=blind)
                ),
                # A Service for each Deployment, and a router that weights them.
                fronts=(),
            ),
        )

    def _holders(self) -> dict[str, list[Holder]]:
        found: dict[str, list[Holder]] = {}
        for one in self.members:
            for pod in one.deployment.pods:
                if pod.node is not None:
                    pod_name = f"{one.spec.id.namespace}/{pod.name}"
                    holder = Holder(pod=pod_name, shape=one.shape.name)
                    found.setdefault(pod.node.name, []).append(holder)
        return found

    def _pool_input(self, pool: NodePool) -> PoolInput:
        return PoolInput(
            pool=pool.name,
            nodes=tuple(self._node_status(pool, node) for node in pool.nodes),
            stock_out=self._stock_out(pool),
            foreign_units=0,
            headroom=((Backend.CAPACITY_BUFFER, pool.buffer),),
        )

    def _node_status(self, pool: NodePool, node: Node) -> NodeStatus:
        ready_s = EPOCH_S + node.ready_s if node.ready_s <= self.now_s else None
        return NodeStatus(
            name=node.name,
            # What was there from the start tells no lead time.
            requested_s=EPOCH_S + node.requested_s if node.requested_s > 0.0 else None,
            registered_s=ready_s,
            ready_s=ready_s,
            allocatable_s=ready_s,
            units=pool.places(node) if ready_s is not None else None,
            used_units=node.pods if ready_s is not None else 0,
            node=node.name if ready_s is not None else None,
        )

    def _stock_out(self, pool: NodePool) -> StockOut | None:
        at_s = pool.refused_s
        if at_s is None or self.now_s - at_s > STOCK_OUT_SEEN_S:
            return None
        return StockOut(at_s=EPOCH_S + at_s, source="event", message="out of capacity")


def _shared(
    points: tuple[HistoryPoint, ...], workload: FleetWorkload, shape: Shape
) -> tuple[HistoryPoint, ...]:
    """The share of the past that this Deployment would have served with its first replicas."""
    weights = {
        one.name: one.first_replicas / (one.slowdown_ratios[-1] if one.slowdown_ratios else 1.0)
        for one in workload.shapes
    }
    total = sum(weights.values())
    ratio = weights[shape.name] / total if total else 1.0 / len(weights)
    return tuple(
        HistoryPoint(minute_s=point.minute_s, offered_rps=point.offered_rps * ratio)
        for point in points
    )
