"""The arrays that the serving model's event loop works on, and the meaning of their places.

Plain numpy: importing this loads no compiler. Whoever changes a tuple or a number here changes
`serving_kernel` as well, where it is compiled in.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ROUND_ROBIN, RANDOM, LEAST_OUTSTANDING, TWO_CHOICES, PINNED = range(5)
UNFINISHED, DONE, REJECTED, TIMED_OUT, FAILED = range(5)

# Places in `State.cursor`.
NEXT_ARRIVAL, SERVER_COUNT, ROUTABLE_COUNT, ROTATION, LAST_SERVER = range(5)
HELD_HEAD, HELD_TAIL, HELD_COUNT = range(5, 8)
# Of clients: the next intent; the requests before WATCHED are over or were left; the size of the heap; users now, and
# the next change of their number.
NEXT_WANTED, WATCHED, ASK_COUNT, USER_COUNT, NEXT_LEVEL = range(8, 13)
CURSOR_SIZE = 13


class Setup(NamedTuple):
    """What never changes in a run."""

    max_batch: int
    instances: int
    batch_service_s: NDArray[np.float64]  # by batch size; place 0 is unused
    max_delay_s: float
    closes_early: bool  # batches are closed while every instance is busy
    gamma_shape: float  # 0: service times without spread
    max_queue: int
    routing: int
    hold_timeout_s: float
    connection_life_s: float
    has_connections: bool
    has_items: bool
    has_clients: bool  # that leave, ask again or wait for an answer before they send the next
    is_closed: bool  # requests are users', none arrives by itself
    timeout_s: float
    retries: int
    backoff_s: float
    think_s: float
    seed: np.uint64


class State(NamedTuple):
    """The arrivals and everything that changes.

    Sizes: n requests, s servers, k slots, which are the instances of all servers. Where there are clients, n is what
    there is room for (`serving_clients`): a request is then one attempt, and gets its place when it is made.
    """

    arrival_s: NDArray[np.float64]  # n
    following: NDArray[np.int32]  # n: the next request of the same queue; outlives the queue
    latency_s: NDArray[np.float32]  # n
    status: NDArray[np.uint8]  # n
    server: NDArray[np.int16]  # n
    items: NDArray[np.uint8]  # n, or 1 when every request holds one item
    connection: NDArray[np.int32]  # n, or 1 when drawn
    pinned_to: NDArray[np.int32]  # connections
    pinned_until_s: NDArray[np.float64]  # connections
    cursor: NDArray[np.int64]
    change_s: NDArray[np.float64]  # 1: when a server comes or goes next
    due_s: NDArray[np.float64]  # leaves of the tree: k finish times, then s ends of delay
    winner: NDArray[np.int32]  # the tree: place 1 names the leaf that is due first
    routable: NDArray[np.int32]  # s: servers that take traffic, ascending
    is_routable: NDArray[np.bool_]  # s
    ready_s: NDArray[np.float64]  # s
    stop_s: NDArray[np.float64]  # s
    slowdown: NDArray[np.float64]  # s, and batch size
    queue_head: NDArray[np.int32]  # s
    queue_tail: NDArray[np.int32]  # s; -1 until the first request
    window_head: NDArray[np.int32]  # s: where the search for recent latencies starts
    queued: NDArray[np.int64]  # s
    queued_items: NDArray[np.int64]  # s
    # Of the queue, what is in batches that are closed although no instance is free (with a delay only):
    closed: NDArray[np.int64]  # s: requests, from the head on
    closed_items: NDArray[np.int64]  # s
    last_items: NDArray[np.int64]  # s: in the last of these batches; 0: none has room
    wakes_at: NDArray[np.int64]  # s: items that must wait behind it before they may join it
    outstanding: NDArray[np.int64]  # s
    ongoing_s: NDArray[np.float64]  # s: request-seconds until the time below
    ongoing_until_s: NDArray[np.float64]  # s
    running: NDArray[np.int64]  # s: busy instances
    busy_since_s: NDArray[np.float64]  # s
    busy_s: NDArray[np.float64]  # s
    success: NDArray[np.int64]  # s
    failure: NDArray[np.int64]  # s
    request_s: NDArray[np.float64]  # s
    queue_s: NDArray[np.float64]  # s
    compute_s: NDArray[np.float64]  # s
    batch_count: NDArray[np.int64]  # s x (max_batch + 1)
    batch_s: NDArray[np.float64]  # s x (max_batch + 1)
    slot_head: NDArray[np.int32]  # k
    slot_count: NDArray[np.int64]  # k: requests of the running batch
    slot_items: NDArray[np.int64]  # k
    slot_start_s: NDArray[np.float64]  # k
    # Of clients; empty where there are none. What one wants is known by its first attempt:
    wanted_s: NDArray[
        np.float64
    ]  # when what is wanted is asked for first, ascending; of users nothing is known before
    luck: NDArray[np.int64]  # n: what its draws are made of
    first: NDArray[np.int32]  # n: the first attempt at the same
    attempts: NDArray[np.uint8]  # n: of first ones, how many were made so far
    answer_s: NDArray[
        np.float32
    ]  # n: of first ones, from then to the answer; inf: left for good, NaN: neither yet
    asks_s: NDArray[
        np.float64
    ]  # n + users: a heap of when something is asked again, or by a user next,
    asks: NDArray[np.int64]  # n + users: and of what: the first attempt, or below 0 a user
    level_s: NDArray[np.float64]  # when the number of users changes
    level: NDArray[np.int64]  # to how many
    turn: NDArray[np.int32]  # users: requests that each has made
    is_there: NDArray[np.bool_]  # users: those that are in the loop


def empty_state(
    arrival_s: NDArray[np.float64],
    items: NDArray[np.uint8],
    connection: NDArray[np.int32],
    clients: dict[str, NDArray[Any]],
    *,
    connections: int,
    servers: int,
    instances: int,
    max_batch: int,
) -> State:
    """Nothing has arrived, no server was added. `clients` are the arrays of `serving_clients`."""
    count = arrival_s.size
    slots = servers * instances
    cursor = np.zeros(CURSOR_SIZE, np.int64)
    cursor[LAST_SERVER] = -1
    return State(
        arrival_s=arrival_s,
        following=np.empty(count, np.int32),
        latency_s=np.full(count, np.nan, np.float32),
        status=np.zeros(count, np.uint8),
        server=np.full(count, -1, np.int16),
        items=items,
        connection=connection,
        pinned_to=np.full(connections, -1, np.int32),
        pinned_until_s=np.full(connections, np.inf),
        cursor=cursor,
        change_s=np.full(1, np.inf),
        **_empty_tree(slots + servers),
        **_server_arrays(servers, max_batch),
        slot_head=np.zeros(slots, np.int32),
        slot_count=np.zeros(slots, np.int64),
        slot_items=np.zeros(slots, np.int64),
        slot_start_s=np.zeros(slots),
        **clients,
    )


def clear_server(state: State, server: int) -> None:
    """Makes the place of a server that has stopped and drained as one that was never used."""
    for name, values in _server_arrays(1, state.batch_count.shape[1] - 1).items():
        if name not in ("routable", "is_routable"):
            getattr(state, name)[server] = values[0]
    # Neither ready nor stopped at any time: the event loop passes over it.
    state.stop_s[server] = -np.inf
    state.pinned_to[state.pinned_to == server] = -1


def _empty_tree(leaves: int) -> dict[str, NDArray[Any]]:
    """A tournament tree in which nothing is due: ties go to the left, so the leftmost leaf wins."""
    width = 1 << max(leaves - 1, 1).bit_length()
    winner = np.zeros(2 * width, np.int32)
    winner[width:] = np.arange(width)
    for node in range(width - 1, 0, -1):
        winner[node] = winner[2 * node]
    return {"due_s": np.full(width, np.inf), "winner": winner}


def _server_arrays(servers: int, max_batch_size: int) -> dict[str, NDArray[Any]]:
    """The arrays with one place for each server that may ever be added."""
    return {
        "routable": np.zeros(servers, np.int32),
        "is_routable": np.zeros(servers, np.bool_),
        "ready_s": np.full(servers, np.inf),
        "stop_s": np.full(servers, np.inf),
        "slowdown": np.ones((servers, max_batch_size + 1)),
        "queue_head": np.zeros(servers, np.int32),
        "queue_tail": np.full(servers, -1, np.int32),
        "window_head": np.zeros(servers, np.int32),
        "queued": np.zeros(servers, np.int64),
        "queued_items": np.zeros(servers, np.int64),
        "closed": np.zeros(servers, np.int64),
        "closed_items": np.zeros(servers, np.int64),
        "last_items": np.zeros(servers, np.int64),
        "wakes_at": np.zeros(servers, np.int64),
        "outstanding": np.zeros(servers, np.int64),
        "ongoing_s": np.zeros(servers),
        "ongoing_until_s": np.zeros(servers),
        "running": np.zeros(servers, np.int64),
        "busy_since_s": np.zeros(servers),
        "busy_s": np.zeros(servers),
        "success": np.zeros(servers, np.int64),
        "failure": np.zeros(servers, np.int64),
        "request_s": np.zeros(servers),
        "queue_s": np.zeros(servers),
        "compute_s": np.zeros(servers),
        "batch_count": np.zeros((servers, max_batch_size + 1), np.int64),
        "batch_s": np.zeros((servers, max_batch_size + 1)),
    }
