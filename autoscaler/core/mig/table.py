"""What one slice carries, as somebody measured it: throughput and latency for each batch size and number of processes.

Rates are whole thousandths of a request a second and latencies whole microseconds, so that a choice made from them is
the same on every machine. Throughput is rounded down and latency up: never is more planned than was measured.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation

from autoscaler.core.mig.geometry import GpuModel, Profile
from autoscaler.errors import TableInvalid

COLUMNS = ("profile", "batch_size", "processes", "throughput_rps", "latency_s")
# A table is a few hundred rows; a number beyond these is a unit mistaken, or no number of this world.
MAX_THROUGHPUT_RPS = Decimal(10**9)
MAX_LATENCY_S = Decimal(86400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One row. Throughput is of *one* process; zero says that so many processes did not fit."""

    profile: str
    batch_size: int
    processes: int
    throughput_mrps: int
    latency_us: int

    @property
    def fitted(self) -> bool:
        """So many processes fit onto the slice."""
        return self.throughput_mrps > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileTable:
    """Everything that was measured of one model on one GPU model."""

    model: str
    gpu: GpuModel
    rows: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What a slice carries within the limit, and how it is to be run for that."""

    rate_mrps: int
    batch_size: int
    processes: int


def read_table(lines: Iterable[str], *, model: str, gpu: GpuModel) -> ProfileTable:
    """A table from CSV text with the columns of `COLUMNS`.

    Raises:
        TableInvalid: a column is missing, a value is none, a row is there twice, or there are no rows; says the line.
        UnknownProfile: a row is of a profile that the GPU does not have.
    """
    reader = csv.reader(lines)
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise TableInvalid(
            f"{model}: columns {', '.join(missing)} are missing, needed are {', '.join(COLUMNS)}"
        )
    places = [header.index(name) for name in COLUMNS]
    rows: dict[tuple[str, int, int], Measurement] = {}
    for cells in reader:
        if not cells:
            continue
        where = f"{model} line {reader.line_num}"
        if len(cells) != len(header):
            raise TableInvalid(f"{where}: {len(cells)} values, the header names {len(header)}")
        row = _row(where, gpu, *(cells[place].strip() for place in places))
        key = (row.profile, row.batch_size, row.processes)
        if key in rows:
            raise TableInvalid(
                f"{where}: {row.profile} with batch {row.batch_size} and {row.processes} processes is there twice"
            )
        rows[key] = row
    if not rows:
        raise TableInvalid(f"{model}: no rows, at least one measurement is needed")
    return ProfileTable(model=model, gpu=gpu, rows=tuple(rows.values()))


def best(
    table: ProfileTable,
    profile: str,
    *,
    latency_limit_us: int,
    max_processes: int = 1,
    memory_mib: int | None = None,
) -> Carried | None:
    """The most that one such slice carries with every latency *below* the limit; None: nothing is within it.

    `memory_mib` is what one process needs, where known: rows whose processes would not fit are left out.

    Raises:
        TableInvalid: nothing was measured on that profile.
        UnknownProfile: the GPU has no such profile.
    """
    usable = table.gpu.usable_mib(profile)
    measured = [row for row in table.rows if row.profile == profile]
    if not measured:
        had = ", ".join(sorted({row.profile for row in table.rows}))
        raise TableInvalid(f"{table.model}: nothing was measured on {profile}, the table has {had}")
    within = [
        row
        for row in measured
        if row.fitted
        and row.processes <= max_processes
        and row.latency_us < latency_limit_us
        and (memory_mib is None or row.processes * memory_mib <= usable)
    ]
    if not within:
        return None
    # Of equal rates the one with the fewest processes, then the smallest batch: less to start and to wait for.
    row = max(within, key=lambda r: (r.throughput_mrps * r.processes, -r.processes, -r.batch_size))
    return Carried(
        rate_mrps=row.throughput_mrps * row.processes,
        batch_size=row.batch_size,
        processes=row.processes,
    )


def envelope(
    table: ProfileTable,
    profiles: Sequence[str],
    *,
    latency_limit_us: int,
    max_processes: int = 1,
) -> dict[str, Carried]:
    """What each of these profiles carries; those on which nothing is within the limit are left out.

    Raises:
        TableInvalid: a profile was not measured, or a slice carries less than one no larger in compute and memory:
            then a measurement is wrong, and whatever is planned from it would be, too.
        UnknownProfile: the GPU has no such profile.
    """
    found = {
        name: best(table, name, latency_limit_us=latency_limit_us, max_processes=max_processes)
        for name in profiles
    }
    for small in profiles:
        for large in profiles:
            if not _contains(table.gpu.profile(large), table.gpu.profile(small)):
                continue
            less, more = found[large], found[small]
            if more is not None and (less is None or less.rate_mrps < more.rate_mrps):
                raise TableInvalid(
                    f"{table.model}: {large} carries {_words(less)} within {latency_limit_us / 1000:g} ms and the "
                    f"smaller {small} {_words(more)}: a larger slice carries at least as much, measure both again"
                )
    return {name: carried for name, carried in found.items() if carried is not None}


def falling_rows(table: ProfileTable) -> tuple[str, ...]:
    """A sentence for each pair of rows in which a larger slice shows less throughput at the same batch and processes.

    Single rows scatter and are only worth a warning: what is planned with is the best over all of them.
    """
    by_run: dict[tuple[int, int], list[Measurement]] = {}
    for row in table.rows:
        if row.fitted:
            by_run.setdefault((row.batch_size, row.processes), []).append(row)
    warnings = []
    for (batch_size, processes), rows in sorted(by_run.items()):
        for small in rows:
            for large in rows:
                contains = _contains(
                    table.gpu.profile(large.profile), table.gpu.profile(small.profile)
                )
                if contains and large.throughput_mrps < small.throughput_mrps:
                    warnings.append(
                        f"{table.model}: batch {batch_size} with {processes} processes shows "
                        f"{large.throughput_mrps / 1000:g} rps on {large.profile} and "
                        f"{small.throughput_mrps / 1000:g} on {small.profile}"
                    )
    return tuple(warnings)


def _contains(large: Profile, small: Profile) -> bool:
    """Whether it is another profile with at least the compute and the memory."""
    return (
        large.name != small.name
        and large.compute_slices >= small.compute_slices
        and large.memory_slices >= small.memory_slices
    )


def _words(carried: Carried | None) -> str:
    return "nothing" if carried is None else f"{carried.rate_mrps / 1000:g} rps"


def _row(
    where: str,
    gpu: GpuModel,
    profile: str,
    batch_size: str,
    processes: str,
    throughput: str,
    latency: str,
) -> Measurement:
    rate = _number(where, "throughput_rps", throughput, MAX_THROUGHPUT_RPS) * 1000
    time = _number(where, "latency_s", latency, MAX_LATENCY_S) * 1_000_000
    row = Measurement(
        profile=gpu.profile(profile).name,
        batch_size=_count(where, "batch_size", batch_size),
        processes=_count(where, "processes", processes),
        throughput_mrps=int(rate.to_integral_value(ROUND_FLOOR)),
        latency_us=int(time.to_integral_value(ROUND_CEILING)),
    )
    if row.fitted and row.latency_us == 0:
        raise TableInvalid(
            f"{where}: latency_s is {latency!r}, a run that carried something took time"
        )
    return row


def _count(where: str, column: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1_000_000):
        raise TableInvalid(f"{where}: {column} is {text!r}, a whole number from 1 is allowed")
    return int(text)


def _number(where: str, column: str, text: str, most: Decimal) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not 0 <= number <= most:
        raise TableInvalid(f"{where}: {column} is {text!r}, a number from 0 to {most:f} is allowed")
    return number
