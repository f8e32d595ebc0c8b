"""What a workload's pods and their counters show of its demand."""

from __future__ import annotations

import pytest

from autoscaler.core.observe import View, observe
from autoscaler.core.settings import SignalSettings
from autoscaler.core.types import Mode
from tests.core.story import Story, spec

SCRAPED_S = 2.0
"""How long ago pods were, in a story."""


def joined(story: Story, *, since_s: float) -> View:
    """Ten seconds in which one more pod takes its share of the load for the last `since_s`."""
    before = [pod for pod in story.pods if pod.ready_s is not None]
    new = next(pod for pod in story.pods if pod.ready_s is None)
    story.now_s += 10.0
    new.ready_s = story.now_s - SCRAPED_S - since_s
    for pod in before:
        story.serve(pod, story.rate_rps / len(before), 10.0 - since_s)
    for pod in story.pods:
        story.serve(pod, story.rate_rps / len(story.pods), since_s)
    return seen(story)


def seen(story: Story) -> View:
    (memory,) = story.engine.snapshot().workloads
    return observe(story.given(), memory, now_s=story.now_s, settings=SignalSettings())


def a_fifth_starts() -> Story:
    """Four carry 20 a second each, and one more is seen starting."""
    story = Story(replicas=4, spec=spec(mode=Mode.RECOMMEND))
    story.run(60, rate_rps=80.0)
    story.scale(5)
    story.tick()
    return story


@pytest.mark.parametrize("since_s", [2.0, 5.0, 8.0])
def test_a_replica_that_has_just_come_adds_nothing_to_the_demand(since_s: float) -> None:
    """Asked 16 times a second for 2 of 10 s, it was asked 3.2 times a second in these, and the others 76.8 times."""
    (demand,) = joined(a_fifth_starts(), since_s=since_s).models
    assert demand.fast_rps == pytest.approx(80.0, rel=1e-6)
    assert demand.stable_rps == pytest.approx(80.0, rel=1e-6)


def test_what_a_replica_that_has_just_come_is_asked_is_told_of_its_own_time() -> None:
    load = joined(a_fifth_starts(), since_s=2.0).loads[-1]
    assert load.models[0].offered_rps == pytest.approx(16.0, rel=1e-6)


def test_where_all_have_just_come_each_tells_its_own_time() -> None:
    story = Story(replicas=1, spec=spec(mode=Mode.RECOMMEND))
    story.pods[0].ready_s = None
    story.rate_rps = 10.0
    story.tick()
    (demand,) = joined(story, since_s=4.0).models
    assert demand.fast_rps == pytest.approx(10.0, rel=1e-6)
