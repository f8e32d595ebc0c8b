"""Demand that was recorded: CSV files of counts a minute, counts or rates a step, or one line a request; plain or gzip.

    minute,count            counts of each minute
    minute,chat,search      the same for several series: name one
    t_s,requests            counts of each step, whatever its length
    t_s,req_per_s           rates of each step
    t_s,in_tokens,...       one line for each request

Lines are checked one by one, and everything that is wrong with a file is told at once.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoscaler.errors import ConfigError, Problem

MINUTE_S = 60.0
COUNTS = ("count", "requests", "tokens")
RATES = ("req_per_s", "rate_rps")
TIMES = ("minute", "t_s")
# More in one step is a slip of the pen.
MOST = 1e9
# And what is longer tells its times in another unit.
MOST_DAYS = 366.0
# A file whose every line is wrong would bury what is wrong with it; so would one that is a single long line.
MOST_PROBLEMS = 100
SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A recorded demand, beginning at 0: the rate of each step, or the time of each request."""

    name: str
    step_s: float
    rates_rps: NDArray[np.float64]
    """By step. Of a file with one line a request: by second."""
    arrivals_s: NDArray[np.float64] | None = None
    """Where the file tells each request's time."""

    @property
    def duration_s(self) -> float:
        """Up to the end of the last step."""
        return self.step_s * self.rates_rps.size

    def last(self, duration_s: float) -> Trace:
        """The end of it, beginning at 0 again; all of it where it is no longer than that."""
        skipped = max(0, self.rates_rps.size - round(duration_s / self.step_s))
        start_s = skipped * self.step_s
        due = self.arrivals_s
        return Trace(
            name=self.name,
            step_s=self.step_s,
            rates_rps=self.rates_rps[skipped:],
            arrivals_s=None if due is None else due[due >= start_s] - start_s,
        )

    def per_second(self) -> NDArray[np.float64]:
        """The rate of every second; where steps are no whole seconds, what of them lies in it."""
        if not float(self.step_s).is_integer():
            edges_s = np.arange(math.ceil(self.duration_s) + 1)
            ends_s = self.step_s * np.arange(self.rates_rps.size + 1)
            requests = np.concatenate(([0.0], np.cumsum(self.rates_rps * self.step_s)))
            return np.diff(np.interp(edges_s, ends_s, requests))
        steps = (np.arange(math.ceil(self.duration_s)) / self.step_s).astype(np.int64)
        return self.rates_rps[np.minimum(steps, self.rates_rps.size - 1)]

    def scaled(self, factor: float) -> Trace:
        """With every rate multiplied. Raises ValueError where single requests are told: they are what they are."""
        if self.arrivals_s is not None:
            raise ValueError(f"{self.name}: tells single requests, only rates can be scaled")
        return Trace(name=self.name, step_s=self.step_s, rates_rps=self.rates_rps * factor)


def read_trace(path: Path, column: str | None = None) -> Trace:
    """Reads a file; `column` names the series of one that holds several.

    Raises ConfigError with everything that is wrong, each with its line.
    """
    try:
        text = _text(path)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        if isinstance(error, UnicodeDecodeError):
            said = "not UTF-8 text"
        raise ConfigError((Problem(str(path), said, "name a CSV file, plain or gzip"),)) from error
    # Also lines that end as on a Mac of old, which spreadsheets still offer.
    rows = csv.reader(io.StringIO(text, newline=None), strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
    except csv.Error as error:
        raise ConfigError((Problem(f"{path}:1", str(error), "must be CSV"),)) from error
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    if not header:
        raise ConfigError((Problem(str(path), "is empty", "a header and a line for each step"),))
    chosen = _column(path, header, column)
    if header[0] == "t_s" and chosen is None:
        return _requests(path, name, header, rows)
    assert chosen is not None
    return _steps(path, name if column is None else f"{name}:{column}", header, chosen, rows)


def _text(path: Path) -> str:
    raw = path.read_bytes()
    # A spreadsheet's byte order mark is no part of the first column's name.
    return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")


def _column(path: Path, header: list[str], column: str | None) -> int | None:
    """Place of the series; None: each line is a request. Raises ConfigError where neither can be."""
    where = f"{path}:1"
    if header[0] not in TIMES:
        allowed = "`minute` or `t_s` must be first"
        if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
            allowed += ", and a comma between columns"
        shown = header[0] if len(header[0]) <= SHOWN else f"{header[0][:SHOWN]}..."
        raise ConfigError((Problem(where, f"first column {shown!r}", allowed),))
    series = header[1:]
    if len(set(header)) < len(header):
        raise ConfigError((Problem(where, "two columns of one name", "each once"),))
    if column is not None:
        if column not in series:
            problem = Problem(where, f"no column {column!r}", f"one of {', '.join(series)}")
            raise ConfigError((problem,))
        return header.index(column)
    known = [place for place, item in enumerate(header) if item in COUNTS + RATES and place]
    if len(known) == 1:
        return known[0]
    if header[0] == "minute" and len(series) == 1:
        return 1
    if header[0] == "minute":
        problem = Problem(where, f"{len(series)} series", f"name one of {', '.join(series)}")
        raise ConfigError((problem,))
    return None


class _Lines:
    """The lines of a file as numbers, with what is wrong with them."""

    def __init__(self, path: Path, header: list[str], rows: Iterator[list[str]]) -> None:
        self._path, self._header, self._rows = path, header, rows
        self.problems: list[Problem] = []
        self.line = 1

    def wrong(self, given: str, allowed: str) -> None:
        self.problems.append(Problem(f"{self._path}:{self.line}", given, allowed))

    def numbers(self, places: tuple[int, ...]) -> Iterator[tuple[float, ...]]:
        """The numbers at `places` of each line on which all of them can be read."""
        for row in self._each():
            if not row:
                continue
            if len(row) != len(self._header):
                self.wrong(f"{len(row)} columns", f"{len(self._header)} as the header has")
                continue
            values = tuple(self._number(row[place], self._header[place]) for place in places)
            if not any(math.isnan(value) for value in values):
                yield values

    def _each(self) -> Iterator[list[str]]:
        """The lines, up to one that can't be taken apart: an open quotation mark swallows the rest."""
        while True:
            self.line += 1
            try:
                row = next(self._rows, None)
            except csv.Error as error:
                self.wrong(str(error), "must be CSV")
                return
            if row is None:
                return
            yield row

    def _number(self, text: str, column: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.wrong(f"{column} {text.strip()!r}", "a finite number")
            return math.nan
        if value < 0.0:
            self.wrong(f"{column} {text.strip()}", "0 or more")
            return math.nan
        if value > MOST and column not in TIMES:
            self.wrong(f"{column} {text.strip()}", f"at most {MOST:.0e}")
            return math.nan
        return value

    def finish(self, lines: int, duration_s: float) -> None:
        days = duration_s / 86400.0
        if days > MOST_DAYS:
            self.line = 1
            unit = {"minute": "minutes", "t_s": "seconds"}[self._header[0]]
            self.wrong(
                f"{days:,.0f} days", f"at most {MOST_DAYS:.0f}: `{self._header[0]}` is in {unit}"
            )
        if not lines and not self.problems:
            self.line = 1
            self.wrong("no line follows the header", "at least one")
        if self.problems:
            told = self.problems[:MOST_PROBLEMS]
            left = len(self.problems) - len(told)
            if left:
                told.append(Problem(str(self._path), f"{left} more problems", "mend these first"))
            raise ConfigError(tuple(told))


def _steps(
    path: Path, name: str, header: list[str], place: int, rows: Iterator[list[str]]
) -> Trace:
    lines = _Lines(path, header, rows)
    in_minutes = header[0] == "minute"
    unit = "minute" if in_minutes else "s"
    first = last = step = math.nan
    values: list[float] = []
    for at, value in lines.numbers((0, place)):
        if math.isnan(first):
            first = at
        elif math.isnan(step) and at > last:
            step = 1.0 if in_minutes else at - last
        if not math.isnan(last) and at <= last:
            lines.wrong(f"{unit} {_told(at)} after {_told(last)}", "times must ascend")
            continue
        if not math.isnan(last) and abs(at - last - step) > 1e-6 * step:
            lines.wrong(
                f"{unit} {_told(at)} after {_told(last)}: a gap",
                f"a line every {_told(step)}, 0 where none came",
            )
        last = at
        values.append(value)
    step_s = MINUTE_S if in_minutes else (step if not math.isnan(step) else 1.0)
    lines.finish(len(values), step_s * len(values))
    numbers = np.array(values, dtype=np.float64)
    rates = numbers if header[place] in RATES else numbers / step_s
    return Trace(name=name, step_s=step_s, rates_rps=rates)


def _told(time: float) -> str:
    """With all its digits: two times since 1970 look alike in six."""
    return f"{time:.15g}"


def _requests(path: Path, name: str, header: list[str], rows: Iterator[list[str]]) -> Trace:
    lines = _Lines(path, header, rows)
    last = 0.0
    times: list[float] = []
    for (at,) in lines.numbers((0,)):
        if at < last:
            lines.wrong(f"t_s {_told(at)} after {_told(last)}", "times must ascend")
            continue
        last = at
        times.append(at)
    lines.finish(len(times), times[-1] - times[0] if times else 0.0)
    arrivals = np.array(times, dtype=np.float64)
    arrivals -= arrivals[0]
    counts = np.bincount(arrivals.astype(np.int64)).astype(np.float64)
    return Trace(name=name, step_s=1.0, rates_rps=counts, arrivals_s=arrivals)
