"""Figures of a recording: what forescale takes the server for, beside what it was."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.types import BatchTime
from loadtests.bench.report import Figure, report
from loadtests.stack.errors import StackError
from loadtests.validate.compare import (
    TARGET_PERCENT,
    Level,
    figures,
    mean_batch,
    seen,
    simulate,
    where_not,
)
from loadtests.validate.gpu.learned import Learned, learn
from loadtests.validate.gpu.recording import LevelRecord, Measured, Part, Prepared, read
from loadtests.validate.gpu.utilisation import GpuReading
from loadtests.validate.measured import times_between

# Sizing counts on half of the misses that an objective allows: a threshold that this share of a level's requests keeps
# is one for whose `95%` that level is exactly as much as a replica should be given.
RATIO, KEPT_RATIO = 0.95, 0.975
# The level that is learned from where another is predicted.
LEARNED_AT = 0.6


@dataclass(slots=True)
class Recorded:
    """One setting with its levels."""

    prepared: Prepared
    levels: list[LevelRecord] = field(default_factory=list)


def judge(path: Path) -> int:
    """Prints and writes the report; the exit code."""
    try:
        parts = list(read(path))
    except (OSError, ValueError) as error:
        print(f"validate-gpu: {error}", file=sys.stderr)
        return 1
    machine, settings = arranged(parts)
    if machine is None or not settings:
        print(f"validate-gpu: {path} holds no setting; was it cut short?", file=sys.stderr)
        return 1
    print(f"{machine.date}: {machine.gpu}, PyTorch {machine.torch}, {machine.cores} processors")
    told: list[Figure] = []
    lines: list[str] = []
    for item in settings:
        found, compared = figures_of(item)
        told += found
        lines += where_not(compared)
    report("validate-gpu", told)
    for line in lines:
        print(f"does not hold: {line}")
    return 0


def arranged(parts: Sequence[Part]) -> tuple[Measured | None, list[Recorded]]:
    """The machine, and its settings in order."""
    machine: Measured | None = None
    settings: list[Recorded] = []
    for part in parts:
        if isinstance(part, Measured):
            machine = part
        elif isinstance(part, Prepared):
            settings.append(Recorded(prepared=part))
        else:
            settings[-1].levels.append(part)
    return machine, settings


def figures_of(recorded: Recorded) -> tuple[list[Figure], list[Level]]:
    """Every figure of a setting, and both sides of its levels."""
    prepared = recorded.prepared
    name, capacity_rps = prepared.setting, prepared.capacity_rps
    told = [
        Figure(name=f"{name}: capacity measured", value=capacity_rps, unit="requests/s"),
        *_sweep(prepared),
        _gpu(name, prepared.gpu, "at most"),
    ]
    learned = {level.load_ratio: learn(level, slo="95% < 1s") for level in recorded.levels}
    compared: list[Level] = []
    for record in recorded.levels:
        level = beside(record, prepared)
        compared.append(level)
        told += figures(level)
        where = f"{name}, {record.load_ratio:.0%}"
        told.append(_idle_times(where, record, prepared))
        told += _learned(where, learned[record.load_ratio], capacity_rps)
        told.append(_gpu(name, record.gpu, f"{record.load_ratio:.0%}"))
    told += _promised(recorded, learned.get(LEARNED_AT))
    return [figure for figure in told if figure is not None], compared


def beside(record: LevelRecord, prepared: Prepared) -> Level:
    """The level's arrivals at a modelled server, with the times that Triton told of the level."""
    before, after = record.looks[0].profile, record.looks[-1].profile
    times = times_between(after, before)
    return Level(
        setting=record.setting,
        load_ratio=record.load_ratio,
        rate_rps=record.rate_rps,
        real=seen(record.latencies_s, mean_batch(after.batch_times, before.batch_times)),
        simulated=simulate(record.sent_s, times, servers=1, overhead_s=prepared.overhead_s),
        lateness_p99_s=record.lateness_p99_s,
        failed=record.failed,
    )


def line_off(times: Sequence[BatchTime]) -> float:
    """The largest relative distance of a batch's mean time from the best straight line over all sizes."""
    sizes = np.array([item.batch_size for item in times], dtype=np.float64)
    means_s = np.array([item.total_s / item.count for item in times])
    slope_s, base_s = np.polyfit(sizes, means_s, 1)
    return float(np.max(np.abs((base_s + slope_s * sizes) / means_s - 1.0)))


def _sweep(prepared: Prepared) -> list[Figure]:
    name, sweep = prepared.setting, prepared.sweep
    told_ms = ", ".join(
        f"{item.batch_size}: {item.total_s / item.count * 1e3:.2f}"
        for item in sweep
        if item.batch_size.bit_count() == 1
    )
    return [
        Figure(
            name=f"{name}: a batch of {sweep[-1].batch_size} on an idle server",
            value=sweep[-1].total_s / sweep[-1].count * 1e3,
            unit="ms",
            note=f"by size, ms: {told_ms}",
        ),
        Figure(
            name=f"{name}: distance of a batch's time from a straight line",
            value=line_off(sweep) * 100.0,
            unit="%",
            note="the farthest size",
        ),
    ]


def _idle_times(where: str, record: LevelRecord, prepared: Prepared) -> Figure:
    """The simulator with what a profile of an idle server would have told it."""
    profile = prepared.profile
    times = ServiceTimes(
        batch_s=tuple(np.maximum.accumulate([i.total_s / i.count for i in prepared.sweep])),
        instances=profile.instances,
        max_queue_delay_s=profile.max_queue_delay_s,
    )
    name, note = f"{where}: p95 off with an idle server's times", ""
    real_s = seen(record.latencies_s, 1.0).latencies_s[1]
    try:
        simulated_s = simulate(
            record.sent_s, times, servers=1, overhead_s=prepared.overhead_s
        ).latencies_s[1]
    except RuntimeError as error:
        raise StackError(f"{where}: {error}") from error
    note = f"{simulated_s * 1e3:.1f} for {real_s * 1e3:.1f} ms"
    return Figure(name=name, value=abs(simulated_s / real_s - 1.0) * 100.0, unit="%", note=note)


def _learned(where: str, learned: Learned | None, capacity_rps: float) -> list[Figure]:
    if learned is None:
        return []
    return [
        Figure(
            name=f"{where}: capacity learned off",
            value=abs(learned.full_rps / capacity_rps - 1.0) * 100.0,
            unit="%",
            target=TARGET_PERCENT,
            note=f"{learned.full_rps:.0f} for {capacity_rps:.0f} requests/s, of batches to "
            f"{learned.largest_seen}; variability {learned.variability.value:.2f}",
        )
    ]


def _promised(recorded: Recorded, learned: Learned | None) -> list[Figure]:
    """What sizing would give a replica under an objective that a higher level just keeps."""
    if learned is None:
        return []
    told = []
    for record in recorded.levels:
        if record.load_ratio < LEARNED_AT:
            continue
        threshold_s = float(np.quantile(record.latencies_s, KEPT_RATIO))
        real_rps = len(record.sent_s) / record.sent_s[-1]
        promised_rps = learned.carries_rps(ratio=RATIO, threshold_s=threshold_s) or 0.0
        told.append(
            Figure(
                name=f"{record.setting}: load within what {record.load_ratio:.0%} just keeps, "
                f"learned at {LEARNED_AT:.0%}, off",
                value=abs(promised_rps / real_rps - 1.0) * 100.0,
                unit="%",
                target=TARGET_PERCENT,
                note=f"{promised_rps:.0f} for {real_rps:.0f} requests/s, "
                f"{RATIO:.0%} < {threshold_s * 1e3:.1f} ms",
            )
        )
    return told


def _gpu(setting: str, readings: Sequence[GpuReading], load: str) -> Figure | None:
    if not readings:
        return None
    power_w, clock_mhz = (
        float(np.mean([getattr(r, name) for r in readings])) for name in ("power_w", "clock_mhz")
    )
    return Figure(
        name=f"{setting}, {load}: GPU busy, as nvidia-smi says",
        value=float(np.mean([r.busy_ratio for r in readings])) * 100.0,
        unit="%",
        note=f"{power_w:.0f} W, {clock_mhz:.0f} MHz",
    )
