"""The decision engine: one object, driven by the live loop, the simulator and replay alike.

`tick` is synchronous and deterministic: what it answers depends on its input and on the ticks before, on nothing else.
It reads no clock and does no I/O.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import replace

from autoscaler.core import (
    brakes,
    demand,
    fault,
    plan,
    prior,
    proof,
    scarcity,
    survival,
    unresponsive,
)
from autoscaler.core.decide import Decided, decide
from autoscaler.core.history import MINUTE_S
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
from autoscaler.core.slices.step import in_force
from autoscaler.core.slices.step import step as slice_step
from autoscaler.core.state import EngineState, WorkloadState
from autoscaler.core.survival import Loss
from autoscaler.core.types import (
    ActionResult,
    Decision,
    DemandForecast,
    Finding,
    Mode,
    ScalingPlan,
    TickInput,
    TickResult,
    WorkloadId,
    WorkloadInput,
)
from autoscaler.schedule import floor_ahead, scheduled_floor


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
        self._forecasts: dict[WorkloadId, DemandForecast] = {}
        self._needs: dict[WorkloadId, Need] = {}
        """What sizing worked with in this tick."""

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
        stepped_back = last_s is not None and now_s < last_s
        self._keep_forecasts(tick_input)
        self._needs = {}
        losses = survival.losses(tick_input)
        # A group survives a loss together.
        alone = losses.keys() - members.grouped(tick_input)
        decided: list[Decision] = []
        for given in tick_input.workloads:
            decided.append(
                self._decide_one(
                    given,
                    tick_input,
                    losses.get(given.spec.id) if given.spec.id in alone else None,
                    stepped_back=stepped_back,
                )
            )
        decided = [survival.told(one, losses.get(one.workload)) for one in decided]
        self._memory.forget({given.spec.id for given in tick_input.workloads}, now_s)
        decided, slices, broken = self._slice(tick_input, decided, losses)
        decided, held = self._share(tick_input, decided)
        decided, fleet = self._brake(tick_input, decided)
        slices, broken = self._keep_demand(tick_input, decided, slices, broken)
        self._state = replace(self._state, last_now_s=now_s)
        result = TickResult(
            now_s=now_s,
            decisions=tuple(decided),
            plan=ScalingPlan(
                actions=plan.actions(
                    tick_input.workloads,
                    decided,
                    emptied=self._emptied(now_s),
                    staying=() if broken else nodes_that_stay(tick_input, self._config),
                )
            ),
            slices=slices,
            fleet=(*broken, *held, *fleet),
        )
        return self._with_nodes(tick_input, result) if self._config.nodes.pools else result

    def acknowledge(self, results: tuple[ActionResult, ...]) -> None:
        """Takes in what became of the last plan. Only what was applied is remembered as written by forescale."""
        now_s = self._state.last_now_s or 0.0
        for result in results:
            self._memory.acknowledged(result, now_s)

    def snapshot(self) -> EngineState:
        """Everything remembered but the raw history, as a value."""
        forecasts = tuple(self._forecasts[key] for key in sorted(self._forecasts))
        return self._memory.snapshot(replace(self._state, forecasts=forecasts))

    def restore(self, state: EngineState) -> None:
        """Takes over what another engine remembered. History is filled anew from `backfill`."""
        self._state = replace(self._memory.restore(state), forecasts=())
        self._forecasts = {item.workload: item for item in state.forecasts}

    @property
    def workloads(self) -> tuple[WorkloadId, ...]:
        """All that the last tick had."""
        return self._memory.workloads

    def history(self, workload: WorkloadId) -> tuple[float, array[float]]:
        """(first minute, inferences a second per minute) of a workload; empty where nothing is known."""
        return self._memory.series(workload)

    def _keep_forecasts(self, tick_input: TickInput) -> None:
        present = {given.spec.id for given in tick_input.workloads}
        known = self._forecasts | {item.workload: item for item in tick_input.forecasts}
        self._forecasts = {
            key: item
            for key, item in known.items()
            if key in present and item.expires_s > tick_input.now_s
        }

    def _decide_one(
        self,
        given: WorkloadInput,
        tick_input: TickInput,
        loss: Loss | Finding | None,
        *,
        stepped_back: bool,
    ) -> Decision:
        key, now_s = given.spec.id, tick_input.now_s
        state = self._memory.begun(key, now_s)

        def answer(memory: WorkloadState) -> Decided:
            return self._answer(given, memory, tick_input, loss, stepped_back=stepped_back)

        try:
            state = self._memory.backfilled(state, given.backfill)
            answered = answer(state)
            decision = proof.held(self._memory.decided(answered))
        except Exception as error:  # noqa: BLE001 - the border between workloads: one may not stop the others
            return self._memory.failed(given, state, error, answer, now_s)
        if answered.need is not None:
            self._needs[key] = answered.need
        return decision

    def _answer(
        self,
        given: WorkloadInput,
        state: WorkloadState,
        tick_input: TickInput,
        loss: Loss | Finding | None,
        *,
        stepped_back: bool,
    ) -> Decided:
        """Raises whatever a defect raises."""
        key, now_s, needs = given.spec.id, tick_input.now_s, given.spec.node_needs
        told = self._priors.get(str(key), {})
        context = Context(
            now_s=now_s,
            config=self._config,
            forecast=self._forecasts.get(key),
            usual_rps=self._memory.usual_rps(key),
            scheduled_floor=scheduled_floor(given.spec.schedule, now_s),
            clock_stepped_back=stepped_back,
            common_cause=unresponsive.common_cause(given, tick_input),
            node_wait=node_wait(
                needs,
                tick_input.pools,
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
    ) -> tuple[list[Decision], SlicesDecision, tuple[Finding, ...]]:
        """Variant groups and slice pools. Whatever goes wrong there, each workload keeps its own decision."""
        if tick_input.slices is None:
            return decided, SlicesDecision(), ()
        try:
            floors = {
                given.spec.id: self._floor(given, tick_input.now_s)
                for given in tick_input.workloads
                if given.spec.variant_group is not None or given.template is not None
            }
            stepped = slice_step(
                tick_input,
                decided,
                self._needs,
                floors,
                self._state.slices,
                losses=losses,
                config=self._config,
            )
        except Exception as error:  # noqa: BLE001 - the border between slices and the workloads
            return decided, SlicesDecision(), (fault.finding("slices held", error),)
        self._state = replace(self._state, slices=stepped.state)
        return list(stepped.decisions), stepped.slices, ()

    def _keep_demand(
        self,
        tick_input: TickInput,
        decided: list[Decision],
        slices: SlicesDecision,
        broken: tuple[Finding, ...],
    ) -> tuple[SlicesDecision, tuple[Finding, ...]]:
        """With what the packing is asked beyond what is wanted now. Whatever goes wrong there, it is nothing."""
        if broken or tick_input.slices is None or not self._config.has_pools:
            return slices, broken
        try:
            lead_s = demanded.node_lead_s(self._state.nodes.pools, self._config.nodes)
            asked = demanded.remember(
                tick_input.workloads,
                decided,
                slices.groups,
                self._state.slices.demands,
                window_s=demanded.window_s(lead_s),
                now_s=tick_input.now_s,
            )
        except Exception as error:  # noqa: BLE001 - the border between slices and the workloads
            what = "the packing is asked with this tick's demand"
            return slices, (fault.finding(what, error),)
        self._state = replace(self._state, slices=replace(self._state.slices, demands=asked.states))
        return replace(slices, kept=asked.kept), ()

    def _emptied(self, now_s: float) -> tuple[str, ...]:
        """Nodes that the packing would have empty; a plan from before slices were turned off is still remembered."""
        found = in_force(self._state.slices.plan, now_s)
        return found.emptied if found is not None else ()

    def _floor(self, given: WorkloadInput, now_s: float) -> int:
        """What a person or a schedule asks for at least."""
        state = self._memory.get(given.spec.id)
        edited = state.floor.replicas if state is not None and state.floor is not None else 0
        scheduled = scheduled_floor(given.spec.schedule, now_s) or 0
        return max(0 if given.spec.may_sleep else given.spec.min_replicas, edited, scheduled)

    def _share(
        self, tick_input: TickInput, decided: list[Decision]
    ) -> tuple[list[Decision], tuple[Finding, ...]]:
        """What the configured pools can't hold is cut. Whatever goes wrong there, nothing is."""
        if not self._config.nodes.pools:
            return decided, ()
        try:
            shared = scarcity.share(
                tick_input.workloads,
                decided,
                self._needs,
                tick_input.pools,
                self._state.nodes,
                settings=self._config.nodes,
                now_s=tick_input.now_s,
            )
        except Exception as error:  # noqa: BLE001 - the border between the pools and the workloads
            return decided, (fault.finding("scarce GPUs not divided", error),)
        self._state = replace(self._state, nodes=replace(self._state.nodes, stuck=shared.stuck))
        return list(shared.decisions), ()

    def _brake(
        self, tick_input: TickInput, decided: list[Decision]
    ) -> tuple[list[Decision], tuple[Finding, ...]]:
        if tick_input.frozen is not None:
            text = f"all scaling is frozen: {tick_input.frozen}"
            cuts = {
                d.workload: (d.current, Reason.FROZEN, text)
                for d in decided
                if d.target != d.current
            }
            return plan.cut_down(decided, cuts), (Finding(reason=Reason.FROZEN, message=text),)
        specs = {given.spec.id: given.spec for given in tick_input.workloads}
        braked = brakes.apply(
            brakes.wishes(specs, decided),
            self._state.fleet,
            fleet_gpus=sum(d.current * specs[d.workload].gpus_per_replica for d in decided),
            now_s=tick_input.now_s,
            settings=self._config.brakes,
            drop=brakes.correlated_drop(self._changes(decided), self._config.brakes),
        )
        self._state = replace(self._state, fleet=braked.state)
        return plan.cut_down(decided, braked.cuts), braked.findings

    def _with_nodes(self, tick_input: TickInput, result: TickResult) -> TickResult:
        """With the headroom of every node pool. Whatever goes wrong there, replicas are scaled."""
        try:
            planned = self._plan_nodes(tick_input, result)
        except Exception as error:  # noqa: BLE001 - the border between replicas and nodes
            return replace(result, fleet=(*result.fleet, fault.finding("node pools held", error)))
        self._state = replace(self._state, nodes=planned.state)
        actions = replace(result.plan, headroom=planned.actions)
        return replace(result, plan=actions, pools=planned.decisions)

    def _plan_nodes(self, tick_input: TickInput, result: TickResult) -> Planned:
        pools = self._config.nodes.pools
        node_lead_s = lead.longest_s(
            self._state.nodes.pools, {name: pool.lead_time_s for name, pool in pools.items()}
        )
        needs = [given.spec.node_needs for given in tick_input.workloads]
        free = room.beside(
            [one for one in needs if one is not None],
            tick_input.slices,
            self._state.slices.plan,
            config=self._config,
        )
        rests = members.resting(result.slices.groups, tick_input.workloads, self._config)
        candidates = []
        for given, decision in zip(tick_input.workloads, result.decisions, strict=True):
            if decision.mode is not Mode.AUTO or given.spec.node_needs is None:
                continue
            key = given.spec.id
            state = self._memory.get(key)
            candidates.append(
                Candidate(
                    given=given,
                    decision=decision,
                    forecast=self._forecasts.get(key),
                    growth=state.growth if state else demand.Growth(),
                    skew_ratio=state.skew_ratio if state else 1.0,
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
            self._state.nodes,
            config=self._config,
            now_s=tick_input.now_s,
            frozen=tick_input.frozen,
        )

    def _changes(self, decided: list[Decision]) -> list[tuple[float, float]]:
        """(demand a correlation window ago, demand now) of every workload for which both are known."""
        back = max(1, round(self._config.brakes.correlated_window_s / MINUTE_S))
        changes = []
        for decision in decided:
            state = self._memory.get(decision.workload)
            now_rps = decision.facts.offered_rps
            if state is None or now_rps is None or len(state.growth.minutes) < back:
                continue
            changes.append((state.growth.minutes[-back][1], now_rps))
        return changes
