"""How many slices must be there so that no replica ever waits, however Kubernetes places the others.

A pod asks for a slice by name, and the scheduler gives it any that the pod may use. A replica is stuck only when all
the slices that it may use are taken. So for the slices that each variant may use, all replicas that *may* sit there
are counted, not those that are hoped to. Example: `a` may use pools 1 and 2, `b` only pool 1, on the same profile.
One slice for each in total is not enough: `a` may take the one in pool 1. Two are needed there, or `a` is kept out by
a taint.

A spread variant must find its slice in each domain, so the rule holds for each; at most `peak` of its replicas sit in
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.packing.problem import Cell, Domain, HeldGpu, PackingProblem, Variant, Workload


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SupplyRow:
    """The slices of `shape` in `cells` must be at least as many as all the claims on them."""

    shape: str
    cells: tuple[str, ...]
    claims: tuple[tuple[str, bool], ...]
    """Variants whose replicas may sit there; True: at most the variant's peak in one domain, False: all of them."""


SHARE = 840
"""Of a whole GPU, in units of which every slice has a whole number."""


def shares(problem: PackingProblem) -> dict[str, int]:
    """The share of a GPU that a slice of each shape takes: one over as many as fit, in units of `SHARE`."""
    most: dict[str, int] = {}
    for cell in problem.cells:
        for geometry in cell.geometries:
            for shape, count in geometry.counts:
                most[shape] = max(most.get(shape, 0), count)
    return {shape: SHARE // count for shape, count in most.items()}


def supply_rows(problem: PackingProblem) -> tuple[SupplyRow, ...]:
    """Every row that has to hold, each once, in order."""
    cells = {cell.name: cell for cell in problem.cells}
    variants = [variant for _, variant in problem.variants() if variant.capacity_mrps > 0]
    places = {
        (variant.shape, place) for variant in variants for place in domains(variant, cells).values()
    }
    rows = []
    for shape, place in places:
        claims = tuple(
            sorted(
                (variant.name, _in_one_domain(variant, place, cells))
                for variant in variants
                if variant.shape == shape and variant.cells & place
            )
        )
        rows.append(SupplyRow(shape=shape, cells=tuple(sorted(place)), claims=claims))
    return tuple(sorted(rows))


def domains(variant: Variant, cells: dict[str, Cell]) -> dict[str, frozenset[str]]:
    """The places in which it must find a slice: its domains by name, or all its cells together."""
    if variant.spread is None:
        return {"": variant.cells}
    found: dict[str, set[str]] = {}
    for name in variant.cells:
        found.setdefault(cells[name].domain(variant.spread.over) or "", set()).add(name)
    return {name: frozenset(names) for name, names in found.items()}


def peak(replicas: int, domain_count: int, max_skew: int) -> int:
    """The most replicas that a spread lets one domain have.

    With m there, each of the others has at least m - skew: m + (D - 1)(m - skew) <= replicas.
    """
    return min(replicas, (replicas + (domain_count - 1) * max_skew) // domain_count)


def most_on(variant: Variant, slices: int) -> int:
    """How many replicas a GPU with so many slices for it takes."""
    return slices if variant.per_gpu is None else min(slices, variant.per_gpu)


def most_on_held(variant: Variant, gpu: HeldGpu, shapes: Mapping[str, str]) -> int:
    """The same of a GPU in use: what it has there, or what would fit beside the others. `shapes` is by variant."""
    others = sum(
        count
        for name, count in gpu.replicas
        if name != variant.name and shapes[name] == variant.shape
    )
    fit = most_on(variant, gpu.geometry.count(variant.shape) - others)
    return max(fit, dict(gpu.replicas).get(variant.name, 0))


def lost_with_a_node(workload: Workload, variant: Variant) -> int | None:
    """The most replicas that go with one node; None: a spread tells, or nothing."""
    return variant.per_gpu if workload.survive is Domain.NODE else None


def _in_one_domain(variant: Variant, place: frozenset[str], cells: dict[str, Cell]) -> bool:
    """Whether what it may have in `place` all lies in one of its domains."""
    if variant.spread is None:
        return False
    there = variant.cells & place
    return any(there <= names for names in domains(variant, cells).values())
