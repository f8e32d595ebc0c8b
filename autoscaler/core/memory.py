"""What is remembered of single workloads: of those that are there, of those that left, and of what was set aside."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from autoscaler.core import anew, demand, departed, plan
from autoscaler.core.decide import Decided
from autoscaler.core.history import MINUTE_S, Histories
from autoscaler.core.settings import EngineConfig
from autoscaler.core.state import Departed, EngineState, SetAside, WorkloadState
from autoscaler.core.types import (
    ActionResult,
    Decision,
    DemandForecast,
    HistoryPoint,
    TickInput,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)


class Memory:
    """By workload. Of what is kept between ticks it holds the part that is about one workload alone."""

    def __init__(self, config: EngineConfig) -> None:
        # What history teaches was not seen with its start-up times: the seed stands for them.
        self._lead_s = config.startup_time_s + config.tick_s
        self._states: dict[WorkloadId, WorkloadState] = {}
        self._forecasts: dict[WorkloadId, DemandForecast] = {}
        self._departed: tuple[Departed, ...] = ()
        self._set_aside: tuple[SetAside, ...] = ()
        self._histories = Histories(config.history_days)

    def snapshot(self, state: EngineState) -> EngineState:
        """`state` with what is remembered here."""
        return replace(
            state,
            workloads=tuple(self._states[key] for key in sorted(self._states)),
            forecasts=tuple(self._forecasts[key] for key in sorted(self._forecasts)),
            departed=self._departed,
            set_aside=self._set_aside,
        )

    def restore(self, state: EngineState) -> EngineState:
        """Takes its part over, and gives back the rest."""
        self._states = {item.id: item for item in state.workloads}
        self._forecasts = {item.workload: item for item in state.forecasts}
        self._departed, self._set_aside = state.departed, state.set_aside
        return replace(state, workloads=(), forecasts=(), departed=(), set_aside=())

    @property
    def workloads(self) -> tuple[WorkloadId, ...]:
        """All that the last tick had."""
        return tuple(self._states)

    def get(self, workload: WorkloadId) -> WorkloadState | None:
        """None: the last tick did not have it."""
        return self._states.get(workload)

    def begun(self, workload: WorkloadId, now_s: float) -> WorkloadState:
        """What is known of it, or of its time before it left."""
        known = self._states.get(workload)
        return departed.begun(self._departed, workload, now_s=now_s) if known is None else known

    def take_forecasts(self, tick_input: TickInput) -> None:
        """The newest of each workload that is there, until it expires."""
        present = {given.spec.id for given in tick_input.workloads}
        known = self._forecasts | {item.workload: item for item in tick_input.forecasts}
        self._forecasts = {
            key: item
            for key, item in known.items()
            if key in present and item.expires_s > tick_input.now_s
        }

    def forecast(self, workload: WorkloadId) -> DemandForecast | None:
        """None: there is none, or it has expired."""
        return self._forecasts.get(workload)

    def series(self, workload: WorkloadId) -> tuple[float, array[float]]:
        """(first minute, inferences a second per minute); empty where nothing is known."""
        return self._histories.series(workload)

    def usual_rps(self, workload: WorkloadId) -> float | None:
        """None: less than an hour of the last day is known."""
        return self._histories.usual_rps(workload)

    def set_back(self, now_s: float) -> None:
        """After a clock that was ahead. What single states hold is put right as they are decided on."""
        self._histories.set_back(now_s)

    def backfilled(self, state: WorkloadState, points: Sequence[HistoryPoint]) -> WorkloadState:
        """After its past was told."""
        if not points:
            return state
        self._histories.begin(state.id, points)
        return replace(state, growth=demand.taught(state.growth, points, lead_s=self._lead_s))

    def decided(self, answered: Decided) -> Decision:
        """Keeps what a decision leaves."""
        state, minute = anew.recovered(answered.state), answered.finished
        self._states[state.id] = state
        if minute is not None:
            self._histories.put(state.id, minute.minute_s, minute.sum_rps / minute.ticks)
        return self._with_what_was_set_aside(answered.decision)

    def failed(
        self,
        given: WorkloadInput,
        state: WorkloadState,
        error: Exception,
        attempt: Callable[[WorkloadState], object],
        now_s: float,
    ) -> Decision:
        """Held, and decided with another memory from the next tick on where this one is to blame."""
        state = anew.counted(state, error, now_s)
        begun = anew.without_it(state, attempt, lambda: self._past(state.id), now_s=now_s)
        if begun is not None:
            self._set_aside = anew.set_aside(self._set_aside, state, now_s)
        self._states[state.id] = begun or state
        return self._with_what_was_set_aside(plan.failed(given, error))

    def acknowledged(self, result: ActionResult, now_s: float) -> None:
        """Only what was applied is remembered as written by forescale."""
        state = self._states.get(result.action.workload)
        if state is not None:
            self._states[state.id] = plan.acknowledged(state, result, now_s)

    def forget(self, present: Collection[WorkloadId], now_s: float) -> None:
        """Those that are not in the fleet any more, and what was set aside or left long ago."""
        gone = [key for key in self._states if key not in present]
        if gone or self._departed:
            self._departed = departed.still_gone(
                self._departed,
                [self._states.pop(key) for key in gone],
                present=present,
                now_s=now_s,
            )
        for key in gone:
            self._histories.forget(key)
        if self._set_aside:
            self._set_aside = anew.still_kept(self._set_aside, now_s)

    def floor(self, spec: WorkloadSpec, scheduled: int | None) -> int:
        """What a person or a schedule asks for at least."""
        state = self._states.get(spec.id)
        edited = state.floor.replicas if state is not None and state.floor is not None else 0
        return max(0 if spec.may_sleep else spec.min_replicas, edited, scheduled or 0)

    def changes(self, decided: Sequence[Decision], window_s: float) -> list[tuple[float, float]]:
        """(demand so long ago, demand now) in rps of every workload for which both are known."""
        back = max(1, round(window_s / MINUTE_S))
        changes = []
        for decision in decided:
            state = self._states.get(decision.workload)
            now_rps = decision.facts.offered_rps
            if state is None or now_rps is None or len(state.growth.minutes) < back:
                continue
            changes.append((state.growth.minutes[-back][1], now_rps))
        return changes

    def _past(self, workload: WorkloadId) -> demand.Growth:
        """How demand rises, learned anew from the history that is here."""
        first_s, rates = self._histories.series(workload)
        points = [
            HistoryPoint(minute_s=first_s + MINUTE_S * index, offered_rps=rps)
            for index, rps in enumerate(rates)
            if rps == rps  # NaN: not known
        ]
        return demand.taught(demand.Growth(), points, lead_s=self._lead_s)

    def _with_what_was_set_aside(self, decision: Decision) -> Decision:
        found = anew.finding(self._set_aside, decision.workload)
        return replace(decision, findings=(*decision.findings, found)) if found else decision
