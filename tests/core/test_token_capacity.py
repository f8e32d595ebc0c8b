"""How many tokens a second a replica of a token generator carries, and what says so."""

from __future__ import annotations

import math

import pytest

from autoscaler.core.reasons import Reason
from autoscaler.core.token_capacity import Limit
from autoscaler.core.types import Decision
from tests.core.token_story import TokenStory, sequences_at, step_s


def test_the_story_is_consistent() -> None:
    assert sequences_at(500.0) == pytest.approx(500.0 * step_s(sequences_at(500.0)))


def needed(decision: Decision) -> int:
    """The demand to be ready for, at what a replica carries."""
    facts = decision.facts
    assert facts.upper_rps is not None
    assert facts.capacity_rps is not None
    return math.ceil(facts.upper_rps / facts.capacity_rps)


def test_the_time_per_token_limits_how_many_run_together() -> None:
    """50 ms a token allow 60 sequences, and a mean of 48 stays below 60 for 95 % of the time: 48 / 44.4 ms = 1,095 a
    second of the 1,200 that 60 would make. On one of three replicas eight more run than on the next: as by chance."""
    story = TokenStory(slo="p95 tpot < 50ms", replicas=3, tokens_rps=2400.0, uneven=8.0).learn()
    decision = story.run(300)
    assert decision.facts.offered_rps == pytest.approx(2400.0, rel=0.01)
    assert decision.facts.capacity_rps == pytest.approx(1095.0, rel=0.03)
    assert decision.facts.work_ratio == pytest.approx(2.0, rel=0.03)
    assert decision.target == needed(decision)


@pytest.mark.parametrize(
    ("limit", "uneven_ratio", "ratio", "replicas", "mean"),
    [
        pytest.param(64, 1.0, 0.99, 1, 48.0, id="one replica: a Poisson number below 64"),
        pytest.param(40, 1.0, 0.95, 10, 30.9, id="ten that know nothing of each other, each for itself"),
        pytest.param(40, 0.0, 0.95, 10, 36.8, id="ten that always run the same number, as one"),
        pytest.param(40, 0.1, 0.95, 10, 35.7, id="ten behind a balancer that knows what runs"),
        pytest.param(40, 0.0, 0.95, 1, 30.9, id="of one there is nothing to level"),
        pytest.param(40, 0.0, 0.95, 0, 30.9, id="of none that are ready the first is asked about"),
        pytest.param(1, 0.0, 0.95, 10, 1.0, id="one at a time"),
    ],
)  # fmt: skip
def test_room_for_what_comes_by_chance(
    limit: int, uneven_ratio: float, ratio: float, replicas: int, mean: float
) -> None:
    told = Limit(name="a limit", sequences=limit, uneven_ratio=uneven_ratio)
    assert told.mean(ratio, replicas) == pytest.approx(mean, rel=0.01)


def test_replicas_that_are_kept_even_need_less_room() -> None:
    """Three that run the same number, 51 each in place of 48: 1,122 tokens a second in place of 1,095."""
    story = TokenStory(slo="p95 tpot < 50ms", replicas=3, tokens_rps=2400.0).learn()
    decision = story.run(300)
    assert decision.facts.capacity_rps == pytest.approx(1130.0, rel=0.01)


def test_fewer_replicas_level_less() -> None:
    """What one of twelve carries, one of three does not: what the sequences of all do by chance is less shared."""
    story = TokenStory(replicas=12, tokens_rps=9600.0).learn()
    twelve = story.run(300).facts.capacity_rps
    story.replicas, story.tokens_rps = 3, 2400.0
    three = story.run(20).facts.capacity_rps
    assert twelve == pytest.approx(1164.0, rel=0.01)
    assert three == pytest.approx(1136.0, rel=0.01)


def test_one_sequence_at_a_time_is_not_all_that_a_replica_can_do() -> None:
    """A step of one takes 20.4 ms and of four 32.7 at most: 116 tokens a second, where one by one they are 49."""
    decision = TokenStory(slo="p99 ttft < 2s", replicas=1, tokens_rps=40.0).run(300)
    assert decision.facts.capacity_rps == pytest.approx(116.0, rel=0.02)


def test_an_engine_that_is_first_seen_overloaded_is_not_taken_for_one_that_can_do_nothing() -> None:
    """64 at 52 ms are all that was seen, of which 40 ms a token allow none: 34 are taken to need no more."""
    story = TokenStory(slo="p95 tpot < 40ms", replicas=2, tokens_rps=2400.0, most_running=64.0)
    decision = story.run(30)
    assert decision.facts.capacity_rps == pytest.approx(720.0, rel=0.04)
    assert decision.target <= 8
    assert Reason.SLO_UNATTAINABLE not in {f.reason for f in decision.findings}


def test_what_no_replicas_cure_multiplies_none() -> None:
    """A token takes 20 ms and may take 10: what is left to size by is what the replicas have shown."""
    story = TokenStory(slo="p95 tpot < 10ms", replicas=2, tokens_rps=800.0, carries_out=True)
    assert story.run(1800).target <= 6


@pytest.mark.parametrize(
    ("slo", "unattainable", "capacity_rps"),
    [
        pytest.param("95% < 10s", False, 270.0, id="25 ms a token: ten sequences"),
        pytest.param("95% < 9s", False, 110.0, id="22 ms, no more than a tenth above one alone: four"),
        pytest.param("95% < 8s", False, 110.0, id="20 ms: no replica for each that runs"),
        pytest.param("95% < 7s", True, 1184.0, id="17 ms: none helps, and none are added"),
        pytest.param("p95 tpot < 21ms", False, 49.0, id="21 ms, said of a token itself: two"),
    ],
)  # fmt: skip
def test_whole_answers_that_barely_fit_one_alone_bring_no_replica_for_each(
    slo: str, unattainable: bool, capacity_rps: float
) -> None:
    """A step of one takes 20.5 ms. Nothing was told yet of how long answers are: one in twenty has twice the mean."""
    story = TokenStory(slo=slo, replicas=3, tokens_rps=2400.0).learn()
    story.tokens_rps = 120.0
    decision = story.run(1800)
    found = Reason.SLO_UNATTAINABLE in {f.reason for f in decision.findings}
    assert found == unattainable
    assert decision.facts.capacity_rps == pytest.approx(capacity_rps, rel=0.02)


def test_without_evidence_that_more_at_once_is_cheaper_it_is_not_believed() -> None:
    """Only ever 24 sequences at 32 ms: 40 are taken to need 50 ms, and 800 tokens a second is all there is."""
    decision = TokenStory(tokens_rps=1500.0).run(300)
    assert decision.facts.capacity_rps == pytest.approx(775.0, rel=0.05)


def test_more_tokens_need_more_replicas() -> None:
    story = TokenStory(replicas=3, tokens_rps=2400.0).learn()
    before = story.run(300).target
    story.tokens_rps = 4800.0
    decision = story.run(20)
    assert decision.target >= before + 2


@pytest.mark.parametrize(
    ("story", "capacity_rps"),
    [
        pytest.param(
            TokenStory(slo="p99 ttft < 2s", tokens_rps=1500.0), 1107.0,
            id="no objective on tokens: twice the 33 that were seen, a mean of 50",
        ),
        pytest.param(
            TokenStory(tokens_rps=1500.0, cache_per_sequence=0.03), 714.0,
            id="the cache holds 30 sequences: a mean of 22",
        ),
        pytest.param(
            TokenStory(tokens_rps=1500.0, waiting=3.0, most_running=24.0), 601.0,
            id="24 run and others wait: the batch is full, a mean of 17",
        ),
        pytest.param(
            TokenStory(tokens_rps=1500.0, max_sequences=24), 601.0,
            id="24 run at most, as its arguments say: the same before anything waits",
        ),
        pytest.param(
            TokenStory(tokens_rps=1500.0, max_sequences=256), 1095.0,
            id="256 run at most: the objective is the limit, as without",
        ),
        pytest.param(
            TokenStory(slo="95% < 16s", tokens_rps=1500.0), 886.0,
            id="answers of 200 tokens, twice as long at times, in 16 s: 40 ms a token",
        ),
    ],
)  # fmt: skip
def test_what_limits_a_replica(story: TokenStory, capacity_rps: float) -> None:
    assert story.learn().run(300).facts.capacity_rps == pytest.approx(capacity_rps, rel=0.04)


def test_a_request_that_waits_for_the_next_step_fills_no_batch() -> None:
    """Three run on each of twelve replicas and one waits, as behind a long prompt: each carries as much as before."""
    story = TokenStory(replicas=3, tokens_rps=2400.0, uneven=8.0).learn()
    story.replicas, story.tokens_rps, story.waiting = 12, 1200.0, 1.0
    decision = story.run(60)
    assert decision.facts.capacity_rps == pytest.approx(1095.0, rel=0.03)


def test_a_backlog_that_is_gone_within_a_window_teaches_no_step() -> None:
    """Ten seconds in which 49 run and twenty in which 13 do are a mean of 25, with the time of a token of 36."""
    story = TokenStory(replicas=1, tokens_rps=500.0)
    calm = story.run(600)
    for tokens_rps in (1100.0, 500.0, 500.0):
        story.tokens_rps = tokens_rps
        decision = story.run(10)
    assert decision.facts.capacity_rps == calm.facts.capacity_rps


def test_a_token_that_takes_too_long_alone_is_no_question_of_replicas() -> None:
    decision = TokenStory(slo="p95 tpot < 10ms", tokens_rps=100.0).run(300)
    (finding,) = [f for f in decision.findings if f.reason is Reason.SLO_UNATTAINABLE]
    assert "a token takes" in finding.message


def test_what_one_replica_fewer_would_mean() -> None:
    decision = TokenStory(replicas=2, tokens_rps=1150.0).learn().run(300)
    assert "tokens a second that 50 ms a token allows" in decision.counterfactual


def test_an_idle_generator_keeps_what_it_has_learned() -> None:
    story = TokenStory(replicas=2, tokens_rps=0.0).learn()
    story.carries_out = True
    decision = story.run(1800)
    assert decision.facts.capacity_rps == pytest.approx(1095.0, rel=0.1)
    assert decision.target == 1


def test_unknown_is_held_for_tokens_too() -> None:
    decision = TokenStory(tokens_rps=0.0).run(60)
    assert decision.target == 2
