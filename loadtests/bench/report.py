"""How a benchmark tells its figures: a table for people, JSON for machines.

A target that is missed is shown and fails nothing.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

FOLDER = Path("build/bench")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value. `target` None: it is shown, nothing is promised of it."""

    name: str
    value: float
    unit: str
    target: float | None = None
    better: str = "lower"
    """`lower` or `higher`."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """None: there is no target."""
        if self.target is None:
            return None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target


def report(name: str, figures: Sequence[Figure], *, unshown: Sequence[Figure] = ()) -> None:
    """Prints the table and writes build/bench/NAME.json, where those that would make the table too long are too."""
    table = Table(title=f"bench-{name}", show_edge=False, pad_edge=False)
    for column in ("figure", "value", "target", "", "note"):
        table.add_column(column, justify="right" if column in ("value", "target") else "left")
    for figure in figures:
        sign = "<=" if figure.better == "lower" else ">="
        table.add_row(
            figure.name,
            f"{figure.value:,.4g} {figure.unit}",
            "" if figure.target is None else f"{sign} {figure.target:,.4g}",
            {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[figure.met],
            figure.note,
        )
    Console().print(table)
    FOLDER.mkdir(parents=True, exist_ok=True)
    content = {
        "name": name,
        "commit": _commit(),
        "figures": [asdict(f) for f in (*figures, *unshown)],
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
