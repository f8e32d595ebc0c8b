"""Replicas that are ill: left out of what is carried, told of, and not outgrown.

Four replicas carry 70 inferences a second; each story makes one of them ill and looks at what is asked for.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler import codec
from autoscaler.core import sick
from autoscaler.core.reasons import Reason
from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.settings import EngineConfig, SignalSettings
from autoscaler.core.sickness import Ailment, PodHealth
from autoscaler.core.state import EngineState
from autoscaler.core.types import Decision, Finding, TickInput
from autoscaler.core.variability import Variability
from autoscaler.engine import DecisionEngine
from tests.core.served_story import ServedStory
from tests.core.story import Pod, spec

READ, OTHER = 0, -1
"""The pod whose statistics are read by size, and one whose counters alone are seen."""


def four(*, straggler_ratio: float = 2.0, replicas: int = 4, rate_rps: float = 70.0) -> ServedStory:
    """As many as the demand needs, after a quarter of an hour; batches of both sizes were seen before."""
    signals = SignalSettings(straggler_ratio=straggler_ratio)
    story = ServedStory(
        replicas=replicas,
        spec=spec(max_replicas=replicas),
        config=EngineConfig(signals=signals),
    )
    story.misses, story.xids = 0.0, {}
    story.run(300, rate_rps=25.0 * replicas)
    story.spec = spec()
    story.run(900, rate_rps=rate_rps)
    assert story.decisions[-1].target == replicas
    story.decisions.clear()
    return story


def make_slow(story: ServedStory, pod: Pod, ratio: float = 5.0) -> None:
    """It takes so many times as long, and half of its requests miss."""
    story.slow[pod.name], story.misses_of[pod.name] = ratio, 0.5


def mend(story: ServedStory, pod: Pod) -> None:
    del story.slow[pod.name], story.misses_of[pod.name]
    pod.pending = 0.0


def replace_pod(story: ServedStory, pod: Pod) -> None:
    """As when a person deletes it."""
    story.pods.remove(pod)
    story.scale(story.replicas)


def told(decision: Decision, reason: Reason) -> list[Finding]:
    return [finding for finding in decision.findings if finding.reason is reason]


# ---------------------------------------------------------------- not outgrown


@pytest.mark.parametrize(
    ("which", "outgrown"),
    [
        pytest.param(READ, 19, id="its statistics make the model look slow"),
        pytest.param(OTHER, 5, id="what waits at it asks for one more, and its misses for none"),
    ],
)
def test_one_of_four_at_five_times_the_time_costs_one_replica(which: int, outgrown: int) -> None:
    before = four(straggler_ratio=0.0)
    make_slow(before, before.pods[which])
    assert before.run(1800).target == outgrown

    story = four()
    make_slow(story, story.pods[which])
    story.run(1800)
    assert max(story.decided()) == 5
    # A minute to be sure of it.
    assert story.decided().index(5) == 6
    assert story.decided()[-1] == 5
    assert story.known_s(1) == 0.052


def test_it_is_told_which_pod_on_which_node_and_what_to_do() -> None:
    story = four()
    pod = story.pods[OTHER]
    make_slow(story, pod)
    decision = story.run(120)
    (ill,) = decision.sick
    assert (ill.pod, ill.node, ill.ailment) == (pod.name, f"node-of-{pod.name}", Ailment.SLOW)
    (finding,) = told(decision, Reason.SICK_REPLICAS)
    assert finding.about == pod.name
    assert finding.message == (
        f"{pod.name} on node node-of-{pod.name} takes 5 times as long for a batch as its siblings, for 2 min: counts "
        "for nothing, one more replica is asked for; delete the pod; if the next one on that node is no better, drain "
        "the node"
    )
    step = next(step for step in decision.steps if step.stage == "sick")
    assert (step.before, step.after, step.reason) == (4, 5, Reason.SICK_REPLICAS)
    assert step.message == "1 of 5 ready replicas are sick and count for nothing: 1 more"
    # What one fewer would have meant is said of the four that carry.
    assert decision.counterfactual.startswith("4 would ")


def test_when_it_is_gone_so_is_the_one_in_its_place() -> None:
    story = four()
    pod = story.pods[READ]
    make_slow(story, pod)
    story.run(300)
    replace_pod(story, pod)
    decision = story.run(300)
    assert (decision.target, decision.sick) == (4, ())


def test_max_replicas_bounds_it() -> None:
    story = four()
    story.spec = spec(max_replicas=4)
    make_slow(story, story.pods[OTHER])
    decision = story.run(300)
    assert (decision.target, decision.reason) == (4, Reason.TOO_MANY_REPLICAS)
    assert len(decision.sick) == 1


def test_the_load_that_a_slow_one_is_spared_is_no_uneven_load() -> None:
    story = four()
    make_slow(story, story.pods[OTHER])
    story.shares = (1.0, 1.0, 1.0, 0.2, 1.0)
    story.run(600)
    assert {f.reason for d in story.decisions[12:] for f in d.findings} == {Reason.SICK_REPLICAS}


def test_one_that_answers_nothing_while_its_siblings_do_is_sick_too() -> None:
    story = four()
    make_slow(story, story.pods[OTHER], ratio=1e9)
    decision = story.run(300)
    assert decision.target == 5
    (ill,) = decision.sick
    assert (ill.ailment, ill.slow_ratio) == (Ailment.STALLED, None)
    assert "answers no request while its siblings answer theirs" in decision.findings[0].message


@pytest.mark.parametrize(
    ("failing", "sick"),
    [
        pytest.param({OTHER: 1.0}, 1, id="one fails all that it gets"),
        pytest.param({OTHER: 0.6}, 1, id="or more than half"),
        pytest.param({READ: 0.4, OTHER: 0.01}, 0, id="two in five"),
        pytest.param(
            dict.fromkeys(range(4), 0.8), 0, id="all do: the requests are bad, or the model is"
        ),
    ],
)
def test_one_that_fails_what_its_siblings_answer_is_sick_too(
    failing: dict[int, float], sick: int
) -> None:
    story = four()
    for which, share in failing.items():
        story.failing[story.pods[which].name] = share
    decision = story.run(300)
    assert [ill.ailment for ill in decision.sick] == [Ailment.FAILING] * sick
    # One in its place; or one that is tried because requests miss, and no more.
    assert decision.target == 5
    assert story.known_s(1) == 0.052
    if sick:
        assert "fails requests that its siblings answer" in decision.findings[0].message


def test_one_that_answers_again_counts_after_five_minutes() -> None:
    story = four()
    story.failing[story.pods[OTHER].name] = 1.0
    story.run(300)
    story.failing.clear()
    assert story.run(300).sick
    assert not story.run(60).sick


def test_what_its_siblings_miss_under_its_load_gets_no_answer_of_its_own() -> None:
    story = four(rate_rps=76.0)
    make_slow(story, story.pods[OTHER])
    story.misses = 0.05
    learned = variability(story)
    decision = story.run(50)
    assert (decision.target, decision.sick) == (4, ())
    assert decision.facts.queue_ratio is not None
    assert decision.facts.queue_ratio > 0.3
    story.run(60)
    assert (max(story.decided()), variability(story)) == (5, learned)


def variability(story: ServedStory) -> Variability:
    return story.engine.snapshot().workloads[0].templates[-1].models[0].variability


# ---------------------------------------------------------------- no sickness


def test_a_slow_half_minute_is_none() -> None:
    story = four()
    pod = story.pods[READ]
    make_slow(story, pod)
    story.run(30)
    mend(story, pod)
    story.run(600)
    assert set(story.decided()) == {4}
    assert not any(decision.sick for decision in story.decisions)


def test_a_model_that_has_become_slower_is_no_sick_pod() -> None:
    story = four()
    story.times = ServiceTimes(batch_s=(0.104, 0.128))
    story.run(600)
    assert not any(decision.sick for decision in story.decisions)
    assert story.known_s(1) == pytest.approx(0.104, rel=0.02)


@pytest.mark.parametrize("which", [READ, OTHER])
def test_of_three_the_two_others_and_what_was_known_before_are_three_siblings(which: int) -> None:
    story = four(replicas=3, rate_rps=48.0)
    make_slow(story, story.pods[which])
    decision = story.run(600)
    assert (max(story.decided()), decision.target, len(decision.sick)) == (4, 4, 1)


def test_two_replicas_are_too_few_to_compare() -> None:
    story = four(replicas=2, rate_rps=25.0)
    story.spec = spec(max_replicas=2)
    make_slow(story, story.pods[OTHER])
    story.run(600)
    assert not any(decision.sick for decision in story.decisions)


def test_more_than_a_quarter_is_not_sick_but_uneven() -> None:
    story = four(replicas=8, rate_rps=140.0)
    for pod in story.pods[-3:]:
        make_slow(story, pod)
    # The very replicas that are there, so that growth does not make three of them a quarter.
    story.spec = spec(max_replicas=8)
    decision = story.run(300)
    assert decision.sick == ()
    (finding,) = told(decision, Reason.UNEVEN_SPEED)
    assert finding.message.startswith("3 of 8 replicas are slower than the others, bert-")


def test_missing_metrics_are_no_sickness() -> None:
    story = four()
    story.xids = None
    story.metrics_up = False
    decision = story.run(600)
    assert (decision.target, decision.sick) == (4, ())


# ---------------------------------------------------------------- hardware errors


@pytest.mark.parametrize(
    ("xid", "target"),
    [
        pytest.param(31, 4, id="a page fault is the application's"),
        pytest.param(43, 4, id="so is a process that was stopped"),
        pytest.param(63, 4, id="a remapped row: the GPU goes on"),
        pytest.param(48, 5, id="an uncorrectable memory error"),
        pytest.param(79, 5, id="fallen off the bus"),
        pytest.param(94, 5, id="a contained error: the server lost its context"),
        pytest.param(119, 5, id="the system processor does not answer"),
    ],
)
def test_an_error_of_the_gpu_counts_at_once(xid: int, target: int) -> None:
    story = four()
    assert story.xids is not None
    story.xids[story.pods[OTHER].name] = (xid,)
    assert story.run(10).target == target
    assert story.run(600).target == target


def test_it_is_told_with_its_meaning_and_its_remedy() -> None:
    story = four()
    assert story.xids is not None
    pod = story.pods[OTHER]
    story.xids[pod.name] = (79,)
    (finding,) = told(story.run(60), Reason.SICK_REPLICAS)
    assert finding.message == (
        f"{pod.name} on node node-of-{pod.name} has XID 79, the GPU has fallen off the bus, for 1 min: counts for "
        "nothing, one more replica is asked for; drain the node and reboot it"
    )


def test_an_error_from_before_the_pod_is_not_held_against_it() -> None:
    story = four()
    assert story.xids is not None
    fresh = story._pod(story.now_s - 60.0, story.now_s - 40.0)
    story.pods[OTHER] = fresh
    story.xids[fresh.name] = (79,)
    assert story.run(300).target == 4


@pytest.mark.parametrize("later", [(45,), (45, 79), None])
def test_it_lasts_while_another_code_or_none_is_shown(later: tuple[int, ...] | None) -> None:
    story = four()
    assert story.xids is not None
    pod = story.pods[OTHER]
    story.xids[pod.name] = (79,)
    story.run(60)
    story.xids = None if later is None else {pod.name: later}
    assert story.run(1200).target == 5


def test_two_errors_in_two_replicas_are_both_told_and_one_is_replaced() -> None:
    story = four(replicas=2, rate_rps=25.0)
    story.xids = {pod.name: (95,) for pod in story.pods}
    decision = story.run(60)
    assert decision.target == 3
    replaced, other = told(decision, Reason.SICK_REPLICAS)
    assert "one more replica is asked for" in replaced.message
    assert "not replaced: at most 25% of 3 replicas are" in other.message


# ---------------------------------------------------------------- well again


def test_what_is_well_again_counts_after_five_minutes_and_does_not_flap() -> None:
    story = four()
    pod = story.pods[OTHER]
    make_slow(story, pod)
    story.run(300)
    # Between well and ill: nothing changes.
    story.slow[pod.name] = 1.7
    assert story.run(900).target == 5
    mend(story, pod)
    story.decisions.clear()
    assert story.run(310).sick != ()
    assert "shows no sign of being sick any more" in story.decisions[-1].findings[0].message
    assert story.run(10).sick == ()
    assert story.run(60).target == 4


def test_a_successor_knows_who_is_sick() -> None:
    story = four()
    make_slow(story, story.pods[OTHER])
    story.run(120)
    saved = codec.decode(codec.encode(story.engine.snapshot()), EngineState)
    story.engine = DecisionEngine(story.config)
    story.engine.restore(saved)
    decision = story.run(10)
    assert (decision.target, len(decision.sick)) == (5, 1)


def test_a_clock_that_steps_back_and_a_list_that_is_read_anew_forget_no_error() -> None:
    story = four()
    assert story.xids is not None
    story.xids[story.pods[OTHER].name] = (79,)
    story.run(60)
    story.now_s -= 3600.0
    story.run(60)
    story._pass(10.0)
    unknown = replace(story.given(), pods=(), pods_known=False)
    story.engine.tick(TickInput(now_s=story.now_s, workloads=(unknown,)))
    assert [ill.xid for ill in story.run(10).sick] == [79]


@pytest.mark.parametrize(
    ("xid", "after"), [pytest.param(94, None, id="94"), pytest.param(95, 95, id="95")]
)
def test_a_new_start_mends_a_contained_error_only(xid: int, after: int | None) -> None:
    known = PodHealth(pod="a", restarts=0, xids=(xid,), xid=xid, xid_since_s=0.0)
    now = sick.looked_at(known, 1, (xid,), None, straggler_ratio=2.0, now_s=10.0)
    assert now.xid == after


def test_a_new_start_is_judged_anew() -> None:
    known = PodHealth(pod="a", straggler=Ailment.SLOW, slow_since_s=0.0, slow_ratio=5.0)
    now = sick.looked_at(known, 1, None, None, straggler_ratio=2.0, now_s=10.0)
    assert not now.is_sick


SIGNS = st.tuples(
    st.one_of(st.none(), st.just(()), st.just((31,)), st.just((79,))),
    st.one_of(st.none(), st.sampled_from([0.5, 1.0, 1.5, 2.0, 5.0, float("inf")])),
)


@given(st.lists(SIGNS, max_size=120))
def test_nobody_becomes_sick_or_well_on_what_is_not_seen(signs: list[tuple]) -> None:  # type: ignore[type-arg]
    health = PodHealth(pod="a")
    for tick, (xids, ratio) in enumerate(signs):
        before = health
        health = sick.looked_at(
            health, 0, xids, ratio, straggler_ratio=2.0, now_s=1000.0 + 10.0 * tick
        )
        if xids is None and ratio is None:
            assert health.is_sick is before.is_sick
        if health.is_sick and not before.is_sick:
            assert xids == (79,) or (ratio is not None and ratio >= 2.0)
