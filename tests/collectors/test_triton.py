"""Triton's statistics and configuration to a profile: answers as a real server gave them when versions were loaded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from autoscaler.collectors.triton import Endpoint, TritonCollector, model_profile
from autoscaler.core.types import BatchTime, WorkloadId
from tests.fakes.clock import SteppedClock
from tests.fakes.http import listening

CONFIG = {
    "name": "m",
    "max_batch_size": 4,
    "instance_group": [{"count": 2, "kind": "KIND_CPU"}, {"count": 1, "kind": "KIND_GPU"}],
    "dynamic_batching": {"max_queue_delay_microseconds": 5000},
}


NESTED = "nested"
"""Stands for lists in lists, which tests can't write as JSON either."""


def statistics(version: str, *batches: tuple[int, int, int]) -> dict[str, Any]:
    """(batch size, executions, milliseconds each); a tenth of each is copying."""
    return {
        "name": "m",
        "version": version,
        "batch_stats": [
            {
                "batch_size": size,
                "compute_input": {"count": count, "ns": count * each * 50_000},
                "compute_infer": {"count": count, "ns": count * each * 900_000},
                "compute_output": {"count": count, "ns": count * each * 50_000},
            }
            for size, count, each in batches
        ],
    }


def times(*entries: tuple[int, int, float]) -> tuple[BatchTime, ...]:
    return tuple(BatchTime(batch_size=b, count=n, total_s=about(s)) for b, n, s in entries)


def about(value: float) -> Any:
    return pytest.approx(value)


def test_copying_and_inference_together_are_the_time_of_a_batch() -> None:
    told = model_profile("m", [statistics("1", (1, 14, 10), (3, 12, 20))], CONFIG)
    assert told.batch_times == times((1, 14, 0.14), (3, 12, 0.24))
    assert (told.version, told.max_batch_size, told.instances) == ("1", 4, 3)
    assert told.max_queue_delay_s == 0.005


def test_instances_are_counted_on_each_gpu_that_a_group_names() -> None:
    """One on GPU 0 and two on each of GPUs 1 and 2 are five."""
    groups = [
        {"count": 1, "kind": "KIND_GPU", "gpus": [0]},
        {"count": 2, "kind": "KIND_GPU", "gpus": [1, 2]},
    ]
    told = model_profile("m", [statistics("1")], CONFIG | {"instance_group": groups})
    assert told.instances == 5


def test_a_new_version_takes_the_place_of_the_old_one_and_has_served_nothing() -> None:
    told = model_profile("m", [statistics("2")], CONFIG)
    assert (told.version, told.batch_times) == ("2", ())


def test_versions_beside_each_other_are_one_model() -> None:
    both = [statistics("2", (1, 5, 20), (4, 1, 50)), statistics("1", (1, 5, 10))]
    told = model_profile("m", both, CONFIG)
    assert told.version == "1,2"
    assert told.batch_times == times((1, 10, 0.15), (4, 1, 0.05))


def test_a_model_that_does_not_batch() -> None:
    told = model_profile("m", [statistics("1")], {"name": "m", "max_batch_size": 0})
    assert (told.max_batch_size, told.instances, told.max_queue_delay_s) == (1, 1, 0.0)


def test_a_sick_pod_is_not_read_while_there_is_another() -> None:
    workload = WorkloadId(namespace="team", name="bert")
    endpoints = [
        Endpoint(workload=workload, pod=pod, template_hash="h1", ip=f"127.0.0.{number}")
        for number, pod in enumerate("ab", start=1)
    ]
    ill: set[tuple[WorkloadId, str]] = set()
    collector = TritonCollector(
        lambda: tuple(endpoints), SteppedClock(), sick=lambda: frozenset(ill)
    )

    def read() -> list[str]:
        return [endpoint.pod for endpoint in collector._choose()]

    assert read() == ["a"]
    ill.add((workload, "a"))
    assert read() == ["b"]
    ill.clear()
    # Always the same pod, so that two of its readings can be compared.
    assert read() == ["b"]
    ill.update((workload, pod) for pod in "ab")
    assert read() == ["b"]


@asynccontextmanager
async def servers(answers: dict[str, list[Any]]) -> AsyncIterator[int]:
    """One port, at which each address has its own statistics."""

    async def told(request: web.Request) -> web.Response:
        assert request.transport is not None
        address = request.transport.get_extra_info("sockname")[0]
        text = json.dumps({"model_stats": answers[address]})
        deep = "[" * 200_000 + "]" * 200_000
        return web.Response(text=text.replace(f'"{NESTED}"', deep))

    async def configured(request: web.Request) -> web.Response:
        return web.json_response(CONFIG)

    app = web.Application()
    app.router.add_get("/v2/models/stats", told)
    app.router.add_get("/v2/models/m/config", configured)
    async with listening(app, "0.0.0.0") as port:
        yield port


def endpoint(workload: str, number: int) -> Endpoint:
    return Endpoint(
        workload=WorkloadId(namespace="team", name=workload),
        pod=f"{workload}-0",
        template_hash="h1",
        ip=f"127.0.0.{number}",
    )


@pytest.mark.parametrize(
    "odd",
    [
        [None],
        [{"name": "m", "batch_stats": [{"batch_size": None}]}],
        [{"name": "m", "batch_stats": 5}],
        [{"name": "m", "batch_stats": [{"batch_size": 1, "compute_infer": {"ns": []}}]}],
        [statistics("1", *((size, 1, 1) for size in range(1, 1026)))],
        [statistics("x" * 8 * 2**20)],
        [NESTED],
    ],
    ids=["none", "no size", "no list", "a list of times", "sizes", "long", "deep"],
)
async def test_an_answer_that_is_not_tritons_costs_no_other_workload_its_reading(
    odd: list[Any],
) -> None:
    answers = {"127.0.0.1": odd, "127.0.0.2": [statistics("1", (1, 14, 10))]}
    async with servers(answers) as port:
        collector = TritonCollector(
            lambda: (endpoint("odd", 1), endpoint("bert", 2)), SteppedClock(), port=port
        )
        await collector.read_once()
    (workload,) = collector.take()
    assert workload.name == "bert"


async def test_no_redirect_is_followed() -> None:
    """It would go where the controller may and whoever runs the server may not."""
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPFound("/secret")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", elsewhere)
    async with listening(app) as port:
        collector = TritonCollector(lambda: (endpoint("odd", 1),), SteppedClock(), port=port)
        await collector.read_once()
    assert (collector.take(), asked) == ({}, ["/v2/models/stats"])


async def test_what_nobody_takes_does_not_pile_up() -> None:
    """A controller that does not lead reads for days."""
    endpoints = [endpoint("bert", 1), endpoint("gone", 2)]
    answers = {f"127.0.0.{n}": [statistics("1", (1, 14, 10))] for n in (1, 2)}
    clock = SteppedClock()
    async with servers(answers) as port:
        collector = TritonCollector(lambda: tuple(endpoints), clock, port=port)
        for _ in range(3):
            await collector.read_once()
            await clock.advance(30.0)
        endpoints.pop()
        await collector.read_once()
        read_s = clock.now_s()
    told = collector.take()
    assert [(w.name, [p.sampled_at_s for p in found]) for w, found in told.items()] == [
        ("bert", [read_s])
    ]
    assert collector.take() == {}
