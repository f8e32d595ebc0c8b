"""The fluid model's loop, second by second, around a peer's rule; compiled by numba for each rule.

In each second so many requests arrive and go to the shortest queues; each ready server serves what it can of its own.
Whoever arrives waits for what is before it. Queueing within a second is added by an approximation (below).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from autoscaler.simulation.compiled import compilable
from autoscaler.simulation.fluid_servers import batch_of, spread_of, steady_of
from autoscaler.simulation.peers.rule import (
    BUSY_S,
    COMPUTE_S,
    DONE,
    LATENCY_CLAMP,
    LATENCY_S2,
    MIN,
    ONGOING_S,
    POD_S,
    QUEUE_S,
    SECONDS,
    SEEN_S,
    SUMS,
    THRESHOLD_S,
)

# Sums of so many seconds are kept: rules look back 180 s at most.
RING = 256
PROBE_S = 5.0
MOST_PODS = 1024
# The load that queueing beside the backlog is computed from is averaged over so many seconds.
SMOOTH_S = 10.0
SQRT_2 = math.sqrt(2.0)


@compilable
def missed_ratio(wait_s: Any, steady_s: Any, spread_s: Any, spare_s: Any) -> Any:
    """Share of the requests that take longer than `spare_s` beside what the queue makes everyone wait.

    Chance's wait is exponential, the times of batches are spread normally: the tail of the sum of both.
    """
    left_s = spare_s - wait_s
    if left_s <= 0.0:
        return 1.0
    if left_s > 20.0 * steady_s + 6.0 * spread_s:
        return 0.0
    if spread_s <= 0.0:
        return math.exp(-left_s / steady_s)
    beyond = 0.5 * math.erfc(left_s / spread_s / SQRT_2)
    if steady_s <= 0.05 * spread_s:
        return beyond
    ratio = spread_s / steady_s
    within = 0.5 * math.erfc((ratio - left_s / spread_s) / SQRT_2)
    return min(1.0, beyond + math.exp(0.5 * ratio * ratio - left_s / steady_s) * within)


@compilable
def missed_between(first_s: Any, last_s: Any, steady_s: Any, spread_s: Any, spare_s: Any) -> Any:
    """Share that misses where waits go evenly from `first_s` to `last_s`."""
    low, high = min(first_s, last_s), max(first_s, last_s)
    if low >= spare_s:
        return 1.0
    if high <= spare_s:
        return missed_ratio(0.5 * (low + high), steady_s, spread_s, spare_s)
    over = (high - spare_s) / (high - low)
    middle_s = 0.5 * (low + spare_s)
    return over + (1.0 - over) * missed_ratio(middle_s, steady_s, spread_s, spare_s)


@compilable
def water_level(queues: Any, servers: Any, serving: Any, came: Any) -> Any:
    """The queue up to which `came` requests fill the shortest queues of the first `servers` that are `serving`."""
    total, count = came, 0
    for server in range(servers):
        if serving[server]:
            total += queues[server]
            count += 1
    level = total / count
    while True:
        total, below = came, 0
        for server in range(servers):
            if serving[server] and queues[server] < level:
                total += queues[server]
                below += 1
        if below == 0 or below == count:
            return level
        lower = total / below
        if lower >= level - 1e-9:
            return level
        level, count = lower, below


@compilable
def serve(
    came: Any,
    queues: Any,
    servers: Any,
    serving: Any,
    steady_s: Any,
    spread_s: Any,
    spare_s: Any,
    plant: Any,
) -> Any:
    """One second: (served, left waiting, request-seconds that those waited, share that will miss).

    Each request goes to the shortest queue, as with least-outstanding balancing; each server serves its own.
    """
    each_rps = plant.each_rps
    level = water_level(queues, servers, serving, came)
    shortest = level
    served, left, waited_s = 0.0, 0.0, 0.0
    for server in range(servers):
        if not serving[server]:
            continue
        queue = queues[server]
        shortest = min(shortest, queue)
        filled = max(queue, level)
        done = min(filled, each_rps)
        served += done
        waited_s += done * queue / each_rps
        queues[server] = filled - done
        left += filled - done
    # The first of this second waits for the shortest queue, the last for what it leaves behind.
    last_s = max(level - each_rps, 0.0) / each_rps
    late = missed_between(shortest / each_rps, last_s, steady_s, spread_s, spare_s)
    return served, left, waited_s, late


def _loop(decide: Callable[..., Any]) -> Callable[..., Any]:
    def simulate(
        arrivals: Any,
        starts_s: Any,
        first: Any,
        period_s: Any,
        scrape_s: Any,
        lag_s: Any,
        slow_s: Any,
        fast_s: Any,
        memory: Any,
        settings: Any,
        plant: Any,
        good: Any,
        replicas_at: Any,
    ) -> Any:
        """(GPU-seconds, changes). Fills `good`, those in time by minute, and `replicas_at`, the replicas by minute.

        `arrivals` are requests by second, `starts_s` the start-up of each pod in the order of their making.
        """
        sums = np.zeros((RING, SUMS))
        now = np.zeros(SUMS)
        slow = np.zeros(SUMS)
        fast = np.zeros(SUMS)
        ready_s = np.empty(MOST_PODS)
        queues = np.zeros(MOST_PODS)
        serving = np.zeros(MOST_PODS, np.bool_)
        live = first
        for pod in range(first):
            ready_s[pod] = 0.0
        made = first
        ready = first
        next_ready_s = np.inf
        each_rps = plant.each_rps
        held, left = 0.0, 0.0
        gpu_s = 0.0
        changes = 0
        next_decision = period_s
        smooth = -1.0
        for second in range(arrivals.size):
            if next_ready_s <= second:
                ready = 0
                next_ready_s = np.inf
                for pod in range(live):
                    if ready_s[pod] <= second:
                        ready += 1
                    else:
                        next_ready_s = min(next_ready_s, ready_s[pod])
            came = arrivals[second]
            smooth = came if smooth < 0.0 else smooth + (came - smooth) / SMOOTH_S
            # Where something waits, batches are full.
            load = 1.0
            if ready > 0 and left + held == 0.0:
                load = min(1.0, smooth / (ready * each_rps))
            size, service_s, forming_s = batch_of(load, ready, plant)
            steady_s = steady_of(smooth, ready, plant) if ready > 0 else 0.0
            spread_s = spread_of(service_s, forming_s, plant)
            spare_s = settings[THRESHOLD_S] - service_s - forming_s
            if ready > 0 and left + held == 0.0 and came <= ready * each_rps:
                # Nothing waits, and what comes is served at once: what `serve` would say, in a tenth of the time.
                served, waited_s = came, 0.0
                late = missed_ratio(0.0, steady_s, spread_s, spare_s)
            elif ready > 0:
                for pod in range(live):
                    serving[pod] = ready_s[pod] <= second
                served, left, waited_s, late = serve(
                    came + held, queues, live, serving, steady_s, spread_s, spare_s, plant
                )
                held = 0.0
            else:
                # Nobody to serve them: they wait for the first, and miss.
                served, waited_s, late = 0.0, 0.0, 1.0
                held += came
                left = held
            good[second // 60] += came * (1.0 - late)
            gpu_s += live
            # ------------------------------------------------ what is seen of it
            quiet_s = steady_s + forming_s
            waits_s = waited_s / served + quiet_s if served > 0.0 else quiet_s
            now[SECONDS] += 1.0
            now[SEEN_S] += 1.0
            now[DONE] += served
            now[QUEUE_S] += served * waits_s
            now[COMPUTE_S] += served * service_s
            now[BUSY_S] += min(served / size * service_s / plant.instances, float(ready))
            now[ONGOING_S] += left + served * (quiet_s + service_s)
            now[POD_S] += ready
            # Exponential: nine in ten wait less than ln 10 means.
            tail_s = waits_s + 1.3 * steady_s + service_s + 1.28 * spread_s
            now[LATENCY_S2] += min(tail_s, LATENCY_CLAMP * settings[THRESHOLD_S])
            for column in range(SUMS):
                sums[second % RING, column] = now[column]
            # ------------------------------------------------ the rule
            if second + 1 >= next_decision:
                next_decision += period_s
                # The last scrape before now.
                seen = second - int(lag_s)
                seen -= seen % int(scrape_s)
                if seen < 1:
                    continue
                for column in range(SUMS):
                    last = sums[seen % RING, column]
                    slow[column] = last - (
                        sums[(seen - int(slow_s)) % RING, column] if seen >= slow_s else 0.0
                    )
                    fast[column] = last - (
                        sums[(seen - int(fast_s)) % RING, column] if seen >= fast_s else 0.0
                    )
                wanted = decide(
                    float(second + 1), live, ready, live - ready, slow, fast, memory, settings
                )
                wanted = max(int(wanted), int(settings[MIN]))
                if wanted != live:
                    changes += 1
                while live < wanted:
                    start_s = starts_s[made % starts_s.size]
                    ready_s[live] = math.ceil((second + 1.0 + start_s) / PROBE_S) * PROBE_S
                    next_ready_s = min(next_ready_s, ready_s[live])
                    queues[live] = 0.0
                    live += 1
                    made += 1
                while live > wanted:
                    # Not ready before ready, then the youngest: pods are in the order of their making.
                    gone = live - 1
                    for pod in range(live - 1, -1, -1):
                        if ready_s[pod] > second + 1.0:
                            gone = pod
                            break
                    if ready_s[gone] <= second + 1.0:
                        ready = max(0, ready - 1) if ready_s[gone] <= second else ready
                    for pod in range(gone, live - 1):
                        ready_s[pod] = ready_s[pod + 1]
                        queues[pod] = queues[pod + 1]
                    live -= 1
            if second % 60 == 0:
                replicas_at[second // 60] = live
        return gpu_s, changes

    return simulate


def _future_loop(
    arrivals: Any,
    factor: Any,
    period_s: Any,
    ahead_s: Any,
    least: Any,
    most: Any,
    threshold_s: Any,
    plant: Any,
    good: Any,
    ready_at: Any,
) -> Any:
    """GPU-seconds of whoever sees the next `ahead_s` seconds and needs no start-up; see `clairvoyant`."""
    each_rps = plant.each_rps
    left, smooth, gpu_s = 0.0, -1.0, 0.0
    queues = np.zeros(MOST_PODS)
    serving = np.ones(MOST_PODS, np.bool_)
    ready = ready_before = int(least)
    for second in range(arrivals.size):
        if second % int(period_s) == 0:
            end = min(second + int(ahead_s), arrivals.size)
            due = left
            for later in range(second, end):
                due += arrivals[later]
            ready = int(math.ceil(factor * due / ((end - second) * each_rps) - 1e-9))
            wanted = min(max(ready, int(least)), int(most))
            for server in range(ready_before, wanted):
                queues[server] = 0.0
            ready = wanted
            ready_before = wanted
            ready_at[second // int(period_s)] = ready
        came = arrivals[second]
        smooth = came if smooth < 0.0 else smooth + (came - smooth) / SMOOTH_S
        load = 1.0 if left > 0.0 else min(1.0, smooth / (ready * each_rps))
        _, service_s, forming_s = batch_of(load, ready, plant)
        steady_s = steady_of(smooth, ready, plant)
        spare_s = threshold_s - service_s - forming_s
        spread_s = spread_of(service_s, forming_s, plant)
        _, left, _, late = serve(came, queues, ready, serving, steady_s, spread_s, spare_s, plant)
        good[second // 60] += came * (1.0 - late)
        gpu_s += ready
    return gpu_s


def compiled_future() -> Callable[..., Any]:
    """The loop of the clairvoyant."""
    simulate: Callable[..., Any] = numba.njit(_future_loop)
    return simulate


def compiled_loop(decide: Callable[..., Any]) -> Callable[..., Any]:
    """The loop around one rule. Not kept on disk: numba would not notice a change of the rule in its own file."""
    simulate: Callable[..., Any] = numba.njit(_loop(numba.njit(decide)))
    return simulate
