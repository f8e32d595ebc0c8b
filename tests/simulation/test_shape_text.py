"""Shapes as text: what they mean, and what is refused."""

from __future__ import annotations

import pytest

from autoscaler.simulation.shape_text import parse_shape


@pytest.mark.parametrize(
    ("text", "at_s", "value"),
    [
        ("constant(50)", 0.0, 50.0),
        ("2 * constant(50) + constant(1)", 0.0, 101.0),
        ("ramp((0, 0), (100, 10))", 50.0, 5.0),
        ("constant(10) * flash_crowd(at_s=5, peak_ratio=3, rise_s=0, hold_s=9)", 6.0, 30.0),
        ("steps((0, 1), (10, 7))", 11.0, 7.0),
    ],
)
def test_what_is_read(text: str, at_s: float, value: float) -> None:
    assert parse_shape(text)(at_s) == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("7", "a number, a shape is needed"),
        ("constant(50", "write for example `constant"),
        ("sine(5)", "not a shape, one of constant, steps"),
        ("constant(50) + 1", "write constant"),
        ("constant(rate=50)", "it is constant"),
        ("diurnal(low_rps=9, high_rps=1)", "high_rps: 1, 9 or more"),
        ("constant(-1)", "rate_rps: -1"),
        ("constant(open('x'))", "must be a number or points"),
        ("__import__('os')", "not a shape"),
        ("constant(5).sample(9)", "not a shape"),
        ("constant(5) - constant(1)", "combined by"),
    ],
)
def test_what_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("(", r"\(")):
        parse_shape(text)
