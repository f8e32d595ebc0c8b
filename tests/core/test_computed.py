"""What `@computed` promises beside its speed: a value, as a frozen dataclass is one."""

from __future__ import annotations

from dataclasses import field, replace

import pytest

from autoscaler.core.computed import computed


@computed
class Point:
    """A value."""

    x: float
    tags: tuple[str, ...] = field(default=())


def test_it_is_compared_and_hashed_by_its_fields() -> None:
    assert Point(x=1.0) == Point(x=1.0) != Point(x=2.0)
    assert len({Point(x=1.0), Point(x=1.0), Point(x=2.0)}) == 2


def test_another_one_is_made_of_it() -> None:
    assert replace(Point(x=1.0, tags=("a",)), x=2.0) == Point(x=2.0, tags=("a",))


def test_fields_are_named_and_no_others_can_be_set() -> None:
    with pytest.raises(TypeError):
        Point(1.0)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        Point(x=1.0).y = 2.0  # type: ignore[attr-defined]
