"""Checks a packing and its proof. Shares no code with the planner: plain data in, a list of faults out.

What is legal on a GPU is written down once more here, and searched by trying every place; the least price of covering a
demand is found by going through every cover. Slow, short, and without a clever step that could be wrong the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

# Memory slices that each slice of an eight-slice GPU may take, as NVIDIA's tools print them.
PLACES: Mapping[str, tuple[frozenset[int], ...]] = {
    "1g": tuple(frozenset([n]) for n in range(7)),
    "2g": (frozenset([0, 1]), frozenset([2, 3]), frozenset([4, 5])),
    "3g": (frozenset([0, 1, 2, 3]), frozenset([4, 5, 6, 7])),
    "4g": (frozenset([0, 1, 2, 3]),),
    "7g": (frozenset(range(8)),),
}
COMPUTE = {"1g": 1, "2g": 2, "3g": 3, "4g": 4, "7g": 7}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Demand by workload, and what one slice of each kind carries of it; whole numbers of one unit."""

    demand: Mapping[str, int]
    capacity: Mapping[str, Mapping[str, int]]
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Replicas by workload and kind of slice, and the slices of each GPU."""

    replicas: Mapping[tuple[str, str], int]
    gpus: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a slice of each kind is worth in parts of a GPU, and the bound that this is said to prove."""

    gpu: int
    slices: Mapping[str, int]
    surcharge: int
    bound: int


def layout_faults(question: Question, answer: Answer) -> list[str]:
    """What is wrong with a layout: GPUs that can't be cut so, slices used twice, demand not carried."""
    faults = []
    if len(answer.gpus) > question.gpus:
        faults.append(f"{len(answer.gpus)} GPUs are used, {question.gpus} are there")
    there: dict[str, int] = {}
    for number, slices in enumerate(answer.gpus):
        if not _can_be_cut(tuple(slices), frozenset()):
            faults.append(f"GPU {number} can't be cut into {', '.join(slices)}")
        for kind in slices:
            there[kind] = there.get(kind, 0) + 1
    for kind in PLACES:
        used = sum(n for (_, other), n in answer.replicas.items() if other == kind)
        if used > there.get(kind, 0):
            faults.append(f"{used} slices {kind} are used, {there.get(kind, 0)} are there")
    for workload, demand in question.demand.items():
        carried = 0
        for (name, kind), count in answer.replicas.items():
            if count < 0:
                faults.append(f"{count} replicas of {name} on {kind}")
            if name == workload:
                carried += count * question.capacity[name].get(kind, 0)
        if carried < demand:
            faults.append(f"{carried} of {demand} of {workload} is carried")
    return faults


def proof_faults(question: Question, proof: Proof, gpus: int) -> list[str]:
    """What is wrong with a proof that fewer than `gpus` can't do."""
    faults = []
    if proof.surcharge < 0 or any(price < 0 for price in proof.slices.values()):
        faults.append("a price is negative")
    for slices in _every_cut((), frozenset(), 0):
        worth = sum(proof.slices.get(kind, 0) for kind in slices)
        if worth > proof.gpu + proof.surcharge:
            faults.append(f"{', '.join(slices)} is worth {worth}, a GPU costs {proof.gpu}")
    least = sum(
        _least_price(question.capacity[name], proof.slices, demand)
        for name, demand in question.demand.items()
    )
    proven = least - proof.surcharge * question.gpus
    if proven < proof.bound:
        faults.append(f"the prices prove {proven}, the proof says {proof.bound}")
    if -(-proof.bound // proof.gpu) < gpus:
        faults.append(f"{proof.bound} of {proof.gpu} a GPU does not rule out {gpus - 1} GPUs")
    return faults


def _can_be_cut(slices: tuple[str, ...], taken: frozenset[int]) -> bool:
    if not slices:
        return True
    return any(
        _can_be_cut(slices[1:], taken | place)
        for place in PLACES.get(slices[0], ())
        if not place & taken
    )


def _every_cut(
    slices: tuple[str, ...], taken: frozenset[int], kinds_done: int
) -> Iterator[tuple[str, ...]]:
    """Every multiset of slices that some layout has; kinds in one order, some multisets more than once."""
    yield slices
    kinds = tuple(PLACES)
    for index in range(kinds_done, len(kinds)):
        for place in PLACES[kinds[index]]:
            if not place & taken:
                yield from _every_cut((*slices, kinds[index]), taken | place, index)


def _least_price(capacity: Mapping[str, int], prices: Mapping[str, int], demand: int) -> int:
    """Through every cover: of each kind none to as many as carry the demand alone."""
    kinds = [kind for kind in sorted(capacity) if capacity[kind] > 0]

    def go(index: int, need: int, spent: int) -> int:
        if need <= 0:
            return spent
        kind = kinds[index]
        enough = -(-need // capacity[kind])
        if index == len(kinds) - 1:
            return spent + enough * prices.get(kind, 0)
        return min(
            go(index + 1, need - n * capacity[kind], spent + n * prices.get(kind, 0))
            for n in range(enough + 1)
        )

    return go(0, demand, 0)
