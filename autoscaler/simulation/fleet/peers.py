"""Peers over a fleet: each workload by itself, on whole GPUs, on nodes that an autoscaler brings as they are needed."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    """One rule for every workload, told what a whole GPU carries of it."""

    def __init__(self, scenario: FleetScenario, rule: Rule, headroom: float | None = None) -> None:
        """`scenario` is one `on_whole_gpus`."""
        self._rules: dict[str, RulePolicy] = {}
        for workload in scenario.workloads:
            alone = workload.alone
            carried = carried_rps(alone.batching, alone.threshold_s, alone.goal_ratio)
            policy = RulePolicy(rule, known_of(alone, carried), headroom=headroom)
            self._rules[str(alone.spec.id)] = policy
        first = next(iter(self._rules.values()))
        self.name = f"{first.name}, whole GPUs"
        self.period_s = first.period_s
        self.reads: Reads | None = first.reads

    def act(self, cluster: FleetCluster) -> None:
        """Each rule looks at its own workload."""
        for key, rule in self._rules.items():
            wanted = rule.replicas(_Alone(cluster, key))
            if wanted != cluster.replicas(key):
                cluster.set_replicas(key, wanted)


def on_whole_gpus(scenario: FleetScenario) -> FleetScenario:
    """The same demand, each workload on whole GPUs.

    Nodes are those of the first pool of whole GPUs that grows, without a limit on how many; where there is none, they
    have as many GPUs as the first pool's, and are there at once.
    """
    whole = next((one for one in scenario.pools if not one.layouts), None)
    settings = (
        NodeSettings(gpus=scenario.pools[0].settings.gpus)
        if whole is None
        else replace(whole.settings, most=None)
    )
    return replace(
        scenario,
        workloads=tuple(_on_one(workload) for workload in scenario.workloads),
        pools=(FleetPool(name="whole", settings=settings),),
    )


def _on_one(workload: FleetWorkload) -> FleetWorkload:
    """As many whole GPUs at first as its first replicas come to, and as many as it may have."""
    alone = workload.alone
    first = sum(
        one.first_replicas / (one.slowdown_ratios[-1] if one.slowdown_ratios else 1.0)
        for one in workload.shapes
    )
    spec = replace(alone.spec, min_replicas=1, max_replicas=alone.spec.max_replicas)
    return FleetWorkload(
        alone=replace(alone, spec=spec),
        shapes=(
            Shape(
                max_replicas=spec.max_replicas or MOST_REPLICAS, first_replicas=max(1, round(first))
            ),
        ),
    )
