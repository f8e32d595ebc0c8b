"""A memory with which decisions fail: the workload is held, then begins anew, and nothing of it is hidden."""

from __future__ import annotations

from dataclasses import replace

from autoscaler import codec
from autoscaler.core.anew import MOST_KEPT, set_aside, without_it
from autoscaler.core.demand import Growth
from autoscaler.core.reasons import Reason
from autoscaler.core.state import EngineState, ExternalFloor, Failing, SetAside, WorkloadState
from autoscaler.core.types import Decision, ScheduledFloor, WorkloadId
from autoscaler.engine import DecisionEngine
from tests.core.story import Story, spec


def spoilt(state: WorkloadState) -> WorkloadState:
    """What was learned says of each model that no batch fits into it: a number that no code expects."""
    return replace(
        state,
        templates=tuple(
            replace(
                template,
                models=tuple(
                    replace(model, service=replace(model.service, max_batch_size=0))
                    for model in template.models
                ),
            )
            for template in state.templates
        ),
    )


def successor(story: Story, **changes: object) -> None:
    """Another controller takes over, by a checkpoint that is spoilt."""
    left = story.engine.snapshot()
    states = tuple(replace(spoilt(state), **changes) for state in left.workloads)  # type: ignore[arg-type]
    saved = codec.decode(codec.encode(replace(left, workloads=states)), EngineState)
    story.engine = DecisionEngine(story.config)
    story.engine.restore(saved)


def reasons(decision: Decision) -> set[Reason]:
    return {finding.reason for finding in decision.findings}


def test_it_is_held_for_a_minute_and_then_begins_anew() -> None:
    story = Story(replicas=8)
    story.run(1200, rate_rps=120)
    held_at = story.replicas
    successor(story)
    first = story.run(10, rate_rps=240)
    assert (first.target, first.reason) == (held_at, Reason.INTERNAL_ERROR)
    assert first.message.startswith(
        "held: IndexError: tuple index out of range (autoscaler/core/queueing.py:"
    )
    story.run(50)
    assert {d.target for d in story.decisions[-6:]} == {held_at}
    assert reasons(story.decisions[-2]) == {Reason.INTERNAL_ERROR}
    assert reasons(story.decisions[-1]) == {Reason.INTERNAL_ERROR, Reason.MEMORY_SET_ASIDE}
    story.run(300)
    assert Reason.INTERNAL_ERROR not in {d.reason for d in story.decisions[-30:]}
    assert story.replicas > held_at
    told = next(
        f for f in story.decisions[-1].findings if f.reason is Reason.MEMORY_SET_ASIDE
    ).message
    assert "6 decisions in a row ended in IndexError" in told


def test_what_was_set_aside_is_kept_for_a_day_over_restarts() -> None:
    story = Story(replicas=8)
    story.run(1200, rate_rps=120)
    learned = spoilt(story.engine.snapshot().workloads[0])
    successor(story)
    story.run(120)
    saved = codec.decode(codec.encode(story.engine.snapshot()), EngineState)
    (kept,) = saved.set_aside
    assert (kept.learned.templates, kept.times) == (learned.templates, 1)
    story.engine = DecisionEngine(story.config)
    story.engine.restore(saved)
    assert Reason.MEMORY_SET_ASIDE in reasons(story.run(10))
    story.now_s += 86400.0
    assert Reason.MEMORY_SET_ASIDE not in reasons(story.run(20))
    assert story.engine.snapshot().set_aside == ()


def test_a_persons_floor_stays() -> None:
    story = Story(replicas=4)
    story.run(1200, rate_rps=40)
    floor = ExternalFloor(replicas=6, until_s=story.now_s + 7200.0)
    successor(story, floor=floor)
    story.run(60)
    (state,) = story.engine.snapshot().workloads
    assert (state.floor, state.templates) == (floor, ())
    assert story.run(600).target == 6


def test_how_demand_rises_is_taught_anew_by_the_history() -> None:
    story = Story(replicas=4)
    story.run(7200, rate_rps=40)
    left = story.engine.snapshot()
    # The same engine: its history is there.
    story.engine.restore(replace(left, workloads=(spoilt(left.workloads[0]),)))
    story.run(60)
    (state,) = story.engine.snapshot().workloads
    assert state.templates == ()
    minutes = [(minute_s, round(mean_rps)) for minute_s, mean_rps, *_ in state.growth.minutes]
    assert minutes[-1] == (story.now_s - 120.0, 40)


def test_a_history_that_can_not_be_taught_is_left_out() -> None:
    state = WorkloadState(
        id=WorkloadId(namespace="team", name="bert"),
        first_seen_s=0.0,
        skew_ratio=2.0,
        failing=Failing(since_s=0.0, ticks=6, error="KeyError: 'x'"),
    )

    def past() -> Growth:
        raise ValueError("a rate that is none")

    found = without_it(state, lambda memory: memory, past, now_s=60.0)
    assert found == WorkloadState(id=state.id, first_seen_s=60.0)


def test_a_memory_that_is_not_to_blame_stays() -> None:
    """A time zone that this machine lacks fails with any memory."""
    story = Story(replicas=4)
    story.run(1200, rate_rps=40)
    learned = story.engine.snapshot().workloads[0]
    floor = ScheduledFloor(
        cron="0 8 * * *", duration_s=3600.0, min_replicas=5, timezone="Europe/Berln"
    )
    sound, story.spec = story.spec, spec(schedule=(floor,))
    failed = story.run(600)
    assert reasons(failed) == {Reason.INTERNAL_ERROR}
    (state,) = story.engine.snapshot().workloads
    assert state.templates == learned.templates
    assert state.failing is not None
    assert (state.failing.ticks, state.failing.since_s) == (60, story.now_s - 590.0)
    story.spec = sound
    assert story.run(10).reason is not Reason.INTERNAL_ERROR
    assert story.engine.snapshot().workloads[0].failing is None


def test_ten_are_kept_and_of_one_workload_the_first() -> None:
    known: tuple[SetAside, ...] = ()
    for number in range(MOST_KEPT + 2):
        state = WorkloadState(
            id=WorkloadId(namespace="team", name=f"bert-{number}"),
            first_seen_s=0.0,
            failing=Failing(since_s=0.0, ticks=6, error=f"error {number}"),
        )
        known = set_aside(known, state, 60.0 * number)
    again = replace(state, skew_ratio=2.0, failing=Failing(since_s=0.0, ticks=6, error="another"))
    known = set_aside(known, again, 900.0)
    assert [item.learned.id.name for item in known] == [f"bert-{n}" for n in range(2, 12)]
    assert (known[-1].times, known[-1].at_s, known[-1].error) == (2, 900.0, "error 11")
    assert known[-1].learned.skew_ratio == 1.0
