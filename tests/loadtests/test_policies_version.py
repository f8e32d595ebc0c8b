"""A kept result is not taken for one of other code: all that a run reads is in its version."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from loadtests.bench.policies import cells, protocol

# Read for other servers, other commands or words of errors: no figure depends on them.
WITHOUT = {
    "autoscaler/errors.py",
    "autoscaler/schedule.py",
    "autoscaler/simulation/continuous.py",
    "autoscaler/simulation/continuous_model.py",
    "autoscaler/simulation/continuous_pods.py",
    "autoscaler/simulation/continuous_state.py",
    "autoscaler/simulation/scenario_sections.py",
    "autoscaler/simulation/scenario_text.py",
    "autoscaler/simulation/shape_text.py",
    "autoscaler/yaml_text.py",
}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def read_by(file: Path) -> set[str]:
    """The project's modules that `file` reads, directly or not, by their paths."""
    seen: set[Path] = set()
    left = [file]
    while left:
        one = left.pop()
        if one not in seen:
            seen.add(one)
            paths = (protocol.ROOT / f"{name.replace('.', '/')}.py" for name in imported(one))
            left += [path for path in paths if path.exists()]
    return {str(path.relative_to(protocol.ROOT)) for path in seen}


def test_all_that_a_run_of_forescale_reads_is_in_its_version() -> None:
    places = (*protocol._RUN, *protocol._ENGINE, *protocol._FORECASTS)
    read = read_by(Path(cells.__file__))
    assert len(read) > 100
    unseen = {one for one in read if not one.startswith(tuple(places))}
    assert unseen == WITHOUT


def test_every_place_is_there() -> None:
    places = (*protocol._RUN, *protocol._ENGINE, *protocol._FORECASTS)
    assert [place for place in places if not (protocol.ROOT / place).exists()] == []
