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
