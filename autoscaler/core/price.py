"""How many replicas are worth having: each must save as much as it costs.

The newsvendor's rule (Arrow, Harris and Marschak, 1951) with the error budget's multiplier: choose the N that minimises

    N + price * E[D; D > N c] / c

in replicas. D is the highest demand over the lead time, c what a replica carries, and E[D; D > N c] the demand that
then waits too long - all of it, for behind an overload everybody waits. At a price of 5 a replica is kept if a fifth of
it is expected to serve requests that would be late without it. So headroom goes where it is cheapest for the misses
that it avoids; at a fixed quantile it would go to every moment alike.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise

from autoscaler.core.computed import computed
from autoscaler.core.outlook import Outlook

# A replica is given back when it would not be worth keeping at so many times the price at which it would be started.
# Numbers that are next to each other differ by less, so that what is merely noise in the demand moves nothing.
KEPT_PRICE_RATIO = 3.0
# Numbers of replicas that are looked at, evenly spread; of a large fleet not each.
MOST_POINTS = 64
# A demand that is rarer than this is not provided for.
RAREST = 1e-4
MOST_REPLICAS = 100_000


@computed
class Choices:
    """The numbers of replicas that some price makes the best, ascending.

    They are the corners of the lower convex hull over all numbers of the demand that each misses: no other is the best
    at any price.
    """

    replicas: tuple[int, ...]
    pays_from: tuple[float, ...]
    """The price above which each number but the first is better than the one before it; ascending."""

    def at_price(self, price: float) -> int:
        """The best number at a price; the smaller of two equals."""
        return self.replicas[bisect_left(self.pays_from, price)]

    def kept_at(self, price: float) -> int:
        """The most replicas that are not given back at a price."""
        return self.at_price(KEPT_PRICE_RATIO * price)


def choices(
    outlook: Outlook,
    *,
    replica_rps: float,
    ratio_of: Callable[[int], float] = lambda _: 1.0,
) -> Choices:
    """From the replicas that the present demand needs up to those that hardly any demand exceeds.

    `ratio_of` tells of a number of replicas what each then carries over `replica_rps`; together, more carry more.
    """
    lowest = _fewest(outlook.level_rps / replica_rps, ratio_of)
    highest = max(lowest, _fewest(outlook.highest_rps(RAREST) / replica_rps, ratio_of))
    step = max(1, math.ceil((highest - lowest) / MOST_POINTS))
    numbers = list(range(lowest, highest + step, step))
    carried = [n * ratio_of(n) for n in numbers]
    chances = [outlook.exceeded_ratio(item * replica_rps) for item in carried]
    # E[D; D > x] = x P(D > x) + the area under P beyond x, summed up from the far end.
    missed = [0.0] * len(numbers)
    area = 0.0
    for i in range(len(numbers) - 1, -1, -1):
        if i + 1 < len(numbers):
            area += 0.5 * (chances[i] + chances[i + 1]) * (carried[i + 1] - carried[i])
        missed[i] = carried[i] * chances[i] + area
    return _hull(numbers, missed)


def _fewest(demand: float, ratio_of: Callable[[int], float]) -> int:
    # 1e-9: 0.6 / 0.2 is 2.9999999999999996.
    replicas = min(MOST_REPLICAS, max(0, math.ceil(demand - 1e-9)))
    while replicas < MOST_REPLICAS and replicas * ratio_of(replicas) < demand - 1e-9:
        replicas += 1
    return replicas


def _hull(numbers: list[int], missed: list[float]) -> Choices:
    """Andrew's monotone chain, lower half."""
    kept: list[int] = []
    for i in range(len(numbers)):
        while len(kept) >= 2 and _above(numbers, missed, kept[-2], kept[-1], i):
            kept.pop()
        kept.append(i)
    # The chain may end in a rise or a flat: more replicas that save nothing are never the best.
    while len(kept) >= 2 and missed[kept[-1]] >= missed[kept[-2]]:
        kept.pop()
    pays_from = [(numbers[b] - numbers[a]) / (missed[a] - missed[b]) for a, b in pairwise(kept)]
    return Choices(
        replicas=tuple(numbers[i] for i in kept),
        pays_from=tuple(pays_from),
    )


def _above(numbers: list[int], missed: list[float], a: int, b: int, c: int) -> bool:
    """Whether point b lies on or above the line from a to c."""
    left = (missed[b] - missed[a]) * (numbers[c] - numbers[a])
    right = (missed[c] - missed[a]) * (numbers[b] - numbers[a])
    return left >= right
