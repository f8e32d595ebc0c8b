"""A pool of Triton-style servers under given arrivals, request by request, in virtual time.

Each server has some instances of the model, one queue and dynamic batching: a free instance takes
the longest prefix of the queue that fits, at once or when the batch is full or the oldest request
has waited `max_queue_delay_s`. With such a delay Triton closes batches while all instances are busy:
when one starts, the next is what waits, and the first request after that; whoever comes later waits
for the one behind it, unless as many come as fill it. The pool says what each server's metrics
would show at the instant of a scrape, and keeps every latency. It decides nothing about the number
of servers: its caller adds and stops them between calls of `run_until`.

numba is loaded when the first pool is made, not when this module is imported.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoscaler.simulation.clients import PATIENT, Clients, Users
from autoscaler.simulation.places import Places
from autoscaler.simulation.serving_clients import (
    LEAST_ROOM,
    client_arrays,
    client_setup,
    first_attempts,
    require_loop,
    with_more_room,
)
from autoscaler.simulation.serving_input import (
    checked_arrivals,
    checked_connections,
    checked_items,
    or_never,
    read_only,
)
from autoscaler.simulation.serving_model import (
    BatchStatistics,
    Routing,
    Scrape,
    ServerCounters,
    ServingModel,
    Status,
    require,
    require_time,
)
from autoscaler.simulation.serving_state import (
    HELD_COUNT,
    NEXT_ARRIVAL,
    SERVER_COUNT,
    Setup,
    clear_server,
    empty_state,
)

__all__ = [
    "SUMMARY_QUANTILES",
    "SUMMARY_WINDOW_S",
    "BatchStatistics",
    "Routing",
    "Scrape",
    "ServerCounters",
    "ServingModel",
    "ServingPool",
    "Status",
]

SUMMARY_WINDOW_S = 60.0
"""Age of the observations in Triton's latency summaries (prometheus-cpp's default)."""

SUMMARY_QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
"""Triton's default `--metrics-config summary_quantiles`."""

_MOST_SERVERS = 32_767
"""A request's server is kept in 16 bits."""

_UNBOUNDED = np.iinfo(np.int64).max


def compiled_module(name: str) -> ModuleType:
    """A module that holds compiled functions. Raises ModuleNotFoundError without numba."""
    try:
        return importlib.import_module(f"autoscaler.simulation.{name}")
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        message = "simulation: numba is not installed, install forescale[simulation]"
        raise ModuleNotFoundError(message, name="numba") from error


class ServingPool:
    """Servers of one model under one stream of requests.

    `arrivals_s` are the requests' times in seconds, ascending. `request_items` gives each request's
    items (its client's batch), by default 1. With `Routing.PINNED` a request belongs to the
    connection named in `connection_of`, or else to one of `connections` at random; a connection
    that has lived `connection_life_s` (mean, exponential) or whose server stopped opens anew with
    its next request. A request that finds no server waits for the first, at most `hold_timeout_s`.
    `max_servers` bounds the servers that are there at once: added and not retired.

    `clients` may leave and ask again: a request is then one attempt, numbered in the order in which they are made, and
    `wanted_s` and `answers_s` tell what came of what was wanted. `users` ask in place of arrivals.
    Raises ValueError for what can't be.
    """

    def __init__(
        self,
        model: ServingModel,
        arrivals_s: ArrayLike,
        routing: Routing = Routing.LEAST_OUTSTANDING,
        seed: int = 0,
        max_servers: int = 256,
        *,
        hold_timeout_s: float | None = None,
        request_items: ArrayLike | None = None,
        connections: int = 64,
        connection_of: ArrayLike | None = None,
        connection_life_s: float | None = None,
        clients: Clients = PATIENT,
        users: Users | None = None,
    ) -> None:
        require(1 <= max_servers <= _MOST_SERVERS, "max_servers", max_servers, "1 to 32767")
        require(connections >= 1, "connections", connections, "at least 1")
        require(0 <= seed < 2**64, "seed", seed, "0 to 2**64 - 1")
        self.model = model
        wanted_s = checked_arrivals(arrivals_s)
        count = wanted_s.size
        items = checked_items(request_items, count, model.max_batch_size)
        pins = checked_connections(connection_of, count)
        self._has_clients = users is not None or not clients.are_patient
        if self._has_clients:
            alike = items is None and pins is None
            require(alike, "clients", "requests that differ", "of one item, connections drawn")
            require_loop(model, users, count)
        room = max(count, LEAST_ROOM) if self._has_clients else 0
        self._kernel = compiled_module("serving_kernel")
        self._setup = Setup(
            max_batch=model.max_batch_size,
            instances=model.instances,
            batch_service_s=np.array((0.0, *model.batch_service_s)),
            max_delay_s=float(model.max_queue_delay_s),
            closes_early=model.max_queue_delay_s > 0.0 and model.max_batch_size > 1,
            gamma_shape=model.service_cv**-2.0 if model.service_cv > 0.0 else 0.0,
            max_queue=_UNBOUNDED if model.max_queue_size is None else model.max_queue_size,
            routing=tuple(Routing).index(routing),
            hold_timeout_s=or_never("hold_timeout_s", hold_timeout_s),
            connection_life_s=or_never("connection_life_s", connection_life_s),
            has_connections=pins is not None,
            has_items=items is not None,
            seed=np.uint64(seed),
            **client_setup(clients, users),
        )
        pinned = int(pins.max()) + 1 if pins is not None and count else connections
        self._state = empty_state(
            np.zeros(room) if room else wanted_s,
            np.ones(1, np.uint8) if items is None else items,
            np.zeros(1, np.int32) if pins is None else pins,
            client_arrays(room, wanted_s, users),
            connections=pinned,
            servers=max_servers,
            instances=model.instances,
            max_batch=model.max_batch_size,
        )
        self._sizes = np.arange(model.max_batch_size + 1)
        self._places = Places(max_servers)
        self._now_s = 0.0

    @property
    def now_s(self) -> float:
        """The time up to which everything has happened."""
        return self._now_s

    @property
    def servers(self) -> int:
        """Servers added, a retired one's place counted once; their indexes are 0 to this, exclusive."""
        return self._places.given

    @property
    def arrived(self) -> int:
        """Requests that have arrived so far; the first so many of the arrays are about them."""
        return int(self._state.cursor[NEXT_ARRIVAL])

    @property
    def held(self) -> int:
        """Requests that wait for the first server."""
        return int(self._state.cursor[HELD_COUNT])

    @property
    def arrivals_s(self) -> NDArray[np.float64]:
        """When each request arrives; where there are clients, only those that have arrived are known."""
        return self._of_requests(self._state.arrival_s)

    @property
    def latencies_s(self) -> NDArray[np.float32]:
        """Latency of each request from its arrival; NaN where it has not finished or never will."""
        return self._of_requests(self._state.latency_s)

    def latencies_between(self, first: int, end: int) -> NDArray[np.float32]:
        """Of the requests from `first` to `end`, exclusive."""
        return self.latencies_s[first:end]

    @property
    def status(self) -> NDArray[np.uint8]:
        """`Status` of each request."""
        return self._of_requests(self._state.status)

    @property
    def wanted_s(self) -> NDArray[np.float64]:
        """When what clients want was asked for first, ascending; requests themselves where nobody asks again."""
        if not self._has_clients:
            return self.arrivals_s
        return np.asarray(self._state.arrival_s[first_attempts(self._state)])

    @property
    def answers_s(self) -> NDArray[np.float32]:
        """From then to the answer; infinite where a client left without one for good, NaN where neither is so yet."""
        if not self._has_clients:
            return self.latencies_s
        return np.asarray(self._state.answer_s[first_attempts(self._state)])

    @property
    def server_of(self) -> NDArray[np.int16]:
        """Index of the server that each request was sent to; -1 where none yet. A retired one's is given again."""
        return self._of_requests(self._state.server)

    def add_server(self, ready_s: float, slowdown_ratio: float | Sequence[float] = 1.0) -> int:
        """Add a server that takes traffic from `ready_s` on; its index, which may be that of a retired one.

        Its service times are `slowdown_ratio` times the model's, one for all batches or one for each size. Raises
        ValueError for a time that has passed or one server too many.
        """
        require_time("ready_s", ready_s, self._now_s)
        slowdown = np.broadcast_to(slowdown_ratio, (self.model.max_batch_size,))
        fits = bool(((slowdown > 0.0) & np.isfinite(slowdown)).all())
        require(fits, "slowdown_ratio", slowdown_ratio, "more than 0")
        state, index = self._state, self._places.take()
        state.ready_s[index] = ready_s
        state.stop_s[index] = np.inf
        state.slowdown[index, 1:] = slowdown
        state.cursor[SERVER_COUNT] = self._places.given
        state.change_s[0] = min(state.change_s[0], ready_s)
        return index

    def retire_server(self, index: int) -> None:
        """Forget a server that has drained, so that its place is given to the next: long runs add thousands.

        Its counters begin at 0 again. Raises ValueError for one that has not drained.
        """
        require(self.drained(index), "retire_server", f"server {index}", "one that has drained")
        self._places.give_back(index)
        clear_server(self._state, index)

    def stop_server(self, index: int, at_s: float) -> None:
        """Send the server nothing from `at_s` on; it finishes what it has.

        A stop to come may be moved. Raises ValueError for one that has passed.
        """
        self._require_server(index)
        require_time("at_s", at_s, self._now_s)
        stop_s = float(self._state.stop_s[index])
        require(stop_s > self._now_s, "stop_server", f"server {index}", f"it stopped at {stop_s} s")
        self._state.stop_s[index] = at_s
        self._state.change_s[0] = min(self._state.change_s[0], at_s)

    def fail_server(self, index: int) -> None:
        """End a server now: what it runs and what it has queued fails."""
        self._require_server(index)
        self._kernel.fail_server(self._setup, self._state, index, self._now_s)

    def run_until(self, t_s: float) -> None:
        """Process everything up to and including `t_s`; ValueError for a time that has passed."""
        require_time("t_s", t_s, self._now_s)
        while not self._kernel.run(self._setup, self._state, float(t_s)):
            self._state = with_more_room(self._state)
        self._now_s = float(t_s)

    def outstanding(self, index: int) -> int:
        """Requests in the server's queue or running."""
        self._require_server(index)
        return int(self._state.outstanding[index])

    def drained(self, index: int) -> bool:
        """Whether the server has stopped and has nothing left."""
        self._require_server(index)
        return bool(
            self._state.stop_s[index] <= self._now_s and self._state.outstanding[index] == 0
        )

    def counters(self, index: int) -> ServerCounters:
        """What a scrape of the server would show now."""
        self._require_server(index)
        state = self._state
        first = index * self.model.instances
        slots = slice(first, first + self.model.instances)
        running = state.due_s[slots] < np.inf
        batches_s = float(state.batch_s[index].sum())
        running_s = float((self._now_s - state.slot_start_s[slots][running]).sum())
        union_s = float(state.busy_s[index])
        if state.running[index] > 0:
            union_s += self._now_s - float(state.busy_since_s[index])
        return ServerCounters(
            request_success=int(state.success[index]),
            request_failure=int(state.failure[index]),
            inference_count=int(state.batch_count[index] @ self._sizes),
            exec_count=int(state.batch_count[index].sum()),
            request_duration_us=_microseconds(state.request_s[index]),
            queue_duration_us=_microseconds(state.queue_s[index]),
            compute_infer_duration_us=_microseconds(state.compute_s[index]),
            pending=int(state.queued[index]),
            outstanding=int(state.outstanding[index]),
            busy_s=union_s,
            instance_busy_s=(batches_s + running_s) / self.model.instances,
        )

    def batch_statistics(self, index: int) -> tuple[BatchStatistics, ...]:
        """Triton's `batch_stats` now: one entry for each batch size that was seen, ascending."""
        self._require_server(index)
        counts = self._state.batch_count[index]
        times_s = self._state.batch_s[index]
        return tuple(
            BatchStatistics(
                batch_size=int(size),
                exec_count=int(counts[size]),
                compute_infer_s=float(times_s[size]),
            )
            for size in np.flatnonzero(counts)
        )

    def latency_quantiles_us(
        self, index: int, quantiles: tuple[float, ...] = SUMMARY_QUANTILES
    ) -> tuple[float | None, ...]:
        """Quantiles of the durations of the requests that the server finished in the last minute.

        Triton's latency summary: nearest rank, in microseconds; None where it finished none.
        """
        self._require_server(index)
        for quantile in quantiles:
            require(0.0 < quantile <= 1.0, "quantiles", quantile, "more than 0, at most 1")
        (row,) = self.summaries_s((index,), quantiles)
        return tuple(None if math.isnan(value) else value * 1e6 for value in row.tolist())

    def summaries_s(
        self,
        servers: Sequence[int],
        quantiles: tuple[float, ...] = SUMMARY_QUANTILES,
        *,
        pooled: bool = False,
    ) -> NDArray[np.float64]:
        """Each server's latency quantiles of the last minute in seconds, a row for each; NaN where it finished none.

        With `pooled` one row, of the requests of all of them.
        """
        state = self._state
        values, ends = compiled_module("serving_recent").recent_latencies_s(
            state.arrival_s,
            state.following,
            state.latency_s,
            state.status,
            state.ready_s,
            state.window_head,
            state.queue_tail,
            np.asarray(servers, dtype=np.int64),
            self._now_s - SUMMARY_WINDOW_S,
        )
        return _ranked(values, ends[-1:] if pooled else ends, quantiles)

    def scrape(self, servers: Sequence[int]) -> Scrape:
        """The counters of several servers now, in the order in which they are named; see `counters`."""
        state = self._state
        chosen = np.asarray(servers, dtype=np.int64)
        running = state.running[chosen] > 0
        busy_s = state.busy_s[chosen] + np.where(
            running, self._now_s - state.busy_since_s[chosen], 0.0
        )
        counts = state.batch_count[chosen]
        return Scrape(
            success=state.success[chosen],
            failure=state.failure[chosen],
            inferences=counts @ self._sizes,
            executions=counts.sum(axis=1),
            request_s=state.request_s[chosen],
            queue_s=state.queue_s[chosen],
            compute_s=state.compute_s[chosen],
            pending=state.queued[chosen],
            outstanding=state.outstanding[chosen],
            ongoing_s=state.ongoing_s[chosen]
            + state.outstanding[chosen] * (self._now_s - state.ongoing_until_s[chosen]),
            busy_s=busy_s,
        )

    def _of_requests(self, values: NDArray[Any]) -> NDArray[Any]:
        return read_only(values[: self.arrived] if self._has_clients else values)

    def _require_server(self, index: int) -> None:
        require(0 <= index < self.servers, "server", index, f"one of the {self.servers} added")


def _ranked(
    values: NDArray[np.float32], ends: NDArray[np.int64], quantiles: tuple[float, ...]
) -> NDArray[np.float64]:
    """Nearest-rank quantiles of each part of `values`, which is sorted; NaN where the part is empty."""
    # 0.55 * 100 is 55.00000000000001 in floats; the subtraction keeps it at rank 55.
    wanted = np.array(quantiles)
    starts = np.concatenate(([0], ends))[:-1]
    counts = ends - starts
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        values[start:end].sort()
    ranks = np.ceil(wanted * counts[:, None] - 1e-9).astype(np.int64)
    result = np.full((ends.size, wanted.size), np.nan)
    some = counts > 0
    result[some] = values[(starts[:, None] + np.maximum(ranks, 1) - 1)[some]]
    return result


def _microseconds(duration_s: float) -> int:
    return round(float(duration_s) * 1e6)
