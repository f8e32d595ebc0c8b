"""What was measured of a Triton server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from autoscaler.core.types import BatchTime, ModelProfile
from loadtests.validate.gpu import lines
from loadtests.validate.gpu.repository import Network
from loadtests.validate.gpu.utilisation import GpuReading


class Measured(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The machine."""

    date: str
    gpu: str
    torch: str
    cores: int
    network: Network


class Prepared(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """One setting's server by itself, before any level."""

    setting: str
    profile: ModelProfile
    """As it is configured; its times count from its start, warm-up included."""
    sweep: tuple[BatchTime, ...]
    """Batches of each size, one after the other on an idle server."""
    overhead_s: float
    """To an idle server and back, less the batch itself."""
    capacity_rps: float
    """Answers a second with four times as many requests under way as fill all batches."""
    saturated: tuple[BatchTime, ...]
    """What was executed meanwhile."""
    gpu: tuple[GpuReading, ...] = ()
    """Meanwhile."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What Triton showed at a moment (Unix seconds)."""

    at_s: float
    profile: ModelProfile
    """Its statistics."""
    metrics: str
    """Its /metrics."""


class LevelRecord(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Poisson arrivals at a share of the capacity."""

    setting: str
    load_ratio: float
    rate_rps: float
    started_s: float
    sent_s: tuple[float, ...]
    """Since the first, ascending; of the requests that were answered."""
    latencies_s: tuple[float, ...]
    """Since each was sent."""
    lateness_p99_s: float
    failed: int
    looks: tuple[Look, ...]
    """At the start, every five seconds, and at the end."""
    gpu: tuple[GpuReading, ...] = ()


Part = Measured | Prepared | LevelRecord


def read(path: Path) -> Iterator[Part]:
    """As `lines.read`."""
    return lines.read(path, Part, "validate-gpu")


def since(now: tuple[BatchTime, ...], before: tuple[BatchTime, ...]) -> tuple[BatchTime, ...]:
    """What was executed in between, by batch size."""
    earlier = {item.batch_size: item for item in before}
    found = []
    for item in now:
        old = earlier.get(item.batch_size)
        count = item.count - (old.count if old else 0)
        if count > 0:
            total_s = item.total_s - (old.total_s if old else 0.0)
            found.append(BatchTime(batch_size=item.batch_size, count=count, total_s=total_s))
    return tuple(found)
