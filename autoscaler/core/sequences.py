"""What an engine with continuous batching shows of its sequences: the cache that each takes, how long answers are, at
how many the batch is full, and how evenly the balancer spreads them.

A scrape shows a moment. Of three sequences one may have a prompt ten times as long as the others; and a request waits
for a step to begin also where few run. So means are over some minutes, and a batch passes for full only where requests
spend most of the time to their first token in the queue, while about as many run as ever did.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field

from autoscaler.core import answer_lengths
from autoscaler.core.answer_lengths import AnswerLengths
from autoscaler.core.computed import computed
from autoscaler.core.signals import ModelLoad

# A cache that is hardly used tells nothing about what a sequence takes of it.
MIN_CACHE_RATIO = 0.02
# What each tick leaves of the ones before: fifty count,
KEPT_RATIO = 0.98
# or as many as hold so many requests. Each is in the windows of three ticks: these are 330, whose mean is known to 5 %
# where answers differ by as much as they are long. At a request every ten seconds fifty ticks would hold fifty.
KEPT_REQUESTS = 1000.0
# The queue's share of the time to the first token behind a full batch. A prompt of 4,000 tokens is read in 200 ms, and
# one that comes meanwhile waits for half of that.
QUEUED_RATIO = 0.5
# The most that were seen is a mean by Little's law, which chance moves.
NEARLY = 0.8
# A balancer is taken to send by chance, as a Service does, until it has shown otherwise: that counts as so many free
# differences between replicas. Ten replicas give nine a tick, and each tells anew only once its answers have changed.
PRIOR_DIFFERENCES = 20.0
# Of the time for an answer, before its second token: behind a queue answers miss that are not long.
MOST_WAITED = 0.2


@computed
class Sequences:
    """Of one model on one pod template; sums fade."""

    cache_ratio: float = 0.0
    """Parts of a replica's cache that were held, and"""
    running: float = 0.0
    """the sequences that held them."""
    requests: float = 0.0
    tokens: float = 0.0
    """Of their answers."""
    read: float = 0.0
    """Requests of which was told how long their prompts were read, and"""
    reading_s: float = 0.0
    """how long that was, from the end of the wait to the first token."""
    full_at: int | None = None
    """The batch that was full while others waited; None: none was, or more have run since."""
    differences: float = 0.0
    """Squared differences from the mean of the replicas over that mean: of Poisson numbers that do not know of each
    other as many as"""
    free: float = 0.0
    """replicas were seen beyond the first."""
    lengths: AnswerLengths = field(default_factory=AnswerLengths)
    """How much longer than the mean answers are."""

    @property
    def cache_ratio_each(self) -> float | None:
        """The part of the cache that one takes; None: not seen."""
        return self.cache_ratio / self.running if self.running > 0.0 else None

    @property
    def tokens_each(self) -> float | None:
        """Mean tokens of an answer; None: not seen."""
        return self.tokens / self.requests if self.requests > 0.0 else None

    @property
    def reading_s_each(self) -> float | None:
        """Mean time to read a prompt; None: not seen."""
        return self.reading_s / self.read if self.read > 0.0 else None

    @property
    def uneven_ratio(self) -> float:
        """Variance between replicas over that of a balancer that sends by chance: 1 for such a one and at most, nearly
        0 for one that sends each request to where the fewest run."""
        return min(1.0, (PRIOR_DIFFERENCES + self.differences) / (PRIOR_DIFFERENCES + self.free))


def learn(
    known: Sequences,
    loads: Sequence[ModelLoad],
    *,
    most_seen: int,
    calm: Sequence[ModelLoad] = (),
    answer_s: float | None = None,
) -> Sequences:
    """With one tick's loads of all pods; `most_seen`: the largest mean count that a step was timed at.

    `calm`: those of pods that have had their share of requests for a whole window. `answer_s`: within which whole
    answers are to be there, which is what their misses tell of; None: the objective is another.
    """
    cached = [
        (m.cache_ratio, m.running)
        for m in loads
        if m.cache_ratio is not None
        and m.cache_ratio >= MIN_CACHE_RATIO
        and m.running is not None
        and m.running >= 1.0
    ]
    requests = sum(m.requests for m in loads)
    tokens = sum(m.requests * m.items_per_request for m in loads)
    read = [(m.requests, m.overhead_s) for m in loads if m.overhead_s is not None and m.requests]
    differences, free = _differences(calm)
    kept_cache, kept_differences = (KEPT_RATIO if seen else 1.0 for seen in (cached, free > 0.0))
    kept_answers, kept_read = (
        KEPT_RATIO if known_requests >= KEPT_REQUESTS and seen else 1.0
        for known_requests, seen in ((known.requests, tokens > 0.0), (known.read, read))
    )
    return Sequences(
        cache_ratio=kept_cache * known.cache_ratio + sum(ratio for ratio, _ in cached),
        running=kept_cache * known.running + sum(running for _, running in cached),
        requests=kept_answers * known.requests + (requests if tokens > 0.0 else 0.0),
        tokens=kept_answers * known.tokens + tokens,
        read=kept_read * known.read + sum(count for count, _ in read),
        reading_s=kept_read * known.reading_s + sum(count * each_s for count, each_s in read),
        full_at=_full_at(known.full_at, loads, most_seen),
        differences=kept_differences * known.differences + differences,
        free=kept_differences * known.free + free,
        lengths=_lengths(known, loads, answer_s),
    )


def _lengths(known: Sequences, loads: Sequence[ModelLoad], answer_s: float | None) -> AnswerLengths:
    """With those answers that hardly waited, of engines that count exactly which missed."""
    each = known.tokens_each
    if answer_s is None or each is None:
        return known.lengths
    told = []
    for load in loads:
        waited_s = (load.queue_s or 0.0) + (load.overhead_s or 0.0)
        if load.misses is None or not load.histogram or not load.compute_s:
            continue
        if waited_s <= MOST_WAITED * answer_s:
            times = (answer_s - waited_s) / (load.compute_s * each)
            told.append((load.requests_a_tick, load.misses.estimate, times))
    return answer_lengths.learn(known.lengths, told)


def _differences(loads: Sequence[ModelLoad]) -> tuple[float, float]:
    """(squared differences over the mean, replicas beyond the first) of one moment; none where hardly anything runs.

    8, 12, 10, 10 are 8 / 10 with three free: a quarter of the three that chance would make of it.
    """
    running = [m.running for m in loads if m.running is not None]
    mean = sum(running) / len(running) if running else 0.0
    if len(running) < 2 or mean < 1.0:
        return 0.0, 0.0
    return sum((item - mean) ** 2 for item in running) / mean, len(running) - 1.0


def _full_at(known: int | None, loads: Sequence[ModelLoad], most_seen: int) -> int | None:
    running = [m.running for m in loads if m.running is not None]
    if known is not None and max(running, default=0.0) > known:
        known = None
    full = [
        m.running
        for m in loads
        if m.running is not None
        and m.running >= max(1.0, NEARLY * most_seen)
        and (m.pending or 0.0) >= 1.0
        and (m.queue_ratio is None or m.queue_ratio >= QUEUED_RATIO)
    ]
    return max(known or 0, math.floor(max(full))) if full else known
