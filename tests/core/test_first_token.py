"""How much a replica carries where an objective is on the first token: what waits for prompts to be read."""

from __future__ import annotations

import pytest

from autoscaler.core import first_token
from autoscaler.core.sequences import Sequences
from autoscaler.core.slo import parse_slo
from autoscaler.core.state import ModelKnowledge
from autoscaler.core.types import Slo
from autoscaler.core.variability import LOWEST, Variability
from tests.core.token_story import TokenStory


def objectives(text: str) -> Slo:
    slo = parse_slo(text, "test")
    assert isinstance(slo, Slo)
    return slo


def model(tokens_each: float, reading_s: float | None) -> ModelKnowledge:
    """With answers of so many tokens, whose prompts take so long to read."""
    read = 0.0 if reading_s is None else 10.0
    shown = Sequences(
        requests=10.0,
        tokens=10.0 * tokens_each,
        read=read,
        reading_s=read * (reading_s or 0.0),
    )
    return ModelKnowledge(model="llama", sequences=shown)


@pytest.mark.parametrize(
    ("tokens_each", "reading_s", "most_rps", "work_s", "alone_s"),
    [
        pytest.param(20.0, 0.21, 110.0, 0.182, 0.21, id="long prompts: a full engine is the bound"),
        pytest.param(
            150.0, 0.45, 50.0, 0.45, 0.45,
            id="steps of one sequence only: 3 s an answer, but the next prompt is read after 0.45",
        ),
        pytest.param(10.0, 0.07, 900.0, 0.0111, 0.07, id="short ones, of which a step reads many"),
    ],
)  # fmt: skip
def test_what_keeps_the_next_from_being_read(
    tokens_each: float, reading_s: float, most_rps: float, work_s: float, alone_s: float
) -> None:
    times = first_token.request_times(model(tokens_each, reading_s), most_rps)
    assert times is not None
    assert times.work_s == pytest.approx(work_s, rel=0.01)
    assert times.work_s + times.overhead_s == pytest.approx(alone_s)


@pytest.mark.parametrize(
    ("tokens_each", "reading_s", "most_rps"),
    [(0.0, 0.2, 100.0), (20.0, None, 100.0), (20.0, 0.2, 0.0)],
)
def test_what_was_not_seen_says_nothing(
    tokens_each: float, reading_s: float | None, most_rps: float
) -> None:
    assert first_token.request_times(model(tokens_each, reading_s), most_rps) is None


@pytest.mark.parametrize(
    ("factor", "limit"),
    [
        pytest.param(LOWEST, 0.95, id="many at once, or a balancer that levels all: hardly a wait"),
        pytest.param(1.0, 0.66, id="one at a time, prompts alike"),
        pytest.param(2.0, 0.49, id="and some three times as long as others"),
    ],
)
def test_how_busy_a_replica_may_be(factor: float, limit: float) -> None:
    """`p95 ttft < 1s` and prompts that are read in 180 ms."""
    slo, times = objectives("p95 ttft < 1s"), first_token.request_times(model(20.0, 0.18), 110.0)
    assert times is not None
    told = first_token.load_limit(times, slo.objectives[0], factor)
    assert told == pytest.approx(limit, abs=0.02)


def test_prompts_that_are_slower_than_the_objective_leave_no_engine_idle() -> None:
    slo, times = objectives("p95 ttft < 1s"), first_token.request_times(model(20.0, 1.5), 110.0)
    assert times is not None
    assert first_token.load_limit(times, slo.objectives[0], 1.0) == 0.7


def test_the_tightest_objective_on_the_first_token_counts() -> None:
    slo = objectives("p99 ttft < 3s, p90 ttft < 1s, p95 tpot < 50ms")
    found = first_token.objective_of(slo)
    assert found is not None
    assert found.threshold_s == 1.0
    assert first_token.objective_of(objectives("p95 tpot < 50ms")) is None


def test_the_factor_begins_where_nothing_waits() -> None:
    assert first_token.factor_of(model(20.0, 0.2)).value == LOWEST
    learned = Variability(value=1.7, requests=100.0)
    assert first_token.factor_of(ModelKnowledge(model="llama", variability=learned)) == learned


def capacity_rps(story: TokenStory, seconds: float) -> float:
    told = story.run(seconds).facts.capacity_rps
    assert told is not None
    return told


def test_waits_for_prompts_ask_for_more_replicas_until_they_are_over() -> None:
    """Two replicas get three requests a second each, of which a full engine does six: behind one that does them one at
    a time they would wait for 0.04 s and for what is left of the one at hand, 0.04 s more; they wait for 0.12 s."""
    story = TokenStory(slo="p95 ttft < 1s", tokens_rps=1200.0, waits_s=0.0, reading_s=0.2).learn()
    calm = capacity_rps(story, 300)
    story.waits_s = 0.12
    waiting = capacity_rps(story, 900)
    assert waiting == pytest.approx(0.55 * calm, rel=0.05)
    story.waits_s = 0.0
    assert capacity_rps(story, 3600) == pytest.approx(calm, rel=0.02)


def test_without_an_objective_on_it_nothing_is_made_of_waits() -> None:
    with_waits = TokenStory(slo="p95 tpot < 50ms", tokens_rps=1200.0, waits_s=2.0, reading_s=0.2)
    without = TokenStory(slo="p95 tpot < 50ms", tokens_rps=1200.0)
    assert (
        with_waits.learn().run(300).facts.capacity_rps
        == without.learn().run(300).facts.capacity_rps
    )
