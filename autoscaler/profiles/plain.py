"""A plain table: CSV with a line for each batch size.

    batch_size,service_ms
    1,52
    2,64

`service_s` may stand for `service_ms`. Further columns, each the same on all lines of a model: `model`, `instances`,
`max_batch_size`, `max_queue_delay_ms`, `variability`, `memory_mib`; and `executions`, by which lines on one size are
weighed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from autoscaler.profiles.measured import Measured, Problems, Server, number, positive, whole
from autoscaler.profiles.table import Row, Table

SIZE = "batch_size"
TIMES_S = {"service_s": 1.0, "service_ms": 1e-3}
OPTIONAL = (
    "model",
    "executions",
    "instances",
    "max_batch_size",
    "max_queue_delay_ms",
    "variability",
    "memory_mib",
)


def is_plain(table: Table) -> bool:
    """By its header."""
    return SIZE in table.columns


def read(table: Table, *, model: str | None, problems: Problems) -> Iterator[Measured]:
    """Every line, of the one model that is named, or of all."""
    for column in table.columns:
        if column not in (SIZE, *TIMES_S, *OPTIONAL):
            near = difflib.get_close_matches(column, (SIZE, *TIMES_S, *OPTIONAL), n=1)
            allowed = f"did you mean {near[0]}?" if near else f"known: {', '.join(OPTIONAL)}"
            problems.add(table.where, f"column {column!r}", allowed)
    times = [column for column in TIMES_S if column in table.columns]
    if len(times) != 1:
        given = " and ".join(times) or "neither service_s nor service_ms"
        problems.add(table.where, given, "exactly one of the two must be there")
        return
    if "model" not in table.columns and model is None:
        problems.add(table.where, "no column 'model'", "must be there, or give --model NAME")
    for row in table.rows():
        name = row.get("model") or (model if "model" not in table.columns else None)
        if "model" in table.columns and not name:
            problems.add(row.where, "no model", "must be named on every line")
        size = whole(row.get(SIZE), row.where, SIZE, problems)
        seconds = positive(row.get(times[0]), row.where, times[0], problems)
        weight = _weight(row, problems)
        server = _server(row, problems)
        if name and size and seconds and weight and (model is None or name == model):
            yield Measured(
                where=row.where,
                model=name,
                batch_size=size,
                mean_s=seconds * TIMES_S[times[0]],
                weight=weight,
                server=server,
            )


def _weight(row: Row, problems: Problems) -> float | None:
    text = row.get("executions")
    return positive(text, row.where, "executions", problems) if text else 1.0


def _server(row: Row, problems: Problems) -> Server:
    instances, largest = row.get("instances"), row.get("max_batch_size")
    delay, variability = row.get("max_queue_delay_ms"), row.get("variability")
    memory = row.get("memory_mib")
    memory_mib = positive(memory, row.where, "memory_mib", problems) if memory else None
    delay_ms = number(delay, row.where, "max_queue_delay_ms", problems) if delay else None
    return Server(
        instances=whole(instances, row.where, "instances", problems) if instances else None,
        max_batch_size=whole(largest, row.where, "max_batch_size", problems) if largest else None,
        max_queue_delay_s=None if delay_ms is None else delay_ms / 1000.0,
        variability=(
            positive(variability, row.where, "variability", problems) if variability else None
        ),
        memory_mib=memory_mib,
    )
