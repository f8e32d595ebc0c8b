"""What the queueing model can't know, learned from the waits that are observed, pod by pod.

One number, v, multiplies the variance that the model sees in arrivals and service: 1 is Poisson arrivals and steady
service. Two observations correct it: the mean queue time, exact from counters, and the share of requests over the
threshold, where the server tells it. Learning is per pod, each at its own load, so that uneven load between pods is
not mistaken for burstiness.

v is the wait behind full batches that was observed over the one that is expected at v = 1, each summed over many
windows. Of a single window it would tell nothing: at half the load hardly any such wait is expected, and chance moves a
window's mean by many times that.

Replicas behind a balancer that knows their load are nearly one queue: below 1, v tells of them together, and of fewer
it is told anew (`Variability.of`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import field, replace

from autoscaler.core.computed import computed
from autoscaler.core.pooling import Pooling
from autoscaler.core.queueing import (
    batch_time_s,
    mean_wait_s,
    miss_probability,
    steady_batch,
    utilization_limit,
)
from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.window import MAX_LOAD, MEMORIES_REQUESTS, Window

# From a balancer that sends each request where least waits, which makes many replicas nearly one queue, up to demand
# that comes in volleys.
LOWEST, HIGHEST = 0.1, 16.0
# Below this load waits are too short to tell anything.
MIN_LOAD = 0.3
# Replicas that may hardly be busy for burstiness would never be seen above it, and that belief never corrected: at
# this share of what they may be, what speaks for less burstiness is believed.
DOUBTED_VALUE, DOUBTED_SHARE = 2.0, 0.5
# What was known before counts as so many requests that each wait for one inference: as many as at 75 % of full load
# for a server without batches.
PRIOR_REQUESTS = 500.0
STALE_FACTOR = 2.0
# Misses fewer than this are noise at the tail.
MIN_MISSES = 5.0


@computed
class Waits:
    """Seconds that requests waited behind full batches, summed over them; the longer ago, the less it counts."""

    expected_s: float
    """At v = 1."""
    most_s: float
    """As observed, where a request waits for half of the batch that runs, and"""
    least_s: float
    """where it waits for nearly all of that one."""

    def faded(self, kept_ratio: float, seen: Waits) -> Waits:
        """What is left of these, and `seen`."""
        return Waits(
            expected_s=self.expected_s * kept_ratio + seen.expected_s,
            most_s=self.most_s * kept_ratio + seen.most_s,
            least_s=self.least_s * kept_ratio + seen.least_s,
        )

    @property
    def factor(self) -> float:
        """v: 1 where the waits allow for it, or the value next to it that they do."""
        lowest, highest = self.least_s / self.expected_s, self.most_s / self.expected_s
        return min(max(min(max(1.0, lowest), highest), LOWEST), HIGHEST)


@computed
class Variability:
    """The learned factor and the number of requests behind it."""

    value: float = 1.0
    requests: float = 0.0
    waits: tuple[Waits, ...] = ()
    """One for each of the memories; empty: none was observed."""
    shared_by: float = 1.0
    """Replicas that shared the demand meanwhile, as the short memory has them."""
    pooling: Pooling = field(default_factory=Pooling)
    """How seldom requests that are served one by one wait at all."""

    def of(self, replicas: int) -> float:
        """v when `replicas` share the demand; for more than those it was learned of, what they had.

        n servers with one queue wait about 1/n as long behind others as n queues (Sakasegawa's formula at heavy load,
        1977): pooling saves 1 - 1/n of v, and of a part of it so many make use of, fewer make use alike. Two replicas
        that learned 0.3 say 1 of one alone; four that learned 0.25 say 0.5 of two.
        """
        # Of none that are ready the first is asked about.
        shared_by, among = round(self.shared_by), max(replicas, 1)
        if self.value >= 1.0 or among >= shared_by:
            return self.value
        return 1.0 - (1.0 - self.value) * (1.0 - 1.0 / among) / (1.0 - 1.0 / shared_by)


def learn(
    known: Variability,
    times: ServiceTimes,
    windows: Iterable[Window],
    *,
    threshold_s: float,
    replicas: int,
    ratio: float | None = None,
) -> Variability:
    """The factor corrected by the last windows of pods, each of one of `replicas` that shared the demand.

    `ratio` of the requests are to be within the threshold; None: what the replicas may be busy for it is not asked.
    """
    requests, waits, shared_by = known.requests, known.waits, known.shared_by
    for window in windows:
        seen = _told(times, window, threshold_s)
        if seen is None and ratio is not None and known.value > DOUBTED_VALUE:
            seen = _against(known.value, times, window, threshold_s=threshold_s, ratio=ratio)
        if seen is None:
            continue
        if not waits:
            waits, shared_by = _prior(known.value, times), replicas
        kept_ratios = [math.exp(-window.requests / memory) for memory in MEMORIES_REQUESTS]
        waits = tuple(
            [before.faded(kept, seen) for before, kept in zip(waits, kept_ratios, strict=True)]
        )
        shared_by = replicas + kept_ratios[0] * (shared_by - replicas)
        requests += window.requests
    if waits is known.waits:
        return known
    return replace(
        known,
        value=max([item.factor for item in waits]),
        requests=requests,
        waits=waits,
        shared_by=shared_by,
    )


def _told(times: ServiceTimes, window: Window, threshold_s: float) -> Waits | None:
    """Of all requests of a window; None: at its load nothing can be told, or it had none."""
    rate, requests = window.rate, window.requests
    if requests <= 0.0 or not MIN_LOAD <= rate * times.work_s <= MAX_LOAD:
        return None
    seen = _seen(times, rate, window.queue_s)
    if seen.expected_s <= 0.0:
        return None
    misses = window.miss_ratio
    if misses is not None and misses * requests >= MIN_MISSES:
        # Summaries look back a minute, counters half: after a burst they still show it, so they are not taken for more
        # than twice what the counters say now.
        told = _from_misses(times, rate, misses, threshold_s)
        mean = max(seen.most_s / seen.expected_s, LOWEST)
        seen = _at_least(seen, min(told, STALE_FACTOR * mean))
    highest_s = HIGHEST * seen.expected_s
    return Waits(
        expected_s=requests * seen.expected_s,
        most_s=requests * min(seen.most_s, highest_s),
        least_s=requests * min(seen.least_s, highest_s),
    )


def _against(
    value: float, times: ServiceTimes, window: Window, *, threshold_s: float, ratio: float
) -> Waits | None:
    """What speaks against so much burstiness at a load below the usual, and for 1 at the least; None: nothing does.

    At 12 % of full load, all that 12.8 allows, requests would wait for 35 ms behind others. In place of the 3 ms that
    they would at 1 they are seen to wait for none.
    """
    load = window.rate * times.work_s
    if window.requests <= 0.0 or load >= MIN_LOAD:
        return None
    limit = utilization_limit(
        times.rounded, ratio=ratio, threshold_s=threshold_s, variability=round(value, 1)
    )
    if limit is None or load < DOUBTED_SHARE * limit:
        return None
    seen = _seen(times, window.rate, window.queue_s)
    most_s = min(max(seen.most_s, seen.expected_s), value * seen.expected_s)
    return Waits(
        expected_s=window.requests * seen.expected_s,
        most_s=window.requests * most_s,
        least_s=window.requests * min(seen.least_s, most_s),
    )


def _prior(value: float, times: ServiceTimes) -> tuple[Waits, ...]:
    expected_s = PRIOR_REQUESTS * times.work_s
    told = Waits(expected_s=expected_s, most_s=value * expected_s, least_s=value * expected_s)
    return (told,) * len(MEMORIES_REQUESTS)


def _seen(times: ServiceTimes, rate: float, queue_s: float) -> Waits:
    """Of one request with the window's mean wait.

    Requests that come at any time wait for half of the batch that runs. A balancer that sends each to where least is
    under way sends the next ones right after a batch has begun, and they wait for nearly all of it: up to
    1/2 + 1/2 (1 - 1/b) of it in batches of b, and of one that is larger than the mean, for more requests wait behind
    such. At half the load of full batches, of 8 in 296 ms, the wait for full batches ahead is 2 ms: a mean of 90 ms in
    place of 59 + 2 would else pass for a burstiness of twelve.
    """
    batch = steady_batch(times, rate)
    residual_s, expected_s = mean_wait_s(times, rate, 1.0, batch=batch)
    waited_s = queue_s - times.max_queue_delay_s
    larger = min(batch + 1.0 - 1.0 / batch, times.max_batch_size)
    longest_s = residual_s * (2.0 - 1.0 / batch)
    if larger != batch:
        longest_s *= batch_time_s(times, larger) / batch_time_s(times, batch)
    return Waits(expected_s=expected_s, most_s=waited_s - residual_s, least_s=waited_s - longest_s)


def _at_least(seen: Waits, factor: float) -> Waits:
    told_s = factor * seen.expected_s
    return Waits(
        expected_s=seen.expected_s,
        most_s=max(seen.most_s, told_s),
        least_s=max(seen.least_s, told_s),
    )


def _from_misses(times: ServiceTimes, rate: float, miss_ratio: float, threshold_s: float) -> float:
    """The factor at which the model would expect this share of misses; 1 where not even an idle server would do."""
    if miss_probability(times, rate, threshold_s, LOWEST) >= miss_ratio:
        return LOWEST
    low, high = math.log(LOWEST), math.log(HIGHEST)
    for _ in range(10):
        middle = 0.5 * (low + high)
        if miss_probability(times, rate, threshold_s, math.exp(middle)) < miss_ratio:
            low = middle
        else:
            high = middle
    return math.exp(high)
