"""The event loop of the serving model, compiled by numba; imported only when a pool is made.

It moves requests through servers from event to event, on the arrays of `serving_state`, and knows
nothing of pods, SLOs or scrapes. All of it is one file, for numba would not notice a change in another
(`compiled.py`); its parts are told apart by the lines between them: random draws, what is due first,
clients, batches, routing, servers that come and go, and last the loop.

Events at the same instant come in this order: batches that finish (by server, then instance),
batches whose delay is over (by server), servers that come or go, requests that give up, clients that
leave, users that come or go, what is asked again or by users next, arrivals (by number). So a request
that arrives when an instance becomes free finds it free, and an answer at the timeout is in time.

Random draws belong to requests, not to the order of events: a draw is a hash of the seed and the
request's number, of a retry also how many were before it, of a user's how many it made before. Two
policies under the same arrivals therefore meet the same luck, and splitting a run into steps changes
nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autoscaler.simulation.compiled import compiled_entry, compiled_part
from autoscaler.simulation.serving_state import (
    ASK_COUNT,
    DONE,
    FAILED,
    HELD_COUNT,
    HELD_HEAD,
    HELD_TAIL,
    LAST_SERVER,
    LEAST_OUTSTANDING,
    NEXT_ARRIVAL,
    NEXT_LEVEL,
    NEXT_WANTED,
    RANDOM,
    REJECTED,
    ROTATION,
    ROUND_ROBIN,
    ROUTABLE_COUNT,
    SERVER_COUNT,
    TIMED_OUT,
    TWO_CHOICES,
    UNFINISHED,
    USER_COUNT,
    WATCHED,
)

# Streams of random draws; each request has its own in each.
_SERVICE_STREAM, _ROUTING_STREAM, _CONNECTION_STREAM, _LIFE_STREAM = range(4)
_BACKOFF_STREAM, _THINK_STREAM = range(4, 6)
# A user's requests, and the attempts at each of them, are this far apart in what their draws are made of.
# There are fewer users than _TURN, and a user makes no 2**31 requests.
_TURN, _ATTEMPT = 2**20, 2**54
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
# What can come next, in the order of events at the same instant.
_DUE, _SERVERS, _GIVES_UP, _LEAVES, _USERS, _ASKS, _ARRIVES = range(7)


# ---------------------------------------------------------------- random draws


@compiled_part
def _mixed(key: Any) -> Any:
    """SplitMix64's output function: neighbouring keys give unrelated numbers."""
    key = (key ^ (key >> np.uint64(30))) * _MIX_1
    key = (key ^ (key >> np.uint64(27))) * _MIX_2
    return key ^ (key >> np.uint64(31))


@compiled_part
def _key(seed: Any, stream: Any, request: Any) -> Any:
    start = _mixed(seed + np.uint64(stream + 1) * _GOLDEN)
    return _mixed(start ^ (np.uint64(request + 1) * _GOLDEN))


@compiled_part
def _key_of(setup: Any, state: Any, stream: Any, request: Any) -> Any:
    """The key of a request's own draws."""
    made_of = state.luck[request] if setup.has_clients else np.int64(request)
    return _key(setup.seed, stream, made_of)


@compiled_part
def _uniform(key: Any, draw: Any) -> Any:
    """The draw-th number of a key's sequence, in [0, 1)."""
    return (_mixed(key + np.uint64(draw + 1) * _GOLDEN) >> np.uint64(11)) * (
        1.0 / 9007199254740992.0
    )


@compiled_part
def _gamma(shape: Any, key: Any) -> Any:
    """A gamma variate with mean 1 (Marsaglia and Tsang 2000), from the sequence of one key."""
    boosted = shape if shape >= 1.0 else shape + 1.0
    d = boosted - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    draw = 1
    while True:
        radius = math.sqrt(-2.0 * math.log(1.0 - _uniform(key, draw)))
        normal = radius * math.cos(2.0 * math.pi * _uniform(key, draw + 1))
        v = (1.0 + c * normal) ** 3
        u = 1.0 - _uniform(key, draw + 2)
        draw += 3
        # The squeeze: it holds only where the exact test does, and spares its logarithms in 97 of 100 draws.
        if u < 1.0 - 0.0331 * normal**4:
            break
        if v > 0.0 and math.log(u) < 0.5 * normal * normal + d - d * v + d * math.log(v):
            break
    value = d * v
    if shape < 1.0:
        value *= (1.0 - _uniform(key, 0)) ** (1.0 / shape)
    return value / shape


# ---------------------------------------------------------------- what is due first


@compiled_part
def set_due(state: Any, leaf: Any, at_s: Any) -> None:
    """Give a leaf its time and play its matches again; the lower leaf wins a tie."""
    due_s, winner = state.due_s, state.winner
    due_s[leaf] = at_s
    node = (winner.size // 2 + leaf) >> 1
    while node >= 1:
        left, right = winner[2 * node], winner[2 * node + 1]
        best = left if due_s[left] <= due_s[right] else right
        if winner[node] == best and best != leaf:
            return  # another leaf won here before and still does: nothing changes above
        winner[node] = best
        node >>= 1


# ---------------------------------------------------------------- clients


@compiled_part
def _ask_at(state: Any, at_s: Any, what: Any) -> None:
    """Put what is to be asked onto the heap."""
    asks_s, asks, place = state.asks_s, state.asks, state.cursor[ASK_COUNT]
    state.cursor[ASK_COUNT] = place + 1
    while place > 0:
        above = (place - 1) >> 1
        if asks_s[above] < at_s or (asks_s[above] == at_s and asks[above] < what):
            break
        asks_s[place], asks[place] = asks_s[above], asks[above]
        place = above
    asks_s[place], asks[place] = at_s, what


@compiled_part
def _take_ask(state: Any) -> Any:
    """What is to be asked first; at the same instant users come before retries, by number."""
    asks_s, asks = state.asks_s, state.asks
    taken = asks[0]
    state.cursor[ASK_COUNT] -= 1
    count = state.cursor[ASK_COUNT]
    at_s, what = asks_s[count], asks[count]
    place = 0
    while True:
        below = 2 * place + 1
        if below >= count:
            break
        other = below + 1
        if other < count and (
            asks_s[other] < asks_s[below]
            or (asks_s[other] == asks_s[below] and asks[other] < asks[below])
        ):
            below = other
        if at_s < asks_s[below] or (at_s == asks_s[below] and what < asks[below]):
            break
        asks_s[place], asks[place] = asks_s[below], asks[below]
        place = below
    asks_s[place], asks[place] = at_s, what
    return taken


@compiled_part
def _think(setup: Any, state: Any, user: Any, t: Any) -> None:
    """A user that has come, or whose request is over, asks for the next after a while of its own."""
    key = _key(setup.seed, _THINK_STREAM, user + np.int64(state.turn[user]) * _TURN)
    _ask_at(state, t - setup.think_s * math.log(1.0 - _uniform(key, 0)), user - _TURN)


@compiled_part
def _settle(setup: Any, state: Any, first: Any, answer_s: Any, t: Any) -> None:
    """A client has what it wanted, or goes without."""
    state.answer_s[first] = answer_s
    if setup.is_closed:
        _think(setup, state, state.luck[first] % _TURN, t)


@compiled_part
def _answer(setup: Any, state: Any, request: Any, t: Any) -> None:
    if request >= state.cursor[WATCHED]:  # else its client has left
        first = state.first[request]
        _settle(setup, state, first, t - state.arrival_s[first], t)


@compiled_part
def _disappoint(setup: Any, state: Any, request: Any, t: Any) -> None:
    """A client's attempt came to nothing while it waited: it asks again, or never."""
    first = state.first[request]
    tried = state.attempts[first]
    if tried > setup.retries:
        _settle(setup, state, first, np.inf, t)
        return
    luck = 0.5 + _uniform(_key_of(setup, state, _BACKOFF_STREAM, request), 0)
    _ask_at(state, t + setup.backoff_s * 2.0 ** (tried - 1) * luck, first)


@compiled_part
def _refuse(setup: Any, state: Any, request: Any, status: Any, t: Any) -> None:
    """A request will not be answered, and whoever waits for it is told so."""
    state.status[request] = status
    if setup.has_clients and request >= state.cursor[WATCHED]:
        _disappoint(setup, state, request, t)


@compiled_part
def _leaves_s(setup: Any, state: Any) -> Any:
    """When the next client has waited for too long: all wait alike, so the one that has waited longest."""
    cursor = state.cursor
    if setup.timeout_s == np.inf:
        return np.inf
    while cursor[WATCHED] < cursor[NEXT_ARRIVAL]:
        if state.status[cursor[WATCHED]] == UNFINISHED:
            return state.arrival_s[cursor[WATCHED]] + setup.timeout_s
        cursor[WATCHED] += 1
    return np.inf


@compiled_part
def _leave(setup: Any, state: Any, t: Any) -> None:
    """Its request stays where it is, and is served."""
    request = state.cursor[WATCHED]
    state.cursor[WATCHED] = request + 1
    _disappoint(setup, state, request, t)


@compiled_part
def _change_users(setup: Any, state: Any, t: Any) -> None:
    """Those who come begin. One that goes has its request answered first; if it comes back before, it never went."""
    cursor = state.cursor
    before = cursor[USER_COUNT]
    cursor[USER_COUNT] = state.level[cursor[NEXT_LEVEL]]
    cursor[NEXT_LEVEL] += 1
    for user in range(before, cursor[USER_COUNT]):
        if not state.is_there[user]:
            state.is_there[user] = True
            _think(setup, state, user, t)


@compiled_part
def _next_of_clients(setup: Any, state: Any, t: Any, kind: Any) -> Any:
    """(when, what) is next: what was found so far, or something that clients do."""
    cursor = state.cursor
    leaves_s = _leaves_s(setup, state)
    if leaves_s < t:
        t, kind = leaves_s, _LEAVES
    if cursor[NEXT_LEVEL] < state.level_s.size and state.level_s[cursor[NEXT_LEVEL]] < t:
        t, kind = state.level_s[cursor[NEXT_LEVEL]], _USERS
    if cursor[ASK_COUNT] > 0 and state.asks_s[0] < t:
        t, kind = state.asks_s[0], _ASKS
    if cursor[NEXT_WANTED] < state.wanted_s.size and state.wanted_s[cursor[NEXT_WANTED]] < t:
        t, kind = state.wanted_s[cursor[NEXT_WANTED]], _ARRIVES
    return t, kind


@compiled_part
def _attempt(state: Any, kind: Any, t: Any) -> Any:
    """Give what is asked now a place among the requests; -1: its user has gone."""
    cursor = state.cursor
    request = cursor[NEXT_ARRIVAL]
    first = request
    if kind == _ARRIVES:
        luck = cursor[NEXT_WANTED]
        cursor[NEXT_WANTED] += 1
    else:
        what = _take_ask(state)
        if what >= 0:
            first = what
            luck = state.luck[first] + state.attempts[first] * _ATTEMPT
        else:
            user = what + _TURN
            if user >= cursor[USER_COUNT]:
                state.is_there[user] = False
                return np.int64(-1)
            luck = user + np.int64(state.turn[user]) * _TURN
            state.turn[user] += 1
    cursor[NEXT_ARRIVAL] = request + 1
    state.arrival_s[request] = t
    state.first[request] = first
    state.luck[request] = luck
    state.attempts[first] += 1
    return request


# ---------------------------------------------------------------- batches


@compiled_part
def _idle_slot(setup: Any, state: Any, server: Any) -> Any:
    first = server * setup.instances
    for slot in range(first, first + setup.instances):
        if state.due_s[slot] == np.inf:
            return slot
    return -1


@compiled_part
def _start_batch(setup: Any, state: Any, server: Any, slot: Any, t: Any) -> None:
    """Move the longest prefix of the queue that fits into a batch to an idle instance; of what is closed, no more."""
    head = state.queue_head[server]
    request = head
    count, items = 0, 0
    most = state.closed[server] if state.closed[server] > 0 else state.queued[server]
    for _ in range(most):
        size = state.items[request] if setup.has_items else 1
        if items + size > setup.max_batch:
            break
        items += size
        count += 1
        request = state.following[request]
    state.queue_head[server] = request
    state.queued[server] -= count
    state.queued_items[server] -= items
    if state.closed[server] > 0:
        state.closed[server] -= count
        state.closed_items[server] -= items
        if state.closed[server] == 0:
            state.last_items[server] = 0
    state.slot_head[slot] = head
    state.slot_count[slot] = count
    state.slot_items[slot] = items
    state.slot_start_s[slot] = t
    if state.running[server] == 0:
        state.busy_since_s[server] = t
    state.running[server] += 1
    service_s = setup.batch_service_s[items] * state.slowdown[server, items]
    if setup.gamma_shape > 0.0:
        service_s *= _gamma(setup.gamma_shape, _key_of(setup, state, _SERVICE_STREAM, head))
    set_due(state, slot, t + service_s)


@compiled_part
def _first_open(state: Any, server: Any) -> Any:
    request = state.queue_head[server]
    for _ in range(state.closed[server]):
        request = state.following[request]
    return request


@compiled_part
def _delay_over_s(setup: Any, state: Any, server: Any) -> Any:
    """When the oldest request that is in no closed batch has waited for the delay."""
    request = _first_open(state, server)
    return max(state.arrival_s[request], state.ready_s[server]) + setup.max_delay_s


@compiled_part
def _fill_last(setup: Any, state: Any, server: Any) -> None:
    """Put into the last closed batch what it has room for; then it takes no more."""
    request = _first_open(state, server)
    while state.queued[server] > state.closed[server]:
        size = state.items[request] if setup.has_items else 1
        if state.last_items[server] + size > setup.max_batch:
            break
        state.closed[server] += 1
        state.closed_items[server] += size
        state.last_items[server] += size
        request = state.following[request]
    state.last_items[server] = 0


@compiled_part
def _close_open(setup: Any, state: Any, server: Any) -> None:
    """Put what is open into the last closed batch, and what doesn't fit into further ones."""
    request = _first_open(state, server)
    while state.queued[server] > state.closed[server]:
        size = state.items[request] if setup.has_items else 1
        fits = state.last_items[server] > 0 and state.last_items[server] + size <= setup.max_batch
        if not fits and not _has_slot(setup, state, server):
            break
        state.closed[server] += 1
        state.closed_items[server] += size
        state.last_items[server] = state.last_items[server] + size if fits else size
        request = state.following[request]
    if state.last_items[server] >= setup.max_batch:
        state.last_items[server] = 0


@compiled_part
def _has_slot(setup: Any, state: Any, server: Any) -> Any:
    """No more than two batches for each instance are closed ahead."""
    return state.closed_items[server] < 2 * setup.instances * setup.max_batch


@compiled_part
def _close_when_due(setup: Any, state: Any, server: Any, t: Any) -> Any:
    """Close what is open if it is full or its oldest has waited for the delay; otherwise: until when to wait.

    Every instance is busy. What had waited already when its turn came leaves the door open for the next request; what
    waited for the end of the delay does not.
    """
    while state.queued[server] > state.closed[server] and _has_slot(setup, state, server):
        due_s = _delay_over_s(setup, state, server)
        full = state.queued_items[server] - state.closed_items[server] >= setup.max_batch
        if t < due_s and not full:
            return due_s
        _close_open(setup, state, server)
        state.wakes_at[server] = setup.max_batch if t == due_s else 0
    return np.inf


@compiled_part
def _join(setup: Any, state: Any, server: Any, t: Any) -> Any:
    """A request has come while every instance is busy: whether a closed batch takes it."""
    if state.last_items[server] > 0 and _has_slot(setup, state, server):
        if state.wakes_at[server] == 0:
            state.wakes_at[server] = setup.max_batch - state.last_items[server]
            _close_open(setup, state, server)
        elif state.queued_items[server] - state.closed_items[server] >= state.wakes_at[server]:
            _fill_last(setup, state, server)
        else:
            return np.inf
    if state.last_items[server] > 0:
        return np.inf
    return _close_when_due(setup, state, server, t)


@compiled_part
def _start_batches(setup: Any, state: Any, server: Any, t: Any) -> None:
    """Start what may start now; where a batch is worth waiting for, note until when."""
    wait_until_s = np.inf
    while state.queued[server] > 0:
        slot = _idle_slot(setup, state, server)
        if slot < 0:
            if setup.closes_early and state.last_items[server] == 0:
                wait_until_s = _close_when_due(setup, state, server, t)
            break
        if (
            setup.max_delay_s > 0.0
            and state.queued_items[server] < setup.max_batch
            and state.closed[server] == 0
        ):
            due_s = _delay_over_s(setup, state, server)
            if t < due_s:
                wait_until_s = due_s
                break
        _start_batch(setup, state, server, slot, t)
    _wait_until(state, server, wait_until_s)


@compiled_part
def _wait_until(state: Any, server: Any, at_s: Any) -> None:
    leaf = state.slot_head.size + server
    if state.due_s[leaf] != at_s:
        set_due(state, leaf, at_s)


@compiled_part
def _count_ongoing(state: Any, server: Any, t: Any) -> None:
    """Adds up request-seconds until now, before the number of requests in a server changes."""
    state.ongoing_s[server] += state.outstanding[server] * (t - state.ongoing_until_s[server])
    state.ongoing_until_s[server] = t


@compiled_part
def _finish_batch(setup: Any, state: Any, slot: Any, t: Any) -> None:
    """Account for a batch as Triton does: each request adds the whole batch's compute time."""
    server = slot // setup.instances
    ready_s = state.ready_s[server]
    start_s = state.slot_start_s[slot]
    count, items = state.slot_count[slot], state.slot_items[slot]
    request = state.slot_head[slot]
    request_s, queue_s = 0.0, 0.0
    for _ in range(count):
        arrival_s = state.arrival_s[request]
        # A request that was held for the first server entered it when that became ready.
        entered_s = max(arrival_s, ready_s)
        state.latency_s[request] = t - arrival_s
        state.status[request] = DONE
        if setup.has_clients:
            _answer(setup, state, request, t)
        request_s += t - entered_s
        queue_s += start_s - entered_s
        request = state.following[request]
    state.success[server] += count
    _count_ongoing(state, server, t)
    state.outstanding[server] -= count
    state.request_s[server] += request_s
    state.queue_s[server] += queue_s
    state.compute_s[server] += count * (t - start_s)
    state.batch_count[server, items] += 1
    state.batch_s[server, items] += t - start_s
    state.running[server] -= 1
    if state.running[server] == 0:
        state.busy_s[server] += t - state.busy_since_s[server]
    set_due(state, slot, np.inf)
    _start_batches(setup, state, server, t)


# ---------------------------------------------------------------- routing


@compiled_part
def _next_in_rotation(state: Any) -> Any:
    cursor = state.cursor
    place = cursor[ROTATION]
    cursor[ROTATION] = place + 1 if place + 1 < cursor[ROUTABLE_COUNT] else 0
    cursor[LAST_SERVER] = state.routable[place]
    return state.routable[place]


@compiled_part
def _least_outstanding(state: Any) -> Any:
    """The server with the fewest requests in it; the next in rotation wins a tie."""
    cursor, routable, outstanding = state.cursor, state.routable, state.outstanding
    count = cursor[ROUTABLE_COUNT]
    place = best = cursor[ROTATION]
    fewest = outstanding[routable[best]]
    for _ in range(count - 1):
        if fewest == 0:
            break
        place = place + 1 if place + 1 < count else 0
        here = outstanding[routable[place]]
        if here < fewest:
            fewest, best = here, place
    cursor[ROTATION] = best + 1 if best + 1 < count else 0
    cursor[LAST_SERVER] = routable[best]
    return routable[best]


@compiled_part
def _two_choices(setup: Any, state: Any, request: Any) -> Any:
    count = state.cursor[ROUTABLE_COUNT]
    key = _key_of(setup, state, _ROUTING_STREAM, request)
    first = int(_uniform(key, 0) * count)
    if count == 1:
        return state.routable[first]
    second = int(_uniform(key, 1) * (count - 1))
    if second >= first:
        second += 1
    one, other = state.routable[first], state.routable[second]
    return one if state.outstanding[one] <= state.outstanding[other] else other


@compiled_part
def _pinned(setup: Any, state: Any, request: Any, t: Any) -> Any:
    """The server of the request's connection.

    A connection that is new, over or cut opens at the next server in rotation.
    """
    if setup.has_connections:
        connection = state.connection[request]
    else:
        draw = _uniform(_key_of(setup, state, _CONNECTION_STREAM, request), 0)
        connection = int(draw * state.pinned_to.size)
    server = state.pinned_to[connection]
    if server < 0 or t >= state.pinned_until_s[connection] or not state.is_routable[server]:
        server = _next_in_rotation(state)
        state.pinned_to[connection] = server
        if setup.connection_life_s < np.inf:
            draw = _uniform(_key_of(setup, state, _LIFE_STREAM, request), 0)
            state.pinned_until_s[connection] = t - setup.connection_life_s * math.log(1.0 - draw)
    return server


@compiled_part
def _route(setup: Any, state: Any, request: Any, t: Any) -> Any:
    if setup.routing == ROUND_ROBIN:
        server = _next_in_rotation(state)
    elif setup.routing == LEAST_OUTSTANDING:
        server = _least_outstanding(state)
    elif setup.routing == RANDOM:
        draw = _uniform(_key_of(setup, state, _ROUTING_STREAM, request), 0)
        server = state.routable[int(draw * state.cursor[ROUTABLE_COUNT])]
    elif setup.routing == TWO_CHOICES:
        server = _two_choices(setup, state, request)
    else:
        server = _pinned(setup, state, request, t)
    return server


@compiled_part
def _enter(setup: Any, state: Any, request: Any, t: Any) -> None:
    """Send a request to a server, which queues it, starts it or, with a full queue, rejects it."""
    server = _route(setup, state, request, t)
    state.server[request] = server
    if state.queued[server] >= setup.max_queue:
        state.failure[server] += 1
        _refuse(setup, state, request, REJECTED, t)
        return
    tail = state.queue_tail[server]
    if tail >= 0:
        state.following[tail] = request
    else:
        state.window_head[server] = request
    if state.queued[server] == 0:
        state.queue_head[server] = request
    state.queue_tail[server] = request
    state.queued[server] += 1
    state.queued_items[server] += state.items[request] if setup.has_items else 1
    _count_ongoing(state, server, t)
    state.outstanding[server] += 1
    if state.running[server] < setup.instances:
        _start_batches(setup, state, server, t)
    elif setup.closes_early:
        _wait_until(state, server, _join(setup, state, server, t))


# ---------------------------------------------------------------- servers that come and go


@compiled_part
def _hold(state: Any, request: Any) -> None:
    cursor = state.cursor
    if cursor[HELD_COUNT] == 0:
        cursor[HELD_HEAD] = request
    else:
        state.following[cursor[HELD_TAIL]] = request
    cursor[HELD_TAIL] = request
    cursor[HELD_COUNT] += 1


@compiled_part
def _release(setup: Any, state: Any, t: Any) -> None:
    """Send the requests that waited for a server on, in the order in which they came."""
    cursor = state.cursor
    while cursor[HELD_COUNT] > 0:
        request = cursor[HELD_HEAD]
        cursor[HELD_HEAD] = state.following[request]  # read before the request joins another queue
        cursor[HELD_COUNT] -= 1
        _enter(setup, state, request, t)


@compiled_part
def refresh_servers(setup: Any, state: Any, t: Any) -> None:
    """List the servers that take traffic at `t` and find the next instant at which that changes."""
    cursor = state.cursor
    count = 0
    rotation = 0
    change_s = np.inf
    for server in range(cursor[SERVER_COUNT]):
        takes_traffic = state.ready_s[server] <= t < state.stop_s[server]
        state.is_routable[server] = takes_traffic
        if takes_traffic:
            state.routable[count] = server
            count += 1
            if server <= cursor[LAST_SERVER]:
                rotation = count  # go on after the server that was used last
        if state.ready_s[server] > t:
            change_s = min(change_s, state.ready_s[server])
        if state.stop_s[server] > t:
            change_s = min(change_s, state.stop_s[server])
    cursor[ROUTABLE_COUNT] = count
    cursor[ROTATION] = rotation if rotation < count else 0
    state.change_s[0] = change_s
    if count > 0:
        _release(setup, state, t)


@compiled_entry
def fail_server(setup: Any, state: Any, server: Any, t: Any) -> None:
    """End a server at once: what it runs and what it has queued fails."""
    first = server * setup.instances
    for slot in range(first, first + setup.instances):
        if state.due_s[slot] < np.inf:
            request = state.slot_head[slot]
            for _ in range(state.slot_count[slot]):
                _refuse(setup, state, request, FAILED, t)
                request = state.following[request]
            set_due(state, slot, np.inf)
    request = state.queue_head[server]
    for _ in range(state.queued[server]):
        _refuse(setup, state, request, FAILED, t)
        request = state.following[request]
    if state.running[server] > 0:
        state.busy_s[server] += t - state.busy_since_s[server]
    _count_ongoing(state, server, t)
    state.failure[server] += state.outstanding[server]
    state.outstanding[server] = 0
    state.running[server] = 0
    state.queued[server] = 0
    state.queued_items[server] = 0
    state.closed[server] = 0
    state.closed_items[server] = 0
    state.last_items[server] = 0
    set_due(state, state.slot_head.size + server, np.inf)
    state.stop_s[server] = t
    refresh_servers(setup, state, t)


# ---------------------------------------------------------------- the loop


@compiled_entry
def run(setup: Any, state: Any, until_s: Any) -> Any:
    """Process every event up to and including `until_s`, which must be finite; False: there is no room for the next."""
    cursor, arrival_s = state.cursor, state.arrival_s
    slots = state.slot_head.size
    # What clients ask has its place only once they do.
    total = 0 if setup.has_clients else arrival_s.size
    while True:
        leaf = state.winner[1]
        t = state.due_s[leaf]
        kind = _DUE
        if state.change_s[0] < t:
            t, kind = state.change_s[0], _SERVERS
        if cursor[HELD_COUNT] > 0:
            give_up_s = arrival_s[cursor[HELD_HEAD]] + setup.hold_timeout_s
            if give_up_s < t:
                t, kind = give_up_s, _GIVES_UP
        request = cursor[NEXT_ARRIVAL]
        if request < total and arrival_s[request] < t:
            t, kind = arrival_s[request], _ARRIVES
        if setup.has_clients:
            t, kind = _next_of_clients(setup, state, t, kind)
        if t > until_s:
            return True
        if kind >= _ASKS:
            if setup.has_clients:
                if request == arrival_s.size:
                    return False
                request = _attempt(state, kind, t)
            else:
                cursor[NEXT_ARRIVAL] = request + 1
            if request >= 0:
                if cursor[ROUTABLE_COUNT] > 0:
                    _enter(setup, state, request, t)
                else:
                    _hold(state, request)
        elif kind == _DUE:
            if leaf < slots:
                _finish_batch(setup, state, leaf, t)
            else:
                _start_batches(setup, state, leaf - slots, t)
        elif kind == _SERVERS:
            refresh_servers(setup, state, t)
        elif kind == _GIVES_UP:
            request = cursor[HELD_HEAD]
            cursor[HELD_HEAD] = state.following[request]
            cursor[HELD_COUNT] -= 1
            _refuse(setup, state, request, TIMED_OUT, t)
        elif kind == _LEAVES:
            _leave(setup, state, t)
        else:
            _change_users(setup, state, t)
