"""perf_analyzer's CSV (`-f FILE`): one line for each concurrency or request rate, times in microseconds.

It says how long a batch computed, not how many items were in it. By Little's law throughput x compute time is how many
inferences were computed at once, and each busy instance computes one batch: 400 inferences a second at 19 ms on one
instance are 7.6 at once, so batches of 7 or more. A fraction is rounded down, which attributes the time to a smaller
batch and so takes the model for slower than it is, never for faster; up to a twentieth is what an instance idles
between two batches.
"""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.profiles.measured import Measured, Problems, Server, number, positive
from autoscaler.profiles.table import Row, Table

THROUGHPUT = "Inferences/Second"
COMPUTE = ("Server Compute Input", "Server Compute Infer", "Server Compute Output")
# Before Triton 2.0 the three were one.
COMPUTE_OLD = ("Server Compute",)
IDLE_BETWEEN_BATCHES = 1.05


def is_perf_analyzer(table: Table) -> bool:
    """By its header."""
    return THROUGHPUT in table.columns


def read(
    table: Table, *, model: str | None, client_batch: int, instances: int, problems: Problems
) -> Iterator[Measured]:
    """A line's compute time, at the batch size that its throughput implies: at least the client's own."""
    if model is None:
        problems.add(table.path, "perf_analyzer's CSV names no model", "give --model NAME")
    columns = COMPUTE_OLD if COMPUTE_OLD[0] in table.columns else COMPUTE
    if not table.require(columns):
        return
    for row in table.rows():
        rate = positive(row.get(THROUGHPUT), row.where, THROUGHPUT, problems)
        compute_s = compute_time_s(row, columns, 1e-6, problems)
        if rate is None or compute_s is None or model is None:
            continue
        size = implied_batch(rate, compute_s, client_batch=client_batch, instances=instances)
        yield Measured(
            where=row.where,
            model=model,
            batch_size=size,
            mean_s=compute_s,
            weight=rate / size,
            server=Server(instances=instances),
        )


def compute_time_s(
    row: Row, columns: tuple[str, ...], unit_s: float, problems: Problems
) -> float | None:
    """Input, inference and output of a batch together. None: one can't be read, which was told."""
    parts = [number(row.get(column), row.where, column, problems) for column in columns]
    if any(part is None for part in parts):
        return None
    total = sum(part for part in parts if part is not None)
    if total <= 0.0:
        problems.add(row.where, f"{' + '.join(columns)} is 0", "a batch takes some time")
        return None
    return total * unit_s


def implied_batch(rate: float, compute_s: float, *, client_batch: int, instances: int) -> int:
    """Items in a batch, rounded down; `rate` in inferences a second."""
    at_once = rate * compute_s / instances
    return max(client_batch, int(at_once * IDLE_BETWEEN_BATCHES))
