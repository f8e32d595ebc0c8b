"""Who changed the replicas, and what follows from it."""

from __future__ import annotations

import pytest

from autoscaler.core.external import detect
from autoscaler.core.reasons import Reason
from autoscaler.core.state import ExternalFloor, Written
from autoscaler.core.types import ReplicaStatus, Severity

FOUR = Written(replicas=4, before=2, at_s=1000.0)
NOW_S = 1100.0
OTHER = "forescale:ops/forescale"


def told(desired: int, set_by: str | None, *, itself: bool = False) -> str | None:
    """What is said of a change from four replicas; None: it is no edit."""
    replicas = ReplicaStatus(desired=desired, set_by=set_by, set_by_itself=itself)
    edit = detect(FOUR, None, replicas=replicas, now_s=NOW_S, floor_s=3600.0)
    return None if edit.finding is None else edit.finding.message


@pytest.mark.parametrize(
    ("set_by", "by"),
    [
        (None, "from outside"),
        ("kubectl", "by kubectl"),
        ("argocd-controller", "by argocd-controller"),
    ],
)
def test_an_edit_names_who_made_it(set_by: str | None, by: str) -> None:
    assert (told(6, set_by) or "").startswith(f"replicas were raised from 4 to 6 {by}; kept as")
    assert (told(1, set_by) or "").startswith(f"replicas were lowered from 4 to 1 {by}; forescale")
    assert told(4, set_by) is None


@pytest.mark.parametrize(
    ("since_s", "lagging"),
    [(0.0, True), (20.0, True), (21.0, False), (-1.0, False), (-300.0, False)],
)
def test_the_number_from_before_is_the_watchs_for_a_moment_and_no_longer(
    since_s: float, lagging: bool
) -> None:
    """By a clock that was set back five minutes it was the watch's for all of them, and each write was a conflict."""
    replicas = ReplicaStatus(desired=2, set_by="kubectl")
    edit = detect(FOUR, None, replicas=replicas, now_s=1000.0 + since_s, floor_s=3600.0)
    assert (edit.lagging, edit.finding is None) == (lagging, lagging)


def test_an_own_write_that_was_given_up_and_made_all_the_same_is_no_edit() -> None:
    """An API server that takes 5 s carries out what was waited 4 s for."""
    replicas = ReplicaStatus(desired=9, set_by="forescale:a/b", set_by_itself=True)
    floor = ExternalFloor(replicas=3, until_s=2000.0)
    edit = detect(FOUR, floor, replicas=replicas, now_s=NOW_S, floor_s=3600.0)
    assert (edit.floor, edit.lowered, edit.finding) == (floor, False, None)


@pytest.mark.parametrize("desired", [1, 9])
def test_another_forescale_is_named_and_sets_no_floor(desired: int) -> None:
    """Each would keep up the other's number for an hour, and that again be a floor of the first."""
    replicas = ReplicaStatus(desired=desired, set_by=OTHER)
    edit = detect(FOUR, None, replicas=replicas, now_s=NOW_S, floor_s=3600.0)
    assert (edit.floor, edit.lowered) == (None, False)
    assert edit.finding is not None
    assert (edit.finding.reason, edit.finding.severity) == (Reason.EXTERNAL_EDIT, Severity.WARNING)
    assert (
        f"from 4 to {desired} by another forescale, that of the Lease ops/forescale: "
        in edit.finding.message
    )
