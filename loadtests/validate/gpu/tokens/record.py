"""Measures: steps by themselves, then an engine under load that takes them one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from prometheus_client import generate_latest

from loadtests.engines.vllm import Engine
from loadtests.engines.vllm import Sequence as Running
from loadtests.validate.gpu.lines import append
from loadtests.validate.gpu.needs import Machine
from loadtests.validate.gpu.tokens.decoder import Decoder
from loadtests.validate.gpu.tokens.recording import (
    SHAPES,
    Full,
    LevelRecord,
    Look,
    Measured,
    Mix,
    StepTime,
)
from loadtests.validate.gpu.tokens.stepping import Row, Stepping

LOADS = (0.3, 0.6, 0.8, 0.9)
MIXES = {
    "cuda": (
        Mix(
            name="chat: 300 + 150 tokens",
            prompt_tokens=300,
            answer_tokens=150,
            max_sequences=64,
            slot_tokens=4096,
            step_tokens=8192,
        ),
        Mix(
            name="documents: 2,000 + 100 tokens",
            prompt_tokens=2000,
            answer_tokens=100,
            max_sequences=32,
            slot_tokens=8192,
            step_tokens=8192,
        ),
    ),
    "cpu": (
        Mix(
            name="words: 30 + 10 tokens",
            prompt_tokens=30,
            answer_tokens=10,
            max_sequences=8,
            slot_tokens=256,
            step_tokens=256,
        ),
    ),
}
DECODING = (1, 2, 4, 8, 16, 32, 64)
CONTEXTS = {"cuda": (128, 1024, 4000), "cpu": (16, 128)}
PROMPTS = {"cuda": (64, 256, 1024, 2048, 4000), "cpu": (16, 64)}
WARM_STEPS, STEPS = 3, 15
SCRAPE_S = 5.0
# More requests than any engine answers meanwhile.
SATURATING = 100_000


def record(machine: Machine, device: str, path: Path, *, level_s: float) -> None:
    """Everything, a line of `path` as soon as it is known."""
    append(
        path,
        Measured(
            date=datetime.now(UTC).date().isoformat(),
            gpu=(machine.gpu or "none") if device == "cuda" else "none",
            torch=machine.torch or "",
            shape=SHAPES[device],
        ),
    )
    mixes = MIXES[device]
    slots = max(*DECODING, *(mix.max_sequences for mix in mixes))
    # All mixes in one cache; a mix of longer slots has fewer of them.
    tokens = max(
        slots * max(CONTEXTS[device]) * 2, *(m.max_sequences * m.slot_tokens for m in mixes)
    )
    decoder = Decoder(SHAPES[device], slots=slots, slot_tokens=tokens // slots, device=device)
    if device == "cuda":
        print(f"attention: off by at most {decoder.check_attention():.4f}", flush=True)
    decoder.arrange(slots=slots, slot_tokens=tokens // slots)
    _sweep(decoder, device, path)
    for mix in mixes:
        decoder.arrange(slots=mix.max_sequences, slot_tokens=mix.slot_tokens)
        full = _saturate(decoder, mix, level_s)
        append(path, full)
        print(f"{mix.name}: {full.tokens_rps:.0f} tokens a second at most", flush=True)
        for load in LOADS:
            level = _level(decoder, mix, load, load * full.requests_rps, level_s)
            append(path, level)
            waits = np.array(level.first_s) - np.array(level.arrived_s)
            print(
                f"  {load:4.0%} {level.rate_rps:5.1f}/s, {len(waits)} requests, first token after "
                f"{np.quantile(waits, 0.5) * 1e3:.0f} ms (p95 {np.quantile(waits, 0.95) * 1e3:.0f})",
                flush=True,
            )


def _sweep(decoder: Decoder, device: str, path: Path) -> None:
    kinds = [(n, context, 0) for n in DECODING for context in CONTEXTS[device]]
    kinds += [(0, 0, prompt) for prompt in PROMPTS[device]]
    kinds += [(32, CONTEXTS[device][1], prompt) for prompt in PROMPTS[device][1:3]]
    for decoding, context, prompt in kinds:
        rows = [Row(slot, context, 1) for slot in range(decoding)]
        if prompt:
            rows.append(Row(decoding, 0, prompt))
        seconds = [_timed(decoder, rows) for _ in range(WARM_STEPS + STEPS)][WARM_STEPS:]
        append(
            path,
            StepTime(
                decoding=decoding,
                context_tokens=context,
                prompt_tokens=prompt,
                seconds=tuple(round(value, 6) for value in seconds),
            ),
        )
        print(
            f"{decoding:3} x {context:4} + {prompt:4}: {np.median(seconds) * 1e3:.2f} ms",
            flush=True,
        )


def _timed(decoder: Decoder, rows: Sequence[Row]) -> float:
    began_s = time.perf_counter()
    decoder.step(rows)
    return time.perf_counter() - began_s


def _drawn(mix: Mix, count: int) -> list[tuple[int, int]]:
    prompts, answers = mix.lengths.draw(count, mix.seed, mix.slot_tokens)
    return list(zip(prompts.tolist(), answers.tolist(), strict=True))


def _saturate(decoder: Decoder, mix: Mix, seconds: float) -> Full:
    """With as many again waiting as run, always; the first half is not counted, in which all are young."""
    stepping = Stepping(mix, decoder.step)
    drawn = iter(_drawn(mix, SATURATING))
    began_s = now_s = time.time()
    before, counted_from_s = 0, began_s
    while now_s - began_s < seconds:
        while len(stepping.engine.waiting) < mix.max_sequences:
            stepping.engine.submit(*next(drawn), now_s)
        stepping.step()
        now_s = time.time()
        if now_s - began_s < seconds / 2.0:
            before, counted_from_s = stepping.made, now_s
    tokens_rps = (stepping.made - before) / (now_s - counted_from_s)
    return Full(mix=mix, tokens_rps=tokens_rps, requests_rps=tokens_rps / _mean_answer(mix))


def _mean_answer(mix: Mix) -> float:
    return float(np.mean([answer for _, answer in _drawn(mix, 20_000)]))


def _level(decoder: Decoder, mix: Mix, load: float, rate_rps: float, seconds: float) -> LevelRecord:
    gaps = np.random.default_rng(mix.seed).exponential(
        1.0 / rate_rps, int(rate_rps * seconds * 2) + 50
    )
    due_s = np.cumsum(gaps) - gaps[0]
    due_s = due_s[due_s <= seconds]
    drawn = _drawn(mix, len(due_s))
    stepping = Stepping(mix, decoder.step)
    engine = stepping.engine
    began_s = time.time()
    looks = [_look(engine)]
    sequences: list[Running] = []
    while len(sequences) < len(due_s) or engine.running or engine.waiting:
        now_s = time.time()
        while len(sequences) < len(due_s) and due_s[len(sequences)] <= now_s - began_s:
            at = len(sequences)
            sequences.append(engine.submit(*drawn[at], began_s + float(due_s[at])))
        if not stepping.step():
            time.sleep(0.0002)
        if now_s - looks[-1].at_s >= SCRAPE_S:
            looks.append(_look(engine))
    looks.append(_look(engine))

    def since(of: Callable[[Running], float | None]) -> tuple[float, ...]:
        return tuple(round((of(s) or np.nan) - began_s, 6) for s in sequences)

    return LevelRecord(
        mix=mix,
        load_ratio=load,
        rate_rps=rate_rps,
        arrived_s=since(lambda s: s.arrived_s),
        first_s=since(lambda s: s.first_s),
        done_s=since(lambda s: s.last_s),
        looks=tuple(looks),
    )


def _look(engine: Engine) -> Look:
    return Look(at_s=time.time(), metrics=generate_latest(engine.metrics.registry).decode())
