"""Which answers of a tick are worth an Event: changes, refusals, and what a person should know - told once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from autoscaler.clock import Clock
from autoscaler.controller.deadline import within
from autoscaler.controller.headroom import pool_notes
from autoscaler.controller.leader import Leadership
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.mig import slice_notes
from autoscaler.controller.ports import EventSink, Note, Refused
from autoscaler.controller.templates import shape_notes
from autoscaler.core.annotations import POLICY
from autoscaler.core.reasons import BLIND, Reason
from autoscaler.core.types import (
    ActionResult,
    Mode,
    Outcome,
    Pause,
    Severity,
    Survive,
    TickRecord,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)
from autoscaler.errors import (
    ActuationConflict,
    ActuationUnknown,
    AutoscalerError,
    SourceUnavailable,
)

log = logging.getLogger(__name__)

# A condition that lasts is told again after an hour, which is how long the API server keeps an Event.
REPEAT_S = 3600.0
# One that comes and goes is not told more often than this.
CALM_S = 600.0
# Rates need two scrapes: a workload that is new here, or whose pods all are, has none for two ticks, and all is well.
SETTLE_S = 25.0
MANAGED = "Managed"
"""Of a workload whose annotations were taken, and of each change of them."""
QUEUE_LENGTH = 1000
# Nothing waits for it but the next one; a call has a limit of its own.
SEND_TIMEOUT_S = 15.0
# After a note that the API server has no time for the next one waits, and it is tried again behind the others.
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
TRIED_FOR_S = 900.0
NAMESPACE_GOES = "because it is being terminated"
"""The API server's words for what is written into a namespace that is being deleted."""

# Holds that ask for a person; the others are everyday rules.
NOTABLE = BLIND | {
    Reason.HELD_BY_OTHER,
    Reason.FAILED_CREATE,
    Reason.TOO_MANY_REPLICAS,
    Reason.FLEET_BRAKE,
    Reason.CORRELATED_DROP,
    Reason.SCARCE_GPUS,
    Reason.SCHEDULING_CEILING,
    Reason.FROZEN,
}
REFUSALS = {
    Outcome.CONFLICT: "ScaleConflict",
    Outcome.REJECTED: "ScaleRejected",
    Outcome.UNKNOWN: "ScaleUnknown",
}

Topic = tuple[WorkloadId, str]


class Notebook:
    """Remembers what has been told."""

    def __init__(self, headroom_namespace: str = "") -> None:
        self._told: dict[Topic, float] = {}
        self._unknown_since: dict[WorkloadId, float] = {}
        self._taken: dict[WorkloadId, str] | None = None
        """What was read of each workload's annotations in the last tick; None: there was none."""
        self._headroom_namespace = headroom_namespace

    def notes(self, record: TickRecord, refused: tuple[Refused, ...]) -> list[Note]:
        """What is new in this tick."""
        now_s = record.input.now_s
        versions = {g.spec.id: g.spec.api_version for g in record.input.workloads}
        notes = [
            _of_action(result) for result in record.actions if result.outcome is Outcome.APPLIED
        ]
        notes += self._of_annotations(record.input.workloads)
        self._unknown_since = {
            decision.workload: self._unknown_since.get(decision.workload, now_s)
            for decision in record.result.decisions
            if decision.reason is Reason.NO_DATA
        }
        settling = {
            (workload, f"{Reason.NO_DATA.value} ")
            for workload, since_s in self._unknown_since.items()
            if now_s - since_s < SETTLE_S
        }
        active: set[Topic] = set()
        of_pools = [
            *pool_notes(record, self._headroom_namespace),
            *slice_notes(record),
            *shape_notes(record),
        ]
        notes += [note for note, topic in of_pools if topic is None]
        lasting_pools = [(note, (note.workload, topic)) for note, topic in of_pools if topic]
        for note, topic in (
            *_not_carried_out(record.actions),
            *_conditions(record, versions),
            *_of_refused(refused),
            *lasting_pools,
        ):
            if topic in settling:
                continue
            active.add(topic)
            told_s = self._told.get(topic)
            if told_s is None or now_s - told_s >= REPEAT_S:
                self._told[topic] = now_s
                notes.append(note)
        self._told = {
            topic: told_s
            for topic, told_s in self._told.items()
            if topic in active or now_s - told_s < CALM_S
        }
        return notes

    def _of_annotations(self, workloads: tuple[WorkloadInput, ...]) -> list[Note]:
        """That they were taken, where they are new or changed; not what a new leader finds."""
        before = self._taken
        self._taken = {given.spec.id: _taken(given.spec) for given in workloads}
        if before is None:
            return []
        return [
            Note(
                workload=given.spec.id,
                api_version=given.spec.api_version,
                reason=MANAGED,
                message=self._taken[given.spec.id],
                severity=Severity.NORMAL,
            )
            for given in workloads
            if before.get(given.spec.id) != self._taken[given.spec.id]
        ]


def _taken(spec: WorkloadSpec) -> str:
    """What its annotations, the policy and the object itself come to."""
    whose = "" if spec.slo_from != POLICY else " (the policy's)"
    highest = "the policy's max_replicas" if spec.max_replicas is None else f"{spec.max_replicas}"
    words = [f"{spec.slo.text}{whose}", f"{spec.min_replicas} to {highest} replicas"]
    if spec.model is not None:
        words.append(f"of model {spec.model} alone")
    if spec.schedule:
        words.append(f"{len(spec.schedule)} scheduled floors")
    if spec.pause is not Pause.NONE:
        words.append(f"paused: {spec.pause.value}")
    if spec.survive is not Survive.NONE:
        words.append(f"survives the loss of a {spec.survive.value}")
    return f"Annotations taken: {', '.join(words)}; {_DOES[spec.mode]}"


_DOES = {
    Mode.AUTO: "replicas are set by forescale from now on, unless another autoscaler holds them",
    Mode.RECOMMEND: "mode recommend: nothing is written",
    Mode.OFF: "mode off: nothing is decided",
}


def _not_carried_out(results: tuple[ActionResult, ...]) -> Iterator[tuple[Note, Topic]]:
    """What is refused now is tried, and mostly refused, in each tick that follows."""
    for result in results:
        if result.outcome in REFUSALS:
            note = _of_action(result)
            yield note, (note.workload, note.reason)


def _of_action(result: ActionResult) -> Note:
    action = result.action
    change = f"{action.observed} to {action.replicas} replicas"
    if result.outcome is Outcome.APPLIED:
        reason, text = action.reason.value, f"Scaled from {change}: {action.message}"
        severity = Severity.NORMAL
    else:
        reason, text = REFUSALS[result.outcome], f"Not scaled from {change}: {result.message}"
        severity = Severity.WARNING
    return Note(
        workload=action.workload,
        api_version=action.api_version,
        reason=reason,
        message=text,
        severity=severity,
    )


def _conditions(
    record: TickRecord, versions: dict[WorkloadId, str]
) -> Iterator[tuple[Note, Topic]]:
    for decision in record.result.decisions:
        told = [(f.reason, f.message, f.severity, f.about) for f in decision.findings]
        if decision.reason in NOTABLE:
            told.append((decision.reason, decision.message, Severity.WARNING, ""))
        for reason, message, severity, about in told:
            note = Note(
                workload=decision.workload,
                api_version=versions[decision.workload],
                reason=reason.value,
                message=message,
                severity=severity,
            )
            # Another pod is news.
            yield note, (decision.workload, f"{reason.value} {about}")


def _of_refused(refused: tuple[Refused, ...]) -> Iterator[tuple[Note, Topic]]:
    for item in refused:
        for problem in item.problems:
            note = Note(
                workload=item.workload,
                api_version=item.api_version,
                reason=item.reason.value,
                message=str(problem),
                severity=Severity.WARNING,
            )
            # The text is part of the topic: a second mistake is news.
            yield note, (item.workload, str(problem))


@dataclass(frozen=True, slots=True)
class _Waiting:
    note: Note
    at_s: float
    """When it was told."""
    since_s: float
    """The same by the monotonic clock."""


class Announcer:
    """Sends notes in the background, one after the other: the API server is asked for more important things."""

    def __init__(
        self, *, sink: EventSink, leadership: Leadership, metrics: Metrics, clock: Clock
    ) -> None:
        self._sink, self._leadership, self._metrics, self._clock = sink, leadership, metrics, clock
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(maxsize=QUEUE_LENGTH)
        self._failures = 0
        """In a row, of any notes."""

    def tell(self, notes: list[Note]) -> None:
        """Never waits; what does not fit is dropped and counted."""
        now_s, since_s = self._clock.now_s(), self._clock.monotonic_s()
        for note in notes:
            self._put(_Waiting(note, now_s, since_s))

    async def run(self) -> None:
        """Sends for ever."""
        while True:
            waiting = await self._waiting.get()
            try:
                pause_s = await self._send(waiting)
            finally:
                self._waiting.task_done()
            if pause_s is not None:
                await self._clock.sleep(pause_s)

    async def drain(self, limit_s: float) -> None:
        """Waits for what is under way, up to `limit_s`."""
        try:
            await within(self._clock, limit_s, self._waiting.join())
        except TimeoutError:
            log.warning("events left unsent", extra={"events": self._waiting.qsize()})

    def _put(self, waiting: _Waiting) -> None:
        try:
            self._waiting.put_nowait(waiting)
        except asyncio.QueueFull:
            self._metrics.events_dropped.inc()

    async def _send(self, waiting: _Waiting) -> float | None:
        """How long to wait before the next one; None: it was sent, or never will be."""
        if not self._leadership.is_leading():
            self._metrics.events_dropped.inc()
            return None
        try:
            await within(self._clock, SEND_TIMEOUT_S, self._sink.send(waiting.note, waiting.at_s))
        except ActuationConflict:
            pass  # One that was thought lost has come.
        except (ActuationUnknown, SourceUnavailable, TimeoutError) as error:
            return self._later(waiting, error)
        except AutoscalerError as error:
            self._lost(waiting, error)
            return None
        self._failures = 0
        self._metrics.events_sent.inc()
        return None

    def _later(self, waiting: _Waiting, error: Exception) -> float | None:
        """What is told once an hour would not be told at all, just when the API server refuses."""
        if self._clock.monotonic_s() - waiting.since_s >= TRIED_FOR_S:
            self._lost(waiting, error)
            return None
        self._put(waiting)
        asked_s = getattr(error, "retry_after_s", None) or 0.0
        pause_s = PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
        self._failures += 1
        return max(pause_s, min(asked_s, PAUSES_S[-1]))

    def _lost(self, waiting: _Waiting, error: Exception) -> None:
        self._metrics.events_dropped.inc()
        note = waiting.note
        if NAMESPACE_GOES in str(error):
            # Nobody is left to read it: 300 workloads that go with their namespace were 600 lines in a second.
            return
        log.warning(
            "event not written",
            extra={
                "about": str(note.workload),
                "reason": note.reason,
                "told": note.message,
                "error": str(error) or "no answer in time",
            },
        )
