"""Decides a journal's ticks once more and says where the answers differ.

The inputs are those that were recorded: another configuration is asked what it would have decided at each moment, not
what the cluster would have done with those decisions (that is what `simulate` is for).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import Decision, TickRecord, TickResult, WorkloadId
from autoscaler.engine import DecisionEngine
from autoscaler.simulation.journal_file import JournalInvalid, JournalTorn, open_journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One decision that came out otherwise. None: one side has none for this workload."""

    line: int
    now_s: float
    workload: WorkloadId | None
    """None: it concerns the fleet or the plan."""
    recorded: Decision | None
    replayed: Decision | None

    @property
    def in_target(self) -> bool:
        """Whether the number of replicas differs, not only its explanation."""
        if self.workload is None:
            return False
        if self.recorded is None or self.replayed is None:
            return True
        return self.recorded.target != self.replayed.target


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What came of it. `replica_hours` add up each decision's target until the next tick."""

    path: str
    forescale: str
    ticks: int = 0
    decisions: int = 0
    from_s: float | None = None
    to_s: float | None = None
    differences: tuple[Difference, ...] = ()
    """The first of them, up to the limit that was asked for."""
    differing: int = 0
    differing_targets: int = 0
    recorded_replica_hours: float = 0.0
    replayed_replica_hours: float = 0.0
    broken: str | None = None
    """Why reading ended before the end of the file, with the number of the line."""
    unfinished: str | None = None
    """A last line without an end, which was left out: its writer is at it, or was stopped there."""


@dataclass
class _Tally:
    ticks: int = 0
    decisions: int = 0
    differing: int = 0
    differing_targets: int = 0
    recorded_s: float = 0.0
    replayed_s: float = 0.0
    first_s: float | None = None
    last_s: float | None = None


def replay(
    path: Path,
    *,
    config: EngineConfig | None = None,
    max_differences: int = 1000,
) -> ReplayReport:
    """Replays one file with its own configuration, or with another.

    Raises:
        JournalInvalid: it is no journal at all. A line that breaks later on ends the report and is named in it.
        JournalTorn: it has no whole header yet.
    """
    tally = _Tally()
    kept: list[Difference] = []
    broken: str | None = None
    unfinished: str | None = None
    with open_journal(path) as journal:
        engine = DecisionEngine(config or journal.header.config)
        engine.restore(journal.header.state)
        try:
            for record in journal.records():
                result = engine.tick(record.input)
                engine.acknowledge(record.actions)
                _count(tally, record, result)
                for difference in _differences(journal.line, record.result, result):
                    tally.differing += 1
                    tally.differing_targets += difference.in_target
                    if len(kept) < max_differences:
                        kept.append(difference)
        except JournalTorn as error:
            unfinished = str(error)
        except JournalInvalid as error:
            broken = str(error)
        forescale = journal.header.forescale
    return ReplayReport(
        path=str(path),
        forescale=forescale,
        ticks=tally.ticks,
        decisions=tally.decisions,
        from_s=tally.first_s,
        to_s=tally.last_s,
        differences=tuple(kept),
        differing=tally.differing,
        differing_targets=tally.differing_targets,
        recorded_replica_hours=tally.recorded_s / 3600.0,
        replayed_replica_hours=tally.replayed_s / 3600.0,
        broken=broken,
        unfinished=unfinished,
    )


def _count(tally: _Tally, record: TickRecord, replayed: TickResult) -> None:
    now_s = record.input.now_s
    # The time since the tick before stands for the time until the next; a clock that stepped back adds nothing.
    span_s = max(0.0, now_s - tally.last_s) if tally.last_s is not None else 0.0
    tally.recorded_s += span_s * sum(d.target for d in record.result.decisions)
    tally.replayed_s += span_s * sum(d.target for d in replayed.decisions)
    tally.ticks += 1
    tally.decisions += len(record.result.decisions)
    tally.first_s = now_s if tally.first_s is None else tally.first_s
    tally.last_s = now_s


def _differences(line: int, recorded: TickResult, replayed: TickResult) -> Iterator[Difference]:
    if recorded == replayed:
        return
    before = {d.workload: d for d in recorded.decisions}
    after = {d.workload: d for d in replayed.decisions}
    found = False
    for workload in sorted({*before, *after}):
        old, new = before.get(workload), after.get(workload)
        if old != new:
            found = True
            yield Difference(
                line=line, now_s=recorded.now_s, workload=workload, recorded=old, replayed=new
            )
    if not found:
        yield Difference(
            line=line, now_s=recorded.now_s, workload=None, recorded=None, replayed=None
        )
