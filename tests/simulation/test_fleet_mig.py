"""The modelled MIG manager: what a label does to a node, how long it takes, and how it fails."""

from __future__ import annotations

import math
from typing import Any

import pytest

from autoscaler.core.reasons import Reason
from autoscaler.core.slices.observed import Mark, MigAction, MigState, MigStep, SliceNode
from autoscaler.core.types import Outcome
from autoscaler.simulation.fleet.mig import MigManager
from autoscaler.simulation.fleet.pools import FixedPool
from autoscaler.simulation.fleet.scenario import MigSettings
from tests.simulation.fleets import CUT


def manager(**given: Any) -> tuple[MigManager, FixedPool]:
    pool = FixedPool(CUT)
    return MigManager(pool, MigSettings(**({"p99_ratio": 1.0} | given)), seed=1), pool


def action(step: MigStep, expected: str = "small", config: str = "large") -> MigAction:
    return MigAction(
        pool="cut",
        node="cut-0",
        step=step,
        expected=expected,
        config=config,
        reason=Reason.MIG_CHANGING,
        message="",
    )


def first(found: MigManager, *, blind: bool = False) -> SliceNode:
    return found.seen(lambda _: (), blind=blind)[0]


def test_a_label_takes_the_slices_and_the_metrics_away_until_the_new_ones_are_there() -> None:
    found, pool = manager(median_s=60.0)
    assert found.write(action(MigStep.CORDON), 0.0).outcome is Outcome.APPLIED
    assert (first(found).cordoned, first(found).mark) == (True, Mark(before="small", after="large"))
    assert found.write(action(MigStep.APPLY), 30.0).outcome is Outcome.APPLIED
    seen = first(found)
    assert (seen.config, seen.state, str(seen.slices)) == ("large", MigState.PENDING, "no slices")
    assert seen.devices is None, "its exporter is away"
    assert pool.nodes[0].slices == {"1g.10gb": 0, "3g.40gb": 0}
    found.follow(89.0)
    assert first(found).state is MigState.PENDING
    found.follow(90.0)
    seen = first(found)
    assert (seen.state, str(seen.slices), seen.devices) == (MigState.SUCCESS, "2x3g.40gb", 0)
    assert found.write(action(MigStep.UNCORDON, expected="large"), 90.0).outcome is Outcome.APPLIED
    assert (first(found).cordoned, first(found).mark) == (False, None)
    assert (found.changes, found.failures) == (1, 0)


def test_a_change_that_fails_brings_the_slices_from_before_back() -> None:
    found, _ = manager(failed_ratio=1.0)
    found.write(action(MigStep.CORDON), 0.0)
    found.write(action(MigStep.APPLY), 0.0)
    found.follow(60.0)
    seen = first(found)
    assert (seen.config, seen.state, str(seen.slices)) == ("large", MigState.FAILED, "7x1g.10gb")
    assert (found.changes, found.failures) == (1, 1)


def test_a_change_that_hangs_never_ends_and_another_label_begins_another() -> None:
    found, _ = manager(hung_ratio=1.0)
    found.write(action(MigStep.CORDON), 0.0)
    found.write(action(MigStep.APPLY), 0.0)
    assert found.nodes["cut-0"].due_s == math.inf
    found.follow(86400.0)
    assert first(found).state is MigState.PENDING
    assert str(first(found).slices) == "no slices"
    found.write(action(MigStep.APPLY, expected="large", config="small"), 86400.0)
    assert (found.changes, found.failures) == (2, 2)


def test_a_node_that_is_held_or_not_ours_is_refused() -> None:
    found, pool = manager()
    told = found.write(action(MigStep.APPLY), 0.0)
    assert (told.outcome, told.message) == (
        Outcome.CONFLICT,
        "it is not cordoned by forescale any more",
    )
    assert pool.place(0.0, 1 / 7, "1g.10gb") is pool.nodes[0]
    found.write(action(MigStep.CORDON), 0.0)
    assert found.write(action(MigStep.APPLY), 0.0).message == "in use"
    assert found.write(action(MigStep.APPLY, expected="large"), 0.0).message == (
        "its config is small by now"
    )
    assert first(found).state is MigState.SUCCESS


def test_an_outage_of_metrics_hides_devices_and_not_pods() -> None:
    found, _ = manager()
    assert first(found).devices == 0
    assert (first(found, blind=True).devices, first(found, blind=True).holders) == (None, ())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"median_s": -1.0}, "median_s: -1.0, 0 or more"),
        ({"p99_ratio": 0.5}, "p99_ratio: 0.5, 1 or more"),
        ({"failed_ratio": 2.0}, "failed_ratio: 2.0, 0 to 1"),
        ({"failed_ratio": 0.6, "hung_ratio": 0.6}, "hung_ratio: 0.6, with failed_ratio at most 1"),
    ],
)
def test_settings_that_can_not_be(given: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        MigSettings(**given)
