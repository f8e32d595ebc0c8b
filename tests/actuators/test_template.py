"""Writes to a Deployment's template: the one name in the place of the other, and only on what was seen."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient, Configuration

from autoscaler.actuators.template import TemplateActuator
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clients.templates import mark_text
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.template import (
    SHAPE_ANNOTATION,
    SetShape,
    ShapeMark,
    ShapePhase,
    ShapeStep,
)
from autoscaler.core.types import Outcome, ShapeResult
from tests.clients.test_templates import MARK, deployment, managed
from tests.fakes.cluster_api import ClusterApi

PATH = "/apis/apps/v1/namespaces/team/deployments/bert"
ONE, TWO = "nvidia.com/mig-1g.10gb", "nvidia.com/mig-2g.20gb"
IMAGED = replace(MARK, image="server:1")
RESTORING = replace(IMAGED, phase=ShapePhase.RESTORING, at_s=1_700_001_800.0, why="OOM")
FAILED = replace(RESTORING, phase=ShapePhase.FAILED, at_s=1_700_001_900.0)
BOTH = {
    "limits": {TWO: "1", "memory": "8Gi"},
    "requests": {TWO: "1", "cpu": "2"},
}


def action(
    step: ShapeStep = ShapeStep.CHANGE,
    *,
    expected: str = "2g.20gb",
    known: ShapeMark | None = None,
    mark: ShapeMark = IMAGED,
) -> SetShape:
    return SetShape(
        namespace="team",
        name="bert",
        step=step,
        expected=expected,
        observed=3,
        known=known,
        mark=mark,
        reason=Reason.SHAPE_CHANGING,
        message="",
    )


@asynccontextmanager
async def actuator(api: ClusterApi) -> AsyncIterator[TemplateActuator]:
    async with api.serving():
        client = KubernetesClient(
            ApiClient(configuration=Configuration(host=api.url)), timeout_s=5.0
        )
        try:
            yield TemplateActuator(client)
        finally:
            await client.close()


async def applied(api: ClusterApi, done: SetShape) -> ShapeResult:
    async with actuator(api) as one:
        return await one.apply(done)


def resources(api: ClusterApi) -> dict[str, Any]:
    return dict(api.objects[PATH]["spec"]["template"]["spec"]["containers"][0]["resources"])


def mark(api: ClusterApi) -> dict[str, Any]:
    return dict(json.loads(api.objects[PATH]["metadata"]["annotations"][SHAPE_ANNOTATION]))


async def test_a_change_and_the_way_back() -> None:
    api = ClusterApi()
    api.put(PATH, deployment(resources=(BOTH, {"limits": {"memory": "1Gi"}})))
    assert (await applied(api, action())).outcome is Outcome.APPLIED
    assert resources(api) == {
        "limits": {ONE: "1", "memory": "8Gi"},
        "requests": {ONE: "1", "cpu": "2"},
    }
    assert api.objects[PATH]["spec"]["replicas"] == 4
    assert mark(api) == json.loads(mark_text(IMAGED))
    back = action(ShapeStep.RESTORE, expected="1g.10gb", known=IMAGED, mark=RESTORING)
    assert (await applied(api, back)).outcome is Outcome.APPLIED
    assert resources(api) == BOTH
    # As many as it takes: fewer are a matter of sizing.
    assert api.objects[PATH]["spec"]["replicas"] == 4
    settled = action(ShapeStep.SETTLE, known=RESTORING, mark=FAILED)
    assert (await applied(api, settled)).outcome is Outcome.APPLIED
    assert (mark(api)["phase"], mark(api)["why"]) == ("failed", "OOM")
    assert resources(api) == BOTH
    assert [method for method, _ in api.writes] == ["PATCH"] * 3


async def test_a_limit_alone_stays_a_limit_alone() -> None:
    api = ClusterApi()
    raw = deployment()
    del raw["metadata"]["annotations"]
    api.put(PATH, raw)
    assert (await applied(api, action())).outcome is Outcome.APPLIED
    assert resources(api) == {"limits": {ONE: "1"}}


async def test_what_was_written_a_tick_ago_is_not_written_again() -> None:
    api = ClusterApi()
    api.put(PATH, deployment())
    await applied(api, action())
    assert (await applied(api, action())).outcome is Outcome.UNCHANGED
    assert len(api.writes) == 1


def edited(**spec: object) -> dict[str, Any]:
    raw = deployment()
    raw["spec"].update(spec)
    return raw


@pytest.mark.parametrize(
    ("raw", "step", "why"),
    [
        pytest.param(edited(replicas=5), action(), "spec.replicas is 5 by now", id="scaled"),
        pytest.param(
            deployment(resources=({"limits": {ONE: "1"}},)),
            action(),
            "its template asks for 1g.10gb by now",
            id="edited",
        ),
        pytest.param(
            deployment(resources=({"limits": {"nvidia.com/gpu": "1"}},)),
            action(),
            "not exactly one of its containers",
            id="no slice any more",
        ),
        pytest.param(
            deployment(annotations={SHAPE_ANNOTATION: mark_text(FAILED)}),
            action(),
            f"{SHAPE_ANNOTATION} is another by now",
            id="another forescale",
        ),
        pytest.param(
            deployment(), action(mark=MARK), "its container is server with server:1", id="image"
        ),
        pytest.param(
            deployment(managed("argocd-controller")), action(), "argocd-controller owns", id="owned"
        ),
        pytest.param(
            deployment(strategy={"type": "Recreate"}), action(), "is Recreate", id="recreate"
        ),
    ],
)
async def test_a_deployment_that_is_not_what_was_seen_is_left(
    raw: dict[str, Any], step: SetShape, why: str
) -> None:
    api = ClusterApi()
    api.put(PATH, raw)
    result = await applied(api, step)
    assert result.outcome is Outcome.CONFLICT
    assert why in result.message
    assert api.writes == []


async def test_what_forescale_began_is_taken_back_whoever_has_claimed_it_since() -> None:
    api = ClusterApi()
    api.put(
        PATH,
        deployment(
            managed("argocd-controller"),
            annotations={SHAPE_ANNOTATION: mark_text(IMAGED)},
            resources=({"limits": {ONE: "1"}},),
        ),
    )
    back = action(ShapeStep.RESTORE, expected="1g.10gb", known=IMAGED, mark=RESTORING)
    assert (await applied(api, back)).outcome is Outcome.APPLIED
    assert resources(api) == {"limits": {TWO: "1"}}


async def test_a_rollout_that_has_ended_meanwhile_is_not_taken_back() -> None:
    """The watch on Deployments was cut: they are read past it."""
    api = ClusterApi()
    counts = {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
    marked = {SHAPE_ANNOTATION: mark_text(IMAGED)}
    small = ({"limits": {ONE: "1"}},)
    api.put(PATH, deployment(annotations=marked, resources=small, status=counts))
    back = action(ShapeStep.RESTORE, expected="1g.10gb", known=IMAGED, mark=RESTORING)
    result = await applied(api, back)
    assert (result.outcome, api.writes) == (Outcome.CONFLICT, [])
    assert "its rollout has come to its end by now" in result.message
    late = {**counts, "availableReplicas": 2}
    api.put(PATH, deployment(annotations=marked, resources=small, status=late))
    assert (await applied(api, back)).outcome is Outcome.APPLIED


async def test_an_edit_between_reading_and_writing_is_a_conflict() -> None:
    api = ClusterApi()
    api.put(PATH, deployment())
    api.refuse["/bert"] = 422
    assert (await applied(api, action())).outcome is Outcome.CONFLICT


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(403, Outcome.REJECTED), (500, Outcome.UNKNOWN), (404, Outcome.REJECTED)],
)
async def test_answers(status: int, outcome: Outcome) -> None:
    api = ClusterApi()
    api.put(PATH, deployment())
    api.refuse["/bert"] = status
    assert (await applied(api, action())).outcome is outcome


async def test_a_deployment_that_is_gone_is_a_conflict() -> None:
    assert (await applied(ClusterApi(), action())).outcome is Outcome.CONFLICT
