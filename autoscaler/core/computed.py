"""`@computed`: the dataclass of the values that a tick makes by the hundred for each workload.

To a type checker it is a frozen dataclass, and nobody assigns to its fields. At run time nothing stops who does: a
frozen dataclass sets each field through `object.__setattr__`, three times as slow, which was a sixth of a tick. What
passes between the rooms (`types.py`) and what people set stay frozen at run time too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def computed(cls: type[T]) -> type[T]:
    """`cls` with keyword-only fields in slots, compared and hashed by them."""
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)
