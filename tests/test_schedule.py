"""Schedules whose form is right and which name no time or no place; one that slips through harms nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.collectors.projection import target
from autoscaler.collectors.seen import seen_target
from autoscaler.core.annotations import Defaults
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import SlicesInput
from autoscaler.core.slices.settings import SliceSettings, SlicesMode
from autoscaler.core.types import ScheduledFloor, TickInput, WorkloadSpec
from autoscaler.engine import DecisionEngine
from autoscaler.schedule import scheduled_floor, with_readable_schedule
from tests.collectors.test_projection import deployment
from tests.core.story import Story, spec

ZONE = (
    "is no time zone, a name of the tz database is allowed, such as Europe/Berlin, or none for UTC"
)
CRON = (
    "minute, hour, day, month and weekday as cron has them, such as `0 8 * * mon-fri`, are allowed"
)


def floor(cron: str, timezone: str = "UTC") -> ScheduledFloor:
    return ScheduledFloor(cron=cron, duration_s=3600.0, min_replicas=4, timezone=timezone)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (floor("0 8 * * mon-fri", "Europe/Berlin"), []),
        (floor("*/30 * * * *"), []),
        (floor("0 25 * * *"), [f"'0 25 * * *': bad hour, {CRON}"]),
        (floor("0 8 31 2 *"), [f"'0 8 31 2 *': bad day-of-month, {CRON}"]),
        (floor("0 8 * * *", "Europe/Berln"), [f"'Europe/Berln' {ZONE}"]),
        (floor("0 8 * * *", "../etc/passwd"), [f"'../etc/passwd' {ZONE}"]),
        (floor("0 8 * * *", "Europe"), [f"'Europe' {ZONE}"]),
        (
            floor("60 8 * * *", "Berlin"),
            [f"'60 8 * * *': bad minute, {CRON}", f"'Berlin' {ZONE}"],
        ),
    ],
)
def test_what_names_no_time_or_no_place_is_told(given: ScheduledFloor, told: list[str]) -> None:
    found = with_readable_schedule(spec(schedule=(given,)))
    if isinstance(found, WorkloadSpec):
        assert told == []
        scheduled_floor(found.schedule, 1_000_000_000.0)
        return
    assert [str(problem) for problem in found] == [
        f"team/bert forescale.io/schedule: {text}" for text in told
    ]


def test_a_workload_with_such_a_schedule_is_refused_by_an_event() -> None:
    annotations = {
        "forescale.io/slo": "99% < 1s",
        "forescale.io/schedule": "4 @ 0 8 * * mon-fri for 10h in Europe/Berln",
    }
    view = target(deployment(metadata__annotations=annotations), "Deployment")
    assert view is not None
    seen = seen_target(view, Defaults(), (), {}, {}, pods_known=True)
    assert (seen.spec, seen.reason) == (None, Reason.INVALID_ANNOTATION)
    assert [problem.given for problem in seen.problems] == ["'Europe/Berln' is no time zone"]


def test_one_that_slips_through_stops_no_other_workload() -> None:
    """A journal of an older version may hold it, or a machine may lack the zone."""
    config = EngineConfig(slices=SliceSettings(mode=SlicesMode.AUTO))
    story = Story(replicas=2)
    story.run(120, rate_rps=25)
    given = story.given()
    lost = replace(
        given,
        spec=spec("lost", variant_group="bert", schedule=(floor("0 8 * * *", "Europe/Berln"),)),
    )
    tick = TickInput(
        now_s=story.now_s + 10.0, workloads=(lost, given), slices=SlicesInput(fronts=())
    )
    result = DecisionEngine(config).tick(tick)
    by_name = {decision.workload.name: decision for decision in result.decisions}
    assert by_name["lost"].reason is Reason.INTERNAL_ERROR
    assert by_name["bert"].reason is not Reason.INTERNAL_ERROR
    assert [finding.reason for finding in result.fleet] == [Reason.INTERNAL_ERROR]
