"""The page of docs/reference that tells what `--json` prints: the classes themselves say it."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Any

from autoscaler.config.keys import meanings
from autoscaler.controller.doctor.diagnosis import Diagnosis
from autoscaler.core.compliance import Bounds, WorkloadCompliance
from autoscaler.core.types import Decision, WorkloadId
from autoscaler.simulation.changes import Change
from autoscaler.simulation.comparison import Comparison
from autoscaler.simulation.fleet.comparison import FleetComparison
from autoscaler.simulation.recommended.comparison import WorkloadReport
from autoscaler.simulation.replay import ReplayReport

PLAIN = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    WorkloadId: "`{namespace, name, kind}`",
    Bounds: "`{low, estimate, high}`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One command's answer."""

    title: str
    around: str
    """What stands around it, as a person reads it."""
    prefix: str
    of: type[Any]


DOCUMENTS = (
    Document(
        title="`simulate` and `backtest`",
        around="One object. Figures of a policy are means over the seeds, but for the worst.",
        prefix="",
        of=Comparison,
    ),
    Document(
        title="`simulate` of a fleet",
        around="One object; fields of the same name mean what they mean above, of one workload.",
        prefix="",
        of=FleetComparison,
    ),
    Document(
        title="`replay`",
        around="A list with an object for each file.",
        prefix="[].",
        of=ReplayReport,
    ),
    Document(
        title="`report`",
        around="`journal`, `total` (`workloads` with an estimate, and the sums of their `gpu_hours`, "
        "`estimated_gpu_hours`, `node_gpu_hours`, `estimated_node_gpu_hours`), and `workloads`, a list of:",
        prefix="workloads[].",
        of=WorkloadReport,
    ),
    Document(
        title="`slo`",
        around="`workloads`, a list of:",
        prefix="workloads[].",
        of=WorkloadCompliance,
    ),
    Document(
        title="`doctor`",
        around="`errors`, how many findings are one, and `findings`, a list of:",
        prefix="findings[].",
        of=Diagnosis,
    ),
    Document(
        title="`explain` and `plan`",
        around="`explain`: `now_s`, `decision` and `spec`, the annotations as they were read. `plan`: `now_s`, "
        "`decisions`, `specs`, `fleet` (findings), `pools`, `slices` and `refused` (workloads with the `problems` of "
        "their annotations). A decision is:",
        prefix="",
        of=Decision,
    ),
    Document(
        title="`explain --since`",
        around="`workload`, and `changes`, a list of:",
        prefix="changes[].",
        of=Change,
    ),
)


def json_page(made: str) -> str:
    """Every field of what a pipeline reads."""
    lines = [
        "# JSON",
        made,
        "",
        "What `--json` prints on standard output: one document, and nothing else. Notes and errors go to standard",
        "error, and are text. Times end in `_s` and are seconds, a moment is in seconds since 1970; `_rps` is by the",
        "second; `_ratio` is a share, 1 for all. What is not known is null, never 0. Fields may be added: read those",
        "that you know. One that goes, or means something else, is told in the [CHANGELOG](../../CHANGELOG.md).",
        "Exit codes: 0, 1 failure, 2 usage or configuration, 99 a threshold missed.",
    ]
    for document in DOCUMENTS:
        lines += [
            "",
            f"## {document.title}",
            "",
            document.around,
            "",
            "| field | value | meaning |",
        ]
        lines += ["|---|---|---|", *_rows(document.of, document.prefix)]
    return "\n".join(lines) + "\n"


def _rows(of: type[Any], prefix: str) -> Iterator[str]:
    hints, told = typing.get_type_hints(of), meanings(of)
    for item in fields(of):
        hint = hints[item.name]
        inner, place = _inner(hint)
        key = f"{prefix}{item.name}{place}"
        meaning = told.get(item.name, "").replace("|", "\\|").replace("None:", "null:")
        if inner is None:
            yield f"| `{key}` | {_value(hint)} | {meaning} |"
        else:
            if meaning:
                yield f"| `{key}` | | {meaning} |"
            yield from _rows(inner, f"{key}.")


def _inner(hint: Any) -> tuple[type[Any] | None, str]:
    """(the class that it is or holds, where in it); None for what is one value."""
    if isinstance(hint, types.UnionType):
        hint = typing.get_args(hint)[0]
    place = ""
    while typing.get_origin(hint) is tuple:
        parts = typing.get_args(hint)
        if parts[-1] is Ellipsis:
            hint, place = parts[0], f"{place}[]"
        elif is_dataclass(parts[-1]):
            hint, place = parts[-1], f"{place}[{len(parts) - 1}]"
        else:
            return None, place
    known = is_dataclass(hint) and hint not in PLAIN
    # A decision within a report is the one of `explain`.
    return (hint if known and hint is not Decision else None), place


def _value(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        given = [part for part in typing.get_args(hint) if part is not type(None)]
        return f"{_value(given[0])}, or null"
    if typing.get_origin(hint) is tuple:
        parts = [part for part in typing.get_args(hint) if part is not Ellipsis]
        return _value(parts[0]) if len(parts) == 1 else "a list: " + ", ".join(map(_value, parts))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        few = list(hint)[:6] == list(hint)
        return ", ".join(f"`{member.value}`" for member in hint) if few else "text"
    if hint in PLAIN:
        return PLAIN[hint]
    return f"a {hint.__name__}"
