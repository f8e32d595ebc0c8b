"""Settings of which one value is `off`."""

from __future__ import annotations

from enum import StrEnum


class Switched(StrEnum):
    """`off` may arrive as a false: to YAML 1.1, by which Helm reads a chart's values, it is one."""

    @classmethod
    def _missing_(cls, value: object) -> Switched | None:
        return cls("off") if value is False else None
