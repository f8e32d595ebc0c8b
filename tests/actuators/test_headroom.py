"""Headroom as objects: placeholders that give way, buffers that say what they request, and a sweep."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from kubernetes_asyncio.client import ApiClient, Configuration

from autoscaler.actuators.headroom import HeadroomActuator, sweep
from autoscaler.cli.sweep import sweep_if_silent
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.core.annotations import PREFIX
from autoscaler.core.nodes.observed import Backend, SetHeadroom
from autoscaler.core.nodes.settings import PoolSettings
from autoscaler.core.reasons import Reason
from autoscaler.core.types import Outcome
from autoscaler.errors import ActuationRejected, ActuationUnknown
from tests.fakes.clock import FakeClock
from tests.fakes.http import FakeServer, serving

GPU = "nvidia.com/gpu"
POOL = PoolSettings(labels={"pool": "h100"}, max_headroom=32, unit=4)
OWN = "forescale-headroom"
CREATED = (200, "{}")
MISSING = (404, json.dumps({"kind": "Status", "message": "no such kind"}))


@asynccontextmanager
async def talking(*answers: tuple[int, str]) -> AsyncIterator[tuple[KubernetesClient, FakeServer]]:
    async with serving(*answers) as server:
        client = KubernetesClient(ApiClient(Configuration(host=server.url)), timeout_s=2.0)
        try:
            yield client, server
        finally:
            await client.close()


def actuator(client: KubernetesClient | None = None, pool: PoolSettings = POOL) -> HeadroomActuator:
    return HeadroomActuator(
        client,  # type: ignore[arg-type]
        pools={"h100": pool},
        namespace=OWN,
        image="registry.k8s.io/pause:3.10",
        priority_class="forescale-headroom",
    )


def ask(backend: Backend, units: int) -> SetHeadroom:
    return SetHeadroom(
        pool="h100",
        backend=backend,
        observed=0,
        units=units,
        reason=Reason.NODE_DEMAND_AHEAD,
        message="",
    )


def test_a_placeholder_holds_one_unit_on_a_node_of_its_pool_and_gives_way_to_anybody() -> None:
    ((path, body),) = actuator().placeholder("h100", 3)
    assert path == f"/apis/apps/v1/namespaces/{OWN}/deployments/h100"
    assert body["spec"]["replicas"] == 3
    # Else forescale would take its own placeholders for a workload.
    assert not [key for key in body["metadata"]["annotations"] if key.startswith(PREFIX)]
    pod = body["spec"]["template"]["spec"]
    assert pod["priorityClassName"] == "forescale-headroom"
    assert pod["terminationGracePeriodSeconds"] == 0
    assert pod["nodeSelector"] == {"pool": "h100"}
    assert pod["tolerations"] == [{"key": GPU, "operator": "Exists"}]
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["resources"]["limits"] == {GPU: "4"}


def test_a_buffers_template_writes_requests_out() -> None:
    # A PodTemplate's requests are not filled in from its limits, and a buffer of limits alone asks for no node.
    (_, template), (_, buffer) = actuator().buffer("h100", 2)
    resources = template["template"]["spec"]["containers"][0]["resources"]
    assert resources["requests"][GPU] == resources["limits"][GPU] == "4"
    assert buffer["spec"]["podTemplateRef"] == {"name": "h100"}
    assert buffer["spec"]["replicas"] == 2


def test_the_digest_follows_the_form_and_not_the_number() -> None:
    assert actuator().digest("h100") == actuator().digest("h100")
    other = PoolSettings(labels={"pool": "h200"}, max_headroom=8, unit=4)
    assert actuator().digest("h100") != actuator(pool=other).digest("h100")


async def test_units_are_written_as_whole_placeholders() -> None:
    async with talking(CREATED) as (client, server):
        result = await actuator(client).apply(ask(Backend.PLACEHOLDER, 10))
    assert result.outcome is Outcome.APPLIED
    (request,) = server.asked
    assert request.method == "PATCH"
    assert request.query == {"fieldManager": "forescale", "force": "true"}
    assert json.loads(request.body)["spec"]["replicas"] == 3


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(403, Outcome.REJECTED), (409, Outcome.CONFLICT), (503, Outcome.UNKNOWN)],
)
async def test_what_went_wrong_is_the_result(code: int, outcome: Outcome) -> None:
    async with talking((code, "{}")) as (client, _):
        result = await actuator(client).apply(ask(Backend.CAPACITY_BUFFER, 4))
    assert result.outcome is outcome


async def test_a_sweep_removes_all_kinds_and_minds_none_that_is_not_there() -> None:
    async with talking(MISSING, CREATED, CREATED) as (client, server):
        assert await sweep(client, OWN) == 2
    assert [r.method for r in server.asked] == ["DELETE"] * 3
    assert {r.query["labelSelector"] for r in server.asked} == {"forescale.io/headroom"}


@pytest.mark.parametrize(("code", "raised"), [(403, ActuationRejected), (500, ActuationUnknown)])
async def test_a_sweep_that_may_not_says_so_and_removes_the_rest(
    code: int, raised: type[Exception]
) -> None:
    """A CapacityBuffer's webhook is down: the placeholders hold nodes all the same."""
    async with talking((code, "{}"), CREATED, CREATED) as (client, server):
        with pytest.raises(raised):
            await sweep(client, OWN)
    assert [r.path.rpartition("/")[2] for r in server.asked] == [
        "capacitybuffers",
        "deployments",
        "podtemplates",
    ]


@pytest.mark.parametrize(
    ("backend", "path"),
    [
        (Backend.PLACEHOLDER, f"/apis/apps/v1/namespaces/{OWN}/deployments/gone"),
        (
            Backend.CAPACITY_BUFFER,
            f"/apis/autoscaling.x-k8s.io/v1beta1/namespaces/{OWN}/capacitybuffers/gone",
        ),
    ],
)
async def test_of_a_pool_that_is_gone_from_the_policy_only_the_number_is_written(
    backend: Backend, path: str
) -> None:
    async with talking(CREATED) as (client, server):
        result = await actuator(client).apply(replace(ask(backend, 0), pool="gone"))
    assert result.outcome is Outcome.APPLIED
    (request,) = server.asked
    assert (request.method, request.path) == ("PATCH", path)
    assert json.loads(request.body) == {"spec": {"replicas": 0}}


def lease(renewed: str | None) -> tuple[int, str]:
    return 200, json.dumps({"spec": {"renewTime": renewed}})


@pytest.mark.parametrize(
    ("answer", "swept", "said"),
    [
        (lease("2023-11-14T22:13:00.000000Z"), False, "was renewed 20 s ago"),
        (lease("2023-11-14T22:03:19.000000Z"), True, "was last renewed 601 s ago"),
        (lease(None), True, "was last renewed inf s ago"),
        (MISSING, True, "there is no such Lease"),
    ],
)
async def test_headroom_goes_ten_minutes_after_the_last_word_of_a_controller(
    answer: tuple[int, str], swept: bool, said: str
) -> None:
    async with talking(answer, CREATED, CREATED, CREATED) as (client, server):
        told = await sweep_if_silent(
            client,
            FakeClock(now_s=1_700_000_000.0),  # 22:13:20
            lease=("forescale", "forescale"),
            namespace=OWN,
            silent_for_s=600.0,
        )
    assert said in told
    assert (len(server.asked) == 4) is swept
