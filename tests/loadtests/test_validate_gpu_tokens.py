"""The measurement of engines that make tokens, without a GPU: what a step holds, and what is made of it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from loadtests.engines.vllm import Engine, Speed
from loadtests.validate.gpu.lines import append
from loadtests.validate.gpu.tokens.judge import judge
from loadtests.validate.gpu.tokens.model import (
    TERMS,
    engine,
    fit,
    full_tokens_rps,
    measured,
    simulated,
    with_scheduling,
)
from loadtests.validate.gpu.tokens.recording import (
    SHAPES,
    Full,
    LevelRecord,
    Look,
    Measured,
    Mix,
    Part,
    StepTime,
)
from loadtests.validate.gpu.tokens.stepping import Row, Stepping

MIX = Mix(
    name="a few",
    prompt_tokens=40,
    answer_tokens=10,
    max_sequences=4,
    slot_tokens=200,
    step_tokens=64,
)
# 5 ms, 1 ms a sequence, 0.1 ms a token of a prompt, 10 us a token in the cache.
TERMS_S = (0.005, 0.001, 0.0001, 0.00001)


def step(decoding: int, context: int, prompt: int, terms_s: Sequence[float] = TERMS_S) -> StepTime:
    base_s, sequence_s, prompt_s, context_s = terms_s
    sequences = decoding + (prompt > 0)
    seconds = base_s + sequence_s * sequences + prompt_s * prompt + context_s * decoding * context
    return StepTime(
        decoding=decoding,
        context_tokens=context,
        prompt_tokens=prompt,
        seconds=(seconds, seconds * 0.9, seconds * 3.0),
    )


STEPS = tuple(
    step(decoding, context, prompt)
    for decoding, context, prompt in (
        (1, 100, 0),
        (8, 100, 0),
        (64, 100, 0),
        (8, 4000, 0),
        (64, 4000, 0),
        (0, 0, 100),
        (0, 0, 2000),
    )
)


# ---------------------------------------------------------------- what a step holds


def test_a_prompt_is_read_over_steps_and_then_a_token_is_made_in_each() -> None:
    taken: list[list[Row]] = []
    stepping = Stepping(MIX, lambda rows: taken.append(list(rows)))
    stepping.engine.submit(100, 3, 0.0)
    stepping.engine.submit(10, 2, 0.0)
    while stepping.step():
        pass
    assert taken == [
        [Row(0, 0, 64)],
        # 36 are left of the first; the second joins with what the step has room for.
        [Row(0, 64, 36), Row(1, 0, 10)],
        # The token that was made last is taken in to make the next.
        [Row(0, 100, 1), Row(1, 10, 1)],
        [Row(0, 101, 1)],
    ]
    assert stepping.made == 5


def test_a_place_in_the_cache_is_given_to_the_next() -> None:
    taken: list[Row] = []
    stepping = Stepping(MIX, taken.extend)
    for _ in range(6):
        stepping.engine.submit(8, 1, 0.0)
    while stepping.step():
        pass
    assert [row.slot for row in taken] == [0, 1, 2, 3, 0, 1]


def test_the_stand_in_reads_no_more_than_a_step_holds() -> None:
    stand_in = Engine(Speed(base_s=0.01, each_s=0.001, prefill_s=0.0001, step_tokens=100))
    stand_in.submit(150, 2, 0.0)
    # 10 ms, 1 ms for the sequence, 10 for a hundred tokens; then fifty; then none.
    told = []
    for now_s in (0.0, 1.0, 2.0):
        told.append(stand_in.step(now_s))
        stand_in.finish(now_s + 0.5)
    assert told == pytest.approx([0.021, 0.016, 0.011])
    assert stand_in.step(3.0) is None


# ---------------------------------------------------------------- what is made of it


def test_the_terms_of_a_step_are_found() -> None:
    found = fit(STEPS)
    assert [found.terms_s[name] for name in TERMS] == pytest.approx(TERMS_S, rel=1e-6)
    assert abs(found.worst_ratio) < 1e-6


def test_without_its_context_a_step_of_long_sequences_is_far_off() -> None:
    found = fit(STEPS, TERMS[:-1])
    assert (found.worst.decoding, found.worst.context_tokens) == (64, 4000)
    assert found.worst_ratio < -0.5


def test_a_full_batch_tells_what_lies_between_steps() -> None:
    alone = engine(fit(STEPS), MIX)
    slower = replace(alone, sequence_s=alone.sequence_s + 0.002)
    full = Full(mix=MIX, tokens_rps=full_tokens_rps(slower), requests_rps=1.0)
    assert with_scheduling(alone, full).sequence_s == pytest.approx(0.003, rel=0.05)


def recorded() -> LevelRecord:
    """A level that went exactly as the simulator says."""
    model = engine(fit(STEPS), MIX)
    arrived_s = np.arange(40) * 0.1
    level = LevelRecord(
        mix=MIX,
        load_ratio=0.5,
        rate_rps=10.0,
        arrived_s=tuple(arrived_s.tolist()),
        first_s=(),
        done_s=(),
        looks=(Look(at_s=1000.0, metrics=""), Look(at_s=1005.0, metrics="")),
    )
    first_s, done_s = (arrived_s + simulated(model, level, name) for name in ("ttft", "latency"))
    return structs.replace(level, first_s=tuple(first_s.tolist()), done_s=tuple(done_s.tolist()))


@pytest.mark.parametrize("signal", ["ttft", "tpot", "latency"])
def test_each_request_is_compared_with_itself(signal: str) -> None:
    model, level = engine(fit(STEPS), MIX), recorded()
    assert measured(model, level, signal) == pytest.approx(simulated(model, level, signal))


def test_a_recording_is_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tokens.jsonl"
    full = Full(
        mix=MIX, tokens_rps=full_tokens_rps(engine(fit(STEPS), MIX)) * 0.99, requests_rps=9.0
    )
    machine = Measured(date="2026-11-28", gpu="one", torch="2.11", shape=SHAPES["cpu"])
    parts: tuple[Part, ...] = (machine, *STEPS, full, recorded())
    for part in parts:
        append(path, part)
    assert judge(path) == 0
    assert "one, PyTorch 2.11" in capsys.readouterr().out
    assert "tpot p95 off" in (tmp_path / "build/bench/validate-gpu-tokens.json").read_text()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param("", "holds no engine; was it cut short?", id="nothing"),
        pytest.param('{"type": "Full"}\n', "tokens.jsonl:1: ", id="a line that is none"),
    ],
)
def test_what_is_no_recording_is_refused(
    content: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tokens.jsonl"
    path.write_text(content)
    assert judge(path) == 1
    assert told in capsys.readouterr().err
