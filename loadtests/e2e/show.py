"""What a person sees at the end of a run: replicas over time, the reasons, the checks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from autoscaler.core.types import Decision
from loadtests.e2e.checks import Check, Moment

WIDTH = 96


def replicas_plot(moments: Sequence[Moment], marks: Sequence[tuple[float, str]]) -> str:
    """Desired replicas (o) and ready ones (#) over time, with what happened below."""
    if not moments:
        return "nothing was recorded"
    start_s, end_s = moments[0].at_s, moments[-1].at_s
    columns = [
        _at(moments, start_s + (end_s - start_s) * index / (WIDTH - 1)) for index in range(WIDTH)
    ]
    top = max(max(m.desired, m.ready) for m in moments)
    rows = []
    for level in range(top, 0, -1):
        cells = "".join(
            "#" if m.ready >= level else "o" if m.desired >= level else " " for m in columns
        )
        rows.append(f"{level:3} |{cells}")
    rows.append("    +" + "-" * WIDTH)
    for at_s, text in marks:
        column = round((at_s - start_s) / max(1.0, end_s - start_s) * (WIDTH - 1))
        if 0 <= column < WIDTH:
            rows.append("     " + " " * column + f"^ {at_s - start_s:.0f} s {text}")
    return "\n".join(["replicas: # ready, o asked for", *rows])


def _at(moments: Sequence[Moment], at_s: float) -> Moment:
    return min(moments, key=lambda moment: abs(moment.at_s - at_s))


def changes(decisions: Sequence[tuple[float, Decision]], start_s: float) -> Table:
    """Every decision that moved the number, with its reason."""
    table = Table(title="what the journal says", show_edge=False, pad_edge=False)
    for name in ("t", "replicas", "reason", "why"):
        table.add_column(name, no_wrap=name != "why")
    for now_s, decision in decisions:
        if decision.target != decision.current:
            table.add_row(
                f"{now_s - start_s:.0f} s",
                f"{decision.current} -> {decision.target}",
                decision.reason.value,
                decision.message,
            )
    return table


def verdict(checks: Sequence[Check], console: Console) -> bool:
    """Prints every check; whether all passed."""
    table = Table(show_edge=False, pad_edge=False)
    for name in ("", "check", "figure", "limit"):
        table.add_column(name)
    for check in checks:
        mark = "[green]ok[/]" if check.passed else "[red]MISSED[/]"
        table.add_row(mark, check.name, check.figure, check.limit)
    console.print(table)
    passed = sum(1 for check in checks if check.passed)
    console.print(f"{passed} passed, {len(checks) - passed} failed")
    return passed == len(checks)


def save(path: Path, checks: Sequence[Check], moments: Sequence[Moment]) -> None:
    """As JSON, for whoever wants to draw it better."""
    content = {"checks": [asdict(c) for c in checks], "moments": [asdict(m) for m in moments]}
    path.write_text(json.dumps(content, indent=1))
