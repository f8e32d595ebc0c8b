"""What latency summaries are taken from: the requests that servers finished lately.

The arrays come one by one because handing over the whole state takes longer than this does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autoscaler.simulation.compiled import compiled, compiled_part
from autoscaler.simulation.serving_state import DONE, UNFINISHED


@compiled
def recent_latencies_s(
    arrival_s: Any,
    following: Any,
    latency_s: Any,
    status: Any,
    ready_s: Any,
    window_head: Any,
    queue_tail: Any,
    servers: Any,
    since_s: Any,
) -> Any:
    """Latencies of the requests that `servers` finished after `since_s`: (all of them, where each server's end).

    Notes in `window_head` where the search may start next time.
    """
    found = np.empty(256, np.float32)
    ends = np.zeros(servers.size, np.int64)
    count = 0
    for place in range(servers.size):
        server = servers[place]
        last = queue_tail[server]
        if last >= 0:
            request = window_head[server]
            while request != last and _is_over(arrival_s, latency_s, status, request, since_s):
                request = following[request]
            window_head[server] = request
            while True:
                if status[request] == DONE and arrival_s[request] + latency_s[request] > since_s:
                    if count == found.size:
                        found = np.concatenate((found, np.empty(count, np.float32)))
                    # What a held request waited for the server is not in the server's own figures.
                    held_s = max(ready_s[server] - arrival_s[request], 0.0)
                    found[count] = latency_s[request] - held_s
                    count += 1
                if request == last:
                    break
                request = following[request]
        ends[place] = count
    return found[:count].copy(), ends


@compiled
def ranked(values: Any, ends: Any, quantiles: Any) -> Any:
    """Nearest-rank quantiles of each part of `values`, a row for each; NaN where the part is empty. Sorts the parts."""
    result = np.full((ends.size, quantiles.size), np.nan)
    start = 0
    for place in range(ends.size):
        end = ends[place]
        if end > start:
            part = values[start:end]
            part.sort()
            for column in range(quantiles.size):
                # 0.55 * 100 is 55.00000000000001 in floats; the subtraction keeps it at rank 55.
                rank = int(np.ceil(quantiles[column] * (end - start) - 1e-9))
                result[place, column] = part[max(rank, 1) - 1]
        start = end
    return result


@compiled_part
def _is_over(arrival_s: Any, latency_s: Any, status: Any, request: Any, since_s: Any) -> Any:
    """Whether a request was finished before the window, or will never be."""
    if status[request] == UNFINISHED:
        return False
    return status[request] != DONE or arrival_s[request] + latency_s[request] <= since_s
