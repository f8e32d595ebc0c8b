"""Cron floors: which number of replicas a schedule asks for at a given time.

Cron expressions are cronsim's (as Debian's cron reads them); a time zone's clock changes are followed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from autoscaler.core.annotations import PREFIX
from autoscaler.core.types import ScheduledFloor, WorkloadSpec
from autoscaler.errors import Problem

MINUTE_S = 60.0


def with_readable_schedule(
    parsed: WorkloadSpec | tuple[Problem, ...],
) -> WorkloadSpec | tuple[Problem, ...]:
    """What the annotations say, unless their schedule has the form of one and names no time, or no place.

    The core reads the form alone: cron and time zones are a library's, and the machine's.
    """
    if not isinstance(parsed, WorkloadSpec):
        return parsed
    where = f"{parsed.id} {PREFIX}schedule"
    problems = tuple(problem for floor in parsed.schedule for problem in _problems(floor, where))
    return problems or parsed


def _problems(floor: ScheduledFloor, where: str) -> Iterator[Problem]:
    try:
        CronSim(floor.cron, datetime.fromtimestamp(0.0, tz=UTC), reverse=True)
    except CronSimError as error:
        said = str(error)
        allowed = "minute, hour, day, month and weekday as cron has them, such as `0 8 * * mon-fri`"
        yield Problem(
            where, f"{floor.cron!r}: {said[:1].lower()}{said[1:]}", f"{allowed}, are allowed"
        )
    try:
        ZoneInfo(floor.timezone)
    except (ValueError, OSError, LookupError):
        yield Problem(
            where,
            f"{floor.timezone!r} is no time zone",
            "a name of the tz database is allowed, such as Europe/Berlin, or none for UTC",
        )


def scheduled_floor(schedule: tuple[ScheduledFloor, ...], now_s: float) -> int | None:
    """The highest floor whose time has come and is not over; None: none."""
    floors = [
        floor.min_replicas
        for floor in schedule
        if now_s - _last_start_s(floor.cron, floor.timezone, now_s - now_s % MINUTE_S)
        < floor.duration_s
    ]
    return max(floors, default=None)


def floor_ahead(schedule: tuple[ScheduledFloor, ...], now_s: float, ahead_s: float) -> int | None:
    """The highest floor within `ahead_s`, looked at once a minute."""
    if not schedule:
        return None
    minutes = range(math.ceil(ahead_s / MINUTE_S) + 1)
    floors = [scheduled_floor(schedule, now_s + minute * MINUTE_S) for minute in minutes]
    return max((floor for floor in floors if floor is not None), default=None)


@lru_cache(maxsize=4096)
def _last_start_s(cron: str, timezone: str, minute_s: float) -> float:
    """When `cron` last named a time up to the minute of `minute_s`; -inf if it did not within a year."""
    # cronsim walks away from its start and leaves it out: one minute later, so that this minute counts.
    start = datetime.fromtimestamp(minute_s, tz=UTC).astimezone(ZoneInfo(timezone)) + timedelta(
        minutes=1
    )
    match = next(CronSim(cron, start, reverse=True), None)
    return match.timestamp() if match is not None else float("-inf")
