"""The arrays of clients in the serving model's state: empty where there are none, and longer when they are full.

How many attempts there will be is not known before a run. So the event loop stops when it has no place for the next,
and goes on where it stopped once the arrays are twice as long.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.clients import Clients, Users
from autoscaler.simulation.serving_model import ServingModel, require
from autoscaler.simulation.serving_state import NEXT_ARRIVAL, State

LEAST_ROOM = 1024
ALL_AT_ONCE = (
    "more than 0 with a max_queue_size: who is rejected would ask again in the same instant"
)
# They are numbered in 32 bits.
MOST_ATTEMPTS = 2**31 - 1


def require_loop(model: ServingModel, users: Users | None, arrivals: int) -> None:
    """Raises ValueError where users can't be in place of arrivals, or would ask for ever in the same instant."""
    if users is None:
        return
    require(arrivals == 0, "arrivals_s", f"{arrivals} and users", "one of them")
    thinks = users.think_s > 0.0 or model.max_queue_size is None
    require(thinks, "think_s", users.think_s, ALL_AT_ONCE)


def client_setup(clients: Clients, users: Users | None) -> dict[str, Any]:
    """What the event loop is told of them, by the names of `serving_state.Setup`."""
    return {
        "has_clients": users is not None or not clients.are_patient,
        "is_closed": users is not None,
        "timeout_s": math.inf if clients.timeout_s is None else float(clients.timeout_s),
        "retries": clients.retries,
        "backoff_s": float(clients.backoff_s),
        "think_s": 0.0 if users is None else float(users.think_s),
    }


def client_arrays(
    room: int, wanted_s: NDArray[np.float64], users: Users | None
) -> dict[str, NDArray[Any]]:
    """For so many attempts; with a room of 0, of none."""
    levels_s, levels = np.zeros(0), np.zeros(0, np.int64)
    if users is not None:
        levels_s, levels = users.levels()
    most = int(levels.max(initial=0))
    return {
        "wanted_s": wanted_s if room else wanted_s[:0],
        "luck": np.zeros(room, np.int64),
        "first": np.zeros(room, np.int32),
        "attempts": np.zeros(room, np.uint8),
        "answer_s": np.full(room, np.nan, np.float32),
        # One place for each that is wanted, and one for each user who thinks.
        "asks_s": np.zeros(room + most),
        "asks": np.zeros(room + most, np.int64),
        "level_s": levels_s,
        "level": levels,
        "turn": np.zeros(most, np.int32),
        "is_there": np.zeros(most, np.bool_),
    }


def with_more_room(state: State) -> State:
    """The same with place for twice as many attempts. Raises ValueError where they can't be numbered any more."""
    more = min(state.arrival_s.size, MOST_ATTEMPTS - state.arrival_s.size)
    require(more > 0, "attempts", state.arrival_s.size, f"at most {MOST_ATTEMPTS} are run")
    filling = {"latency_s": np.nan, "answer_s": np.nan, "server": -1}
    names = ("arrival_s", "following", "latency_s", "status", "server", "luck", "first", "attempts")
    return state._replace(
        **{
            name: _longer(getattr(state, name), more, filling.get(name, 0))
            for name in (*names, "answer_s", "asks_s", "asks")
        }
    )


def _longer(values: NDArray[Any], more: int, value: float) -> NDArray[Any]:
    return np.concatenate((values, np.full(more, value, values.dtype)))


def first_attempts(state: State) -> NDArray[np.intp]:
    """Where the first attempts at what was wanted so far are, in the order in which it was."""
    count = int(state.cursor[NEXT_ARRIVAL])
    return np.flatnonzero(state.first[:count] == np.arange(count))
