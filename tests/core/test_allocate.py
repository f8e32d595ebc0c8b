"""Too few GPUs: floors, an open share, priority, worth; and every cut says who was served instead."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.core.allocate import Allocation, Claim, Gate, Stuck, allocate, ceiling
from autoscaler.core.types import WorkloadId


def claim(
    name: str,
    wanted: int,
    *,
    floor: int = 1,
    held: int = 0,
    priority: int = 0,
    gpus: float = 1.0,
    worth: tuple[float, ...] | None = None,
) -> Claim:
    return Claim(
        workload=WorkloadId(namespace="team", name=name),
        pool="a100",
        priority=priority,
        floor=floor,
        held=held,
        wanted=wanted,
        milligpus=round(gpus * 1000),
        worth=worth,
    )


def divided(gpus: float | None, *claims: Claim) -> Allocation:
    return allocate(claims, {"a100": None if gpus is None else round(gpus * 1000)})


def given_of(answer: Allocation) -> dict[str, int]:
    return {workload.name: count for workload, count in answer.given.items()}


EVEN = (5.0, 4.0, 3.0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("gpus", "claims", "given"),
    [
        pytest.param(10, (claim("a", 4), claim("b", 6)), {"a": 4, "b": 6}, id="enough"),
        pytest.param(None, (claim("a", 4), claim("b", 60)), {"a": 4, "b": 60}, id="supply unknown"),
        pytest.param(
            6,
            (claim("a", 9, worth=EVEN), claim("b", 9, worth=EVEN)),
            {"a": 3, "b": 3},
            id="equals share",
        ),
        pytest.param(
            6,
            (claim("a", 9, worth=(5.0, 0.5)), claim("b", 9, worth=(4.0, 3.0, 2.0))),
            {"a": 2, "b": 4},
            id="the next replica where it avoids most",
        ),
        pytest.param(
            6,
            (claim("a", 9, gpus=2.0, worth=(8.0,)), claim("b", 9, worth=(5.0, 4.5, 4.1, 0.1))),
            {"a": 1, "b": 4},
            id="worth is counted for each GPU",
        ),
        pytest.param(
            6,
            (claim("a", 9, floor=3), claim("b", 9, floor=3, priority=9)),
            {"a": 3, "b": 3},
            id="floors before priority",
        ),
        pytest.param(
            4,
            (claim("a", 9, floor=3), claim("b", 9, floor=3, priority=9)),
            {"a": 1, "b": 3},
            id="floors that do not fit go by priority",
        ),
        pytest.param(
            6,
            (claim("a", 9, worth=EVEN), claim("b", 9, priority=9, worth=(1.0,))),
            {"a": 1, "b": 5},
            id="priority before worth",
        ),
        pytest.param(
            3.5,
            (claim("a", 9, gpus=2.0, priority=9), claim("b", 9, gpus=0.5)),
            {"a": 1, "b": 3},
            id="what does not fit lets smaller ones by",
        ),
    ],
)
def test_who_gets_how_many(
    gpus: float | None, claims: tuple[Claim, ...], given: dict[str, int]
) -> None:
    assert given_of(divided(gpus, *claims)) == given


def test_a_tenth_goes_by_worth_so_that_no_priority_starves() -> None:
    low = claim("low", 50, worth=(9.0,))
    high = claim("high", 100, priority=9, worth=(1.0,))
    # Of forty left after the floors four go by worth, thirty-six by priority.
    assert given_of(divided(42, low, high)) == {"low": 5, "high": 37}


def test_noise_in_the_worth_moves_nothing() -> None:
    before = (claim("a", 9, held=5, worth=(1.0,)), claim("b", 9, held=1, worth=(1.1,)))
    assert given_of(divided(6, *before)) == {"a": 5, "b": 1}


def test_an_unknown_worth_keeps_what_runs_and_gets_nothing_ahead_of_a_known_one() -> None:
    unknown, known = claim("a", 9, held=3), claim("b", 9, held=1, worth=(9.0,))
    assert given_of(divided(6, unknown, known)) == {"a": 3, "b": 3}


def test_a_cut_names_who_was_served_and_why() -> None:
    answer = divided(
        4, claim("a", 5, worth=(0.5,)), claim("b", 2, priority=9), claim("c", 1, floor=1)
    )
    (cut,) = answer.cuts
    assert (cut.workload.name, cut.wanted, cut.given) == ("a", 5, 1)
    assert [workload.name for workload in cut.instead] == ["b"]
    assert cut.message == (
        "4 of 5 replicas wait: a100 has 4 GPUs, 4 more are asked for; "
        "team/b goes first with priority 9 against 0"
    )


def test_a_cut_by_worth_tells_both() -> None:
    answer = divided(3, claim("a", 2, worth=(0.5,)), claim("b", 2, gpus=0.5, worth=(2.0,)))
    assert answer.cuts == ()
    (cut,) = divided(2, claim("a", 2, worth=(0.5,)), claim("b", 2, gpus=0.5, worth=(2.0,))).cuts
    assert cut.message.endswith(
        "team/b goes first: each of the GPUs there avoids 4 violations a second, 0.5 here"
    )


def test_a_floor_that_is_cut_tells_of_floors() -> None:
    (cut,) = divided(1, claim("a", 1), claim("b", 1, priority=9)).cuts
    assert cut.message.endswith("team/b was served its floor of 1")


claims = st.lists(
    st.builds(
        claim,
        st.sampled_from("abcdefgh"),
        st.integers(0, 12),
        floor=st.integers(0, 4),
        held=st.integers(0, 12),
        priority=st.integers(0, 2),
        gpus=st.sampled_from([0.125, 0.5, 1.0, 2.0]),
        worth=st.none() | st.lists(st.floats(0, 9), min_size=1, max_size=4).map(tuple),
    ),
    max_size=8,
    unique_by=lambda made: made.workload,
)


@settings(deadline=None, derandomize=True)
@given(claims, st.integers(0, 30))
def test_nothing_is_given_that_is_not_there_nor_kept_that_could_be_given(
    drawn: list[Claim], gpus: int
) -> None:
    answer = divided(gpus, *drawn)
    used = sum(answer.given[c.workload] * c.milligpus for c in drawn)
    assert used <= gpus * 1000
    cut = {one.workload for one in answer.cuts}
    for made in drawn:
        count = answer.given[made.workload]
        assert count <= made.wanted
        assert (count < made.wanted) == (made.workload in cut)
        if count < made.wanted:
            assert made.milligpus > gpus * 1000 - used, "it would have fitted"
    floors = sum(min(c.floor, c.wanted) * c.milligpus for c in drawn)
    if floors <= gpus * 1000:
        assert all(answer.given[c.workload] >= min(c.floor, c.wanted) for c in drawn)


@pytest.mark.parametrize(
    ("stuck", "limit"),
    [
        (None, None),
        (Stuck(gate=Gate.PENDING, count=0, since_s=0.0), None),
        (Stuck(gate=Gate.PENDING, count=5, since_s=950.0), None),
        (Stuck(gate=Gate.QUOTA, count=5, since_s=400.0), 8),
    ],
)
def test_nobody_chases_what_can_not_be_scheduled(stuck: Stuck | None, limit: int | None) -> None:
    answer = ceiling(scheduled=7, stuck=stuck, now_s=1000.0, patience_s=300.0)
    assert (answer and answer[0]) == limit


def test_a_ceiling_says_what_holds_replicas_back() -> None:
    stuck = Stuck(gate=Gate.FAILED_CREATE, count=2, since_s=400.0)
    answer = ceiling(scheduled=7, stuck=stuck, now_s=1000.0, patience_s=300.0)
    assert answer is not None
    assert answer[1] == (
        "2 replicas have been stuck for 10 minutes (the ReplicaSet can't create pods): no more than one is asked for "
        "beyond the 7 that are scheduled"
    )
