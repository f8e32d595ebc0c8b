"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and could work better or fail later."""
    ERROR = "error"
    """Something that the policy asks for can't work."""
    UNKNOWN = "unknown"
    """It could not be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One finding; `remedy` is empty where nothing is to be done."""

    check: str
    level: Level
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Diagnosis:
    """Nothing to be done."""
    return Diagnosis(check=check, level=Level.OK, found=found)


def warning(check: str, found: str, remedy: str) -> Diagnosis:
    """It could be better."""
    return Diagnosis(check=check, level=Level.WARNING, found=found, remedy=remedy)


def error(check: str, found: str, remedy: str) -> Diagnosis:
    """It can't work."""
    return Diagnosis(check=check, level=Level.ERROR, found=found, remedy=remedy)


def unknown(check: str, found: str, remedy: str) -> Diagnosis:
    """Not seen."""
    return Diagnosis(check=check, level=Level.UNKNOWN, found=found, remedy=remedy)
