"""What became of each request, from the client's side: the log that every figure of a run is computed from."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

OK = "ok"
COLUMNS = ("due_s", "sent_s", "done_s", "server", "outcome", "waited", "first_token_s", "tokens")


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
    first_token_s: float | None = None
    """None: the answer came whole, or did not come."""
    tokens: int | None = None
    """Of a streamed answer. None: it was not told."""

    @property
    def latency_s(self) -> float | None:
        """From when it was due, so that a late client is not a fast server; None where it failed."""
        return None if self.done_s is None or self.outcome != OK else self.done_s - self.due_s

    @property
    def ttft_s(self) -> float | None:
        """To the first token, from when it was due; None where it failed or did not stream."""
        if self.first_token_s is None or self.outcome != OK:
            return None
        return self.first_token_s - self.due_s

    @property
    def tpot_s(self) -> float | None:
        """Mean time of each token after the first, as the engines count it. None where the answer had but one.

        Infinite where it failed, or did not tell its tokens: unknown is not fast.
        """
        if self.outcome != OK or self.done_s is None or self.first_token_s is None:
            return math.inf
        if self.tokens is None:
            return math.inf
        return None if self.tokens < 2 else (self.done_s - self.first_token_s) / (self.tokens - 1)


def write(path: Path, requests: Iterable[Request]) -> None:
    """As gzipped CSV, in order of due times."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for r in sorted(requests, key=lambda request: request.due_s):
            times = [f"{r.due_s:.4f}", _text(r.sent_s), _text(r.done_s)]
            told = [_text(r.first_token_s), "" if r.tokens is None else r.tokens]
            rows.writerow([*times, r.server, r.outcome, int(r.waited), *told])


def read(path: Path) -> tuple[Request, ...]:
    """What `write` wrote, or wrote before answers streamed: then without their columns."""
    with gzip.open(path, "rt", newline="") as file:
        return tuple(
            Request(
                float(row["due_s"]),
                _number(row["sent_s"]),
                _number(row["done_s"]),
                row["server"],
                row["outcome"],
                row["waited"] == "1",
                _number(row.get("first_token_s", "")),
                int(row["tokens"]) if row.get("tokens") else None,
            )
            for row in csv.DictReader(file)
        )


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _number(text: str) -> float | None:
    return float(text) if text else None
