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


@compiled_part
def _is_over(arrival_s: Any, latency_s: Any, status: Any, request: Any, since_s: Any) -> Any:
    """Whether a request was finished before the window, or will never be."""
    if status[request] == UNFINISHED:
        return False
    return status[request] != DONE or arrival_s[request] + latency_s[request] <= since_s
