"""A changed template until its rollout has ended, as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.slices.rollout import Followed, follow, rewritten
from autoscaler.core.slices.template import (
    ShapeMark,
    ShapePhase,
    ShapeStep,
)
from autoscaler.core.state import WorkloadState, Written
from autoscaler.core.types import (
    Mode,
    PodStatus,
    ReplicaStatus,
    WorkloadInput,
)
from tests.core.slices.templates import MARK, NEEDS, ONE, TWO, status
from tests.core.story import START_S, spec

STALLED = 'ProgressDeadlineExceeded: ReplicaSet "bert-h2" has timed out progressing.'
RESTORING = replace(MARK, phase=ShapePhase.RESTORING, why="OOM")


def pod(name: str, template_hash: str, *, ready: bool) -> PodStatus:
    at_s = START_S if ready else None
    return PodStatus(name=name, template_hash=template_hash, created_s=START_S, ready_s=at_s)


def rolling(
    new: int, *, old: int = 0, mark: ShapeMark = MARK, mode: Mode = Mode.AUTO, **changes: object
) -> WorkloadInput:
    """So many of four replicas are ready with the new template, and so many old ones are left."""
    asked = mark.after if mark.phase is ShapePhase.ROLLING else mark.before
    return WorkloadInput(
        spec=spec(node_needs=NEEDS, slice_shapes=(ONE, TWO), mode=mode),
        replicas=ReplicaStatus(desired=4, rollout=old > 0, template_hash="h2"),
        pods=(
            *(pod(f"n{i}", "h2", ready=i < new) for i in range(4)),
            *(pod(f"o{i}", "h1", ready=True) for i in range(old)),
        ),
        template=replace(status(shape=asked, mark=mark), **changes),  # type: ignore[arg-type]
    )


def after(given: WorkloadInput, seconds: float, hold: str | None = None) -> Followed:
    assert given.template is not None
    assert given.template.mark is not None
    return follow(given, given.template.mark, now_s=START_S + seconds, watchdog_s=1800.0, hold=hold)


@pytest.mark.parametrize(
    ("given", "seconds", "step", "phase", "said"),
    [
        pytest.param(rolling(2, old=2), 300.0, None, None, "rolling for 5 min", id="rolling"),
        pytest.param(rolling(4), 10.0, None, None, "rolling for 0 min", id="seen too soon"),
        pytest.param(
            rolling(4),
            60.0,
            ShapeStep.SETTLE,
            ShapePhase.DONE,
            "from 2g.20gb to 1g.10gb: done, all 4 replicas are ready on 1g.10gb",
            id="done",
        ),
        pytest.param(
            rolling(4), -7200.0, ShapeStep.SETTLE, ShapePhase.DONE, "done", id="a clock set back"
        ),
        pytest.param(rolling(3), 1700.0, None, None, "rolling for 28 min", id="one is missing"),
        pytest.param(
            rolling(3),
            1800.0,
            ShapeStep.RESTORE,
            ShapePhase.RESTORING,
            "1g.10gb failed: not all replicas are ready after 30 minutes; 2g.20gb is put back",
            id="watchdog",
        ),
        pytest.param(
            replace(rolling(3), pods_known=False), 7200.0, None, None, "for 120 min", id="not seen"
        ),
        pytest.param(
            rolling(0, old=3, stalled=STALLED),
            601.0,
            ShapeStep.RESTORE,
            ShapePhase.RESTORING,
            "1g.10gb failed: ProgressDeadlineExceeded",
            id="stalled",
        ),
        pytest.param(
            rolling(0, old=3, stalled=STALLED),
            10.0,
            None,
            None,
            "rolling for 0 min",
            id="stalled before",
        ),
        pytest.param(
            rolling(4, shape=TWO),
            60.0,
            ShapeStep.SETTLE,
            ShapePhase.FAILED,
            "given up, somebody has changed the template to 2g.20gb meanwhile",
            id="taken back by somebody",
        ),
        pytest.param(
            rolling(1, old=3, image="bert:2"),
            60.0,
            ShapeStep.SETTLE,
            ShapePhase.DONE,
            "somebody has changed its image to bert:2 meanwhile",
            id="their rollout now",
        ),
        pytest.param(
            rolling(2, old=2, mark=RESTORING), 300.0, None, None, "restoring for 5 min", id="back"
        ),
        pytest.param(
            rolling(4, mark=RESTORING),
            60.0,
            ShapeStep.SETTLE,
            ShapePhase.FAILED,
            "from 2g.20gb to 1g.10gb: given up, OOM",
            id="is back",
        ),
        pytest.param(
            rolling(1, old=3, mark=RESTORING),
            1800.0,
            None,
            None,
            "2g.20gb was put back (OOM), and the rollout does not get on with it either",
            id="put back once",
        ),
    ],
)
def test_one_look_at_a_change(
    given: WorkloadInput,
    seconds: float,
    step: ShapeStep | None,
    phase: ShapePhase | None,
    said: str,
) -> None:
    seen = after(given, seconds)
    assert said in seen.message
    assert (seen.action.step if seen.action else None) is step
    if seen.action is not None:
        assert given.template is not None
        assert seen.action.known == given.template.mark
        assert (seen.action.mark.phase, seen.action.mark.at_s) == (phase, START_S + seconds)
        assert seen.action.observed == 4


@pytest.mark.parametrize(
    ("given", "hold", "why"),
    [
        pytest.param(rolling(3), "all scaling is frozen: x", "not written: all scaling", id="ice"),
        pytest.param(rolling(3, mode=Mode.OFF), None, "not written: its mode is off", id="off"),
    ],
)
def test_what_may_not_be_written_is_said(given: WorkloadInput, hold: str | None, why: str) -> None:
    seen = after(given, 1800.0, hold)
    assert (seen.action, seen.person) == (None, True)
    assert why in seen.message


@pytest.mark.parametrize(
    ("written", "desired", "mark", "expected"),
    [
        pytest.param(3, 4, MARK, 4, id="came with the template"),
        pytest.param(3, 5, MARK, 3, id="an edit"),
        pytest.param(4, 4, MARK, 4, id="known already"),
        pytest.param(3, 4, replace(MARK, phase=ShapePhase.DONE), 3, id="long ago"),
    ],
)
def test_replicas_that_came_with_the_template_are_nobodys_edit(
    written: int, desired: int, mark: ShapeMark, expected: int
) -> None:
    given = rolling(4, mark=mark)
    given = replace(given, replicas=replace(given.replicas, desired=desired))
    before = Written(replicas=written, before=written, at_s=START_S - 60.0)
    state = WorkloadState(id=given.spec.id, first_seen_s=START_S, written=before)
    told = rewritten(state, given).written
    assert told is not None
    assert told.replicas == expected
