"""Cron floors: which number of replicas a schedule asks for at a given time.

Cron expressions are cronsim's (as Debian's cron reads them); a time zone's clock changes are followed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim

from autoscaler.core.types import ScheduledFloor

MINUTE_S = 60.0


def scheduled_floor(schedule: tuple[ScheduledFloor, ...], now_s: float) -> int | None:
    """The highest floor whose time has come and is not over; None: none."""
    floors = [
        floor.min_replicas
        for floor in schedule
        if now_s - _last_start_s(floor.cron, floor.timezone, now_s - now_s % MINUTE_S)
        < floor.duration_s
    ]
    return max(floors, default=None)


@lru_cache(maxsize=4096)
def _last_start_s(cron: str, timezone: str, minute_s: float) -> float:
    """When `cron` last named a time up to the minute of `minute_s`; -inf if it did not within a year."""
    # cronsim walks away from its start and leaves it out: one minute later, so that this minute counts.
    start = datetime.fromtimestamp(minute_s, tz=UTC).astimezone(ZoneInfo(timezone)) + timedelta(
        minutes=1
    )
    match = next(CronSim(cron, start, reverse=True), None)
    return match.timestamp() if match is not None else float("-inf")
