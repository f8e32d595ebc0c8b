"""Bounds of a single setting: nothing where it keeps them, else what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from autoscaler.errors import Problem

_DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_LABEL = re.compile(r"^[a-zA-Z_][a-zA-Z0-9_]*$")


def positive(where: str, value: float) -> Iterator[Problem]:
    """More than 0."""
    if value <= 0.0:
        yield Problem(where, f"{value:g}", "must be more than 0")


def not_negative(where: str, value: float) -> Iterator[Problem]:
    """0 or more."""
    if value < 0.0:
        yield Problem(where, f"{value:g}", "must not be negative")


def whole(where: str, value: int, lowest: int) -> Iterator[Problem]:
    """`lowest` or more."""
    if value < lowest:
        yield Problem(where, str(value), f"must be at least {lowest}")


def share(where: str, value: float) -> Iterator[Problem]:
    """0 to 1."""
    yield from between(where, value, 0.0, 1.0)


def between(where: str, value: float, low: float, high: float) -> Iterator[Problem]:
    """Within both, which are allowed."""
    if not low <= value <= high:
        yield Problem(where, f"{value:g}", f"must be between {low:g} and {high:g}")


def label_name(where: str, value: str) -> Iterator[Problem]:
    """The name of a label of Prometheus'."""
    if not _LABEL.match(value):
        yield Problem(where, repr(value), "must be the name of a label: letters, digits and '_'")


def object_name(where: str, value: str) -> Iterator[Problem]:
    """The name of an object of Kubernetes'."""
    if len(value) > 253 or not _DNS_LABEL.match(value):
        yield Problem(
            where, repr(value), "must be a Kubernetes name: lower case letters, digits, '-'"
        )
