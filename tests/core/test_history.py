"""The usual demand: the mean of what is known of the newest minutes, wherever the ring begins."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from autoscaler.core.history import DemandHistory

HOUR_DAYS = 60.0 / 1440.0


@pytest.mark.parametrize(
    ("days", "written", "minutes", "mean_rps"),
    [
        pytest.param(1.0, range(59), 1440, None, id="less-than-an-hour"),
        pytest.param(1.0, range(60), 1440, 29.5, id="an-hour"),
        pytest.param(1.0, range(100), 60, 69.5, id="only-the-newest"),
        pytest.param(HOUR_DAYS, range(60), 60, 29.5, id="the-ring-is-full"),
        pytest.param(HOUR_DAYS, range(90), 60, 59.5, id="across-the-end-of-the-ring"),
        pytest.param(HOUR_DAYS, range(90), 1440, 59.5, id="no-more-than-the-ring-holds"),
        pytest.param(1.0, (*range(60), *range(100, 160)), 160, 79.5, id="a-gap-is-not-zero"),
        pytest.param(1.0, (*range(59), 100), 160, 30.2, id="a-gap-is-not-known"),
    ],
)
def test_mean_of_the_newest_minutes(
    days: float, written: Sequence[int], minutes: int, mean_rps: float | None
) -> None:
    history = DemandHistory(days)
    for minute in written:
        history.put(60.0 * minute, float(minute))
    told = history.mean_rps(minutes)
    assert told == (None if mean_rps is None else pytest.approx(mean_rps, abs=0.05))


@pytest.mark.parametrize(
    ("ahead", "written", "known"),
    [
        pytest.param((), range(60), 60, id="it-was-not"),
        pytest.param(range(60, 70), range(60), 60, id="ten-minutes"),
        pytest.param(range(2000, 2010), range(0), 0, id="longer-than-the-ring"),
    ],
)
def test_after_a_clock_that_was_ahead_minutes_are_written_again(
    ahead: Sequence[int], written: Sequence[int], known: int
) -> None:
    """A day's ring; an hour, then minutes that had not come, then the minutes from there on."""
    history = DemandHistory(1.0)
    for minute in (*range(60), *ahead):
        history.put(60.0 * minute, 1.0)
    history.set_back(3599.0)
    first_s, values = history.series()
    assert first_s + 60.0 * len(values) == 3600.0
    assert [value for value in values if value == value] == [1.0] * known
    history.put(3600.0, 2.0)
    first_s, values = history.series()
    assert (first_s + 60.0 * len(values), values[-1]) == (3660.0, 2.0)
