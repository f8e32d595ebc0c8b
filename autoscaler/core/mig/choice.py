"""Which mix of shapes carries a demand at the least price.

A shape is what one replica holds: a whole GPU or a slice of some profile. The question is a covering knapsack with few
kinds of items, answered exactly by branch and bound, dearest per request last. Prices are whole numbers: by themselves
the share of a GPU (`share_price`), inside a packing the shadow prices of its supply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from autoscaler.core.mig.geometry import RESOURCE_PREFIX, GpuModel
from autoscaler.errors import PackingInfeasible, Problem

WHOLE_GPU = "gpu"
WHOLE_GPU_RESOURCE = "nvidia.com/gpu"
_MIG_RESOURCE = re.compile(rf"^{re.escape(RESOURCE_PREFIX)}(\d+g\.\d+gb)(?:\.(me(?:\.all)?|gfx))?$")
# A replica less is worth more than nothing, and less than the smallest difference in price.
_TIE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A shape with what one replica of it carries, in thousandths of a request a second, and what it is to cost."""

    shape: str
    capacity_mrps: int
    price: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Replicas of each shape, in order of the options; shapes with none are left out."""

    replicas: tuple[tuple[str, int], ...]
    price: int
    capacity_mrps: int

    def count(self, shape: str) -> int:
        return dict(self.replicas).get(shape, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """Counts for each item, their price, and a proven bound: no cover costs less than `bound`."""

    counts: tuple[int, ...]
    price: int
    bound: int


def share_price(gpu: GpuModel, profile: str) -> int:
    """The share of the GPU that a slice takes, of compute or memory whichever is more.

    In units of which a whole GPU has `compute_slices * memory_slices`: on an A100 (56) a 1g costs 8, a 3g, which holds
    half of the memory with three sevenths of the compute, 28.
    """
    slice_ = gpu.profile(profile)
    return max(slice_.compute_slices * gpu.memory_slices, slice_.memory_slices * gpu.compute_slices)


def cheapest_mix(options: Sequence[Option], demand_mrps: int) -> Mix:
    """The cheapest mix that carries the demand; of equally cheap ones the one with the fewest replicas.

    Raises:
        PackingInfeasible: there is demand and no option carries anything.
    """
    usable = [option for option in options if option.capacity_mrps > 0]
    if demand_mrps > 0 and not usable:
        raise PackingInfeasible(
            f"{demand_mrps / 1000:g} rps are to be carried and no shape carries any within the SLO"
        )
    cover = cheapest_cover(
        [option.capacity_mrps for option in usable],
        [option.price * _TIE + 1 for option in usable],
        demand_mrps,
    )
    counts = list(zip(usable, cover.counts, strict=True))
    return Mix(
        replicas=tuple((option.shape, count) for option, count in counts if count),
        price=sum(option.price * count for option, count in counts),
        capacity_mrps=sum(option.capacity_mrps * count for option, count in counts),
    )


def part_of(
    options: Sequence[Option],
    counts: Mapping[str, int],
    demand_mrps: int,
    *,
    least: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Of a mix that carries more than the demand, what carries it: the dearest for what they carry go first.

    No shape goes below its `least`. A mix that carries no more than the demand is returned as it is.
    """
    left = dict(counts)
    spare = sum(option.capacity_mrps * counts[option.shape] for option in options) - demand_mrps
    usable = [option for option in options if option.capacity_mrps > 0]
    for option in sorted(usable, key=lambda o: (-Fraction(o.price, o.capacity_mrps), o.shape)):
        over = left[option.shape] - (least or {}).get(option.shape, 0)
        gone = max(0, min(over, spare // option.capacity_mrps))
        left[option.shape] -= gone
        spare -= gone * option.capacity_mrps
    return left


def cheapest_cover(
    capacities: Sequence[int], prices: Sequence[int], demand: int, *, node_limit: int = 200_000
) -> Cover:
    """Counts x >= 0 with sum(capacities * x) >= demand at the least sum(prices * x), by branch and bound.

    Capacities are positive and prices not negative. Within `node_limit` the answer is the cheapest; beyond, the
    best found, and `bound` tells how far from the cheapest it may be.
    """
    if demand <= 0:
        return Cover(counts=(0,) * len(capacities), price=0, bound=0)
    search = _CoverSearch(capacities, prices, demand, node_limit)
    search.descend(0, demand, 0, [])
    counts = [0] * len(capacities)
    for place, count in zip(search.order, search.best_counts, strict=False):
        counts[place] = count
    bound = search.best_price if search.nodes_left > 0 else search.root_bound
    return Cover(counts=tuple(counts), price=search.best_price, bound=bound)


class _CoverSearch:
    """Depth first; at each level how many of one item, most first; items by price for what they carry."""

    def __init__(
        self, capacities: Sequence[int], prices: Sequence[int], demand: int, node_limit: int
    ) -> None:
        self.order = sorted(
            range(len(capacities)),
            key=lambda i: (Fraction(prices[i], capacities[i]), -capacities[i], i),
        )
        self._capacities = [capacities[i] for i in self.order]
        self._prices = [prices[i] for i in self.order]
        self.nodes_left = node_limit
        first = -(-demand // self._capacities[0])
        self.best_price = first * self._prices[0]
        self.best_counts = [first]
        # What it would cost if the cheapest item could be cut into pieces.
        self.root_bound = -(-demand * self._prices[0] // self._capacities[0])

    def descend(self, level: int, need: int, price: int, counts: list[int]) -> None:
        capacity, cost = self._capacities[level], self._prices[level]
        last = level + 1 == len(self._capacities)
        most = -(-need // capacity)
        for count in range(most, -1, -1):
            self.nodes_left -= 1
            if self.nodes_left <= 0:
                return
            rest, spent = need - count * capacity, price + count * cost
            if rest <= 0:
                if spent < self.best_price:
                    self.best_price, self.best_counts = spent, [*counts, count]
                continue
            if last:
                return
            # Fewer of this item only leave more for dearer ones: nothing below is cheaper.
            ahead = -(-rest * self._prices[level + 1] // self._capacities[level + 1])
            if spent + ahead >= self.best_price:
                return
            self.descend(level + 1, rest, spent, [*counts, count])


# ---------------------------------------------------------------- what is refused


def is_profile(name: str) -> bool:
    """Whether it reads like a MIG profile: `1g.10gb`, `1g.10gb+me`."""
    return _MIG_RESOURCE.match(RESOURCE_PREFIX + name.replace("+", ".", 1)) is not None


def resource_of(profile: str) -> str:
    """The extended resource that stands for a slice of it."""
    return RESOURCE_PREFIX + profile.replace("+", ".", 1)


def shape_of_requests(where: str, requests: Mapping[str, int]) -> str | None | Problem:
    """The one GPU shape that a pod's resource requests ask for; None: no GPU.

    Refused are a whole GPU beside a slice (KServe leaves the runtime's `nvidia.com/gpu` there when only the slice was
    added), slices of two kinds, and several slices: one process sees only one MIG device.
    """
    asked = {
        name: count
        for name, count in requests.items()
        if count > 0 and (name == WHOLE_GPU_RESOURCE or name.startswith(RESOURCE_PREFIX))
    }
    slices = [name for name in asked if name != WHOLE_GPU_RESOURCE]
    if not asked:
        return None
    if len(asked) > 1:
        given = ", ".join(f"{name}: {count}" for name, count in sorted(asked.items()))
        return Problem(where, given, "one kind of GPU or slice is allowed: remove the others")
    if not slices:
        return WHOLE_GPU
    match = _MIG_RESOURCE.match(slices[0])
    if match is None:
        return Problem(where, slices[0], f"{RESOURCE_PREFIX}1g.10gb and the like are allowed")
    if asked[slices[0]] != 1:
        given = f"{slices[0]}: {asked[slices[0]]}"
        return Problem(where, given, "1 is allowed: a process sees only one MIG device")
    return match[1] + (f"+{match[2]}" if match[2] else "")
