"""Axes have few and round marks."""

from __future__ import annotations

import pytest

from autoscaler.report.scale import axis, clock, log_axis, moment, time_marks

MIDNIGHT_S = 1_767_225_600.0
HOUR_S = 3600.0


@pytest.mark.parametrize(
    ("low", "highest", "marks"),
    [
        (0.0, 8.0, (0, 2, 4, 6, 8)),
        (0.0, 103.0, (0, 50, 100)),
        (0.0, 1.0, (0, 0.5, 1.0)),
        (-100.0, 100.0, (-100, -50, 0, 50, 100)),
        (0.0, 0.0, (0, 5e-10, 1e-9)),
    ],
)
def test_marks_are_round_and_hold_the_highest(
    low: float, highest: float, marks: tuple[float, ...]
) -> None:
    found = axis(low, highest)
    assert found.marks() == pytest.approx(marks)
    assert found.share(low) == 0.0
    assert found.share(highest) <= 1.0


def test_what_lies_outside_sticks_to_the_edge() -> None:
    assert axis(0.0, 10.0).share(-5.0) == 0.0
    assert log_axis(0.1, 10.0).share(99.0) == 1.0


@pytest.mark.parametrize(
    ("lowest", "highest", "marks"),
    [
        (150.0, 900.0, (100, 200, 500, 1000)),
        (0.02, 9.0, (0.01, 0.1, 1.0, 10.0)),
        (5.0, 5.0, (5.0, 10.0)),
    ],
)
def test_logarithmic_marks(lowest: float, highest: float, marks: tuple[float, ...]) -> None:
    assert log_axis(lowest, highest).marks() == pytest.approx(marks)


@pytest.mark.parametrize(
    ("start_s", "hours", "marks"),
    [
        (0.0, 24.0, ["00:00", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "00:00"]),
        (600.0, 1.0, ["00:10", "00:20", "00:30", "00:40", "00:50", "01:00", "01:10"]),
        (0.0, 72.0, ["00:00", "12:00", "00:00", "12:00", "00:00", "12:00", "00:00"]),
        (0.0, 240.0, ["Jan 1", "Jan 3", "Jan 5", "Jan 7", "Jan 9", "Jan 11"]),
    ],
)  # fmt: skip
def test_times_are_labelled_at_round_hours(start_s: float, hours: float, marks: list[str]) -> None:
    found = time_marks(MIDNIGHT_S + start_s, hours * HOUR_S)
    assert [label for _, label in found] == marks
    assert all(0.0 <= at_s <= hours * HOUR_S for at_s, _ in found)


def test_a_time_in_words() -> None:
    assert clock(MIDNIGHT_S + 50_520.0) == "14:02"
    assert moment(MIDNIGHT_S + 50_520.0) == "2026-01-01 14:02"
