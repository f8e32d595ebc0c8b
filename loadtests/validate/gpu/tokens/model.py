"""What was measured as the simulator's engine: steps by themselves, and what comes between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from autoscaler.simulation.continuous import ContinuousPool
from autoscaler.simulation.continuous_model import ContinuousModel
from loadtests.validate.gpu.tokens.recording import Full, LevelRecord, Mix, StepTime

# Terms of a step: itself, sequences, tokens of prompts, tokens that lie in the cache.
TERMS = ("base_step_s", "sequence_s", "prompt_token_s", "context_token_s")
SIGNALS = ("ttft", "tpot", "latency")
# An engine with more than it can do for so long; the first half is not counted.
FULL_S = 40.0
# Steps of bisection: the interval is a millionth of a step then.
HALVINGS = 20
# After the last arrival all is answered within this.
DRAIN_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Of the terms to the steps, each counted alike whatever it took."""

    terms_s: dict[str, float]
    worst_ratio: float
    """How far the step is off that is off most, of its time: above 0 it is taken for longer than it was."""
    worst: StepTime
    rms_ratio: float


def fit(steps: Sequence[StepTime], terms: Sequence[str] = TERMS) -> Fit:
    """Least squares of what each is off in proportion, with no term below zero."""
    taken_s = np.array([np.median(step.seconds) for step in steps])
    counts = np.array([[_counts(step)[name] for name in terms] for step in steps])
    found_s, _ = nnls(counts / taken_s[:, None], np.ones(len(steps)))
    off = counts @ found_s / taken_s - 1.0
    at = int(np.argmax(np.abs(off)))
    return Fit(
        terms_s=dict(zip(terms, (float(value) for value in found_s), strict=True)),
        worst_ratio=float(off[at]),
        worst=steps[at],
        rms_ratio=float(np.sqrt(np.mean(off**2))),
    )


def _counts(step: StepTime) -> dict[str, float]:
    return {
        "base_step_s": 1.0,
        "sequence_s": step.decoding + (step.prompt_tokens > 0),
        "prompt_token_s": step.prompt_tokens,
        "context_token_s": step.decoding * step.context_tokens,
    }


def engine(found: Fit, mix: Mix) -> ContinuousModel:
    """With these steps and nothing in between."""
    return ContinuousModel(
        base_step_s=found.terms_s["base_step_s"],
        sequence_s=found.terms_s["sequence_s"],
        prompt_token_s=found.terms_s["prompt_token_s"],
        context_token_s=found.terms_s["context_token_s"],
        lengths=mix.lengths,
        max_sequences=mix.max_sequences,
        step_tokens=mix.step_tokens,
        cache_tokens=mix.max_sequences * mix.slot_tokens,
        max_model_tokens=mix.slot_tokens,
    )


def with_scheduling(model: ContinuousModel, full: Full) -> ContinuousModel:
    """And with as much more for each sequence in a step as makes a full batch as fast as it was.

    What a scheduler does between two steps, and what it writes into its metrics, it does for each sequence.
    """
    low_s, high_s = model.sequence_s, model.sequence_s + full.mix.max_sequences / full.tokens_rps
    for _ in range(HALVINGS):
        middle_s = (low_s + high_s) / 2.0
        slower = full_tokens_rps(replace(model, sequence_s=middle_s)) < full.tokens_rps
        low_s, high_s = (low_s, middle_s) if slower else (middle_s, high_s)
    return replace(model, sequence_s=high_s)


def full_tokens_rps(model: ContinuousModel) -> float:
    """Tokens a second with many more requests than can run."""
    requests = int(2.0 * FULL_S * model.capacity_rps) + 10 * model.max_sequences
    pool = ContinuousPool(model, np.zeros(requests), max_servers=1)
    pool.add_server(0.0)
    made = []
    for until_s in (FULL_S / 2.0, FULL_S):
        pool.run_until(until_s)
        made.append(int(pool.token_scrape([0]).tokens[0]))
    return (made[1] - made[0]) / (FULL_S / 2.0)


def simulated(model: ContinuousModel, record: LevelRecord, signal: str) -> NDArray[np.float64]:
    """`ttft`, `tpot` or `latency` in seconds of the level's requests, each with its own prompt and answer."""
    arrived_s = np.asarray(record.arrived_s)
    pool = ContinuousPool(model, arrived_s, record.mix.seed, max_servers=1, signal=signal)
    pool.add_server(0.0)
    pool.run_until(float(arrived_s[-1]) + DRAIN_S)
    return _told(pool.latencies_s, pool.answer_tokens, signal)


def measured(model: ContinuousModel, record: LevelRecord, signal: str) -> NDArray[np.float64]:
    """The same as it was."""
    arrived_s, first_s, done_s = (
        np.asarray(times) for times in (record.arrived_s, record.first_s, record.done_s)
    )
    _, answers = model.lengths.draw(arrived_s.size, record.mix.seed, model.longest_tokens)
    values = {
        "ttft": first_s - arrived_s,
        "tpot": (done_s - first_s) / np.maximum(answers - 1, 1),
        "latency": done_s - arrived_s,
    }
    return _told(values[signal], answers, signal)


def _told(
    values: NDArray[np.float64], answers: NDArray[np.int64], signal: str
) -> NDArray[np.float64]:
    """An answer of one token has no time between tokens."""
    return values[answers > 1] if signal == "tpot" else values
