"""Scenarios whose every decision is kept: a change of a decision shows as a change of a file.

`make update-golden` writes them anew; the difference belongs into the review of the change that made it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autoscaler.core.reasons import Reason
from autoscaler.core.types import Decision
from tests.core.story import START_S, Story, spec

FOLDER = Path(__file__).parent


def rise_and_fall() -> Story:
    story = Story(replicas=2)
    story.run(120, rate_rps=25)
    story.run(300, rate_rps=125)
    story.run(400, rate_rps=25)
    return story


def outage_while_demand_falls() -> Story:
    story = Story(replicas=6)
    story.run(200, rate_rps=100)
    story.metrics_up = False
    story.run(120, rate_rps=20)
    story.metrics_up = True
    story.run(400)
    return story


def burst() -> Story:
    story = Story(replicas=4, spec=spec(max_replicas=20))
    story.run(120, rate_rps=50)
    story.run(60, rate_rps=400)
    story.run(500, rate_rps=50)
    return story


def rollout_and_edits() -> Story:
    story = Story(replicas=6)
    story.run(200, rate_rps=60)
    story.rollout = True
    story.run(200, rate_rps=20)
    story.rollout = False
    story.run(200)
    story.scale(5)
    story.run(60)
    story.scale(1)
    story.run(60)
    return story


def flood_of_blocking_servers() -> Story:
    story = Story(replicas=2, blocking=True)
    story.run(120, rate_rps=25)
    story.run(240, rate_rps=220)
    story.run(300, rate_rps=25)
    return story


SCENARIOS: tuple[Callable[[], Story], ...] = (
    rise_and_fall,
    outage_while_demand_falls,
    burst,
    rollout_and_edits,
    flood_of_blocking_servers,
)


def line(at_s: float, decision: Decision) -> str:
    """One decision with its steps, as a reviewer reads it."""
    steps = "; ".join(f"{s.stage} {s.before}->{s.after} {s.reason}" for s in decision.steps)
    # Servers of a story tell no latency: it would stand in every line.
    findings = ",".join(f.reason for f in decision.findings if f.reason is not Reason.SLO_UNTOLD)
    facts = decision.facts
    measured = (
        f"{_short(facts.offered_rps)}/{_short(facts.upper_rps)} rps at {_short(facts.capacity_rps)}"
    )
    moved = f"{decision.current}->{decision.target} {decision.reason}"
    return f"{at_s:5.0f} s  {moved}  {measured}  [{steps}] {findings}".rstrip()


def _short(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_golden(scenario: Callable[[], Story], request: pytest.FixtureRequest) -> None:
    story = scenario()
    text = "".join(
        line(at_s - START_S, decision) + "\n"
        for at_s, decision in zip(story.times_s, story.decisions, strict=True)
    )
    path = FOLDER / f"{scenario.__name__}.txt"
    if request.config.getoption("--update-golden"):
        path.write_text(text)
    assert path.read_text() == text, (
        "a decision changed: see the difference, then `make update-golden`"
    )


def test_no_file_is_left_of_a_scenario_that_went() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == {one.__name__ for one in SCENARIOS}
