"""What the queueing model can't know, learned from the waits that are observed, pod by pod.

One number, v, multiplies the variance that the model sees in arrivals and service: 1 is Poisson arrivals and steady
service. Two observations correct it: the mean queue time, exact from counters, and the share of requests over the
threshold, where the server tells it. Learning is per pod, each at its own load, so that uneven load between pods is
not mistaken for burstiness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoscaler.core.queueing import batch_time_s, mean_wait_s, miss_probability, steady_batch
from autoscaler.core.service_time import ServiceTimes

# From a balancer that sends each request where least waits, which makes many replicas nearly one queue, up to demand
# that comes in volleys.
LOWEST, HIGHEST = 0.1, 16.0
# Below this load waits are too short to tell anything; above, the queue is not stationary.
MIN_LOAD, MAX_LOAD = 0.3, 0.93
# Requests after which an observation counts half: bursts raise v three times as fast as calm lowers it.
RISE_REQUESTS, FALL_REQUESTS = 2000.0, 6000.0
STALE_FACTOR = 2.0
# Misses fewer than this are noise at the tail.
MIN_MISSES = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Variability:
    """The learned factor and the number of requests behind it."""

    value: float = 1.0
    requests: float = 0.0


def learn(
    known: Variability,
    times: ServiceTimes,
    *,
    rate: float,
    requests: float,
    queue_s: float,
    miss_ratio: float | None,
    threshold_s: float,
) -> Variability:
    """The factor corrected by one pod's last window: `rate` inferences a second, mean wait `queue_s`.

    Work at a load at which nothing can be told, or with no request, leaves it as it is.
    """
    load = rate * times.work_s
    if requests <= 0.0 or not MIN_LOAD <= load <= MAX_LOAD:
        return known
    implied = _from_mean(times, rate, queue_s, known.value)
    if miss_ratio is not None and miss_ratio * requests >= MIN_MISSES:
        # Summaries look back a minute, counters half: after a burst they still show it, so they are not taken for more
        # than twice what the counters say now.
        told = _from_misses(times, rate, miss_ratio, threshold_s)
        implied = max(implied, min(told, STALE_FACTOR * implied))
    half = RISE_REQUESTS if implied > known.value else FALL_REQUESTS
    share = requests / (requests + half)
    # Averaged as a ratio: half as bursty and twice as bursty are equally far from 1.
    value = math.exp((1.0 - share) * math.log(known.value) + share * math.log(implied))
    return Variability(value=min(max(value, LOWEST), HIGHEST), requests=known.requests + requests)


def _from_mean(times: ServiceTimes, rate: float, queue_s: float, known: float) -> float:
    """The factor that the mean wait asks for; `known` where that explains it as well.

    Requests that come at any time wait for half of the batch that runs. A balancer that sends each to where least is
    under way sends the next ones right after a batch has begun, and they wait for nearly all of it: up to
    1/2 + 1/2 (1 - 1/b) of it in batches of b, and of one that is larger than the mean, for more requests wait behind
    such. At half the load of full batches, of 8 in 296 ms, the wait for full batches ahead is 2 ms: a mean of 90 ms in
    place of 59 + 2 would else pass for a burstiness of twelve.
    """
    residual_s, excess_s = mean_wait_s(times, rate, 1.0)
    if excess_s <= 0.0:
        return 1.0
    waited_s = queue_s - times.max_queue_delay_s
    batch = steady_batch(times, rate)
    larger = min(batch + 1.0 - 1.0 / batch, times.max_batch_size)
    most_s = residual_s * (2.0 - 1.0 / batch)
    most_s *= batch_time_s(times, larger) / batch_time_s(times, batch)
    lowest, highest = (waited_s - most_s) / excess_s, (waited_s - residual_s) / excess_s
    return min(max(min(max(known, lowest), highest), LOWEST), HIGHEST)


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
