"""Real tritonclient connections to a fake endpoint: pods that come and go, and connections that are pinned."""

from __future__ import annotations

import asyncio

import pytest

from loadtests.load.driver import Driver
from loadtests.load.pods import is_of
from loadtests.load.request_log import OK
from loadtests.load.targets import PinnedConnections, ReadyPods
from loadtests.load.triton import Inferences
from tests.fakes.triton_http import FakeTriton, serving

M = Inferences("m")


async def test_a_request_under_way_ends_well_on_a_pod_that_is_left_out() -> None:
    async with serving("127.0.0.1") as old, serving("127.0.0.2", old.port) as new:
        ready = {"old": old.host}
        targets = ReadyPods(lambda: ready, M, port=old.port)
        driver = Driver(targets)
        old.open.clear()

        async def delete_the_pod() -> None:
            await old.until_asked(1)
            ready.clear()
            ready["new"] = new.host
            await new.until_asked(2)
            old.open.set()

        # The second and third are due once the first is under way; the old pod answers only after they were sent.
        await asyncio.gather(driver.run([0.0, 0.3, 0.3]), delete_the_pod())

        assert (old.asked, new.asked) == (1, 2)
        assert {(r.server, r.outcome) for r in driver.requests} == {("old", OK), ("new", OK)}


async def test_requests_go_where_the_fewest_are_under_way() -> None:
    async with serving("127.0.0.1") as slow, serving("127.0.0.2", slow.port) as fast:
        slow.open.clear()
        targets = ReadyPods(lambda: {"slow": slow.host, "fast": fast.host}, M, port=slow.port)
        driver = Driver(targets)

        async def until_the_others_came() -> None:
            await fast.until_asked(9)
            slow.open.set()

        await asyncio.gather(driver.run([0.05 * i for i in range(10)]), until_the_others_came())
        assert slow.asked == 1
        assert fast.asked == 9


async def test_an_error_of_the_server_is_written_down_and_not_repeated() -> None:
    async with serving() as server:
        server.status = 503
        driver = Driver(ReadyPods(lambda: {"a": server.host}, M, port=server.port))
        await driver.run([0.0])
        assert server.asked == 1
        assert "unavailable" in driver.requests[0].outcome


async def pinned(server: FakeTriton, *, max_age_s: float, requests: int) -> Driver:
    targets = PinnedConnections(
        f"{server.host}:{server.port}", M, connections=2, max_age_s=max_age_s
    )
    driver = Driver(targets)
    await driver.run([0.01 * i for i in range(requests)])
    return driver


async def test_pinned_connections_are_few_and_stay() -> None:
    async with serving() as server:
        driver = await pinned(server, max_age_s=3600.0, requests=6)
        assert [r.outcome for r in driver.requests] == [OK] * 6
        assert len(server.peers) == 2


async def test_a_connection_that_is_old_enough_is_opened_anew() -> None:
    async with serving() as server:
        await pinned(server, max_age_s=0.0, requests=6)
        assert len(server.peers) == 6


async def test_a_connection_whose_server_is_stuck_is_opened_anew_too() -> None:
    async with serving() as server:
        server.open.clear()
        targets = PinnedConnections(f"{server.host}:{server.port}", M, connections=1, max_age_s=0.0)
        driver = Driver(targets)

        async def until_both_came() -> None:
            await server.until_asked(2)
            server.open.set()

        await asyncio.gather(driver.run([0.0, 0.0]), until_both_came())
        assert len(server.peers) == 2
        assert [r.outcome for r in driver.requests] == [OK, OK]


async def test_ties_go_to_the_next_in_rotation() -> None:
    targets = ReadyPods(lambda: {name: "127.0.0.1" for name in ("a", "b", "c")}, M)
    busy = targets.pick()
    assert busy is not None
    busy.outstanding = 1
    picked = [targets.pick() for _ in range(4)]
    assert (busy.name, [p.name for p in picked if p]) == ("a", ["b", "c", "b", "c"])
    await targets.close()


@pytest.mark.parametrize(
    ("pod", "deployment", "expected"),
    [
        ("bert-7d4f9c-abcde", "bert", True),
        ("bert-large-7d4f9c-abcde", "bert", False),
        ("bert-large-7d4f9c-abcde", "bert-large", True),
        ("bert-0", "bert", False),
    ],
)
def test_pods_of_a_deployment_whose_name_begins_alike_get_nothing(
    pod: str, deployment: str, expected: bool
) -> None:
    assert is_of(pod, deployment) is expected
