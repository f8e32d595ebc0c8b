"""A workload that leaves the fleet and comes back."""

from __future__ import annotations

import pytest

from autoscaler.core.departed import MOST_KEPT, still_gone
from autoscaler.core.reasons import Reason
from autoscaler.core.state import WorkloadState
from autoscaler.core.types import TickInput, WorkloadId
from tests.core.story import Story


def without_it(story: Story, seconds: float) -> None:
    """It is not in the fleet for so long, as with a slip in an annotation."""
    for _ in range(round(seconds / 10.0)):
        story._pass(10.0)
        story.engine.tick(TickInput(now_s=story.now_s, workloads=()))


def test_what_a_replica_carries_is_known_after_a_slip_in_an_annotation() -> None:
    story = Story(replicas=4)
    before = story.run(3600, rate_rps=60.0)
    starts = story.engine.snapshot().workloads[0].lead_times
    without_it(story, 600.0)
    assert story.engine.workloads == ()
    again = story.run(30)
    (state,) = story.engine.snapshot().workloads
    assert again.facts.capacity_rps == pytest.approx(before.facts.capacity_rps)
    assert again.facts.price == pytest.approx(before.facts.price or 0.0, rel=0.1)
    assert state.lead_times == starts
    assert story.engine.snapshot().departed == ()


def test_one_that_comes_back_is_watched_before_it_is_lowered() -> None:
    story = Story(replicas=4)
    story.run(3600, rate_rps=60.0)
    without_it(story, 600.0)
    story.scale(8)  # by hand, while it was out
    decision = story.run(30)
    assert (decision.target, decision.reason) == (8, Reason.SCALE_DOWN_STABILIZED)
    assert story.run(600).target < 8


def test_after_a_day_it_is_a_new_one() -> None:
    story = Story(replicas=4)
    story.run(3600, rate_rps=60.0)
    story.engine.tick(TickInput(now_s=story.now_s + 10.0, workloads=()))
    story.now_s += 86400.0 + 20.0
    story.engine.tick(TickInput(now_s=story.now_s, workloads=()))
    assert story.engine.snapshot().departed == ()


def test_five_hundred_are_kept() -> None:
    gone = [
        WorkloadState(id=WorkloadId(namespace=f"preview-{i}", name="bert"), first_seen_s=0.0)
        for i in range(MOST_KEPT + 1)
    ]
    kept = still_gone((), gone, present=(), now_s=10.0)
    assert [item.learned.id.namespace for item in (kept[0], kept[-1])] == [
        "preview-1",
        "preview-500",
    ]
