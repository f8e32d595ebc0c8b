"""The decision engine: one object, driven by the live loop, the simulator and replay alike.

`tick` is synchronous and deterministic: what it answers depends on its input and on the ticks before, on nothing else.
It reads no clock and does no I/O.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from autoscaler.core import (
    border,
    brakes,
    demand,
    plan,
    prior,
    proof,
    scarcity,
    survival,
    unresponsive,
)
from autoscaler.core.decide import Decided, decide
from autoscaler.core.memory import Memory
from autoscaler.core.need import Context, Need
from autoscaler.core.nodes import lead
from autoscaler.core.nodes.claims import Candidate, pod_time_s
from autoscaler.core.nodes.plan import Planned
from autoscaler.core.nodes.plan import plan as plan_nodes
from autoscaler.core.nodes.supply import nodes_that_stay
from autoscaler.core.nodes.wait import node_wait
from autoscaler.core.profile import ModelPrior
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices import demanded, members, offers, rollout, room
from autoscaler.core.slices.observed import SlicesDecision, shape_of_resource
from autoscaler.core.slices.step import Stepped, in_force
from autoscaler.core.slices.step import step as slice_step
from autoscaler.core.state import EngineState, WorkloadState
from autoscaler.core.survival import Loss
from autoscaler.core.types import (
    ActionResult,
    Decision,
    Finding,
    Mode,
    ScalingPlan,
    TickInput,
    TickResult,
    WorkloadId,
    WorkloadInput,
)
from autoscaler.schedule import floor_ahead, scheduled_floor

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tick:
    """What all decisions of a tick are made with."""

    given: TickInput
    stepped_back: bool
    """Its time is before that of the tick before."""
    losses: Mapping[WorkloadId, Loss | Finding]
    """What may go at once of each workload that is to survive that by itself, or why it is not told."""
    reach: unresponsive.Reach


class DecisionEngine:
    """Turns what is seen into decisions, and remembers what it has to."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._priors: dict[str, dict[str, tuple[ModelPrior, ...]]] = {}
        """By workload and the shape that they were measured on; empty where none is named."""
        for item in config.priors:
            self._priors.setdefault(item.workload, {})[item.shape] = item.models
        self._state = EngineState()
        self._memory = Memory(config)
        self._needs: dict[WorkloadId, Need] = {}
        """What sizing worked with in this tick."""
        self._told: list[Finding] = []
        """What this tick found of the fleet as a whole."""

    @property
    def config(self) -> EngineConfig:
        """As given."""
        return self._config

    def tick(self, tick_input: TickInput) -> TickResult:
        """Decides for every workload of `tick_input`.

        A workload whose decision fails is held, with the error as its reason; the others go on.
        """
        now_s = tick_input.now_s
        last_s = self._state.last_now_s
        self._memory.take_forecasts(tick_input)
        self._needs, self._told = {}, []
        losses = survival.losses(tick_input)
        grouped = members.grouped(tick_input)
        stepped_back = last_s is not None and now_s < last_s
        if stepped_back:
            self._memory.set_back(now_s)
        tick = _Tick(
            given=tick_input,
            stepped_back=stepped_back,
            # A group survives a loss together.
            losses={key: loss for key, loss in losses.items() if key not in grouped},
            reach=unresponsive.reach(tick_input),
        )
        decided = [self._decide_one(given, tick) for given in tick_input.workloads]
        decided = [survival.told(one, losses.get(one.workload)) for one in decided]
        self._memory.forget({given.spec.id for given in tick_input.workloads}, now_s)
        decided, sliced = self._slice(tick_input, decided, losses)
        decided = self._brake(tick_input, self._share(tick_input, decided))
        slices = SlicesDecision()
        if sliced is not None:
            slices = self._keep_demand(tick_input, decided, sliced)
        self._state = replace(self._state, last_now_s=now_s)
        result = TickResult(
            now_s=now_s,
            decisions=tuple(decided),
            plan=ScalingPlan(
                actions=plan.actions(
                    tick_input.workloads,
                    decided,
                    emptied=self._emptied(now_s),
                    staying=() if sliced is None else nodes_that_stay(tick_input, self._config),
                )
            ),
            slices=slices,
        )
        if self._config.nodes.pools:
            result = self._with_nodes(tick_input, result)
        return replace(result, fleet=tuple(self._told))

    def acknowledge(self, results: tuple[ActionResult, ...]) -> None:
        """Takes in what became of the last plan. Only what was applied is remembered as written by forescale."""
        now_s = self._state.last_now_s or 0.0
        self._state = replace(self._state, fleet=brakes.acknowledged(self._state.fleet, results))
        for result in results:
            self._memory.acknowledged(result, now_s)

    def snapshot(self) -> EngineState:
        """Everything remembered but the raw history, as a value."""
        return self._memory.snapshot(self._state)

    def restore(self, state: EngineState) -> None:
        """Takes over what another engine remembered. History is filled anew from `backfill`."""
        self._state = self._memory.restore(state)

    @property
    def workloads(self) -> tuple[WorkloadId, ...]:
        """All that the last tick had."""
        return self._memory.workloads

    def history(self, workload: WorkloadId) -> tuple[float, array[float]]:
        """(first minute, inferences a second per minute) of a workload; empty where nothing is known."""
        return self._memory.series(workload)

    def _decide_one(self, given: WorkloadInput, tick: _Tick) -> Decision:
        key, now_s = given.spec.id, tick.given.now_s
        state = self._memory.begun(key, now_s)

        def answer(memory: WorkloadState) -> Decided:
            return self._answer(given, memory, tick)

        try:
            state = self._memory.backfilled(state, given.backfill)
            answered = answer(state)
            decision = proof.held(self._memory.decided(answered))
        except Exception as error:  # noqa: BLE001 - the border between workloads: one may not stop the others
            return self._memory.failed(given, state, error, answer, now_s)
        if answered.need is not None:
            self._needs[key] = answered.need
        return decision

    def _answer(self, given: WorkloadInput, state: WorkloadState, tick: _Tick) -> Decided:
        """Raises whatever a defect raises."""
        key, now_s, needs = given.spec.id, tick.given.now_s, given.spec.node_needs
        loss = tick.losses.get(key)
        told = self._priors.get(str(key), {})
        context = Context(
            now_s=now_s,
            config=self._config,
            forecast=self._memory.forecast(key),
            usual_rps=self._memory.usual_rps(key),
            scheduled_floor=scheduled_floor(given.spec.schedule, now_s),
            clock_stepped_back=tick.stepped_back,
            common_cause=unresponsive.common_cause(given, tick.reach),
            node_wait=node_wait(
                needs,
                tick.given.pools,
                self._state.nodes,
                self._config.nodes,
                asks=given.spec.mode is Mode.AUTO,
                now_s=now_s,
            ),
            loss=loss if isinstance(loss, Loss) else None,
            loss_unread=survival.unread(loss),
            elsewhere=offers.elsewhere(given, told, self._config),
        )
        shape = "" if needs is None else shape_of_resource(needs.resource)
        profiles = prior.on_shape(told, shape)
        state = rollout.rewritten(prior.seeded(state, given, profiles, shape=shape), given)
        answered = decide(given, state, context)
        unused = prior.unused(given, profiles)
        if unused is None:
            return answered
        found = (*answered.decision.findings, unused)
        return replace(answered, decision=replace(answered.decision, findings=found))

    def _slice(
        self,
        tick_input: TickInput,
        decided: list[Decision],
        losses: Mapping[WorkloadId, Loss | Finding],
    ) -> tuple[list[Decision], SlicesDecision | None]:
        """Variant groups and slice pools; None: an error ended it, and each workload keeps its own decision."""
        if tick_input.slices is None:
            return decided, SlicesDecision()

        def work(state: EngineState) -> Stepped:
            floors = {
                given.spec.id: self._memory.floor(
                    given.spec, scheduled_floor(given.spec.schedule, tick_input.now_s)
                )
                for given in tick_input.workloads
                if given.spec.variant_group is not None or given.template is not None
            }
            return slice_step(
                tick_input,
                decided,
                self._needs,
                floors,
                state.slices,
                losses=losses,
                config=self._config,
            )

        stepped = self._passed(border.SLICES, work, tick_input.now_s)
        if stepped is None:
            return decided, None
        self._state = replace(self._state, slices=stepped.state)
        return list(stepped.decisions), stepped.slices

    def _keep_demand(
        self,
        tick_input: TickInput,
        decided: list[Decision],
        slices: SlicesDecision,
    ) -> SlicesDecision:
        """With what the packing is asked beyond what is wanted now. Whatever goes wrong there, it is nothing."""
        if tick_input.slices is None or not self._config.has_pools:
            return slices

        def work(state: EngineState) -> demanded.Asked:
            lead_s = demanded.node_lead_s(state.nodes.pools, self._config.nodes)
            return demanded.remember(
                tick_input.workloads,
                decided,
                slices.groups,
                state.slices.demands,
                window_s=demanded.window_s(lead_s),
                now_s=tick_input.now_s,
            )

        asked = self._passed(border.PACKING, work, tick_input.now_s)
        if asked is None:
            return slices
        self._state = replace(self._state, slices=replace(self._state.slices, demands=asked.states))
        return replace(slices, kept=asked.kept)

    def _emptied(self, now_s: float) -> tuple[str, ...]:
        """Nodes that the packing would have empty; a plan from before slices were turned off is still remembered."""
        found = in_force(self._state.slices.plan, now_s)
        return found.emptied if found is not None else ()

    def _share(self, tick_input: TickInput, decided: list[Decision]) -> list[Decision]:
        """What the configured pools can't hold is cut. Whatever goes wrong there, nothing is."""
        if not self._config.nodes.pools:
            return decided

        def work(state: EngineState) -> scarcity.Shared:
            return scarcity.share(
                tick_input.workloads,
                decided,
                self._needs,
                tick_input.pools,
                state.nodes,
                settings=self._config.nodes,
                now_s=tick_input.now_s,
            )

        shared = self._passed(border.SCARCE, work, tick_input.now_s)
        if shared is None:
            return decided
        self._state = replace(self._state, nodes=replace(self._state.nodes, stuck=shared.stuck))
        return list(shared.decisions)

    def _brake(self, tick_input: TickInput, decided: list[Decision]) -> list[Decision]:
        """What the fleet may do at once. Whatever goes wrong there, nothing moves."""
        if tick_input.frozen is not None:
            text = f"all scaling is frozen: {tick_input.frozen}"
            self._told.append(Finding(reason=Reason.FROZEN, message=text))
            return plan.as_they_are(decided, Reason.FROZEN, text)
        specs = {given.spec.id: given.spec for given in tick_input.workloads}
        settings = self._config.brakes

        def work(state: EngineState) -> brakes.Braked:
            return brakes.apply(
                brakes.wishes(specs, decided),
                brakes.settled(state.fleet, {d.workload: d.current for d in decided}),
                fleet_gpus=sum(d.current * specs[d.workload].gpus_per_replica for d in decided),
                now_s=tick_input.now_s,
                settings=settings,
                drop=brakes.correlated_drop(
                    self._memory.changes(decided, settings.correlated_window_s), settings
                ),
            )

        braked = self._passed(border.BRAKES, work, tick_input.now_s)
        if braked is None:
            text = "held: the fleet's brakes failed"
            return plan.as_they_are(decided, Reason.INTERNAL_ERROR, text)
        self._state = replace(self._state, fleet=braked.state)
        self._told += braked.findings
        return plan.cut_down(decided, braked.cuts)

    def _with_nodes(self, tick_input: TickInput, result: TickResult) -> TickResult:
        """With the headroom of every node pool. Whatever goes wrong there, replicas are scaled."""

        def work(state: EngineState) -> Planned:
            return self._plan_nodes(tick_input, result, state)

        planned = self._passed(border.POOLS, work, tick_input.now_s)
        if planned is None:
            return result
        self._state = replace(self._state, nodes=planned.state)
        actions = replace(result.plan, headroom=planned.actions)
        return replace(result, plan=actions, pools=planned.decisions)

    def _passed(
        self, part: border.Part, work: Callable[[EngineState], R], now_s: float
    ) -> R | None:
        """What `work` answers; None: an error ended it."""
        passed = border.passed(part, work, self._state, now_s)
        self._state = passed.state
        self._told += passed.findings
        return passed.answer

    def _plan_nodes(self, tick_input: TickInput, result: TickResult, state: EngineState) -> Planned:
        pools = self._config.nodes.pools
        node_lead_s = lead.longest_s(
            state.nodes.pools, {name: pool.lead_time_s for name, pool in pools.items()}
        )
        needs = [given.spec.node_needs for given in tick_input.workloads]
        free = room.beside(
            [one for one in needs if one is not None],
            tick_input.slices,
            state.slices.plan,
            config=self._config,
        )
        rests = members.resting(result.slices.groups, tick_input.workloads, self._config)
        candidates = []
        for given, decision in zip(tick_input.workloads, result.decisions, strict=True):
            if decision.mode is not Mode.AUTO or given.spec.node_needs is None:
                continue
            key = given.spec.id
            known = self._memory.get(key)
            candidates.append(
                Candidate(
                    given=given,
                    decision=decision,
                    forecast=self._memory.forecast(key),
                    growth=known.growth if known else demand.Growth(),
                    skew_ratio=known.skew_ratio if known else 1.0,
                    free_slices=free.get(given.spec.node_needs, 0),
                    rests=str(key) in rests,
                    floor_ahead=floor_ahead(
                        given.spec.schedule,
                        tick_input.now_s,
                        node_lead_s + pod_time_s(decision, self._config),
                    ),
                )
            )
        return plan_nodes(
            candidates,
            tick_input.pools,
            state.nodes,
            config=self._config,
            now_s=tick_input.now_s,
            frozen=tick_input.frozen,
        )
