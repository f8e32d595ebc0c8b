"""Figures of a recording: what forescale takes such an engine for, beside what it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from autoscaler.simulation.continuous_model import ContinuousModel
from loadtests.bench.report import Figure, report
from loadtests.validate.compare import QUANTILES, TARGET_PERCENT
from loadtests.validate.gpu.tokens.learned import full_step_s
from loadtests.validate.gpu.tokens.model import (
    SIGNALS,
    TERMS,
    Fit,
    engine,
    fit,
    full_tokens_rps,
    measured,
    simulated,
    with_scheduling,
)
from loadtests.validate.gpu.tokens.recording import (
    Full,
    LevelRecord,
    Measured,
    StepTime,
    read,
)


def judge(path: Path) -> int:
    """Prints and writes the report; the exit code."""
    try:
        parts = list(read(path))
    except (OSError, ValueError) as error:
        print(f"validate-gpu-tokens: {error}", file=sys.stderr)
        return 1
    machines = [part for part in parts if isinstance(part, Measured)]
    steps = [part for part in parts if isinstance(part, StepTime)]
    fulls = [part for part in parts if isinstance(part, Full)]
    levels = [part for part in parts if isinstance(part, LevelRecord)]
    if not machines or not fulls:
        print(f"validate-gpu-tokens: {path} holds no engine; was it cut short?", file=sys.stderr)
        return 1
    print(f"{machines[0].date}: {machines[0].gpu}, PyTorch {machines[0].torch}")
    found = fit(steps)
    told = list(_of_steps(steps, found))
    for full in fulls:
        told += _of_mix(found, full, [level for level in levels if level.mix == full.mix])
    report("validate-gpu-tokens", told)
    return 0


def _of_steps(steps: Sequence[StepTime], found: Fit) -> Iterator[Figure]:
    without = fit(steps, TERMS[:-1])
    for name, one in (("", found), (" without its context", without)):
        worst = one.worst
        yield Figure(
            name=f"time of a step{name}, farthest off",
            value=one.worst_ratio * 100.0,
            unit="%",
            note=f"{worst.decoding} sequences of {worst.context_tokens:,} tokens and a prompt of "
            f"{worst.prompt_tokens:,}; root mean square {one.rms_ratio:.1%}",
        )
    for name, seconds in found.terms_s.items():
        yield Figure(name=name, value=seconds * 1e6, unit="us")


def _of_mix(found: Fit, full: Full, levels: Sequence[LevelRecord]) -> Iterator[Figure]:
    mix = full.mix.name
    alone = engine(found, full.mix)
    yield Figure(
        name=f"{mix}: full batch, tokens a second, of steps alone",
        value=full_tokens_rps(alone),
        unit="/s",
        note=f"{full.tokens_rps:.0f} measured",
    )
    model = with_scheduling(alone, full)
    yield Figure(
        name=f"{mix}: between steps, for each sequence",
        value=(model.sequence_s - alone.sequence_s) * 1e6,
        unit="us",
        note="makes a full batch as fast as it was",
    )
    for level in levels:
        yield from _of_level(model, level)
    for seen in (*([level] for level in levels), levels):
        yield from _learned(full, seen)


def _of_level(model: ContinuousModel, level: LevelRecord) -> Iterator[Figure]:
    for signal in SIGNALS:
        real_s = np.quantile(measured(model, level, signal), QUANTILES)
        taken_s = np.quantile(simulated(model, level, signal), QUANTILES)
        for quantile, real, taken in zip(QUANTILES, real_s, taken_s, strict=True):
            yield Figure(
                name=f"{level.mix.name}, {level.load_ratio:.0%}: {signal} p{quantile * 100:g} off",
                value=abs(taken / real - 1.0) * 100.0,
                unit="%",
                target=TARGET_PERCENT,
                note=f"{taken * 1e3:.1f} for {real * 1e3:.1f} ms, {len(level.arrived_s)} requests",
            )


def _learned(full: Full, levels: Sequence[LevelRecord]) -> Iterator[Figure]:
    real_s = full.mix.max_sequences / full.tokens_rps
    learned_s = full_step_s(levels)
    if learned_s is None:
        return
    seen = f"{levels[0].load_ratio:.0%}" if len(levels) == 1 else "one after the other"
    yield Figure(
        name=f"{full.mix.name}: step of a full batch, learned at {seen}, off",
        value=(learned_s / real_s - 1.0) * 100.0,
        unit="%",
        note=f"{learned_s * 1e3:.1f} for {real_s * 1e3:.1f} ms",
    )
