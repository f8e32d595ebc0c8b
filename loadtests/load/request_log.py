"""What became of each request, from the client's side: the log that every figure of a run is computed from."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

OK = "ok"


@dataclass(frozen=True, slots=True)
class Request:
    """Times are seconds since the Unix epoch. `sent_s` None: it found no server. `done_s` None: no answer came."""

    due_s: float
    sent_s: float | None
    done_s: float | None
    server: str
    outcome: str
    """`ok`, or what went wrong."""
    waited: bool = False
    """There was no server when it was due: that it left late is not the client's doing."""

    @property
    def latency_s(self) -> float | None:
        """From when it was due, so that a late client is not a fast server; None where it failed."""
        return None if self.done_s is None or self.outcome != OK else self.done_s - self.due_s


def write(path: Path, requests: Iterable[Request]) -> None:
    """As gzipped CSV, in order of due times."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["due_s", "sent_s", "done_s", "server", "outcome", "waited"])
        for r in sorted(requests, key=lambda request: request.due_s):
            times = [f"{r.due_s:.4f}", _text(r.sent_s), _text(r.done_s)]
            rows.writerow([*times, r.server, r.outcome, int(r.waited)])


def read(path: Path) -> tuple[Request, ...]:
    """What `write` wrote."""
    with gzip.open(path, "rt", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return tuple(
            Request(float(due), _number(sent), _number(done), server, outcome, waited == "1")
            for due, sent, done, server, outcome, waited in rows
        )


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _number(text: str) -> float | None:
    return float(text) if text else None
