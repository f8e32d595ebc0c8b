"""YAML files of scenarios as text: every key with its line, and what is wrong with one in words."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from autoscaler.errors import ConfigError, Problem
from autoscaler.yaml_text import UniqueKeyLoader

STRICT = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)
UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")

D = TypeVar("D")
Beside = Callable[
    [Path, dict[str, int], dict[str, Any], pydantic.ValidationError], Sequence[Problem]
]


def text_of(path: Path) -> str:
    """What is in it. Raises ConfigError where it can't be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError((Problem(str(path), said, "name a readable YAML file"),)) from error


def parsed(path: Path, text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The content, and the line of every key."""
    try:
        content = yaml.load(text, UniqueKeyLoader)
        node = yaml.compose(text, UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError((Problem(place, said, "must be YAML"),)) from error
    if not isinstance(content, dict):
        given = "is empty" if content is None else f"a {type(content).__name__}"
        raise ConfigError((Problem(str(path), given, "must be a mapping of sections"),))
    return content, dict(_lines_of(node, ""))


def document_of(path: Path, form: type[D], beside: Beside) -> tuple[D, dict[str, int]]:
    """The content as `form`, and the line of every key. `beside` says what else is wrong where the types do not fit.

    Raises ConfigError with everything that is wrong.
    """
    content, lines = parsed(path, text_of(path))
    try:
        return pydantic.TypeAdapter(form).validate_python(content), lines
    except pydantic.ValidationError as error:
        told = [told for item in error.errors() for told in problems_of(path, lines, item, form)]
        raise ConfigError((*told, *beside(path, lines, content, error))) from error


def _lines_of(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{prefix}{key.value}", key.start_mark.line + 1
            yield from _lines_of(value, f"{prefix}{key.value}.")
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield f"{prefix}{index}", value.start_mark.line + 1
            yield from _lines_of(value, f"{prefix}{index}.")


def place_of(path: Path, lines: dict[str, int], key: str) -> str:
    """`file:line: key`, with the line of the nearest key above that is in the file."""
    parts = key.split(".")
    known = (lines.get(".".join(parts[:end])) for end in range(len(parts), 0, -1))
    line = next((number for number in known if number is not None), 1)
    return f"{path}:{line}: {key}"


def problems_of(path: Path, lines: dict[str, int], item: Any, document: type) -> list[Problem]:
    """One of pydantic's errors, in our words; of a section whose values can't be all that are wrong in it."""
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "value_error":
        said = [str(item["ctx"]["error"])]
        made = _holder(item["loc"], document)
        if made is not None and isinstance(item["input"], dict):
            said = refusals(made, item["input"]) or said
        return [_refused(path, lines, key, text) for text in said]
    return [_problem(place_of(path, lines, key), item, document)]


def _refused(path: Path, lines: dict[str, int], key: str, said: str) -> Problem:
    """A section's own type says `name: given, allowed`."""
    name, _, rest = said.partition(": ")
    if f"{key}.{name}" in lines:
        key, said = f"{key}.{name}", rest
    return Problem(place_of(path, lines, key), said, "see docs/simulation.md")


def _holder(loc: tuple[object, ...], document: type) -> type | None:
    """The dataclass of a section all of whose values have defaults."""
    if not loc:
        return None
    section: Any = document
    for part in loc:
        section = section if isinstance(part, int) else _section(section, str(part))
    needed = [f for f in fields(section) if f.default is MISSING and f.default_factory is MISSING]
    return None if needed else section


def _problem(place: str, item: Any, document: type) -> Problem:
    if item["type"] in UNKNOWN:
        return Problem(place, "is not known", _nearest(item["loc"], document))
    if item["type"] in ("missing", "missing_keyword_only_argument", "missing_argument"):
        return Problem(place, "is missing", "must be given")
    given = repr(item["input"])
    shown = given if len(given) <= 60 else f"{given[:57]}..."
    if item["type"] in ("dataclass_type", "tuple_type"):
        return Problem(
            place, shown, "must be a list" if item["type"] == "tuple_type" else "must be a mapping"
        )
    said = item["msg"].split(", unable to")[0]
    return Problem(place, shown, said.replace("Input should be", "must be"))


def refusals(make: Callable[..., object], given: Mapping[str, Any]) -> list[str]:
    """All that is wrong with `given`, for `make` itself stops at the first and says `name: given, allowed`.

    Every parameter of `make` has a default, which takes the place of what is wrong.
    """
    told: list[str] = []
    left = dict(given)
    while True:
        try:
            make(**left)
        except ValueError as error:
            said = str(error)
        else:
            return told
        name = said.partition(":")[0]
        if name not in left:
            return told or [said]
        told.append(said)
        del left[name]


def _nearest(loc: tuple[object, ...], document: type) -> str:
    section: Any = document
    for part in loc[:-1]:
        # A number is a place in a list, whose kind the key before it told.
        section = section if isinstance(part, int) else _section(section, str(part))
    known = [item.name for item in fields(section)]
    near = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"did you mean {near[0]}?" if near else f"allowed here: {', '.join(known)}"


def _section(owner: Any, key: str) -> Any:
    """The dataclass that a key of `owner` holds, alone or in a list."""
    hint = typing.get_type_hints(owner)[key]
    parts = (hint, *typing.get_args(hint))
    return next(part for part in parts if is_dataclass(part))
