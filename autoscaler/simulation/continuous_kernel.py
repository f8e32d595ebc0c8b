"""The event loop of continuous batching, compiled by numba; imported only when a pool is made.

Servers meet only in the balancer, so between two arrivals each runs its own steps. A step gives every running sequence
whose prompt was read a token, and reads prompts with what is left of its tokens: of those that run first, then of
those that wait, in their order, as long as their blocks fit into the cache. Where a running sequence needs a block and
none is free, the one that was admitted last gives up all of its own and waits at the head of the queue to be read anew,
answer so far included: vLLM's recomputation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autoscaler.simulation.compiled import compiled_entry, compiled_part
from autoscaler.simulation.continuous_state import (
    HELD_COUNT,
    HELD_HEAD,
    HELD_TAIL,
    NEXT_ARRIVAL,
    NONE,
    ROTATION,
    SERVER_COUNT,
)
from autoscaler.simulation.serving_state import DONE, FAILED


@compiled_part
def _observe(counts: Any, server: Any, bounds_s: Any, value_s: Any) -> None:
    """Into the first bucket whose bound is not below it."""
    place = 0
    while place < bounds_s.size and value_s > bounds_s[place]:
        place += 1
    counts[server, place] += 1


@compiled_part
def _count_ongoing(state: Any, server: Any, t: Any) -> None:
    state.ongoing_s[server] += state.outstanding[server] * (t - state.ongoing_until_s[server])
    state.ongoing_until_s[server] = t


# ---------------------------------------------------------------- a step begins


@compiled_part
def _blocks_for(setup: Any, tokens: Any) -> Any:
    return (tokens + setup.block_tokens - 1) // setup.block_tokens


@compiled_part
def _preempt_last(state: Any, server: Any) -> None:
    """The sequence that was admitted last gives up its blocks and waits before all others."""
    last = state.running_count[server] - 1
    request = state.running[server, last]
    state.running_count[server] = last
    state.free_blocks[server] += state.held_blocks[request]
    state.held_blocks[request] = 0
    state.to_read[request] = state.prompt[request] + state.made[request]
    state.following[request] = state.wait_head[server]
    if state.waiting[server] == 0:
        state.wait_tail[server] = request
        state.following[request] = NONE
    state.wait_head[server] = request
    state.waiting[server] += 1
    state.preempted[server] += 1


@compiled_part
def _grow(setup: Any, state: Any, server: Any) -> Any:
    """Gives each running sequence room for its next token; how many make one in this step."""
    place, decoding = 0, 0
    while place < state.running_count[server]:
        request = state.running[server, place]
        if state.to_read[request] == 0:
            needed = _blocks_for(setup, state.prompt[request] + state.made[request] + 1)
            short = needed - state.held_blocks[request]
            while short > state.free_blocks[server] and state.running_count[server] > place + 1:
                _preempt_last(state, server)
            if short > state.free_blocks[server]:
                _preempt_last(state, server)  # itself: it is the last
                break
            state.free_blocks[server] -= short
            state.held_blocks[request] = needed
            decoding += 1
        place += 1
    return decoding


@compiled_part
def _admit(setup: Any, state: Any, server: Any, budget: Any, t: Any) -> None:
    """Moves those that wait into the batch, in their order, while there is room."""
    while state.waiting[server] > 0 and budget > 0:
        count = state.running_count[server]
        if count == setup.max_sequences:
            return
        request = state.wait_head[server]
        needed = _blocks_for(setup, state.to_read[request] + 1)
        if needed > state.free_blocks[server]:
            return
        state.wait_head[server] = state.following[request]
        state.waiting[server] -= 1
        state.free_blocks[server] -= needed
        state.held_blocks[request] = needed
        taken = min(budget, state.to_read[request])
        budget -= taken
        state.running[server, count] = request
        state.chunk[server, count] = taken
        state.running_count[server] = count + 1
        if not state.admitted[request]:
            state.admitted[request] = True
            state.queue_s[server] += t - max(state.arrival_s[request], state.ready_s[server])


@compiled_part
def _begin_step(setup: Any, state: Any, server: Any, t: Any) -> None:
    budget = setup.step_tokens - _grow(setup, state, server)
    for place in range(state.running_count[server]):
        request = state.running[server, place]
        taken = min(budget, state.to_read[request])
        state.chunk[server, place] = taken
        budget -= taken
    _admit(setup, state, server, budget, t)
    state.left_waiting[server] = state.waiting[server]
    count = state.running_count[server]
    if count == 0:
        state.step_end_s[server] = np.inf
        return
    read, held = 0, 0
    for place in range(count):
        request = state.running[server, place]
        read += state.chunk[server, place]
        held += state.prompt[request] + state.made[request] - state.to_read[request]
    state.step_start_s[server] = t
    state.step_end_s[server] = (
        t
        + setup.base_step_s
        + setup.sequence_s * count
        + setup.prompt_token_s * read
        + setup.context_token_s * held
    )


# ---------------------------------------------------------------- a step ends


@compiled_part
def _make_token(setup: Any, state: Any, server: Any, request: Any, t: Any) -> None:
    # A server's own figures begin when the request came to it.
    entered_s = max(state.arrival_s[request], state.ready_s[server])
    if state.made[request] == 0:
        state.first_s[request] = t
        state.ttft_s[server] += t - entered_s
        _observe(state.ttft, server, setup.ttft_bounds_s, t - entered_s)
    else:
        state.token_s[server] += t - state.last_s[request]
    state.last_s[request] = t
    state.made[request] += 1
    state.tokens[server] += 1


@compiled_part
def _end_request(setup: Any, state: Any, server: Any, request: Any, t: Any) -> None:
    entered_s = max(state.arrival_s[request], state.ready_s[server])
    state.status[request] = DONE
    state.done_s[request] = t
    state.free_blocks[server] += state.held_blocks[request]
    state.held_blocks[request] = 0
    _count_ongoing(state, server, t)
    state.outstanding[server] -= 1
    state.success[server] += 1
    state.request_s[server] += t - entered_s
    _observe(state.request, server, setup.request_bounds_s, t - entered_s)
    if state.made[request] > 1:
        each_s = (t - state.first_s[request]) / (state.made[request] - 1)
        _observe(state.tpot, server, setup.token_bounds_s, each_s)


@compiled_part
def _end_step(setup: Any, state: Any, server: Any) -> None:
    t = state.step_end_s[server]
    state.busy_s[server] += t - state.step_start_s[server]
    state.steps[server] += 1
    kept = 0
    for place in range(state.running_count[server]):
        request = state.running[server, place]
        state.to_read[request] -= state.chunk[server, place]
        if state.to_read[request] == 0:
            _make_token(setup, state, server, request, t)
        if state.made[request] >= state.answer[request]:
            _end_request(setup, state, server, request, t)
        else:
            state.running[server, kept] = request
            kept += 1
    state.running_count[server] = kept
    _begin_step(setup, state, server, t)


@compiled_part
def _advance(setup: Any, state: Any, t: Any) -> None:
    """All servers' steps up to and including `t`."""
    for server in range(state.cursor[SERVER_COUNT]):
        while state.step_end_s[server] <= t:
            _end_step(setup, state, server)


# ---------------------------------------------------------------- routing


@compiled_part
def _least_outstanding(state: Any, t: Any) -> Any:
    """The server with the fewest requests in it, the next in rotation of equal ones; -1: none takes traffic."""
    cursor = state.cursor
    count = cursor[SERVER_COUNT]
    best = NONE
    for turn in range(count):
        server = (cursor[ROTATION] + turn) % count
        takes_traffic = state.ready_s[server] <= t < state.stop_s[server]
        if takes_traffic and (best == NONE or state.outstanding[server] < state.outstanding[best]):
            best = server
    if best != NONE:
        cursor[ROTATION] = (best + 1) % count
    return best


@compiled_part
def _enter(setup: Any, state: Any, server: Any, request: Any, t: Any) -> None:
    state.following[request] = NONE
    if state.waiting[server] == 0:
        state.wait_head[server] = request
    else:
        state.following[state.wait_tail[server]] = request
    state.wait_tail[server] = request
    state.waiting[server] += 1
    _count_ongoing(state, server, t)
    state.outstanding[server] += 1
    if state.step_end_s[server] == np.inf:
        _begin_step(setup, state, server, t)


@compiled_part
def _hold(state: Any, request: Any) -> None:
    cursor = state.cursor
    state.following[request] = NONE
    if cursor[HELD_COUNT] == 0:
        cursor[HELD_HEAD] = request
    else:
        state.following[cursor[HELD_TAIL]] = request
    cursor[HELD_TAIL] = request
    cursor[HELD_COUNT] += 1


@compiled_part
def _release(setup: Any, state: Any, t: Any) -> None:
    """Sends on what waited for a server, in the order in which it came."""
    cursor = state.cursor
    while cursor[HELD_COUNT] > 0:
        server = _least_outstanding(state, t)
        if server == NONE:
            return
        request = cursor[HELD_HEAD]
        cursor[HELD_HEAD] = state.following[request]
        cursor[HELD_COUNT] -= 1
        _enter(setup, state, server, request, t)


@compiled_entry
def fail_server(setup: Any, state: Any, server: Any, t: Any) -> None:
    """Ends a server at once: what runs there and what waits fails."""
    for place in range(state.running_count[server]):
        state.status[state.running[server, place]] = FAILED
    request = state.wait_head[server]
    for _ in range(state.waiting[server]):
        state.status[request] = FAILED
        request = state.following[request]
    _count_ongoing(state, server, t)
    state.failure[server] += state.outstanding[server]
    state.outstanding[server] = 0
    state.running_count[server] = 0
    state.waiting[server] = state.left_waiting[server] = 0
    state.free_blocks[server] = setup.blocks
    state.step_end_s[server] = np.inf
    state.stop_s[server] = t


# ---------------------------------------------------------------- the loop


@compiled_part
def _next_ready_s(state: Any, t: Any) -> Any:
    """When a server begins to take traffic next, `t` included."""
    soonest = np.inf
    for server in range(state.cursor[SERVER_COUNT]):
        if t <= state.ready_s[server] < state.stop_s[server]:
            soonest = min(soonest, state.ready_s[server])
    return soonest


@compiled_entry
def run(setup: Any, state: Any, from_s: Any, until_s: Any) -> None:
    """Processes everything after `from_s` up to and including `until_s`, which must be finite."""
    cursor, arrival_s = state.cursor, state.arrival_s
    now_s = from_s
    while True:
        t = np.inf
        if cursor[NEXT_ARRIVAL] < arrival_s.size:
            t = arrival_s[cursor[NEXT_ARRIVAL]]
        releases = False
        if cursor[HELD_COUNT] > 0:
            ready_s = _next_ready_s(state, now_s)
            if ready_s < t:
                t, releases = ready_s, True
        if t > until_s:
            break
        now_s = max(now_s, t)
        _advance(setup, state, now_s)
        if releases:
            _release(setup, state, now_s)
            continue
        request = cursor[NEXT_ARRIVAL]
        cursor[NEXT_ARRIVAL] = request + 1
        # Whoever waited for a server goes first: it may have become ready at this very moment.
        _release(setup, state, now_s)
        server = _least_outstanding(state, now_s)
        if server == NONE:
            _hold(state, request)
        else:
            _enter(setup, state, server, request, now_s)
    _advance(setup, state, until_s)
