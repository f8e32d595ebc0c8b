"""How nearly replicas are one queue, learned from how seldom requests wait at all.

A balancer that sends each request where least is under way finds an idle replica for it as long as there is one. Then a
request waits as at one server with the instances of several replicas, and not as at one replica alone: at half of full
load one alone lets half of the requests wait, ten that are as one about 4 % (Erlang's C). That decides objectives of
not much more than a service, which a request that waits misses: of `95% < 1.3 services` one alone may be 4 % busy, and
ten 65 %.

So many replicas, m, are as one that the mean wait is what was seen: a fraction

    q = u^(e(c m) - e(c)) / m,  e(n) = sqrt(2 (n + 1)) - 1

of the wait at one alone, of which u is the load and c the instances (the busy chance is Sakasegawa's, 1977, and who
waits for one of m servers waits 1/m as long). It is no more than there are replicas. Against request-by-request
simulation of 2 to 30 behind least outstanding requests, half to 90 % busy, m comes after 2,000 requests to 0.93 to 1.0
times their number at service times without spread, but to half of it for 30 that are half busy, where too few wait to
tell; at a coefficient of variation of 0.3 to 0.5 to 0.93 times. Of a balancer that looks at nothing it is 1.

This is told of requests that are served one by one. Where batches form every instance is busy all the time, and a
request waits for the one that runs at its replica, whatever the others do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from autoscaler.core.computed import computed
from autoscaler.core.queueing import busy_exponent, mean_wait_s
from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.window import MAX_LOAD, MEMORIES_REQUESTS, Window

# Always counted beside what was seen, in services waited: ten requests that each waited for half of one. So of replicas
# that hardly wait more is believed only as they are busier, in steps: at 4 % of full load after 2,000 requests, two.
ALWAYS_WAITED = 5.0
# Of a factor e, that numbers are rounded to.
STEPS = 10.0


@computed
class Seen:
    """Waits in services, summed over requests; the longer ago, the less they count."""

    alone: float
    """What they would have waited each at a replica of its own."""
    waited: float
    """What they did."""
    log_busy: float
    """Of the instances' load, weighted by `alone`."""
    replicas: float
    """That shared the demand, weighted by `alone`."""

    def faded(self, kept_ratio: float, new: Seen) -> Seen:
        """What is left of these, and `new`."""
        return Seen(
            alone=self.alone * kept_ratio + new.alone,
            waited=self.waited * kept_ratio + new.waited,
            log_busy=self.log_busy * kept_ratio + new.log_busy,
            replicas=self.replicas * kept_ratio + new.replicas,
        )


@computed
class Pooling:
    """As how many replicas that have one queue those are which share the demand."""

    seen: tuple[Seen, ...] = ()
    """One for each of the memories; empty: nothing was."""
    together: float = 1.0
    shared_by: float = 1.0
    """Replicas that shared the demand meanwhile."""

    def of(self, replicas: int) -> float:
        """The same when `replicas` share it: fewer make as good use of each other, of more it is not known.

        Ten that are as five make use of 4/9 of each other; of three there are as 1 + 2 x 4/9.
        """
        if self.together <= 1.0 or replicas >= self.shared_by:
            return self.together
        used = (self.together - 1.0) / (self.shared_by - 1.0)
        return 1.0 + used * (max(replicas, 1) - 1)

    def rounded(self, replicas: int) -> float:
        """The same, to the tenth below: what was searched with it is not searched anew each tick."""
        return math.exp(math.floor(STEPS * math.log(self.of(replicas)) + 1e-9) / STEPS)


def learn(
    known: Pooling, times: ServiceTimes, windows: Iterable[Window], *, replicas: int
) -> Pooling:
    """With what pods showed, each one of `replicas` that shared the demand. Where batches formed nothing is told."""
    seen = known.seen
    for window in windows:
        new = _told(times, window, replicas)
        if new is None:
            continue
        if not seen:
            seen = (Seen(alone=0.0, waited=0.0, log_busy=0.0, replicas=0.0),) * len(
                MEMORIES_REQUESTS
            )
        kept = [math.exp(-window.requests / memory) for memory in MEMORIES_REQUESTS]
        seen = tuple([item.faded(part, new) for item, part in zip(seen, kept, strict=True)])
    if seen is known.seen:
        return known
    return Pooling(
        seen=seen,
        together=min([_together(item, times.instances) for item in seen]),
        shared_by=seen[0].replicas / seen[0].alone,
    )


def _told(times: ServiceTimes, window: Window, replicas: int) -> Seen | None:
    service_s = times.batch_s[0]
    busy = window.rate * service_s / times.instances
    if window.requests <= 0.0 or not 0.0 < busy <= MAX_LOAD:
        return None
    alone_s = sum(mean_wait_s(times, window.rate, 1.0, batch=1.0))
    if not 0.0 < alone_s < math.inf:
        return None
    alone = window.requests * alone_s / service_s
    waited_s = max(0.0, window.queue_s - times.max_queue_delay_s)
    return Seen(
        alone=alone,
        waited=window.requests * waited_s / service_s,
        log_busy=alone * math.log(busy),
        replicas=alone * replicas,
    )


def _together(seen: Seen, instances: float) -> float:
    """The m whose wait is what was seen; no more than there are replicas."""
    most = seen.replicas / seen.alone
    fraction = (seen.waited + ALWAYS_WAITED) / (seen.alone + ALWAYS_WAITED)
    log_busy, told = seen.log_busy / seen.alone, math.log(fraction)

    def log_fraction(together: float) -> float:
        exponent = busy_exponent(instances * together) - busy_exponent(instances)
        return exponent * log_busy - math.log(together)

    if told >= 0.0 or most <= 1.0:
        return 1.0
    if log_fraction(most) >= told:
        return most
    low, high = 1.0, most
    for _ in range(12):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if log_fraction(middle) >= told else (low, middle)
    return low
