"""A pool of Triton-style servers under given arrivals, request by request, in virtual time.

Each server has some instances of the model, one queue and dynamic batching: a free instance takes the longest prefix of
the queue that fits, at once or when the batch is full or the oldest request has waited `max_queue_delay_s`. The pool
says what each server's metrics would show at the instant of a scrape, and keeps every latency. It decides nothing about
the number of servers: its caller adds and stops them between calls of `run_until`.

numba is loaded when the first pool is made, not when this module is imported.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

SUMMARY_WINDOW_S = 60.0
"""Age of the observations in Triton's latency summaries (prometheus-cpp's default)."""

SUMMARY_QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
"""Triton's default `--metrics-config summary_quantiles`."""

_MOST_SERVERS = 32_767
"""A request's server is kept in 16 bits."""

_UNBOUNDED = np.iinfo(np.int64).max


class Routing(StrEnum):
    """How a request is given to a server."""

    ROUND_ROBIN = "round-robin"
    RANDOM = "random"
    LEAST_OUTSTANDING = "least-outstanding"
    """Fewest requests queued or running; the next in rotation wins a tie."""
    TWO_CHOICES = "two-choices"
    """The less loaded of two servers drawn at random."""
    PINNED = "pinned"
    """A request belongs to a connection; a connection stays with the server that was next in rotation when it opened."""


class Status(IntEnum):
    """What became of a request."""

    UNFINISHED = 0
    """Not yet arrived, or somewhere in the system."""
    DONE = 1
    REJECTED = 2
    """The server's queue was full."""
    TIMED_OUT = 3
    """No server took traffic for `hold_timeout_s`."""
    FAILED = 4
    """Its server ended without draining."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingModel:
    """How one server serves. Raises ValueError where the numbers can't be."""

    max_batch_size: int
    """Items that fit into one batch, 1 to 255."""
    instances: int = 1
    batch_service_s: tuple[float, ...]
    """Mean service time of a batch of 1, 2, … `max_batch_size` items."""
    max_queue_delay_s: float = 0.0
    """How long a batch that is not full may wait for more; 0 takes what is there."""
    service_cv: float = 0.0
    """Coefficient of variation of a batch's service time, gamma distributed; 1 is exponential."""
    max_queue_size: int | None = None
    """Requests that may wait in a server's queue before it rejects; None is no limit."""

    def __post_init__(self) -> None:
        _require(1 <= self.max_batch_size <= 255, "max_batch_size", self.max_batch_size, "1 to 255")
        _require(self.instances >= 1, "instances", self.instances, "at least 1")
        times = self.batch_service_s
        _require(
            len(times) == self.max_batch_size and all(0.0 < s < float("inf") for s in times),
            "batch_service_s",
            times,
            f"{self.max_batch_size} positive times, one for each batch size",
        )
        delay_s = self.max_queue_delay_s
        _require(0.0 <= delay_s < float("inf"), "max_queue_delay_s", delay_s, "0 or more")
        _require(0.0 <= self.service_cv < 100.0, "service_cv", self.service_cv, "0 to 100")
        size = self.max_queue_size
        _require(size is None or size >= 1, "max_queue_size", size, "at least 1, or None")

    def service_s(self, batch_size: int) -> float:
        """Mean service time of a batch of `batch_size` items."""
        return self.batch_service_s[batch_size - 1]

    @property
    def capacity_rps(self) -> float:
        """Items a second that one server carries with its best batch size and all instances busy."""
        rates = (size / time_s for size, time_s in enumerate(self.batch_service_s, start=1))
        return self.instances * max(rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCounters:
    """One server's cumulative counters and gauges at an instant, as Triton's /metrics shows them.

    Requests count when their batch has finished. Each request adds its batch's whole compute time, so
    `compute_infer_duration_us` is the time of `exec_count` batches weighted by their requests.
    """

    request_success: int
    request_failure: int
    inference_count: int
    """Items, of all finished batches."""
    exec_count: int
    """Finished batches."""
    request_duration_us: int
    queue_duration_us: int
    compute_infer_duration_us: int
    pending: int
    """Requests in the queue now."""
    outstanding: int
    """Requests in the queue or running now."""
    busy_s: float
    """Time in which at least one instance ran, the running batch included: what a GPU's utilisation counter sees."""
    instance_busy_s: float
    """Time in which instances ran, running batches included, divided by the number of instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatistics:
    """Triton's `batch_stats` of one batch size: finished batches and their compute time."""

    batch_size: int
    exec_count: int
    compute_infer_s: float


def load_kernel() -> ModuleType:
    """The compiled event loop. Raises ModuleNotFoundError where numba is not installed."""
    try:
        return importlib.import_module("autoscaler.simulation.serving_kernel")
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        message = "simulation: numba is not installed, install forescale[simulation]"
        raise ModuleNotFoundError(message, name="numba") from error


class ServingPool:
    """Servers of one model under one stream of requests.

    `arrivals_s` are the requests' times in seconds, ascending. `request_items` gives each request's items (its client's
    batch), by default 1. With `Routing.PINNED` a request belongs to the connection named in `connection_of`, or else to
    one of `connections` at random; a connection that has lived `connection_life_s` (mean, exponential) or whose server
    stopped opens anew with its next request. A request that finds no server waits for the first, at most
    `hold_timeout_s`. `max_servers` bounds the servers ever added. Raises ValueError for what can't be.
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
    ) -> None:
        _require(
            1 <= max_servers <= _MOST_SERVERS, "max_servers", max_servers, f"1 to {_MOST_SERVERS}"
        )
        _require(connections >= 1, "connections", connections, "at least 1")
        _require(0 <= seed < 2**64, "seed", seed, "0 to 2**64 - 1")
        for name, value in (
            ("hold_timeout_s", hold_timeout_s),
            ("connection_life_s", connection_life_s),
        ):
            _require(value is None or value > 0.0, name, value, "more than 0, or None")
        self.model = model
        self.arrivals_s = _checked_arrivals(arrivals_s)
        count = self.arrivals_s.size
        items = _checked_items(request_items, count, model.max_batch_size)
        pins = _checked_connections(connection_of, count)
        if pins is not None and pins.size:
            connections = int(pins.max()) + 1
        self._kernel = load_kernel()
        self._setup = self._kernel.Setup(
            max_batch=model.max_batch_size,
            instances=model.instances,
            batch_service_s=np.array((0.0, *model.batch_service_s)),
            max_delay_s=float(model.max_queue_delay_s),
            gamma_shape=model.service_cv**-2.0 if model.service_cv > 0.0 else 0.0,
            max_queue=_UNBOUNDED if model.max_queue_size is None else model.max_queue_size,
            routing=tuple(Routing).index(routing),
            hold_timeout_s=np.inf if hold_timeout_s is None else float(hold_timeout_s),
            connection_life_s=np.inf if connection_life_s is None else float(connection_life_s),
            has_connections=pins is not None,
            has_items=items is not None,
            seed=np.uint64(seed),
        )
        slots = max_servers * model.instances
        self._state = self._kernel.State(
            arrival_s=self.arrivals_s,
            following=np.empty(count, np.int32),
            latency_s=np.full(count, np.nan, np.float32),
            status=np.zeros(count, np.uint8),
            server=np.full(count, -1, np.int16),
            items=np.ones(1, np.uint8) if items is None else items,
            connection=np.zeros(1, np.int32) if pins is None else pins,
            pinned_to=np.full(connections, -1, np.int32),
            pinned_until_s=np.full(connections, np.inf),
            cursor=_first_cursor(self._kernel),
            change_s=np.full(1, np.inf),
            **_tree(slots + max_servers),
            **_server_arrays(max_servers, model.max_batch_size),
            slot_head=np.zeros(slots, np.int32),
            slot_count=np.zeros(slots, np.int64),
            slot_items=np.zeros(slots, np.int64),
            slot_start_s=np.zeros(slots),
        )
        self._sizes = np.arange(model.max_batch_size + 1)
        self._max_servers = max_servers
        self._now_s = 0.0

    @property
    def now_s(self) -> float:
        """The time up to which everything has happened."""
        return self._now_s

    @property
    def servers(self) -> int:
        """Servers ever added; their indexes are 0 to this, exclusive."""
        return int(self._state.cursor[self._kernel.SERVER_COUNT])

    @property
    def arrived(self) -> int:
        """Requests that have arrived so far; the first so many of the arrays are about them."""
        return int(self._state.cursor[self._kernel.NEXT_ARRIVAL])

    @property
    def held(self) -> int:
        """Requests that wait for the first server."""
        return int(self._state.cursor[self._kernel.HELD_COUNT])

    @property
    def latencies_s(self) -> NDArray[np.float32]:
        """Latency of each request from its arrival; NaN where it has not finished or never will."""
        return _read_only(self._state.latency_s)

    @property
    def status(self) -> NDArray[np.uint8]:
        """`Status` of each request."""
        return _read_only(self._state.status)

    @property
    def server_of(self) -> NDArray[np.int16]:
        """Index of the server that each request was sent to; -1 where none yet."""
        return _read_only(self._state.server)

    def add_server(self, ready_s: float, slowdown_ratio: float = 1.0) -> int:
        """Add a server that takes traffic from `ready_s` on; its index.

        Its service times are `slowdown_ratio` times the model's. Raises ValueError for a time that has passed or one
        server too many.
        """
        index = self.servers
        _require(
            index < self._max_servers,
            "add_server",
            f"server {index + 1}",
            f"max_servers is {self._max_servers}",
        )
        self._require_time("ready_s", ready_s)
        _require(
            0.0 < slowdown_ratio < float("inf"), "slowdown_ratio", slowdown_ratio, "more than 0"
        )
        state = self._state
        state.ready_s[index] = ready_s
        state.stop_s[index] = np.inf
        state.slowdown[index] = slowdown_ratio
        state.cursor[self._kernel.SERVER_COUNT] = index + 1
        state.change_s[0] = min(state.change_s[0], ready_s)
        return index

    def stop_server(self, index: int, at_s: float) -> None:
        """Send the server nothing from `at_s` on; it finishes what it has. A later stop may be moved, not a past one."""
        self._require_server(index)
        self._require_time("at_s", at_s)
        stop_s = float(self._state.stop_s[index])
        _require(
            stop_s > self._now_s, "stop_server", f"server {index}", f"it stopped at {stop_s} s"
        )
        self._state.stop_s[index] = at_s
        self._state.change_s[0] = min(self._state.change_s[0], at_s)

    def fail_server(self, index: int) -> None:
        """End a server now: what it runs and what it has queued fails."""
        self._require_server(index)
        self._kernel.fail_server(self._setup, self._state, index, self._now_s)

    def run_until(self, t_s: float) -> None:
        """Process everything that happens up to and including `t_s`. Raises ValueError for a time that has passed."""
        self._require_time("t_s", t_s)
        self._kernel.run(self._setup, self._state, float(t_s))
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
        """Quantiles of the durations of the requests that the server finished in the last minute, as its summary shows.

        Nearest rank, in microseconds; None for each where it finished none.
        """
        self._require_server(index)
        for quantile in quantiles:
            _require(0.0 < quantile <= 1.0, "quantiles", quantile, "more than 0, at most 1")
        since_s = self._now_s - SUMMARY_WINDOW_S
        recent_s = self._kernel.recent_latencies_s(self._state, index, since_s)
        if recent_s.size == 0:
            return (None,) * len(quantiles)
        recent_s.sort()
        # The subtraction keeps 0.95 of 20 at rank 19, where 0.95 * 20 is 19.000000000000004 at worst.
        ranks = (max(math.ceil(q * recent_s.size - 1e-9), 1) for q in quantiles)
        return tuple(float(recent_s[rank - 1]) * 1e6 for rank in ranks)

    def _require_server(self, index: int) -> None:
        _require(0 <= index < self.servers, "server", index, f"one of the {self.servers} added")

    def _require_time(self, name: str, at_s: float) -> None:
        allowed = f"finite and not before {self._now_s} s"
        _require(self._now_s <= at_s < float("inf"), name, at_s, allowed)


def _require(holds: bool, where: str, given: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{where}: {given}, {allowed}")


def _microseconds(duration_s: float) -> int:
    return round(float(duration_s) * 1e6)


def _read_only(values: NDArray[Any]) -> NDArray[Any]:
    view = values.view()
    view.flags.writeable = False
    return view


def _checked_arrivals(arrivals_s: ArrayLike) -> NDArray[np.float64]:
    """The arrivals as an array of our own; a caller's later change must not reach a run."""
    arrivals = np.array(arrivals_s, dtype=np.float64)
    _require(arrivals.ndim == 1, "arrivals_s", f"{arrivals.ndim} dimensions", "one")
    _require(arrivals.size < 2**31, "arrivals_s", f"{arrivals.size} requests", "fewer than 2**31")
    if arrivals.size:
        _require(bool(np.isfinite(arrivals).all()), "arrivals_s", "NaN or infinity", "finite times")
        _require(arrivals[0] >= 0.0, "arrivals_s", f"first at {arrivals[0]} s", "0 s or later")
        _require(
            bool((np.diff(arrivals) >= 0.0).all()), "arrivals_s", "a step back", "ascending times"
        )
    return arrivals


def _checked_items(
    request_items: ArrayLike | None, requests: int, max_batch_size: int
) -> NDArray[np.uint8] | None:
    if request_items is None:
        return None
    items = np.asarray(request_items)
    _require(items.shape == (requests,), "request_items", f"shape {items.shape}", f"({requests},)")
    fits = items.size == 0 or bool(items.min() >= 1 and items.max() <= max_batch_size)
    _require(fits, "request_items", "a request that fits no batch", f"1 to {max_batch_size} items")
    return items.astype(np.uint8)


def _checked_connections(
    connection_of: ArrayLike | None, requests: int
) -> NDArray[np.int32] | None:
    if connection_of is None:
        return None
    pins = np.asarray(connection_of)
    _require(pins.shape == (requests,), "connection_of", f"shape {pins.shape}", f"({requests},)")
    if pins.size:
        _require(pins.min() >= 0, "connection_of", pins.min(), "0 or more")
        _require(pins.max() < 2**20, "connection_of", pins.max(), "fewer than 2**20 connections")
    return pins.astype(np.int32)


def _first_cursor(kernel: ModuleType) -> NDArray[np.int64]:
    cursor = np.zeros(kernel.CURSOR_SIZE, np.int64)
    cursor[kernel.LAST_SERVER] = -1
    return cursor


def _tree(leaves: int) -> dict[str, NDArray[Any]]:
    """A tournament tree in which nothing is due; a tie goes to the left, so each place names its leftmost leaf."""
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
        "slowdown": np.ones(servers),
        "queue_head": np.zeros(servers, np.int32),
        "queue_tail": np.full(servers, -1, np.int32),
        "window_head": np.zeros(servers, np.int32),
        "queued": np.zeros(servers, np.int64),
        "queued_items": np.zeros(servers, np.int64),
        "outstanding": np.zeros(servers, np.int64),
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
