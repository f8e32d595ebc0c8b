"""Clients that leave, ask again or wait for an answer before the next: by hand, by theory, and in a retry storm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from autoscaler.simulation.arrivals import poisson_arrivals
from autoscaler.simulation.clients import PATIENT, Clients, Users
from autoscaler.simulation.gateway import Gateway
from autoscaler.simulation.serving import Routing, ServingModel, ServingPool, Status

ONE_BY_ONE = ServingModel(max_batch_size=1, batch_service_s=(1.0,))
LEFT = math.inf


def pool_of(
    model: ServingModel, arrivals_s: ArrayLike, servers: int = 1, **options: Any
) -> ServingPool:
    pool = ServingPool(model, arrivals_s, **options)
    for _ in range(servers):
        pool.add_server(0.0)
    return pool


def loop_of(
    model: ServingModel,
    users: ArrayLike,
    servers: int = 1,
    think_s: float = 1.0,
    **options: Any,
) -> ServingPool:
    told = Users(name="loop", counts=np.asarray(users, dtype=np.int64), think_s=think_s)
    return pool_of(model, [], servers, users=told, **options)


class TestByHand:
    def test_who_leaves_is_served_all_the_same(self) -> None:
        pool = pool_of(ONE_BY_ONE, [0.0, 0.0, 0.0], clients=Clients(timeout_s=1.5))
        pool.run_until(10.0)
        # Answers at 1, 2 and 3; the second and the third client have left at 1.5.
        assert pool.latencies_s.tolist() == [1.0, 2.0, 3.0]
        assert pool.status.tolist() == [Status.DONE] * 3
        assert pool.answers_s.tolist() == [1.0, LEFT, LEFT]
        assert pool.counters(0).request_success == 3

    def test_who_asks_again_waits_behind_what_was_left(self) -> None:
        clients = Clients(timeout_s=1.5, retries=1, backoff_s=0.0)
        pool = pool_of(ONE_BY_ONE, [0.0, 0.0, 0.0], clients=clients)
        pool.run_until(10.0)
        # Both ask again at 1.5 and find two before them; 2-3 s are of the third's first attempt, 3-5 s of these.
        assert pool.arrivals_s.tolist() == [0.0, 0.0, 0.0, 1.5, 1.5]
        assert pool.latencies_s.tolist() == [1.0, 2.0, 3.0, 2.5, 3.5]
        assert pool.wanted_s.tolist() == [0.0, 0.0, 0.0]
        assert pool.answers_s.tolist() == [1.0, LEFT, LEFT]

    def test_an_answer_counts_from_the_first_attempt(self) -> None:
        clients = Clients(timeout_s=1.5, retries=2, backoff_s=0.0)
        pool = pool_of(ONE_BY_ONE, [0.0, 0.0], clients=clients)
        pool.run_until(10.0)
        # The second leaves at 1.5 and asks again; the server is busy with its first until 2, and answers at 3.
        assert pool.arrivals_s.tolist() == [0.0, 0.0, 1.5]
        assert pool.latencies_s.tolist() == [1.0, 2.0, 1.5]
        assert pool.answers_s.tolist() == [1.0, 3.0]

    def test_an_answer_at_the_timeout_is_in_time(self) -> None:
        pool = pool_of(ONE_BY_ONE, [0.0, 0.0], clients=Clients(timeout_s=2.0, retries=3))
        pool.run_until(10.0)
        assert pool.answers_s.tolist() == [1.0, 2.0]

    def test_a_retry_waits_twice_as_long_as_the_one_before_within_a_half_and_one_and_a_half(
        self,
    ) -> None:
        clients = Clients(timeout_s=1.0, retries=3, backoff_s=1.0)
        pool = ServingPool(ONE_BY_ONE, np.zeros(1000), clients=clients)  # no server at all
        pool.run_until(30.0)
        assert pool.answers_s.tolist() == [LEFT] * 1000
        assert pool.arrived == 4000
        # Ordered by attempt, for the latest second one is at 2.5 and the earliest third at 3.
        waits_s = pool.arrivals_s[1000:2000] - 1.0
        assert waits_s.min() == pytest.approx(0.5, abs=0.01)
        assert waits_s.max() == pytest.approx(1.5, abs=0.01)
        assert waits_s.mean() == pytest.approx(1.0, abs=0.03)
        # 1 + 1 + 1 s of timeouts, 1 + 2 + 4 s of waits in the mean.
        assert pool.arrivals_s[3000:].mean() == pytest.approx(10.0, abs=0.2)

    def test_who_is_rejected_asks_again(self) -> None:
        model = ServingModel(max_batch_size=1, batch_service_s=(1.0,), max_queue_size=1)
        pool = pool_of(model, [0.0, 0.0, 0.0], clients=Clients(retries=2, backoff_s=2.5))
        pool.run_until(20.0)
        # At 0 one runs and one waits; 1.25 to 3.75 s later there is a place.
        assert pool.status.tolist() == [Status.DONE, Status.DONE, Status.REJECTED, Status.DONE]
        assert 1.25 <= pool.arrivals_s[3] < 3.75
        assert pool.answers_s[2] == pytest.approx(max(pool.arrivals_s[3], 2.0) + 1.0)
        assert pool.counters(0).request_failure == 1

    def test_who_is_always_rejected_goes_without(self) -> None:
        model = ServingModel(max_batch_size=1, batch_service_s=(100.0,), max_queue_size=1)
        pool = pool_of(model, [0.0, 0.0, 0.0], clients=Clients(retries=2, backoff_s=0.0))
        pool.run_until(300.0)
        assert pool.arrivals_s.tolist() == [0.0] * 5
        assert pool.answers_s.tolist() == [100.0, 200.0, LEFT]

    def test_what_fails_with_its_server_is_asked_again(self) -> None:
        pool = pool_of(ONE_BY_ONE, [0.0, 0.0], clients=Clients(retries=1, backoff_s=0.0))
        pool.run_until(0.5)
        pool.fail_server(0)
        pool.add_server(2.0)
        pool.run_until(10.0)
        assert pool.arrivals_s.tolist() == [0.0, 0.0, 0.5, 0.5]
        assert pool.answers_s.tolist() == [3.0, 4.0]

    def test_who_left_at_the_instant_of_a_failure_asks_once(self) -> None:
        pool = pool_of(ONE_BY_ONE, [0.0], clients=Clients(timeout_s=0.5, retries=3))
        pool.run_until(0.5)
        pool.fail_server(0)
        pool.run_until(1.25)
        assert pool.arrived == 2

    def test_a_user_asks_next_when_it_was_answered(self) -> None:
        pool = loop_of(ONE_BY_ONE, [2] * 4, think_s=0.0)
        pool.run_until(10.0)
        # Both at 0, one a second; at 4 s, when the loop ends, the last two answers are still to come.
        assert pool.wanted_s.tolist() == [0.0, 0.0, 1.0, 2.0, 3.0]
        assert pool.answers_s.tolist() == [1.0, 2.0, 2.0, 2.0, 2.0]

    def test_users_come_and_go(self) -> None:
        pool = loop_of(ONE_BY_ONE, [1, 2, 1, 1], think_s=0.0)
        pool.run_until(10.0)
        # The second comes at 1 s, and is gone when its answer comes at 3 s; of two at once the first is the first.
        assert pool.wanted_s.tolist() == [0.0, 1.0, 1.0, 2.0]
        assert pool.answers_s.tolist() == [1.0, 1.0, 2.0, 2.0]

    def test_a_user_that_comes_back_before_its_answer_is_one(self) -> None:
        pool = loop_of(
            ServingModel(max_batch_size=1, batch_service_s=(2.5,)), [1, 0, 1, 1], think_s=0.0
        )
        pool.run_until(10.0)
        assert pool.wanted_s.tolist() == [0.0, 2.5]

    def test_a_user_that_comes_back_after_its_answer_begins_anew(self) -> None:
        model = ServingModel(max_batch_size=1, batch_service_s=(0.75,))
        pool = loop_of(model, [1, 0, 1], think_s=0.0)
        pool.run_until(10.0)
        assert pool.wanted_s.tolist() == [0.0, 0.75, 2.0, 2.75]

    def test_a_user_that_leaves_for_good_asks_for_the_next(self) -> None:
        pool = loop_of(
            ServingModel(max_batch_size=1, batch_service_s=(1.0,)),
            [1] * 2,
            think_s=0.0,
            clients=Clients(timeout_s=0.75, retries=1, backoff_s=0.0),
        )
        pool.run_until(10.0)
        # Asked at 0 and 0.75, left at 1.5; the next at 1.5 and 2.25, answered by nobody in time.
        assert pool.arrivals_s.tolist() == [0.0, 0.75, 1.5, 2.25]
        assert pool.wanted_s.tolist() == [0.0, 1.5]
        assert pool.answers_s.tolist() == [LEFT, LEFT]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        pytest.param(lambda: Clients(timeout_s=0.0), "timeout_s: 0.0, more than 0", id="timeout"),
        pytest.param(lambda: Clients(retries=21), "retries: 21, 0 to 20", id="many"),
        pytest.param(lambda: Clients(retries=-1), "retries: -1, 0 to 20", id="few"),
        pytest.param(lambda: Clients(backoff_s=-1.0), "backoff_s: -1.0, 0 to 86400", id="backoff"),
        pytest.param(lambda: loop_of(ONE_BY_ONE, [0, 0]), "users: loop, at least one", id="none"),
        pytest.param(lambda: loop_of(ONE_BY_ONE, [2_000_000]), "up to 1000000", id="too many"),
        pytest.param(
            lambda: loop_of(ONE_BY_ONE, [1], think_s=math.nan), "think_s: nan, 0 or", id="think"
        ),
        pytest.param(
            lambda: loop_of(
                ServingModel(max_batch_size=1, batch_service_s=(1.0,), max_queue_size=1),
                [1],
                think_s=0.0,
            ),
            "think_s: 0.0, more than 0 with a max_queue_size",
            id="for ever at once",
        ),
        pytest.param(
            lambda: ServingPool(
                ONE_BY_ONE, [0.0], users=Users(name="x", counts=np.ones(1, np.int64))
            ),
            "arrivals_s: 1 and users, one of them",
            id="both",
        ),
        pytest.param(
            lambda: ServingPool(ONE_BY_ONE, [0.0], request_items=[1], clients=Clients(retries=1)),
            "clients: requests that differ",
            id="items",
        ),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()


MODELS = st.builds(
    lambda size, instances, delay_s, queue: ServingModel(
        max_batch_size=size,
        instances=instances,
        batch_service_s=tuple(0.5 + 0.25 * n for n in range(size)),
        max_queue_delay_s=delay_s,
        max_queue_size=queue,
        service_cv=0.5,
    ),
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from([0.0, 0.25]),
    st.sampled_from([None, 1, 3]),
)
CLIENTS = st.builds(
    lambda timeout_s, retries, backoff_s: Clients(
        timeout_s=timeout_s, retries=retries, backoff_s=backoff_s
    ),
    st.sampled_from([None, 0.25, 1.0, 3.0]),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.5]),
)
EIGHTHS = st.lists(st.integers(0, 80).map(lambda n: n / 8), max_size=40).map(sorted)
STOPS = st.lists(st.integers(0, 48).map(lambda n: n / 8), max_size=5).map(sorted)
COUNTS = st.lists(st.integers(0, 5), min_size=1, max_size=10).filter(any)
LOOPS = st.builds(
    lambda counts, think_s: Users(name="loop", counts=np.array(counts), think_s=think_s),
    COUNTS,
    st.sampled_from([0.25, 2.0]),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(MODELS, CLIENTS, st.one_of(EIGHTHS, LOOPS), st.sampled_from(list(Routing)), STOPS)
def test_all_that_is_wanted_is_answered_or_left(
    model: ServingModel,
    clients: Clients,
    asked: list[float] | Users,
    routing: Routing,
    stops: list[float],
) -> None:
    users, arrivals_s = (asked, []) if isinstance(asked, Users) else (None, asked)
    assume(users is not None or not clients.are_patient)

    def run(stops: list[float]) -> ServingPool:
        pool = pool_of(model, arrivals_s, 2, routing=routing, clients=clients, users=users)
        pool.stop_server(1, 5.0)
        for at_s in (*stops, 6.0):
            pool.run_until(at_s)
        pool.fail_server(0)
        pool.add_server(20.0)
        pool.run_until(1000.0)
        return pool

    pool = run([])
    split = run(stops)
    assert split.latencies_s.tobytes() == pool.latencies_s.tobytes()
    assert split.answers_s.tobytes() == pool.answers_s.tobytes()
    answers_s = pool.answers_s
    assert not np.isnan(answers_s).any()
    if users is None:
        assert pool.wanted_s.tolist() == arrivals_s
    assert (pool.status != Status.UNFINISHED).all()
    retried = pool.arrived - answers_s.size
    assert 0 <= retried <= clients.retries * answers_s.size
    # What was left is not answered by what is served of it, and everything else is.
    in_vain = int(np.isinf(answers_s).sum())
    assert int((pool.status == Status.DONE).sum()) >= answers_s.size - in_vain
    if clients.timeout_s is not None:
        longest_s = (clients.retries + 1) * clients.timeout_s + 0.75 * (2**clients.retries - 1)
        assert (answers_s[np.isfinite(answers_s)] <= longest_s + 1e-4).all()


class TestLuck:
    ARRIVALS = poisson_arrivals(np.full(600, 6.0), np.random.default_rng(4))
    MODEL = ServingModel(max_batch_size=2, batch_service_s=(0.2, 0.3), service_cv=0.7)

    @pytest.mark.parametrize("routing", list(Routing))
    def test_who_never_has_to_leave_changes_nothing(self, routing: Routing) -> None:
        given: dict[str, Any] = {"routing": routing, "seed": 5}
        plain = pool_of(self.MODEL, self.ARRIVALS, 2, clients=PATIENT, **given)
        patient = Clients(timeout_s=600.0, retries=3)
        asking = pool_of(self.MODEL, self.ARRIVALS, 2, clients=patient, **given)
        for pool in (plain, asking):
            pool.run_until(1000.0)
        assert asking.latencies_s.tobytes() == plain.latencies_s.tobytes()
        assert asking.answers_s.tobytes() == plain.answers_s.tobytes()
        assert asking.wanted_s.tobytes() == plain.wanted_s.tobytes()

    def test_the_first_attempts_service_time_does_not_depend_on_who_asks_again(self) -> None:
        model = ServingModel(max_batch_size=1, batch_service_s=(0.2,), service_cv=0.7)
        plain = pool_of(model, self.ARRIVALS, 40, clients=PATIENT)
        leaving = pool_of(model, self.ARRIVALS, 40, clients=Clients(timeout_s=0.2, retries=2))
        for pool in (plain, leaving):
            pool.run_until(1000.0)
        # With a server for each, a latency is a service time.
        firsts = np.searchsorted(leaving.arrivals_s, leaving.wanted_s)
        assert leaving.latencies_s[firsts].tolist() == plain.latencies_s.tolist()
        # Of those who left after 0.2 s each second attempt has a time of its own, and is no longer than any other.
        seconds = np.setdiff1d(np.arange(leaving.arrived), firsts)
        assert len(seconds) > 0.3 * len(self.ARRIVALS)
        assert leaving.latencies_s[seconds].mean() == pytest.approx(0.2, rel=0.05)


class TestGateway:
    """Three at once on a server of one a second, whose clients leave after 1.5 s and ask again once."""

    def seen(self, pool: ServingPool, gateway: Gateway, at_s: float) -> tuple[float, float, float]:
        """(good, slow, failed) so far."""
        pool.run_until(at_s)
        (counts,) = gateway.sample(pool, at_s).models
        (_, good), (_, total) = counts.latency_buckets
        assert counts.success == total
        return good, total - good, counts.failure or 0.0

    def test_who_leaves_has_waited_and_missed(self) -> None:
        pool = pool_of(
            ONE_BY_ONE, [0.0] * 3, clients=Clients(timeout_s=1.5, retries=1, backoff_s=0.0)
        )
        gateway = Gateway(1.2, 1.5)
        assert self.seen(pool, gateway, 1.0) == (1, 0, 0)
        assert self.seen(pool, gateway, 1.4) == (1, 0, 0)
        # Two have left, and see neither the answers at 2 and 3 s nor those to their second attempts at 4 and 5.
        assert self.seen(pool, gateway, 1.5) == (1, 2, 0)
        assert self.seen(pool, gateway, 2.9) == (1, 2, 0)
        assert self.seen(pool, gateway, 3.0) == (1, 4, 0)
        assert self.seen(pool, gateway, 9.0) == (1, 4, 0)

    def test_an_attempt_in_time_is_good_whatever_was_before_it(self) -> None:
        pool = pool_of(
            ONE_BY_ONE, [0.0] * 3, clients=Clients(timeout_s=1.5, retries=3, backoff_s=2.0)
        )
        gateway = Gateway(1.2, 1.5)
        good, slow, failed = self.seen(pool, gateway, 60.0)
        # What was wanted was in time once, for the others' answers count from their first attempts.
        assert int((pool.answers_s <= 1.2).sum()) == 1
        assert (good, slow, failed) == (
            int((pool.latencies_s <= 1.2).sum()),
            pool.arrived - good,
            0,
        )
        assert good > 1

    def test_who_leaves_before_the_threshold_has_failed(self) -> None:
        pool = pool_of(ONE_BY_ONE, [0.0] * 3, clients=Clients(timeout_s=1.5))
        assert self.seen(pool, Gateway(2.0, 1.5), 9.0) == (1, 0, 2)


def machine_repair(users: int, think_s: float, service_s: float) -> tuple[float, float]:
    """(throughput, mean response) of one exponential server, exactly: mean value analysis."""
    queue = 0.0
    for count in range(1, users + 1):
        response_s = service_s * (1.0 + queue)
        rate = count / (think_s + response_s)
        queue = rate * response_s
    return rate, response_s


@pytest.mark.parametrize(("users", "think_s"), [(5, 4.0), (10, 4.0), (3, 0.0)])
def test_a_closed_loop_is_the_machine_repair_model(users: int, think_s: float) -> None:
    model = ServingModel(max_batch_size=1, batch_service_s=(1.0,), service_cv=1.0)
    pool = loop_of(model, [users] * 200_000, think_s=think_s)
    pool.run_until(201_000.0)
    rate, response_s = machine_repair(users, think_s, 1.0)
    assert pool.arrived / 200_000 == pytest.approx(rate, rel=0.01)
    assert pool.answers_s.mean() == pytest.approx(response_s, rel=0.02)


def test_users_are_as_many_as_throughput_times_response_and_thinking() -> None:
    """The interactive response time law, for batches, two instances and three servers, whatever they are."""
    model = ServingModel(
        max_batch_size=4, instances=2, batch_service_s=(0.5, 0.6, 0.7, 0.8), service_cv=0.3
    )
    pool = loop_of(model, [60] * 20_000, servers=3, think_s=2.0)
    pool.run_until(20_100.0)
    rate = pool.arrived / 20_000
    assert rate * (float(pool.answers_s.mean()) + 2.0) == pytest.approx(60.0, rel=0.01)


class TestRetryStorm:
    """14 requests a second, 50 of them for a minute, on servers of 10 a second each."""

    MODEL = ServingModel(max_batch_size=1, batch_service_s=(0.1,), service_cv=0.3)
    RATES = np.where((np.arange(1800) >= 300) & (np.arange(1800) < 360), 50.0, 14.0)
    ARRIVALS = poisson_arrivals(RATES, np.random.default_rng(1))

    def last_minutes(self, clients: Clients, added: int = 0) -> tuple[float, float]:
        """(share answered within a second, attempts a second) of the last five of 30 minutes, servers added at 15."""
        pool = pool_of(self.MODEL, self.ARRIVALS, 2, clients=clients)
        pool.run_until(900.0)
        for _ in range(added):
            pool.add_server(900.0)
        pool.run_until(1900.0)
        late = pool.wanted_s >= 1500.0
        attempts = ((pool.arrivals_s >= 1500.0) & (pool.arrivals_s < 1800.0)).sum() / 300.0
        return float((pool.answers_s[late] <= 1.0).mean()), float(attempts)

    def test_it_outlasts_the_spike(self) -> None:
        """Two servers carry 14 a second, and not four attempts at each of them."""
        in_time, attempts = self.last_minutes(Clients(timeout_s=2.0, retries=3))
        assert in_time < 0.01
        assert attempts == pytest.approx(4 * 14.0, rel=0.05)

    def test_without_retries_the_backlog_ends(self) -> None:
        in_time, attempts = self.last_minutes(Clients(timeout_s=2.0))
        assert in_time > 0.95
        assert attempts == pytest.approx(14.0, rel=0.05)

    def test_enough_servers_end_it(self) -> None:
        in_time, attempts = self.last_minutes(Clients(timeout_s=2.0, retries=3), added=4)
        assert in_time > 0.99
        assert attempts == pytest.approx(14.0, rel=0.05)
