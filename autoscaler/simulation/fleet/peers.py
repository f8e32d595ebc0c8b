"""Peers over a fleet: each workload by itself, on one shape, on nodes that an autoscaler brings as they are needed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autoscaler.core.mig.catalogue import find_gpu
from autoscaler.core.mig.choice import WHOLE_GPU
from autoscaler.core.mig.geometry import geometries
from autoscaler.core.types import TickInput
from autoscaler.simulation.fleet.cluster import FleetCluster
from autoscaler.simulation.fleet.scenario import FleetPool, FleetScenario, FleetWorkload, Shape
from autoscaler.simulation.load_test import carried_rps
from autoscaler.simulation.nodes import NodeSettings
from autoscaler.simulation.peers.rule import Rule, RulePolicy, known_of
from autoscaler.simulation.scenario import MOST_REPLICAS
from autoscaler.simulation.scraped import Reads, Totals


@dataclass(frozen=True, slots=True)
class _Alone:
    """One Deployment of the fleet, as far as a rule may look."""

    cluster: FleetCluster
    key: str

    @property
    def now_s(self) -> float:
        return self.cluster.now_s

    @property
    def replicas(self) -> int:
        return self.cluster.replicas(self.key)

    def totals(self) -> Totals | None:
        return self.cluster.totals(self.key)

    def tick_input(self) -> TickInput:
        return self.cluster.tick_input()


class FleetPeer:
    """One rule for every workload, told what a replica carries of it."""

    def __init__(
        self,
        scenario: FleetScenario,
        rule: Rule,
        headroom: float | None = None,
        *,
        shape: str = WHOLE_GPU,
    ) -> None:
        """`scenario` is one `on_one_shape`."""
        self._rules: dict[str, RulePolicy] = {}
        for workload in scenario.workloads:
            alone = workload.alone
            carried = carried_rps(alone.batching, alone.threshold_s, alone.goal_ratio)
            policy = RulePolicy(rule, known_of(alone, carried), headroom=headroom)
            self._rules[str(alone.spec.id)] = policy
        first = next(iter(self._rules.values()))
        self.name = f"{first.name}, {'whole GPUs' if shape == WHOLE_GPU else shape}"
        self.period_s = first.period_s
        self.reads: Reads | None = first.reads

    def act(self, cluster: FleetCluster) -> None:
        """Each rule looks at its own workload."""
        for key, rule in self._rules.items():
            wanted = rule.replicas(_Alone(cluster, key))
            if wanted != cluster.replicas(key):
                cluster.set_replicas(key, wanted)


def on_one_shape(scenario: FleetScenario, shape: str = WHOLE_GPU) -> FleetScenario:
    """The same demand, each workload on slices of one profile, or on whole GPUs.

    One that has no such shape is on whole GPUs. Nodes are those of the first pool that grows and has the shape, without
    a limit on how many; where there is none, they have as many GPUs as the first pool's and are there at once, cut into
    as many of the profile as fit.
    """
    workloads = tuple(_on_one(one, shape) for one in scenario.workloads)
    held = {one.shapes[0].name for one in workloads}
    return replace(
        scenario,
        workloads=workloads,
        pools=tuple(_pool_of(scenario, name) for name in (shape, WHOLE_GPU) if name in held),
    )


def _pool_of(scenario: FleetScenario, shape: str) -> FleetPool:
    for pool in scenario.pools:
        if not pool.is_fixed and pool.shapes == {shape}:
            return replace(pool, settings=replace(pool.settings, most=None))
    settings = NodeSettings(gpus=scenario.pools[0].settings.gpus)
    if shape == WHOLE_GPU:
        return FleetPool(name="whole", settings=settings)
    gpu = find_gpu(scenario.gpu)
    most = max(one.count(shape) for one in geometries(gpu, [shape]))
    return FleetPool(name="slices", settings=settings, layouts={shape: f"{most}x{shape}"})


def _on_one(workload: FleetWorkload, shape: str) -> FleetWorkload:
    """As many at first as its first replicas come to, and as many as it may have."""
    alone = workload.alone
    own = next((one for one in workload.shapes if one.name == shape), Shape())
    speed = sum(one.first_replicas / _slowdown(one) for one in workload.shapes)
    spec = replace(alone.spec, min_replicas=1)
    server = alone.batching
    if own.slowdown_ratios:
        # A load test is made of the slice, which is what its servers are then.
        times_s = zip(server.batch_service_s, own.slowdown_ratios, strict=True)
        server = replace(server, batch_service_s=tuple(s * ratio for s, ratio in times_s))
    return FleetWorkload(
        alone=replace(alone, spec=spec, server=server),
        shapes=(
            Shape(
                name=own.name,
                max_replicas=spec.max_replicas or MOST_REPLICAS,
                first_replicas=max(1, round(speed * _slowdown(own))),
            ),
        ),
    )


def _slowdown(shape: Shape) -> float:
    """At the largest batch."""
    return shape.slowdown_ratios[-1] if shape.slowdown_ratios else 1.0
