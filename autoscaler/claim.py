"""A place for what is to be written, made sure of before the work that fills it."""

from __future__ import annotations

from pathlib import Path


def claim(path: Path) -> None:
    """Makes folders and the file, unless it is there; what it holds stays. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab"):
        pass
