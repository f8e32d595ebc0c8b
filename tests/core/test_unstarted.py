"""Replicas that do not come up: told of, and no measure of how long a start takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.lead_time import LeadTimes
from autoscaler.core.reasons import Reason
from autoscaler.core.types import PodStatus, WorkloadInput
from autoscaler.core.unstarted import longest_s
from tests.core.story import Story

PULLING = "ImagePullBackOff of container triton"


class StuckRollout(Story):
    """A story in which a new image's first pod waits beside the old ones, from when the story says so."""

    since_s: float | None = None
    waits: str | None = PULLING
    node: bool = True
    """It has one; else it waits for one."""
    unschedulable: bool = False

    def given(self) -> WorkloadInput:
        given = super().given()
        if self.since_s is None:
            return given
        pod = PodStatus(
            name="bert-new",
            template_hash="h2",
            created_s=self.since_s,
            scheduled_s=self.since_s if self.node else None,
            failing=self.waits,
            unschedulable=self.unschedulable,
        )
        replicas = replace(given.replicas, rollout=True, template_hash="h2")
        return replace(given, pods=(*given.pods, pod), replicas=replicas)


def told(story: Story) -> list[str]:
    return [
        finding.message
        for finding in story.decisions[-1].findings
        if finding.reason is Reason.NOT_STARTING
    ]


def test_an_image_that_can_not_be_pulled_is_told_at_once_and_makes_nobody_look_ahead_for_hours() -> (
    None
):
    """Two replicas carry 25 requests a second; after half an hour three were asked for, looking half an hour ahead."""
    story = StuckRollout(replicas=2)
    assert story.run(600, rate_rps=25).target == 2
    story.since_s = story.now_s
    assert story.run(10).facts.lead_time_s == 120.0
    assert told(story) == [
        "replicas that do not start: 1 of 3, bert-new first: ImagePullBackOff of container triton; "
        "kubectl -n team describe pod bert-new; nothing is scaled down until the rollout is done or undone "
        "(kubectl rollout undo)"
    ]
    decision = story.run(3600)
    assert (decision.target, decision.facts.lead_time_s) == (2, 120.0)


def test_a_start_that_hangs_without_a_word_is_told_and_looked_ahead_over_no_further() -> None:
    """Ten minutes, where start-ups are said to take two: Kubernetes' own limit for a rollout without progress."""
    story = StuckRollout(replicas=2)
    story.waits = None
    story.run(600, rate_rps=25)
    story.since_s = story.now_s
    assert story.run(600).facts.lead_time_s == 600.0
    assert told(story) == []
    assert story.run(3600).facts.lead_time_s == 600.0
    assert told(story)[0].startswith(
        "replicas that do not start: 1 of 3, bert-new first: not ready 70 minutes after it had its node; "
        "does its readiness probe ever succeed?"
    )


@pytest.mark.parametrize(
    ("observed_s", "seed_s", "limit_s"),
    [
        pytest.param((), 120.0, 600.0, id="Kubernetes' own"),
        pytest.param((20.0, 30.0), 120.0, 600.0, id="quick"),
        pytest.param((400.0,), 120.0, 1200.0, id="three times the longest"),
        pytest.param((), 1800.0, 5400.0, id="announced"),
    ],
)
def test_how_long_a_start_may_take(
    observed_s: tuple[float, ...], seed_s: float, limit_s: float
) -> None:
    assert longest_s(LeadTimes(observed_s=observed_s), seed_s=seed_s) == limit_s


def test_a_rollout_that_waits_for_a_gpu_is_told_what_would_let_it_go_on() -> None:
    story = StuckRollout(replicas=2)
    story.run(60, rate_rps=25)
    given = story.given()
    pod = PodStatus(name="bert-new", created_s=story.now_s, unschedulable=True)
    waiting = replace(
        given, pods=(*given.pods, pod), replicas=replace(given.replicas, rollout=True)
    )
    story.given = lambda: waiting  # type: ignore[method-assign]
    story.tick()
    messages = [f.message for f in story.decisions[-1].findings if f.reason is Reason.UNSCHEDULABLE]
    assert messages == [
        "1 pods find no node with a free GPU, and a rollout waits for them: "
        "with maxSurge: 0 and maxUnavailable: 1 it needs no GPU more"
    ]


@pytest.mark.parametrize(
    ("unschedulable", "target", "reason"),
    [
        pytest.param(True, 2, Reason.STEADY, id="it waits for room that fewer replicas make"),
        pytest.param(False, 7, Reason.ROLLOUT, id="it goes on"),
    ],
)
def test_a_rollout_that_waits_for_room_is_not_waited_for(
    unschedulable: bool, target: int, reason: Reason
) -> None:
    """With all GPUs in use and maxUnavailable: 0 it waited for fewer replicas, and they for it."""
    story = StuckRollout(replicas=8)
    story.waits, story.node, story.unschedulable = None, False, unschedulable
    assert story.run(300, rate_rps=125).target == 7
    story.since_s = story.now_s
    first = story.run(290, rate_rps=25)
    assert (first.target, first.reason) == (7, Reason.ROLLOUT)
    after = story.run(300)
    assert (after.target, after.reason) == (target, reason)
