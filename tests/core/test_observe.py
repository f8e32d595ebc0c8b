"""What a workload's pods and their counters show of its demand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.observe import View, observe
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import SignalSettings
from autoscaler.core.state import WorkloadState
from autoscaler.core.types import Mode, PodSample
from tests.core.story import Pod, Story, spec

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


def left(story: Story, *, since_s: float) -> Pod:
    """Ten seconds in which the last pod gets nothing more for the last `since_s`, and the others all."""
    *others, last = story.pods
    story.now_s += 10.0
    for pod in story.pods:
        story.serve(pod, story.rate_rps / len(story.pods), 10.0 - since_s)
    for pod in others:
        story.serve(pod, story.rate_rps / len(others), since_s)
    story.replicas -= 1
    return last


def two_of_14() -> Story:
    story = Story(replicas=2, spec=spec(mode=Mode.RECOMMEND))
    story.run(60, rate_rps=28.0)
    return story


@pytest.mark.parametrize("since_s", [2.0, 5.0, 8.0])
def test_what_a_replica_that_goes_still_answers_is_demand(since_s: float) -> None:
    story = two_of_14()
    left(story, since_s=since_s).deleted_s = story.now_s - SCRAPED_S - since_s
    view = seen(story)
    (demand,) = view.models
    assert view.ready == 1
    assert demand.fast_rps == pytest.approx(28.0, rel=1e-6)


@pytest.mark.parametrize("since_s", [2.0, 5.0, 8.0])
def test_a_replica_that_is_gone_without_a_word_lowers_no_demand(since_s: float) -> None:
    """The one that stays was asked 14 times a second until then: 16.8 times, if it had all for two of ten seconds."""
    story = two_of_14()
    story.pods.remove(left(story, since_s=since_s))
    (demand,) = seen(story).models
    assert demand.fast_rps == pytest.approx(28.0, rel=1e-6)
    story.run(10)
    story.rate_rps = 14.0
    story.run(30)
    (demand,) = seen(story).models
    assert demand.stable_rps == pytest.approx(14.0, rel=1e-6)


def test_a_rise_counts_though_a_replica_is_gone_without_a_word() -> None:
    story = two_of_14()
    story.rate_rps = 60.0
    story.pods.remove(left(story, since_s=8.0))
    (demand,) = seen(story).models
    assert demand.fast_rps == pytest.approx(0.2 * 30.0 + 0.8 * 60.0, rel=1e-6)


def test_what_has_not_been_ready_yet_answers_no_demand() -> None:
    """What it is asked is its own warming up."""
    story = two_of_14()
    given = story.given()
    warming = replace(given.pods[1], ready_s=None, first_ready_s=None)
    (memory,) = story.engine.snapshot().workloads
    view = observe(
        replace(given, pods=(given.pods[0], warming)),
        replace(memory, slots=()),
        now_s=story.now_s,
        settings=SignalSettings(),
    )
    (demand,) = view.models
    assert demand.fast_rps == pytest.approx(14.0, rel=1e-6)


@pytest.mark.parametrize(
    ("looked_back", "rps"),
    [
        # 28 a second for 50 s and 60 for 30 s is 40 over all of them.
        pytest.param(False, 40.0, id="since the leader before was heard last"),
        pytest.param(True, 60.0, id="since ten seconds ago"),
    ],
)
def test_a_rise_that_nobody_saw_begin_is_seen_whole_where_the_past_is_told(
    looked_back: bool, rps: float
) -> None:
    story = two_of_14()
    (memory,) = story.engine.snapshot().workloads
    earlier: list[PodSample] = []
    for seconds, each_rps in ((50.0, 14.0), (20.0, 30.0), (10.0, 30.0)):
        earlier += story.given().samples
        story.now_s += seconds
        for pod in story.pods:
            story.serve(pod, each_rps, seconds)
    given = replace(story.given(), earlier=tuple(earlier[2:]) if looked_back else ())
    view = observe(given, memory, now_s=story.now_s, settings=SignalSettings())
    (demand,) = view.models
    assert demand.fast_rps == pytest.approx(rps, rel=1e-6)


def test_rates_are_known_at_first_sight_where_the_past_is_told() -> None:
    story = two_of_14()
    before = story.given().samples
    story.run(10)
    given = replace(story.given(), earlier=before)
    view = observe(
        given,
        WorkloadState(id=given.spec.id, first_seen_s=story.now_s),
        now_s=story.now_s,
        settings=SignalSettings(),
    )
    (demand,) = view.models
    assert (view.unknown, demand.fast_rps) == (None, pytest.approx(28.0, rel=1e-6))


@pytest.mark.parametrize(
    ("gone_s", "words"),
    [
        (10.0, "the newest sample is 12 s old, and Prometheus has none of a ready pod any more"),
        (60.0, "the newest sample is 62 s old, older than 30 s"),
    ],
)
def test_why_what_was_seen_is_not_believed(gone_s: float, words: str) -> None:
    """Prometheus lost its targets: after 19 s it was `19 s old, older than 30 s`."""
    story = two_of_14()
    (memory,) = story.engine.snapshot().workloads
    given = replace(story.given(), samples=())
    view = observe(given, memory, now_s=story.now_s + gone_s, settings=SignalSettings())
    assert (view.unknown, view.unknown_message) == (Reason.STALE_DATA, words)
