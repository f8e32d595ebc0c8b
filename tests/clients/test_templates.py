"""Who owns what a Deployment's template asks for, and what a change of it is about: as tables of raw objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoscaler.clients.templates import mark_text, owner, shape_mark, template_status
from autoscaler.core.slices.template import SHAPE_ANNOTATION, ShapeMark, ShapePhase

MARK = ShapeMark(
    before="2g.20gb",
    after="1g.10gb",
    container="server",
    image="bert:1",
    replicas_before=3,
    replicas=4,
    phase=ShapePhase.ROLLING,
    at_s=1_700_000_000.5,
    why="",
)


def managed(
    manager: str, *, operation: str = "Update", container: str = "server"
) -> dict[str, Any]:
    """An entry of managedFields over one container's resources."""
    field: dict[str, Any] = {"f:resources": {"f:limits": {"f:nvidia.com/mig-2g.20gb": {}}}}
    containers = {f'k:{{"name":"{container}"}}': field}
    return {
        "manager": manager,
        "operation": operation,
        "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": containers}}}},
    }


def deployment(
    *entries: dict[str, Any],
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    owners: list[dict[str, Any]] | None = None,
    strategy: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    resources: tuple[dict[str, Any], ...] = ({"limits": {"nvidia.com/mig-2g.20gb": "1"}},),
    **spec: object,
) -> dict[str, Any]:
    names = ("server", "sidecar")
    containers = [
        {"name": name, "image": f"{name}:1", "resources": one}
        for name, one in zip(names, resources, strict=False)
    ]
    return {
        "metadata": {
            "namespace": "team",
            "name": "bert",
            "generation": 2,
            "labels": labels or {},
            "annotations": annotations or {},
            "ownerReferences": owners or [],
            "managedFields": list(entries) or [managed("kubectl-create")],
        },
        "spec": {
            "replicas": 3,
            "strategy": strategy or {},
            "template": {"spec": {"containers": containers}},
            **spec,
        },
        "status": {"observedGeneration": 2, **(status or {})},
    }


@pytest.mark.parametrize(
    ("raw", "who"),
    [
        pytest.param(deployment(), None, id="made by hand"),
        pytest.param(deployment(managed("kubectl-edit"), managed("forescale")), None, id="and us"),
        pytest.param(
            deployment(managed("argocd-controller", operation="Apply")),
            "argocd-controller owns its resources",
            id="Argo CD",
        ),
        pytest.param(
            deployment(managed("kustomize-controller")), "kustomize-controller", id="Flux"
        ),
        pytest.param(deployment(managed("helm")), "helm owns", id="Helm"),
        pytest.param(
            deployment(managed("kubectl-create"), managed("kubectl-client-side-apply")),
            "kubectl-client-side-apply owns",
            id="kubectl apply",
        ),
        pytest.param(
            deployment(managed("kubectl-create", operation="Apply")), "kubectl-create", id="applied"
        ),
        pytest.param(deployment(managed("my-tool")), "my-tool owns its resources", id="unknown"),
        pytest.param(
            deployment(managed("kubectl-create", container="other")), "is not told", id="not told"
        ),
        pytest.param(
            deployment(managed("kubectl-create"), managed("vpa", container="sidecar")),
            None,
            id="another container is theirs",
        ),
        pytest.param(
            deployment(labels={"app.kubernetes.io/managed-by": "Helm"}),
            "it is managed by Helm, as its label app.kubernetes.io/managed-by says",
            id="label",
        ),
        pytest.param(
            deployment(annotations={"argocd.argoproj.io/tracking-id": "a"}),
            "Argo CD applies it, as argocd.argoproj.io/tracking-id says",
            id="tracking",
        ),
        pytest.param(
            deployment(labels={"kustomize.toolkit.fluxcd.io/name": "a"}), "Flux applies", id="flux"
        ),
        pytest.param(
            deployment(annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}"}),
            "kubectl apply applies it",
            id="last applied",
        ),
        pytest.param(
            deployment(owners=[{"kind": "Rollout", "name": "r", "controller": True}]),
            "Rollout r made it and writes its template",
            id="controlled",
        ),
        pytest.param(
            deployment(owners=[{"kind": "Application", "name": "a"}]), None, id="merely owned"
        ),
    ],
)
def test_whose_template_it_is(raw: dict[str, Any], who: str | None) -> None:
    found = owner(raw, "server")
    assert (found is None) is (who is None)
    assert who is None or who in str(found)


def stalled(reason: str, observed: int = 2) -> dict[str, Any]:
    condition = {"type": "Progressing", "status": "False", "reason": reason, "message": "why"}
    return {"conditions": [condition], "observedGeneration": observed}


@pytest.mark.parametrize(
    ("raw", "field", "expected"),
    [
        pytest.param(deployment(), "container", "server", id="container"),
        pytest.param(deployment(), "image", "server:1", id="image"),
        pytest.param(deployment(), "shape", "2g.20gb", id="shape"),
        pytest.param(deployment(), "max_unavailable", "25%", id="default"),
        pytest.param(
            deployment(strategy={"rollingUpdate": {"maxUnavailable": 0}}),
            "max_unavailable",
            "0",
            id="a number",
        ),
        pytest.param(
            deployment(strategy={"type": "Recreate"}),
            "unrollable",
            "its strategy is Recreate: all old replicas would go first, set it to RollingUpdate",
            id="recreate",
        ),
        pytest.param(deployment(paused=True), "unrollable", "its rollouts are paused", id="paused"),
        pytest.param(
            deployment(status=stalled("ProgressDeadlineExceeded")),
            "stalled",
            "ProgressDeadlineExceeded: why",
            id="stalled",
        ),
        pytest.param(
            deployment(status=stalled("ProgressDeadlineExceeded", observed=1)),
            "stalled",
            None,
            id="of the template before",
        ),
        pytest.param(deployment(status=stalled("Other")), "stalled", None, id="another reason"),
    ],
)
def test_what_a_change_is_about(raw: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(template_status(raw), field) == expected


@pytest.mark.parametrize(
    "resources",
    [
        pytest.param((), id="no container"),
        pytest.param(({"limits": {"nvidia.com/gpu": "1"}},), id="a whole GPU"),
        pytest.param(
            ({"limits": {"nvidia.com/mig-2g.20gb": "1", "nvidia.com/mig-1g.10gb": "1"}},),
            id="two kinds",
        ),
        pytest.param(({"limits": {"nvidia.com/mig-2g.20gb": "1"}},) * 2, id="two containers"),
    ],
)
def test_more_or_less_than_one_slice_is_none(resources: tuple[dict[str, Any], ...]) -> None:
    assert template_status(deployment(resources=resources)) is None


def test_the_mark_is_read_as_it_was_written() -> None:
    raw = deployment(annotations={SHAPE_ANNOTATION: mark_text(MARK)})
    assert shape_mark(raw) == MARK


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "{}", json.dumps({**json.loads(mark_text(MARK)), "phase": "halfway"})],
)
def test_a_mark_that_can_not_be_read_is_none(text: str) -> None:
    assert shape_mark(deployment(annotations={SHAPE_ANNOTATION: text})) is None
