"""What is known of a workload from elsewhere: profiles, believed until it was measured here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPrior:
    """Mean time of a batch of one size - of an engine that generates tokens: of a step with so many sequences."""

    batch_size: int
    mean_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrior:
    """What a profile says of one model before anything was measured here."""

    model: str
    batches: tuple[BatchPrior, ...]
    """By batch size, ascending, each once."""
    max_batch_size: int | None = None
    """None: no further than the largest of `batches`."""
    instances: int = 1
    max_queue_delay_s: float = 0.0
    variability: float = 1.0
    """Of arrivals: 1 is Poisson."""
    memory_mib: int | None = None
    """Of GPU memory that one instance takes; None: not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadPrior:
    """The profiles of one workload's models on one shape; `workload` is `namespace/name`."""

    workload: str
    models: tuple[ModelPrior, ...]
    shape: str = ""
    """The MIG profile that it was measured on; empty: what the workload has."""
