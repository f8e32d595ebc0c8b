"""How much longer than the mean answers are: what an objective on whole answers allows a token depends on the longest.

Nothing exports it, but it shows in what misses. Where a token takes 20 ms, of answers of 500 tokens those of more than
1,500 are not there within 30 s: if they are 4 %, lengths are about as lognormal with sigma 0.83, and one in twenty has
2.8 times the mean. Misses are of requests that had no queue to speak of, by how many times the mean would have fitted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist

from autoscaler.core.computed import computed

# Of ln(times the mean that fitted). Below half as much again as the mean a third misses, whatever the lengths are; of
# what is twelve times as long nothing is learned.
BIN_WIDTH = 0.25
SHORTEST, LONGEST = 1.5, 12.0
# Before anything is seen: one in twenty is twice as long as the mean, as if of a hundred answers.
PRIOR_SIGMA, PRIOR_ANSWERS, PRIOR_TIMES = 0.5, 100.0, 2.0
LEAST_SIGMA, MOST_SIGMA = 0.05, 1.2
# So many count: an hour at half a request a second.
KEPT_ANSWERS = 2000.0


@computed
class AnswerLengths:
    """Of one model on one pod template, how many answers missed by how many times the mean would have fitted."""

    seen: tuple[tuple[int, float, float, float], ...] = ()
    """(bin, answers, of which missed, sum of the logarithms), ascending."""

    def spread(self, ratio: float) -> float:
        """The length that a share `ratio` of the answers is within, in means."""
        sigma = self.sigma
        z = NormalDist().inv_cdf(min(max(ratio, 0.5), 0.9999))
        return math.exp(z * sigma - 0.5 * sigma * sigma)

    @property
    def sigma(self) -> float:
        """Of the lognormal distribution by which as many are too long as were."""
        if not self.seen:
            return PRIOR_SIGMA
        points = [(logs / count, count) for _, count, _, logs in self.seen]
        points.append((math.log(PRIOR_TIMES), PRIOR_ANSWERS))
        missed = sum([missed for _, _, missed, _ in self.seen])
        missed += PRIOR_ANSWERS * _longer_ratio(math.log(PRIOR_TIMES), PRIOR_SIGMA)
        low, high = LEAST_SIGMA, MOST_SIGMA
        for _ in range(12):
            sigma = 0.5 * (low + high)
            if sum([count * _longer_ratio(log, sigma) for log, count in points]) < missed:
                low = sigma
            else:
                high = sigma
        return 0.5 * (low + high)


def learn(known: AnswerLengths, answers: Iterable[tuple[float, float, float]]) -> AnswerLengths:
    """With (answers, share that missed, times the mean that would have fitted) of servers without a queue."""
    sums = {index: parts for index, *parts in known.seen}
    for count, missed_ratio, times in answers:
        if not SHORTEST <= times <= LONGEST or count <= 0.0:
            continue
        log = math.log(times)
        index = math.floor(log / BIN_WIDTH)
        before = sums.get(index, [0.0, 0.0, 0.0])
        new = (count, count * missed_ratio, count * log)
        sums[index] = [one + more for one, more in zip(before, new, strict=True)]
    kept = min(1.0, KEPT_ANSWERS / max(1.0, sum([count for count, _, _ in sums.values()])))
    return AnswerLengths(
        seen=tuple(
            (index, kept * count, kept * missed, kept * logs)
            for index, (count, missed, logs) in sorted(sums.items())
        )
    )


def _longer_ratio(log_times: float, sigma: float) -> float:
    """Share of lognormal lengths that are above so many times their mean."""
    return 0.5 * math.erfc((log_times / sigma + 0.5 * sigma) / math.sqrt(2.0))
