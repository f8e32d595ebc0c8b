"""`make bench-nodes`: a scheduled surge on nodes that take five minutes, in simulation.

Demand is low but for two hours of each day. The run is the hours around one surge, after thirteen days of past; pods
that find no ready node wait for one. Headroom is placeholders, which give way to pods, on the modelled node autoscaler;
one that was displaced asks for a node only if the next tick still wants it. Beside forescale with headroom stands the
same without any, and the least node-hours that would have carried the same pods without a wait: every node asked for a
boot ahead, kept for as long as the node autoscaler keeps an empty one, and packed.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np

from autoscaler.config.settings import ForecastSettings
from autoscaler.core.mig.choice import WHOLE_GPU
from autoscaler.core.nodes.observed import Backend, NodeNeeds, NodeStatus, PoolInput, SetHeadroom
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import (
    LatencyObjective,
    Slo,
    SloForm,
    TickInput,
    TickResult,
    WorkloadId,
    WorkloadSpec,
)
from autoscaler.engine import DecisionEngine
from autoscaler.forecasts import FleetForecaster
from autoscaler.simulation import nodes as modelled
from autoscaler.simulation.bounds import gpu_hours_with_startups
from autoscaler.simulation.cluster import ModelledCluster
from autoscaler.simulation.forecasts import FittedForecasts
from autoscaler.simulation.nodes import Node, NodePool
from autoscaler.simulation.peers.forescale import Forescale
from autoscaler.simulation.peers.policy import Seen
from autoscaler.simulation.pods import EPOCH_S
from autoscaler.simulation.run import run
from autoscaler.simulation.scenario import Demand, Scenario
from autoscaler.simulation.score import Score
from autoscaler.simulation.serving import ServingModel
from autoscaler.simulation.startup import Startup
from loadtests.bench.report import Figure, report
from loadtests.bench.workers import computed

GPU = "nvidia.com/gpu"
DAY_S, HOUR_S = 86400.0, 3600.0
# By the clock: the run is 7:00 to 13:00, the surge 9:00 to 11:00.
RUN_FROM_H, RUN_TO_H, SURGE_FROM_H, SURGE_TO_H = 7.0, 13.0, 9.0, 11.0
LOW_RPS, HIGH_RPS = 15.0, 150.0
PAST_DAYS = 13
BOOT_S, GPUS = 300.0, 4
SEEDS = (1, 2, 3)
WORKERS = 2
POOL = PoolSettings(labels={"pool": "gpu"}, max_headroom=16, units_per_node=GPUS)


class HeadroomPool(NodePool):
    """Nodes with placeholders on them. A pod takes a ready GPU, be it free or a placeholder's, before it waits."""

    def __init__(self, settings: modelled.NodeSettings) -> None:
        super().__init__(settings)
        self._held: list[Node] = []
        self.headroom = 0

    def held(self, node: Node) -> int:
        """Placeholders on it."""
        return sum(1 for one in self._held if one is node)

    def place(self, now_s: float, gpus: float = 1.0, shape: str = WHOLE_GPU) -> Node | None:
        self._expire(now_s)
        ready_free = any(n.ready_s <= now_s and n.pods < self.settings.gpus for n in self._nodes)
        if not ready_free:
            # Ready nodes first; on one that boots a pod waits less than on one that is yet to be asked for.
            for node in sorted(self._held, key=lambda n: n.ready_s):
                if node.ready_s <= now_s or all(n.pods >= self.settings.gpus for n in self._nodes):
                    self._held.remove(node)
                    return node
        return super().place(now_s, gpus, shape)

    def set_headroom(self, units: int, now_s: float) -> None:
        """As many placeholders, those that wait for a place included."""
        self.headroom = units
        while len(self._held) > units:
            # Off the emptiest node, so that it can go.
            node = min(self._held, key=lambda n: (n.pods, -n.number))
            self._held.remove(node)
            self.release(node, now_s)
        while len(self._held) < units:
            placed = super().place(now_s)
            if placed is None:
                return
            self._held.append(placed)


class Cluster(ModelledCluster):
    """With node pools in what the engine sees, and a count of the pods that waited."""

    def __init__(self, scenario: Scenario, arrivals_s: np.ndarray, *, seed: int) -> None:
        self.waited = self.made = 0
        self.pods_at: list[int] = []
        self.pool = HeadroomPool(scenario.nodes)
        super().__init__(scenario, arrivals_s, seed=seed, nodes=self.pool)

    def set_replicas(self, replicas: int) -> None:
        before = {pod.number for pod in self.pods}
        super().set_replicas(replicas)
        for pod in self.pods:
            if pod.number not in before:
                self.made += 1
                self.waited += pod.node is None or pod.node.ready_s > self.now_s

    def tick_input(self) -> TickInput:
        self.pods_at.append(len(self.pods))
        return replace(super().tick_input(), pools=(self._pool_input(),))

    def _pool_input(self) -> PoolInput:
        def status(node: Node) -> NodeStatus:
            ready_s = EPOCH_S + node.ready_s if node.ready_s <= self.now_s else None
            return NodeStatus(
                name=f"node-{node.number}",
                # What was there from the start tells no lead time.
                requested_s=EPOCH_S + node.requested_s if node.requested_s > 0.0 else None,
                registered_s=ready_s,
                ready_s=ready_s,
                allocatable_s=ready_s,
                units=GPUS if ready_s is not None else None,
                used_units=node.pods - self.pool.held(node),
            )

        return PoolInput(
            pool="gpu",
            nodes=tuple(status(node) for node in self.pool.nodes),
            foreign_units=0,
            headroom=((Backend.PLACEHOLDER, self.pool.headroom),),
        )


class WatchedEngine(DecisionEngine):
    """Keeps its last answer's headroom."""

    headroom: tuple[SetHeadroom, ...] = ()

    def tick(self, tick_input: TickInput) -> TickResult:
        result = super().tick(tick_input)
        self.headroom = result.plan.headroom
        return result


class WithHeadroom(Forescale):
    """forescale, whose headroom is carried out too."""

    def replicas(self, seen: Seen) -> int:
        wanted = super().replicas(seen)
        assert isinstance(seen, Cluster)
        assert isinstance(self.engine, WatchedEngine)
        for action in self.engine.headroom:
            seen.pool.headroom = action.units
        # Also without a change: what pods have displaced is made anew.
        seen.pool.set_headroom(seen.pool.headroom, seen.now_s)
        return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Six hours of one draw."""

    seed: int
    headroom: bool

    @property
    def name(self) -> str:
        return f"seed {self.seed}, {'headroom' if self.headroom else 'without'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    score: Score
    waited_ratio: float
    node_hours: float
    least_node_hours: float


def rates(hours: np.ndarray) -> np.ndarray:
    """Requests a second by the hour of the day."""
    return np.where((hours >= SURGE_FROM_H) & (hours < SURGE_TO_H), HIGH_RPS, LOW_RPS)


def scenario(seed: int) -> Scenario:
    """The hours around one surge, and the days before; each day a little different."""
    rng = np.random.default_rng(seed)
    second = np.arange(RUN_FROM_H * HOUR_S, RUN_TO_H * HOUR_S)
    minute = np.arange(-PAST_DAYS * DAY_S + RUN_FROM_H * HOUR_S, RUN_FROM_H * HOUR_S, 60.0)
    day = (minute // DAY_S).astype(int) + PAST_DAYS
    factor = 1.0 + 0.05 * rng.standard_normal(PAST_DAYS + 1)
    past = rates((minute % DAY_S) / HOUR_S) * factor[day]
    threshold_s = 0.3
    slo = Slo(
        objectives=(LatencyObjective(form=SloForm.REQUESTS, ratio=0.99, threshold_s=threshold_s),),
        text="99% < 300ms",
    )
    return Scenario(
        name="scheduled surge",
        spec=WorkloadSpec(
            id=WorkloadId(namespace="team", name="bert"),
            slo=slo,
            max_replicas=40,
            node_needs=NodeNeeds(resource=GPU, count=1),
        ),
        server=ServingModel(max_batch_size=2, batch_service_s=(0.052, 0.064)),
        demand=Demand(
            name="surge",
            rates_rps=rates(second / HOUR_S) * factor[-1],
            past_rps=rng.poisson(past * 60.0) / 60.0,
        ),
        startup=Startup(median_s=30.0, seed=seed),
        goal_ratio=0.99,
        nodes=modelled.NodeSettings(gpus=GPUS, boot_s=BOOT_S),
    )


def once(of: Run) -> Outcome:
    """One run of six hours."""
    world = scenario(of.seed)
    pools = {"gpu": POOL} if of.headroom else {}
    engine = WatchedEngine(EngineConfig(nodes=NodeSettings(pools=pools)))
    forecasts = FittedForecasts(FleetForecaster(ForecastSettings()))
    policy = WithHeadroom(engine, forecasts=forecasts, keeps=False)
    arrivals_s = world.demand.arrivals(of.seed)
    cluster = Cluster(world, arrivals_s, seed=of.seed)
    score = run(policy, cluster, duration_s=world.demand.duration_s)
    needed = np.ceil(np.array(cluster.pods_at) / GPUS)
    least = gpu_hours_with_startups(
        needed, tick_s=policy.period_s, startup_s=BOOT_S + world.nodes.unneeded_s
    )
    return Outcome(
        score=score,
        waited_ratio=cluster.waited / max(1, cluster.made),
        node_hours=(score.node_gpu_hours or 0.0) / GPUS,
        least_node_hours=least,
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="loadtests.bench.nodes", description=__doc__)
    parser.parse_args(arguments)
    runs = [Run(seed=seed, headroom=headroom) for headroom in (True, False) for seed in SEEDS]
    found = computed(runs, once, lambda run: run.name, workers=WORKERS, width=20)
    with_it = [found[run] for run in runs if run.headroom]
    without = [found[run] for run in runs if not run.headroom]

    def extra(runs: list[Outcome]) -> float:
        return max(r.node_hours / r.least_node_hours - 1.0 for r in runs)

    worst = "the worst of three seeds"
    report(
        "nodes",
        [
            Figure(
                name="pods that wait for a node",
                value=100.0 * max(r.waited_ratio for r in with_it),
                unit="%",
                target=0.0,
                note=f"{worst}; without headroom {100.0 * max(r.waited_ratio for r in without):.0f} %",
            ),
            Figure(
                name="extra node-hours",
                value=100.0 * extra(with_it),
                unit="%",
                target=15.0,
                note=f"over the clairvoyant's for the same pods, {worst}; "
                f"without headroom {100.0 * extra(without):.0f} %",
            ),
            Figure(
                name="attainment",
                value=100.0 * min(r.score.attainment_ratio for r in with_it),
                unit="%",
                target=99.0,
                better="higher",
                note=f"without headroom {100.0 * min(r.score.attainment_ratio for r in without):.2f} %",
            ),
        ],
    )


if __name__ == "__main__":
    main()
