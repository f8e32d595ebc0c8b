"""Every setting by its dotted key: what it may be, its default and its meaning, as the classes themselves say it."""

from __future__ import annotations

import ast
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Any

from autoscaler.config.settings import Settings

# Fields of the engine's settings whose name says it all.
PLAIN = {
    "engine.tick_s": "Between two decisions.",
    "engine.history_days": "How long each minute's demand is remembered.",
    "engine.brakes.window_s": "Time over which the brakes add up.",
    "engine.brakes.max_down_ratio": "Share of the fleet's GPUs that may go within the window.",
    "engine.brakes.max_up_ratio": (
        "GPUs that may come within the window, over the fleet's; new ones that are overloaded are a part of it."
    ),
    "engine.brakes.correlated_share_ratio": "Share of the workloads that must drop together.",
    "engine.brakes.correlated_drop_ratio": "Share of its demand that each of them must lose.",
    "engine.nodes.mode": "Whether headroom is asked for, or only shown.",
    "engine.nodes.stock_out_max_backoff_s": "The longest time until it is asked again.",
    "resource": "What pods of this pool's workloads ask for.",
    "backend": "The interface that headroom goes through; `auto` takes what proves to bring nodes.",
    "policies": "HPA's rate policies; given, they replace the default ones.",
    "select_policy": "Which of several policies counts: the one that allows most, least, or none.",
    "type": "What `value` counts.",
    "value": "At most so many pods, or percent of the replicas at the period's start.",
    "period_s": "Within any time of this length.",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingKey:
    """One setting. `NAME` and `N` in its key stand for a name of one's own and a place in a list."""

    key: str
    value: str
    default: str
    meaning: str


# Made from other settings, and refused in a file.
DERIVED = ("engine.priors",)


def setting_keys() -> tuple[SettingKey, ...]:
    """All of them, in the order of the classes."""
    return tuple(_keys(Settings, Settings(), ""))


def _keys(of: type[Any], default: object, prefix: str) -> Iterator[SettingKey]:
    hints, known = typing.get_type_hints(of), meanings(of)
    for item in fields(of):
        key, hint = f"{prefix}{item.name}", hints[item.name]
        if key in DERIVED:
            continue
        # A section has no default of its own where nothing is in its list or mapping yet.
        value = getattr(default, item.name) if default is not None else _default(item)
        inner = _inner(hint)
        if is_dataclass(hint):
            yield from _keys(typing.cast(type[Any], hint), value, f"{key}.")
        elif inner is not None:
            name = "N" if isinstance(value, tuple) else "NAME"
            yield from _keys(inner, None, f"{key}.{name}.")
        else:
            told = known.get(item.name) or PLAIN.get(key) or PLAIN.get(item.name, "")
            yield SettingKey(key=key, value=_allowed(hint), default=_shown(value), meaning=told)


def _default(item: Any) -> object:
    if item.default is not MISSING:
        return item.default
    return MISSING if item.default_factory is MISSING else item.default_factory()


def _inner(hint: Any) -> type[Any] | None:
    """The class of a list's or a mapping's entries."""
    if typing.get_origin(hint) not in (tuple, Mapping):
        return None
    found = [part for part in typing.get_args(hint) if is_dataclass(part)]
    return typing.cast(type[Any], found[0]) if found else None


def _allowed(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        given = [part for part in typing.get_args(hint) if part is not type(None)]
        return f"{_allowed(given[0])}, or null"
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return ", ".join(f"`{member.value}`" for member in hint)
    if typing.get_origin(hint) is Mapping:
        return "names, each with " + _allowed(typing.get_args(hint)[1])
    if typing.get_origin(hint) is tuple:
        return "a list, each " + _allowed(typing.get_args(hint)[0])
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return names[hint]


def _shown(value: object) -> str:
    if value is MISSING:
        return "must be given"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.10g}"
    return f"`{value}`" if str(value) and value != {} else "empty"


def meanings(of: type[Any]) -> dict[str, str]:
    """The docstring that follows each field."""
    (body,) = ast.parse(inspect.getsource(of)).body
    assert isinstance(body, ast.ClassDef)
    told = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if not isinstance(before, ast.AnnAssign) or not isinstance(before.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            told[before.target.id] = " ".join(str(after.value.value).split())
    return told
