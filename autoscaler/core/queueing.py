"""Step 3: how busy one replica may be so that enough requests stay within the threshold.

The model is a queue with batch service. A request that arrives waits for the batch that runs (the residual R, uniform
over the time between two batch starts), perhaps for full batches ahead of it (the excess E), and then for its own batch
S. With load `rate`, full-batch interval D = S(B)/c and B items in it:

    rho   = rate * D / B                                             load of the replica at full batches
    P(E > t) = C * exp(-gamma t),  gamma = x B / (v D)               v = variability
    x        solves (exp(x) - 1) / x = 1 / rho                       decay per item: Poisson arrivals, steady service
    C        = (1 - (1 - 1/B) * P(M = 0)) * x rho / (2 (1 - rho))    some excess at all

P(M = 0) is the probability that a Gaussian random walk never rises above its start, sqrt(2) d exp(-0.583 d) at drift d
(Chang and Peres, 1997). The last factor of C keeps the mean that heavy traffic gives (Kingman), while x gives the tail
that a load below it has: for B = 1 and v = 1 the mean wait is that of M/D/1, rho S / (2 (1 - rho)), and so is its
tail. Against request-by-request simulation the load that is found is within a tenth over the cases of the tests.

`v` stands for all that the model can't know - burstiness of arrivals, the balancer's unevenness, spread of service
times - and is corrected from the waits that are observed (`variability.py`).
"""

from __future__ import annotations

import math
from functools import lru_cache

from autoscaler.core.service_time import ServiceTimes

# Of the misses that the objective allows, steady operation may use this share; the rest is for surges and faults.
STEADY_SHARE = 0.5
# A replica is never planned to be busier than this: the queue's time constant grows as 1 / (1 - rho).
MAX_UTILIZATION = 0.97
# What is planned for where no load at all meets the objective: the queue stays short and latency is the service's own.
UNATTAINABLE_UTILIZATION = 0.7


def steady_batch(times: ServiceTimes, rate: float) -> float:
    """Mean batch that forms at `rate` inferences a second: what arrives between two batch starts, 1 to the maximum.

    Solves b = rate * S(b) / c by walking the table up; larger batches take longer and so gather more.
    """
    for size, batch_s in enumerate(times.batch_s, start=1):
        gathered = rate * batch_s / times.instances
        if gathered <= size:
            return max(1.0, gathered)
    return float(times.max_batch_size)


def batch_time_s(times: ServiceTimes, batch: float) -> float:
    """S at a batch size between two whole ones."""
    table, lower = times.batch_s, int(batch)
    if lower >= len(table):
        return table[-1]
    below = table[lower - 1]
    return below + (batch - lower) * (table[lower] - below)


def never_above(drift: float) -> float:
    """P(M = 0): a Gaussian walk with this downward drift, in standard deviations, stays below its start."""
    return min(1.0, math.sqrt(2.0) * drift * math.exp(-0.583 * drift)) if drift < 1.7 else 1.0


def _excess(times: ServiceTimes, rho: float, variability: float) -> tuple[float, float]:
    """(C, gamma): the chance of waiting for full batches ahead, and the rate at which that wait falls off."""
    size = times.max_batch_size
    interval_s = times.batch_s[-1] / times.instances
    chance = 1.0
    if size > 1:
        drift = size * (1.0 - rho) / math.sqrt(variability * rho * size)
        chance -= (1.0 - 1.0 / size) * never_above(drift)
    decay = decay_per_item(rho)
    gamma = decay * size / (variability * interval_s)
    return chance * decay * rho / (2.0 * (1.0 - rho)), gamma


def decay_per_item(rho: float) -> float:
    """The positive root x of (exp(x) - 1) / x = 1 / rho, for 0 < rho < 1.

    2 (1 - rho) / rho lies above it, and the function is convex: Newton's steps fall towards the root.
    """
    x = 2.0 * (1.0 - rho) / rho
    if x > 20.0:  # rho < 0.1: a wait of more than one batch is as good as excluded
        x = 3.0 - math.log(rho)
    for _ in range(12):
        grown = math.exp(x)
        step = (grown - 1.0 - x / rho) / (grown - 1.0 / rho)
        x -= step
        if abs(step) < 1e-6:
            break
    return x


def _busy(times: ServiceTimes, rate: float, batch: float, batch_s: float) -> float:
    """Chance that an arriving request finds every instance taken, at the batches that form and the time they take."""
    utilization = min(1.0, rate * batch_s / (batch * times.instances))
    return float(utilization ** busy_exponent(times.instances))


def busy_exponent(servers: float) -> float:
    """The power of their utilisation at which all of so many servers with one queue are busy (Sakasegawa, 1977).

    1 for a single one.
    """
    return math.sqrt(2.0 * (servers + 1.0)) - 1.0


def miss_probability(
    times: ServiceTimes,
    rate: float,
    threshold_s: float,
    variability: float,
    *,
    together: float = 1.0,
) -> float:
    """Share of requests slower than `threshold_s` at `rate` inferences a second on one replica; 1.0 when overloaded.

    `together`: as how many replicas with one queue it and its siblings are (`pooling.py`).
    """
    alone = _missed_alone(times, rate, threshold_s, variability)
    if together <= 1.0 or not 0.0 < alone < 1.0:
        return alone
    return min(alone, _missed_together(times, rate, threshold_s, variability, together))


def _missed_alone(
    times: ServiceTimes, rate: float, threshold_s: float, variability: float
) -> float:
    rho = rate * times.work_s
    if rho >= 1.0:
        return 1.0
    # A request is more likely to be in a large batch than in a small one: one item more on average, if batches form.
    batch = steady_batch(times, rate)
    service_s = batch_time_s(times, min(batch + 1.0 - 1.0 / batch, times.max_batch_size))
    left_s = threshold_s - times.overhead_s - times.max_queue_delay_s - service_s
    if left_s < 0.0:
        return 1.0
    if rate <= 0.0:
        return 0.0
    residual_s = service_s / times.instances
    chance, gamma = _excess(times, rho, variability)
    late, further_s = closed_out(times, rate, batch)
    share = _longer(left_s, residual_s, chance, gamma)
    if late > 0.0:
        share += late * (_longer(left_s - further_s, residual_s, chance, gamma) - share)
    return min(1.0, _busy(times, rate, batch, batch_time_s(times, batch)) * share)


def _missed_together(
    times: ServiceTimes, rate: float, threshold_s: float, variability: float, together: float
) -> float:
    """One queue for the instances of so many replicas, to each of which `rate` a second come.

    They are served one by one. Where they could batch, whoever waits is served with another that does, and as slowly.
    """
    pair_s = times.batch_s[min(2, times.max_batch_size) - 1]
    single = ServiceTimes(batch_s=(pair_s,), instances=times.instances)
    rho = rate * single.work_s
    if rho >= 1.0:
        return 1.0
    left_s = threshold_s - times.overhead_s - times.max_queue_delay_s - pair_s
    # Below 1 the variability tells of the same pooling, as waits behind full batches show it.
    chance, gamma = _excess(single, rho, max(variability, 1.0) / together)
    share = _longer(left_s, pair_s / (times.instances * together), chance, gamma)
    return float(min(1.0, rho ** busy_exponent(times.instances * together) * share))


def _longer(left_s: float, residual_s: float, chance: float, gamma: float) -> float:
    """P(R + E > left)."""
    if left_s <= 0.0:
        return 1.0
    gr = gamma * residual_s
    if left_s < residual_s:
        return 1.0 - left_s / residual_s + chance * (1.0 - math.exp(-gamma * left_s)) / gr
    # (e^gr - 1) e^-gt written so that it can't overflow for long residuals.
    return chance * (math.exp(gr - gamma * left_s) - math.exp(-gamma * left_s)) / gr


def closed_out(times: ServiceTimes, rate: float, batch: float) -> tuple[float, float]:
    """(share of those that find every instance taken, seconds): who waits for one batch more, and how long that takes.

    With a queue delay Triton closes the next batch while the instance is busy: it is what waits when the one before it
    starts, and the first request after that. Of N requests that come between two starts all but one wait for the
    batch behind: 1 - (1 - exp(-a)) / a of them, where N is Poisson with mean a. Without a delay none does. (Triton's
    dynamic_batch_scheduler.cc wakes for a request only where its batch would then be full.)
    """
    if times.max_queue_delay_s <= 0.0 or times.max_batch_size == 1 or rate <= 0.0:
        return 0.0, 0.0
    interval_s = batch_time_s(times, batch) / times.instances
    mean = rate * interval_s
    return 1.0 + math.expm1(-mean) / mean, interval_s


def mean_wait_s(
    times: ServiceTimes, rate: float, variability: float, *, batch: float
) -> tuple[float, float]:
    """(residual part, excess part) of the mean queue time; the excess is proportional to the variability.

    `batch` is the one that forms at `rate`. Infinite excess from full load on.
    """
    rho = rate * times.work_s
    if rate <= 0.0:
        return 0.0, 0.0
    batch_s = batch_time_s(times, batch)
    busy = _busy(times, rate, batch, batch_s)
    residual_s = busy * batch_s / (2.0 * times.instances)
    late, further_s = closed_out(times, rate, batch)
    residual_s += busy * late * further_s
    if rho >= 1.0:
        return residual_s, math.inf
    chance, gamma = _excess(times, rho, variability)
    return residual_s, busy * chance / gamma


@lru_cache(maxsize=8192)
def utilization_limit(
    times: ServiceTimes,
    *,
    ratio: float,
    threshold_s: float,
    variability: float,
    together: float = 1.0,
) -> float | None:
    """The largest load, 0 to 0.97 of full batches, at which `ratio` of the requests stay within `threshold_s`.

    None: not even an idle replica does, so that no number of replicas helps.
    """
    allowed = (1.0 - ratio) * STEADY_SHARE
    full_rate = 1.0 / times.work_s

    def holds(load: float) -> bool:
        rate = load * full_rate
        missed = miss_probability(times, rate, threshold_s, variability, together=together)
        return missed <= allowed

    if not holds(0.01):
        return None
    low, high = 0.01, MAX_UTILIZATION
    if holds(high):
        return high
    # 14 halvings: to 0.0001 of a replica. The miss probability rises with load.
    for _ in range(14):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
