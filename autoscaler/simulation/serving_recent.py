"""What a server's latency summary is taken from: the requests that it finished lately."""

from __future__ import annotations

from typing import Any

import numpy as np

from autoscaler.simulation.compiled import compiled
from autoscaler.simulation.serving_state import DONE, UNFINISHED


@compiled
def recent_latencies_s(
    arrival_s: Any,
    following: Any,
    latency_s: Any,
    status: Any,
    entry_s: Any,
    first: Any,
    last: Any,
    since_s: Any,
) -> Any:
    """Latencies of the requests that one server finished after `since_s`; where to start next time.

    `first` to `last` is the chain of requests that it was given; it took them from `entry_s` on.
    The arrays come one by one because handing over the whole state takes longer than this does.
    """
    request = first
    while request != last and status[request] != UNFINISHED:
        if status[request] == DONE and arrival_s[request] + latency_s[request] > since_s:
            break
        request = following[request]
    start = request
    found = np.empty(64, np.float32)
    count = 0
    while True:
        if status[request] == DONE:
            finish_s = arrival_s[request] + latency_s[request]
            if finish_s > since_s:
                if count == found.size:
                    found = np.concatenate((found, np.empty(count, np.float32)))
                # What a held request waited for the server is not in the server's own figures.
                held_s = max(entry_s - arrival_s[request], 0.0)
                found[count] = latency_s[request] - held_s
                count += 1
        if request == last:
            break
        request = following[request]
    return start, found[:count].copy()
