"""forescale over a fleet: the engine as the controller drives it, with the packing asked beside it once a minute."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from autoscaler.core.mig.choice import resource_of
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.attempts import questions
from autoscaler.core.slices.observed import SlicePlan
from autoscaler.core.slices.settings import SlicePoolSettings, SlicesMode
from autoscaler.core.types import ActionResult, MigResult, Outcome, TickRecord
from autoscaler.engine import DecisionEngine
from autoscaler.simulation.fleet.cluster import FleetCluster
from autoscaler.simulation.fleet.scenario import GPU_RESOURCE, FleetPool, FleetScenario
from autoscaler.simulation.forecasts import Forecasts
from autoscaler.simulation.pods import EPOCH_S
from autoscaler.simulation.scraped import Reads
from autoscaler.solver.slices import solve

# As the controller asks.
PLAN_PERIOD_S = 60.0
FIRST_PLAN_S = 15.0


@dataclass(slots=True)
class Planner:
    """The packing outside of the tick: it is asked what the last tick asked, and answers some seconds later."""

    config: EngineConfig
    takes_s: float
    _due_s: float = FIRST_PLAN_S
    _coming: list[tuple[float, SlicePlan]] = field(default_factory=list)

    def take(self, last: TickRecord | None, now_s: float) -> SlicePlan | None:
        """The plan that is new at `now_s`, if one is; the last tick's question is asked where its time has come."""
        if last is not None and now_s >= self._due_s:
            self._due_s = now_s + PLAN_PERIOD_S
            plan = self._solved(last, now_s)
            if plan is not None:
                self._coming.append((now_s + self.takes_s, plan))
        if not self._coming or self._coming[0][0] > now_s:
            return None
        return self._coming.pop(0)[1]

    def _solved(self, last: TickRecord, now_s: float) -> SlicePlan | None:
        plan = None
        for _, asked in questions(last, self.config):
            plan = solve(asked, EPOCH_S + now_s)
            if plan.infeasible is None:
                break
        return plan


class FleetForescale:
    """One engine for one run; every action is carried out at once."""

    reads: Reads | None = Reads.SAMPLES

    def __init__(
        self,
        scenario: FleetScenario,
        config: EngineConfig,
        *,
        forecasts: Forecasts | None = None,
        keeps: bool = False,
    ) -> None:
        """`forecasts` None: it decides by the last value and its errors alone. `keeps`: with every tick."""
        self.name = "forescale-no-forecast" if forecasts is None else "forescale"
        self.engine = DecisionEngine(with_pools(config, scenario))
        self.period_s = self.engine.config.tick_s
        self.planner = Planner(self.engine.config, scenario.planner_s)
        self.records: list[TickRecord] = []
        self._forecasts, self._keeps = forecasts, keeps
        self._last: TickRecord | None = None

    def act(self, cluster: FleetCluster) -> None:
        """One tick, and what follows from it."""
        given = replace(
            cluster.tick_input(), slice_plan=self.planner.take(self._last, cluster.now_s)
        )
        if self._forecasts is not None:
            issued = self._forecasts.issued(self.engine, given.now_s)
            given = replace(given, forecasts=issued)
        result = self.engine.tick(given)
        for action in result.plan.actions:
            cluster.set_replicas(str(action.workload), action.replicas, marked=action.victims)
        for headroom in result.plan.headroom:
            cluster.set_headroom(headroom.pool, headroom.units)
        mig: tuple[MigResult, ...] = tuple(map(cluster.write_node, result.slices.actions))
        done = tuple(
            ActionResult(action=action, outcome=Outcome.APPLIED) for action in result.plan.actions
        )
        self.engine.acknowledge(done)
        self._last = TickRecord(input=given, result=result, actions=done, mig=mig)
        if self._keeps:
            self.records.append(self._last)


def with_pools(config: EngineConfig, scenario: FleetScenario) -> EngineConfig:
    """What an operator of such a cluster would write into the policy file."""
    fixed = {pool.name: _sliced(pool, scenario.gpu) for pool in scenario.pools if pool.is_fixed}
    grown = {pool.name: _grown(pool) for pool in scenario.pools if not pool.is_fixed}
    return replace(
        config,
        slices=replace(config.slices, mode=SlicesMode.AUTO, pools=fixed),
        nodes=replace(config.nodes, pools=grown) if grown else NodeSettings(),
    )


def _sliced(pool: FleetPool, gpu: str) -> SlicePoolSettings:
    return SlicePoolSettings(
        labels={"pool": pool.name},
        gpu=gpu,
        configs=dict(pool.layouts),
        gpus_per_node=pool.settings.gpus,
    )


def _grown(pool: FleetPool) -> PoolSettings:
    (shape,) = pool.shapes
    units = pool.settings.gpus
    if pool.layouts:
        units = pool.slices(next(iter(pool.layouts)))[shape]
    return PoolSettings(
        labels={"pool": pool.name},
        resource=resource_of(shape) if pool.layouts else GPU_RESOURCE,
        units_per_node=units,
        max_headroom=pool.max_headroom,
        max_nodes=pool.settings.most,
    )
