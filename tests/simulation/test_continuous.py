"""Engines with continuous batching: stories of a few requests worked out by hand, and what holds of any run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.settings import EngineConfig
from autoscaler.engine import DecisionEngine
from autoscaler.simulation.cluster import ModelledCluster
from autoscaler.simulation.continuous import ContinuousPool
from autoscaler.simulation.continuous_model import ContinuousModel, Lengths
from autoscaler.simulation.peers.forescale import Forescale
from autoscaler.simulation.run import run
from autoscaler.simulation.scenario import Demand
from autoscaler.simulation.serving_model import Status
from autoscaler.simulation.shapes import steps
from autoscaler.simulation.startup import Startup
from autoscaler.simulation.trial import Trial
from tests.simulation.worlds import scenario


def engine(**given: Any) -> ContinuousModel:
    """A step takes 100 ms, and 1 ms for each sequence and for each token of a prompt; requests are of 10 + 3 tokens."""
    lengths = {"prompt_tokens": 10.0, "answer_tokens": 3.0, "prompt_cv": 0.0, "answer_cv": 0.0}
    own = {name: given.pop(name) for name in list(given) if name in lengths}
    told: dict[str, Any] = {
        "base_step_s": 0.1,
        "sequence_s": 0.001,
        "prompt_token_s": 0.001,
        "max_sequences": 4,
        "step_tokens": 64,
        "cache_tokens": 1600,
    }
    return ContinuousModel(lengths=Lengths(**(lengths | own)), **(told | given))


def served(
    model: ContinuousModel, arrivals_s: list[float], until_s: float = 100.0, **given: Any
) -> ContinuousPool:
    pool = ContinuousPool(model, arrivals_s, **given)
    pool.add_server(0.0)
    pool.run_until(until_s)
    return pool


def test_one_request_reads_its_prompt_and_makes_a_token_each_step() -> None:
    # 0.1 + 0.001 + 0.010 for the first token, then twice 0.101.
    assert served(engine(), [0.0], signal="ttft").latencies_s.tolist() == pytest.approx([0.111])
    assert served(engine(), [0.0]).latencies_s.tolist() == pytest.approx([0.313])
    assert served(engine(), [0.0], signal="tpot").latencies_s.tolist() == pytest.approx([0.101])


def test_whoever_comes_during_a_step_joins_the_next_and_lengthens_it() -> None:
    pool = served(engine(), [0.0, 0.05])
    # 0-0.111 the first; 0.111-0.223 both, of which the second reads 10; 0.223-0.325 both; then the second alone.
    assert pool.latencies_s.tolist() == pytest.approx([0.325, 0.426 - 0.05])
    shown = pool.token_scrape([0])
    assert shown.tokens.tolist() == [6]
    assert shown.queue_s.tolist() == pytest.approx([0.061])
    # Between the tokens of the first 0.112 and 0.102, of the second 0.102 and 0.101.
    assert shown.token_s.tolist() == pytest.approx([0.417])


def test_a_long_prompt_is_read_in_several_steps_beside_those_that_run() -> None:
    model = engine(prompt_tokens=100.0, step_tokens=64)
    # 64 tokens in the first step, 36 in the second: 0.165 + 0.137.
    assert served(model, [0.0], signal="ttft").latencies_s.tolist() == pytest.approx([0.302])


def test_a_step_takes_longer_the_more_lies_in_the_cache() -> None:
    model = engine(context_token_s=0.002)
    # Nothing lies there while the prompt of ten is read; then ten tokens and the first of the answer, then twelve.
    first_s, then_s, last_s = 0.111, 0.101 + 0.022, 0.101 + 0.024
    assert served(model, [0.0], signal="ttft").latencies_s.tolist() == pytest.approx([first_s])
    assert served(model, [0.0]).latencies_s.tolist() == pytest.approx([first_s + then_s + last_s])
    # Of mean length, a sequence holds eleven and a half.
    assert model.service_s(2.0) == pytest.approx(3 * (0.1 + 2 * (0.001 + 0.002 * 11.5)) + 0.020)


def test_no_request_is_longer_than_the_model_reads() -> None:
    pool = served(engine(prompt_tokens=100.0, answer_tokens=50.0, max_model_tokens=120), [0.0])
    assert pool.answer_tokens.tolist() == [20]
    with pytest.raises(ValueError, match="max_model_tokens"):
        engine(max_model_tokens=1)


def test_a_full_batch_makes_others_wait() -> None:
    pool = served(engine(max_sequences=1), [0.0, 0.0], until_s=0.2)
    shown = pool.token_scrape([0])
    assert (shown.running.tolist(), shown.waiting.tolist()) == ([1], [1])
    pool.run_until(10.0)
    assert pool.latencies_s.tolist() == pytest.approx([0.313, 0.626])


def test_one_that_came_during_a_step_is_not_shown_as_waiting() -> None:
    # vLLM tells of those for which its scheduler found no room, not of those that it has not looked at yet.
    pool = served(engine(), [0.0, 0.05], until_s=0.06)
    assert pool.token_scrape([0]).waiting.tolist() == [0]
    assert pool.scrape([0]).outstanding.tolist() == [2]


def test_a_full_cache_makes_others_wait() -> None:
    # Two blocks of 16: one request of 10 + 3 fits into one, but the second needs the other.
    pool = served(engine(cache_tokens=32), [0.0, 0.0, 0.0], until_s=0.15)
    shown = pool.token_scrape([0])
    assert (shown.running.tolist(), shown.waiting.tolist()) == ([2], [1])
    assert shown.cache_ratio.tolist() == [1.0]


def test_the_last_to_come_gives_way_when_answers_grow_beyond_the_cache() -> None:
    # Prompts of 15 with room for the first token: the second token needs a second block, and there are three.
    model = engine(prompt_tokens=15.0, answer_tokens=8.0, cache_tokens=48)
    pool = served(model, [0.0, 0.0], until_s=0.3)
    shown = pool.token_scrape([0])
    assert shown.preempted.tolist() == [1]
    assert (shown.running.tolist(), shown.waiting.tolist()) == ([1], [1])
    pool.run_until(10.0)
    assert pool.status.tolist() == [Status.DONE] * 2
    assert pool.token_scrape([0]).tokens.tolist() == [16]
    first, second = pool.latencies_s.tolist()
    assert second > first


def test_requests_wait_for_the_first_server_and_go_to_the_emptier() -> None:
    pool = ContinuousPool(engine(), [0.0, 0.1, 5.0, 5.0, 5.0])
    pool.run_until(1.0)
    assert pool.held == 2
    pool.add_server(2.0)
    pool.add_server(4.0)
    pool.run_until(5.05)
    assert pool.held == 0
    assert pool.scrape([0, 1]).outstanding.tolist() in ([1, 2], [2, 1])
    # What they waited for a server is in their latency, and not in the server's own figures.
    assert pool.latencies_s[0] > 2.0
    assert pool.token_scrape([0]).ttft_s[0] < 1.0


def test_a_server_that_stops_finishes_and_one_that_fails_does_not() -> None:
    pool = ContinuousPool(engine(), [0.0, 0.0])
    first, second = pool.add_server(0.0), pool.add_server(0.0)
    pool.run_until(0.05)
    pool.stop_server(first, 0.05)
    pool.fail_server(second)
    pool.run_until(5.0)
    assert sorted(pool.status.tolist()) == [Status.DONE, Status.FAILED]
    assert pool.drained(first)
    pool.retire_server(first)
    assert pool.add_server(6.0) == first


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.0, 20.0), min_size=1, max_size=40).map(sorted),
    st.integers(1, 3),
    st.integers(1, 8),
    st.integers(4, 40),
    st.integers(0, 1000),
)
def test_every_token_is_made_once_and_every_block_comes_back(
    arrivals_s: list[float], servers: int, most: int, blocks: int, seed: int
) -> None:
    model = engine(
        max_sequences=most,
        cache_tokens=16 * blocks,
        step_tokens=16,
        prompt_tokens=20.0,
        answer_tokens=15.0,
        prompt_cv=1.0,
        answer_cv=1.0,
    )
    pool = ContinuousPool(model, arrivals_s, seed)
    for _ in range(servers):
        pool.add_server(0.0)
    for until_s in (5.0, 5.0, 13.0, 2000.0):
        pool.run_until(until_s)
    assert (pool.status == Status.DONE).all()
    shown = pool.token_scrape(range(servers))
    assert shown.tokens.sum() == pool.answer_tokens.sum()
    assert shown.cache_ratio.tolist() == [0.0] * servers
    assert shown.request.sum() == shown.ttft.sum() == len(arrivals_s)


def test_steps_of_a_run_change_nothing() -> None:
    model = engine(prompt_cv=1.0, answer_cv=1.0, cache_tokens=160)
    arrivals_s = np.linspace(0.0, 30.0, 200).tolist()
    whole = served(model, arrivals_s, until_s=500.0)
    parts = served(model, arrivals_s, until_s=0.0)
    for until_s in np.arange(0.37, 500.0, 0.37).tolist():
        parts.run_until(until_s)
    parts.run_until(500.0)
    assert parts.latencies_s.tolist() == whole.latencies_s.tolist()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        pytest.param({"base_step_s": 0.0}, "base_step_s: 0.0, more than 0", id="no step"),
        pytest.param({"step_tokens": 4}, "more than max_sequences", id="no room for prompts"),
        pytest.param({"cache_tokens": 12}, "a request of mean length", id="no request fits"),
        pytest.param({"answer_tokens": 0.0}, "answer_tokens: 0.0", id="no answer"),
    ],
)
def test_numbers_that_can_not_be(changed: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        engine(**changed)


# A mid-sized model: 20 ms a step and 0.3 ms a sequence, 64 of them, prompts of 500 tokens in 25 ms.
CHAT = ContinuousModel(
    base_step_s=0.02,
    sequence_s=0.0003,
    prompt_token_s=0.00005,
    lengths=Lengths(prompt_tokens=500.0, answer_tokens=200.0),
    max_sequences=64,
    cache_tokens=60_000,
)


def test_what_one_engine_carries_is_what_it_is_said_to_carry() -> None:
    # 64 at once, 200 steps of 39.2 ms and 64 prompts of 25 ms meanwhile: 6.8 a second.
    assert CHAT.capacity_rps == pytest.approx(6.78, abs=0.01)
    seconds = 3000.0
    rng = np.random.default_rng(2)
    for share, within in ((0.9, True), (1.1, False)):
        count = rng.poisson(share * CHAT.capacity_rps * 4 * seconds)
        pool = ContinuousPool(CHAT, np.sort(rng.uniform(0.0, seconds, count)), signal="ttft")
        for _ in range(4):
            pool.add_server(0.0)
        pool.run_until(seconds + 3000.0)
        assert (np.quantile(pool.latencies_s, 0.95) < 1.0) == within


def test_forescale_holds_a_time_to_first_token() -> None:
    """From 6 to 20 requests a second and back; three engines' worth of tokens, which it is told nothing of."""
    told = scenario(
        threshold_s=1.0,
        server=CHAT,
        demand=Demand(
            name="steps",
            rates_rps=steps((0.0, 6.0), (1800.0, 10.0), (2700.0, 16.0), (5400.0, 6.0)).sample(
                7200.0
            ),
            past_rps=np.full(600, 6.0),
        ),
        startup=Startup(median_s=60.0, seed=1),
        first_replicas=2,
        signal="ttft",
    )
    due = told.demand.arrivals(1)
    cluster = ModelledCluster(told, due)
    found = run(Forescale(DecisionEngine(EngineConfig())), cluster, duration_s=7200.0)
    # From 10 to 16 two engines are too few for a start-up and two ticks: 80 s of 16 a second are 1.9 % of all requests.
    assert found.attainment_ratio > 0.98
    assert max(n for _, n in found.replicas) >= 3
    # 16 a second need 2.4 engines, 6 need 0.9; it keeps room for what it has not seen yet.
    assert found.gpu_hours < 12.0
    last = found.replicas[-1][1]
    assert last <= 4


def test_peers_run_beside_it_and_what_can_not_be_told_is_none() -> None:
    told = scenario(
        threshold_s=1.0,
        server=CHAT,
        demand=Demand(name="flat", rates_rps=np.full(900, 8.0)),
        first_replicas=2,
        signal="ttft",
    )
    trial = Trial(told, 1)
    assert trial.clairvoyant() is None
    assert trial.least_gpu_hours() is None
    assert trial.score("keda").attainment_ratio > 0.95
    assert trial.score("static", 2.0).gpu_hours == pytest.approx(0.5)
