"""Where a number of replicas is written, for objects that have no scale subresource of their own. A value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SERVICES = frozenset({"InferenceService", "LLMInferenceService"})
"""KServe's kinds, which have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaWrite:
    """A JSON patch (RFC 6902) of the object at `path`, once its numbers are filled in."""

    path: str
    patch: tuple[Mapping[str, object], ...]
    """`None` as a value stands for the number of replicas, `"observed"` for the number that was seen."""
    as_text: bool = False
    """Annotations take strings."""
