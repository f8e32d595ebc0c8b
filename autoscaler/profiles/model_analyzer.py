"""Model Analyzer's `metrics-model-inference.csv`: one line for each configuration and load, times in milliseconds.

Compute times are there when `inference_output_fields` asks for them (`perf_server_compute_input`, `…_infer`,
`…_output`); lines are then read as perf_analyzer's. Without them only lines at concurrency 1 tell the time of a batch:
nothing waits and nothing is batched but what the client batches, so it is the client's batch over the throughput.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from autoscaler.profiles.measured import Measured, Problems, Server, positive, whole
from autoscaler.profiles.perf_analyzer import compute_time_s, implied_batch
from autoscaler.profiles.table import Row, Table

MODEL, BATCH, CONCURRENCY, CONFIG = "Model", "Batch", "Concurrency", "Model Config Path"
THROUGHPUT = "Throughput (infer/sec)"
COMPUTE = (
    "Server Compute Input time (ms)",
    "Server Compute Infer time (ms)",
    "Server Compute Output time (ms)",
)
FIELDS = "perf_server_compute_input, perf_server_compute_infer and perf_server_compute_output"
_COUNT = re.compile(r"(\d+)\s*[:/]")


def is_model_analyzer(table: Table) -> bool:
    """By its header."""
    return CONFIG in table.columns or THROUGHPUT in table.columns


def read(
    table: Table, *, model: str | None, config: str | None, problems: Problems
) -> Iterator[Measured]:
    """One configuration of each model: the one that `config` names, or the only one that there is."""
    if not table.require((MODEL, BATCH, CONCURRENCY, CONFIG, THROUGHPUT)):
        return
    rows = [row for row in table.rows() if model is None or row.get(MODEL) == model]
    if config is not None:
        named = [row for row in rows if row.get(CONFIG) == config]
        if not named:
            known = sorted({row.get(CONFIG) for row in rows})
            problems.add(table.path, f"no configuration {config!r}", f"one of {', '.join(known)}")
        rows = named
    exact = all(column in table.columns for column in COMPUTE)
    told: dict[str, str] = {}
    for row in rows:
        first = told.setdefault(row.get(MODEL), row.get(CONFIG))
        if row.get(CONFIG) != first:
            known = sorted({r.get(CONFIG) for r in rows if r.get(MODEL) == row.get(MODEL)})
            problems.add(
                row.where,
                f"{row.get(MODEL)} has {len(known)} configurations",
                f"name one with --config: {', '.join(known)}",
            )
            return
    found = [line for row in rows if (line := _line(row, exact, problems)) is not None]
    if rows and not found and not problems.found:
        problems.add(
            table.where,
            "no compute times, and no line at concurrency 1",
            f"add {FIELDS} to inference_output_fields: throughput alone does not tell the time of a batch",
        )
    yield from found


def _line(row: Row, exact: bool, problems: Problems) -> Measured | None:
    batch = whole(row.get(BATCH), row.where, BATCH, problems)
    concurrency = whole(row.get(CONCURRENCY), row.where, CONCURRENCY, problems)
    rate = positive(row.get(THROUGHPUT), row.where, THROUGHPUT, problems)
    if batch is None or concurrency is None or rate is None:
        return None
    server = _server(row, problems)
    if exact:
        seconds = compute_time_s(row, COMPUTE, 1e-3, problems)
        size = batch
        if seconds is not None:
            size = implied_batch(rate, seconds, client_batch=batch, instances=server.instances or 1)
    elif concurrency == 1:
        size, seconds = batch, batch / rate
    else:
        return None
    if seconds is None:
        return None
    return Measured(
        where=row.where,
        model=row.get(MODEL),
        batch_size=size,
        mean_s=seconds,
        weight=rate / size,
        server=server,
    )


def _server(row: Row, problems: Problems) -> Server:
    """`Instance Group` is like `2:GPU`, older `2/GPU`; a batch of 0 is a model that does not batch."""
    counts = [int(count) for count in _COUNT.findall(row.get("Instance Group"))]
    largest = row.get("Max Batch Size")
    return Server(
        instances=sum(counts) or None,
        max_batch_size=(
            None
            if not largest
            else 1
            if largest == "0"
            else whole(largest, row.where, "Max Batch Size", problems)
        ),
    )
