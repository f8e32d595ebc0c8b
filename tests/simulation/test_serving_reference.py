"""The compiled event loop against a slow one written for reading, on random small cases."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.simulation.serving import Routing, ServingModel, ServingPool, Status


@dataclass
class Server:
    index: int
    ready_s: float
    stop_s: float
    instances: int
    queue: list[tuple[int, float]] = field(default_factory=list)
    running: dict[int, tuple[float, float, list[tuple[int, float]]]] = field(default_factory=dict)
    closed: list[list[tuple[int, float]]] = field(default_factory=list)
    """Batches that no longer wait for requests, but for an instance."""
    grows: bool = False
    """The last of them takes more, as soon as so many wait behind it:"""
    wakes_at: int = 0
    queue_s: float = 0.0
    exec_count: int = 0

    def outstanding(self) -> int:
        closed = sum(len(batch) for batch in self.closed)
        running = sum(len(batch) for _, _, batch in self.running.values())
        return len(self.queue) + closed + running


class Reference:
    """Looks at everything at every instant; lists and dictionaries only."""

    def __init__(
        self,
        model: ServingModel,
        arrivals_s: list[float],
        routing: Routing,
        servers: list[tuple[float, float]],
    ) -> None:
        self.model, self.arrivals_s, self.routing = model, arrivals_s, routing
        self.servers = [Server(i, r, s, model.instances) for i, (r, s) in enumerate(servers)]
        self.latency_s: list[float | None] = [None] * len(arrivals_s)
        self.server_of = [-1] * len(arrivals_s)
        self.last_used = -1
        self.held: list[int] = []
        self.up: list[Server] = []

    def run(self) -> None:
        changes = {t for s in self.servers for t in (s.ready_s, s.stop_s) if t < float("inf")}
        request = 0
        while True:
            instants = [done for s in self.servers for _, done, _ in s.running.values()]
            instants += [self._due_s(s) for s in self.servers if self._waits(s)]
            instants += sorted(changes)[:1] + self.arrivals_s[request : request + 1]
            if not instants:
                return
            t = min(instants)
            self._finish(t)
            for server in self.servers:
                self._start(server, t)
            if t in changes:
                changes.discard(t)
                self.up = [s for s in self.servers if s.ready_s <= t < s.stop_s]
                if self.up:
                    for held in self.held:
                        self._enter(held, t)
                    self.held = []
            elif (
                request < len(self.arrivals_s)
                and self.arrivals_s[request] == t
                and not self._busy_at(t)
            ):
                if self.up:
                    self._enter(request, t)
                else:
                    self.held.append(request)
                request += 1

    def _busy_at(self, t: float) -> bool:
        return any(done == t for s in self.servers for _, done, _ in s.running.values())

    def _idle(self, server: Server) -> bool:
        return len(server.running) < server.instances

    def _waits(self, server: Server) -> bool:
        """For the end of the delay."""
        return bool(server.queue) and (self._idle(server) or self._may_close(server))

    def _may_close(self, server: Server) -> bool:
        model = self.model
        ahead = sum(len(batch) for batch in server.closed)
        return (
            model.max_queue_delay_s > 0.0
            and model.max_batch_size > 1
            and not server.grows
            and ahead < 2 * server.instances * model.max_batch_size
        )

    def _due_s(self, server: Server) -> float:
        return server.queue[0][1] + self.model.max_queue_delay_s

    def _finish(self, t: float) -> None:
        for server in self.servers:
            for slot in sorted(server.running):
                start, done, batch = server.running[slot]
                if done == t:
                    del server.running[slot]
                    server.exec_count += 1
                    for request, entered in batch:
                        self.latency_s[request] = t - self.arrivals_s[request]
                        server.queue_s += start - entered
                    self._start(server, t)

    def _start(self, server: Server, t: float) -> None:
        size = self.model.max_batch_size
        while self._idle(server) and (server.closed or self._ripe(server, t)):
            slot = min(set(range(server.instances)) - set(server.running))
            if server.closed:
                batch = server.closed.pop(0)
                server.grows = server.grows and bool(server.closed)
            else:
                batch, server.queue = server.queue[:size], server.queue[size:]
            server.running[slot] = (t, t + self.model.service_s(len(batch)), batch)
        if not self._idle(server):
            self._close(server, t)

    def _ripe(self, server: Server, t: float) -> bool:
        full = len(server.queue) >= self.model.max_batch_size
        return bool(server.queue) and (full or t >= self._due_s(server))

    def _close(self, server: Server, t: float) -> None:
        while self._may_close(server) and self._ripe(server, t):
            server.wakes_at = self.model.max_batch_size if t == self._due_s(server) else 0
            while server.queue and self._may_close(server):
                server.closed.append(self._taken(server, self.model.max_batch_size))
                server.grows = len(server.closed[-1]) < self.model.max_batch_size

    def _taken(self, server: Server, most: int) -> list[tuple[int, float]]:
        taken, server.queue = server.queue[:most], server.queue[most:]
        return taken

    def _join(self, server: Server, t: float) -> None:
        """The request that has just come is the last of the queue."""
        room = self.model.max_batch_size - len(server.closed[-1])
        if server.wakes_at == 0:
            server.wakes_at = room
        elif len(server.queue) < server.wakes_at:
            return
        server.closed[-1] += self._taken(server, room)
        server.grows = len(server.closed[-1]) < self.model.max_batch_size

    def _enter(self, request: int, t: float) -> None:
        after = [s for s in self.up if s.index > self.last_used]
        rotation = after + [s for s in self.up if s.index <= self.last_used]
        if self.routing is Routing.LEAST_OUTSTANDING:
            rotation.sort(key=Server.outstanding)  # stable: the rotation breaks ties
        server = rotation[0]
        self.last_used = self.server_of[request] = server.index
        server.queue.append((request, t))
        if server.grows and not self._idle(server):
            self._join(server, t)
        self._start(server, t)


# (model, arrivals_s, routing, each server's ready_s and stop_s, times at which a run is stopped on its way)
Case = tuple[ServingModel, list[float], Routing, list[tuple[float, float]], list[float]]
# Multiples of 1/8 are exact in floats, so that ties are real ties and equal is equal.
EIGHTHS = st.integers(0, 160).map(lambda n: n / 8)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    size = draw(st.integers(1, 4))
    model = ServingModel(
        max_batch_size=size,
        instances=draw(st.integers(1, 3)),
        batch_service_s=tuple(draw(st.integers(1, 24)) / 8 for _ in range(size)),
        max_queue_delay_s=draw(st.sampled_from([0.0, 0.125, 0.25, 1.0])),
    )
    arrivals_s = sorted(draw(st.lists(EIGHTHS, max_size=40)))
    servers = [
        (
            ready_s,
            draw(
                st.one_of(
                    st.just(float("inf")), EIGHTHS.map(functools.partial(operator.add, ready_s))
                )
            ),
        )
        for ready_s in draw(st.lists(EIGHTHS, min_size=1, max_size=4))
    ]
    routing = draw(st.sampled_from([Routing.ROUND_ROBIN, Routing.LEAST_OUTSTANDING]))
    stops = sorted(draw(st.lists(EIGHTHS, max_size=5)))
    return model, arrivals_s, routing, servers, stops


def run_pool(
    model: ServingModel,
    arrivals_s: list[float],
    routing: Routing,
    servers: list[tuple[float, float]],
    stops: list[float],
) -> ServingPool:
    pool = ServingPool(model, arrivals_s, routing, max_servers=len(servers))
    for ready_s, stop_s in servers:
        index = pool.add_server(ready_s)
        if stop_s < float("inf"):
            pool.stop_server(index, stop_s)
    for t_s in (*stops, 1000.0):
        pool.run_until(t_s)
    return pool


@settings(max_examples=400, deadline=None, derandomize=True)
@given(cases())
def test_it_does_what_the_reference_does(case: Case) -> None:
    model, arrivals_s, routing, servers, stops = case
    reference = Reference(model, arrivals_s, routing, servers)
    reference.run()
    pool = run_pool(model, arrivals_s, routing, servers, stops)
    assert pool.server_of.tolist() == reference.server_of
    expected = [np.nan if s is None else s for s in reference.latency_s]
    assert pool.latencies_s.tolist() == pytest.approx(expected, nan_ok=True)
    for server in reference.servers:
        counters = pool.counters(server.index)
        assert counters.exec_count == server.exec_count
        assert counters.queue_duration_us == round(server.queue_s * 1e6)
        assert counters.outstanding == 0
    held = [request for request, index in enumerate(reference.server_of) if index < 0]
    assert pool.held == len(held)
    assert (pool.status == Status.DONE).sum() == len(arrivals_s) - len(held)
