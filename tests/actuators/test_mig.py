"""Three writes to a node, each only on what was seen: and never the label while any pod holds a slice of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient, Configuration

from autoscaler.actuators.mig import MigActuator
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.observed import CHANGE_ANNOTATION, CONFIG_LABEL, MigAction, MigStep
from autoscaler.core.types import MigResult, Outcome
from tests.fakes.cluster_api import ClusterApi

ONES, THREES = "all-1g.10gb", "all-3g.40gb"
NODE = "/api/v1/nodes/n1"
MARK = json.dumps({"before": ONES, "after": THREES})


def node(*, config: str = ONES, cordoned: bool = False, marked: bool = False) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "n1",
            "labels": {CONFIG_LABEL: config, "other": "label"},
            "annotations": {CHANGE_ANNOTATION: MARK} if marked else {"their": "own"},
        },
        "spec": {"unschedulable": True} if cordoned else {},
    }


def pod(
    name: str, where: str = "n1", phase: str = "Running", resource: str = "nvidia.com/mig-1g.10gb"
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "team"},
        "spec": {"nodeName": where, "containers": [{"resources": {"limits": {resource: "1"}}}]},
        "status": {"phase": phase},
    }  # fmt: skip


def action(step: MigStep, *, expected: str = ONES, config: str = THREES) -> MigAction:
    return MigAction(
        pool="mig",
        node="n1",
        step=step,
        expected=expected,
        config=config,
        reason=Reason.MIG_CHANGING,
        message="",
    )


@asynccontextmanager
async def actuator(api: ClusterApi) -> AsyncIterator[MigActuator]:
    async with api.serving():
        client = KubernetesClient(
            ApiClient(configuration=Configuration(host=api.url)), timeout_s=5.0
        )
        try:
            yield MigActuator(client)
        finally:
            await client.close()


async def applied(api: ClusterApi, done: MigAction) -> MigResult:
    async with actuator(api) as one:
        return await one.apply(done)


async def test_the_three_writes_of_a_change() -> None:
    api = ClusterApi()
    api.put(NODE, node())
    assert (await applied(api, action(MigStep.CORDON))).outcome is Outcome.APPLIED
    now = api.objects[NODE]
    assert now["spec"]["unschedulable"] is True
    assert now["metadata"]["annotations"] == {"their": "own", CHANGE_ANNOTATION: MARK}
    assert (await applied(api, action(MigStep.APPLY))).outcome is Outcome.APPLIED
    assert api.objects[NODE]["metadata"]["labels"] == {CONFIG_LABEL: THREES, "other": "label"}
    done = await applied(api, action(MigStep.UNCORDON, expected=THREES))
    assert done.outcome is Outcome.APPLIED
    now = api.objects[NODE]
    assert now["spec"]["unschedulable"] is False
    assert now["metadata"]["annotations"] == {"their": "own"}


async def test_a_node_without_annotations_can_be_marked() -> None:
    api = ClusterApi()
    bare = node()
    del bare["metadata"]["annotations"]
    api.put(NODE, bare)
    assert (await applied(api, action(MigStep.CORDON))).outcome is Outcome.APPLIED
    assert api.objects[NODE]["metadata"]["annotations"] == {CHANGE_ANNOTATION: MARK}


@pytest.mark.parametrize(
    ("seen", "step", "why"),
    [
        pytest.param(node(config="hand"), MigStep.CORDON, "is 'hand' by now", id="edited"),
        pytest.param(node(cordoned=True), MigStep.CORDON, "somebody else has", id="theirs"),
        pytest.param(node(marked=True), MigStep.APPLY, "not cordoned by forescale", id="open"),
        pytest.param(
            node(cordoned=True), MigStep.APPLY, "not cordoned by forescale", id="unmarked"
        ),
    ],
)
async def test_a_node_that_is_not_what_was_seen_is_left(
    seen: dict[str, Any], step: MigStep, why: str
) -> None:
    api = ClusterApi()
    api.put(NODE, seen)
    result = await applied(api, action(step))
    assert result.outcome is Outcome.CONFLICT
    assert why in result.message
    assert api.writes == []


@pytest.mark.parametrize(
    "resource",
    [
        "nvidia.com/mig-1g.10gb",
        "nvidia.com/gpu",
        # Shared in time or by MPS, and by HAMi: parts of a GPU are in use like all of it.
        "nvidia.com/gpu.shared",
        "nvidia.com/mig-1g.10gb.shared",
        "volcano.sh/vgpu-number",
        # Whatever it is.
        "nvidia.com/hostdev",
    ],
)
async def test_the_label_is_not_written_while_a_pod_holds_any_of_it(resource: str) -> None:
    api = ClusterApi()
    api.put(NODE, node(cordoned=True, marked=True))
    api.put("/api/v1/namespaces/team/pods/a", pod("a", resource=resource))
    result = await applied(api, action(MigStep.APPLY))
    assert (result.outcome, result.message) == (Outcome.CONFLICT, "in use: team/a")
    assert api.writes == []


async def test_a_pod_that_holds_devices_by_a_resource_claim_is_in_the_way_too() -> None:
    api = ClusterApi()
    api.put(NODE, node(cordoned=True, marked=True))
    claiming = pod("a", resource="cpu")
    claiming["spec"]["resourceClaims"] = [{"name": "slice", "resourceClaimTemplateName": "mig-1g"}]
    api.put("/api/v1/namespaces/team/pods/a", claiming)
    result = await applied(api, action(MigStep.APPLY))
    assert (result.outcome, result.message) == (Outcome.CONFLICT, "in use: team/a")
    assert api.writes == []


async def test_pods_that_have_ended_or_are_elsewhere_or_hold_nothing_do_not_count() -> None:
    api = ClusterApi()
    api.put(NODE, node(cordoned=True, marked=True))
    api.put("/api/v1/namespaces/team/pods/a", pod("a", phase="Succeeded"))
    api.put("/api/v1/namespaces/team/pods/b", pod("b", where="n2"))
    api.put("/api/v1/namespaces/team/pods/c", pod("c", resource="cpu"))
    assert (await applied(api, action(MigStep.APPLY))).outcome is Outcome.APPLIED


async def test_a_node_that_is_gone_is_a_conflict_and_no_answer_is_unknown() -> None:
    assert (await applied(ClusterApi(), action(MigStep.CORDON))).outcome is Outcome.CONFLICT
    api = ClusterApi()
    api.put(NODE, node())
    api.refuse["n1"] = 503
    assert (await applied(api, action(MigStep.CORDON))).outcome is Outcome.UNKNOWN
    api.refuse["n1"] = 403
    assert (await applied(api, action(MigStep.CORDON))).outcome is Outcome.REJECTED


async def test_an_uncordon_that_was_done_is_not_done_again() -> None:
    api = ClusterApi()
    api.put(NODE, node())
    assert (await applied(api, action(MigStep.UNCORDON))).outcome is Outcome.UNCHANGED
