"""From Kubernetes' JSON to what a decision needs."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.collectors import projection


def deployment(**changes: Any) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "metadata": {
            "uid": "d1",
            "namespace": "team",
            "name": "bert",
            "generation": 3,
            "annotations": {"forescale.io/slo": "99% < 1s", "other": "x"},
        },
        "spec": {"replicas": 4, "template": {"spec": {"containers": []}}},
        "status": {"observedGeneration": 3, "replicas": 4, "updatedReplicas": 4},
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = raw
        for parent in parents:
            place = place[parent]
        place[last] = value
    return raw


def test_an_object_without_our_annotation_is_not_kept() -> None:
    assert projection.target(deployment(metadata__annotations={"other": "x"}), "Deployment") is None
    assert projection.target(deployment(metadata__annotations=None), "Deployment") is None


def test_a_deployment() -> None:
    view = projection.target(deployment(), "Deployment")
    assert view is not None
    assert (view.desired, view.rolling, view.blocked, view.gpus_per_replica) == (
        4,
        False,
        None,
        1.0,
    )
    assert view.annotations == {"forescale.io/slo": "99% < 1s"}


REPLICAS: dict[str, Any] = {"f:spec": {"f:replicas": {}}}


@pytest.mark.parametrize(
    ("owners", "by"),
    [
        # As kube-apiserver 1.35 keeps them: a write of the scale has no time, and takes the field from whoever had it.
        pytest.param({"kubectl": REPLICAS, "helm": {"f:spec": {"f:template": {}}}}, "kubectl", id="scaled"),
        pytest.param({"argocd-controller": REPLICAS}, "argocd-controller", id="applied"),
        pytest.param({"argocd-controller": REPLICAS, "kubectl": REPLICAS}, None, id="two of one mind"),
        pytest.param({"helm": {"f:metadata": {}}}, None, id="nobody has set them"),
        pytest.param({}, None, id="not told"),
    ],
)  # fmt: skip
def test_who_set_the_replicas(owners: dict[str, Any], by: str | None) -> None:
    fields = [{"manager": name, "fieldsV1": told} for name, told in owners.items()]
    view = projection.target(deployment(metadata__managedFields=fields or None), "Deployment")
    assert view is not None
    assert view.replicas_set_by == by


@pytest.mark.parametrize(
    ("changes", "rolling"),
    [
        pytest.param({"status__updatedReplicas": 1}, True, id="old replicas are there"),
        pytest.param({"status__observedGeneration": 2}, True, id="a change not yet looked at"),
        pytest.param({"spec__replicas": 9}, False, id="more replicas are no rollout"),
        pytest.param({"status": {"observedGeneration": 3}}, False, id="no pod yet"),
        pytest.param(
            {"status__updatedReplicas": 1, "spec__paused": True}, False, id="paused half-way"
        ),
        pytest.param(
            {"status__updatedReplicas": 1, "spec__updateStrategy": {"type": "OnDelete"}}, False,
            id="old ones go when somebody deletes them",
        ),
        pytest.param(
            {"status__updatedReplicas": 1, "spec__updateStrategy": {"rollingUpdate": {"partition": 3}}},
            False, id="as many as are to be updated are",
        ),
        pytest.param(
            {"status__updatedReplicas": 1, "spec__updateStrategy": {"rollingUpdate": {"partition": 2}}},
            True, id="one more is to be updated",
        ),
    ],
)  # fmt: skip
def test_rollouts(changes: dict[str, Any], rolling: bool) -> None:
    view = projection.target(deployment(**changes), "Deployment")
    assert view is not None
    assert view.rolling is rolling


def test_replicas_left_out_are_one() -> None:
    view = projection.target(deployment(spec__replicas=None), "Deployment")
    assert view is not None
    assert view.desired == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata__ownerReferences": [{"kind": "LeaderWorkerSet", "name": "big"}]},
        {
            "spec__template": {
                "metadata": {"labels": {"leaderworkerset.sigs.k8s.io/name": "big"}},
                "spec": {"containers": []},
            }
        },
    ],
)
def test_a_replica_that_is_a_group_of_pods_is_refused(changes: dict[str, Any]) -> None:
    """One more replica of it is one more leader with its workers, on as many nodes."""
    view = projection.target(deployment(**changes), "StatefulSet")
    assert view is not None
    assert str(view.unusable) == (
        "team/bert: is made by the LeaderWorkerSet big, whose replica is a group of pods, "
        "workloads are allowed whose replica is one pod"
    )


def test_pods_that_can_not_be_made() -> None:
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": "exceeded quota",
    }
    view = projection.target(deployment(status__conditions=[condition]), "Deployment")
    assert view is not None
    assert view.blocked == "FailedCreate: exceeded quota"


@pytest.mark.parametrize(
    ("resources", "gpus"),
    [
        pytest.param([{"limits": {"nvidia.com/gpu": 2}}], 2.0, id="two GPUs"),
        pytest.param([{"limits": {"nvidia.com/gpu": "1"}}] * 2, 2.0, id="two containers"),
        pytest.param(
            [{"limits": {"nvidia.com/mig-3g.40gb": 1}}], 3 / 7, id="three of seven slices"
        ),
        pytest.param([{"limits": {"cpu": "4"}}], 1.0, id="none named"),
        pytest.param(
            [{"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 1}}], 1.0, id="both"
        ),
        pytest.param([{}], 1.0, id="nothing"),
    ],
)
def test_gpus(resources: list[dict[str, Any]], gpus: float) -> None:
    template = {"spec": {"containers": [{"resources": entry} for entry in resources]}}
    assert projection.gpus(template) == pytest.approx(gpus)


def pod(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "uid": "p1",
            "name": "bert-1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"pod-template-hash": "h1"},
            "ownerReferences": [{"kind": "ReplicaSet", "uid": "r1", "controller": True}],
        },
        "status": status,
    }


READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:30Z"}


def test_a_ready_pod_tells_how_long_it_took() -> None:
    view = projection.pod(pod(conditions=[READY], podIP="10.0.0.1"))
    assert view is not None
    assert view.status.first_ready_s is not None
    assert view.status.first_ready_s - view.status.created_s == 90.0
    assert (view.ip, view.status.template_hash, view.owner_uid) == ("10.0.0.1", "h1", "r1")


def test_when_a_pod_got_its_node() -> None:
    bound = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}
    view = projection.pod(pod(conditions=[READY, bound]))
    assert view is not None
    assert view.status.scheduled_s is not None
    assert view.status.scheduled_s - view.status.created_s == 60.0
    waiting = projection.pod(pod(conditions=[{**bound, "status": "False"}]))
    assert waiting is not None
    assert waiting.status.scheduled_s is None


def test_a_pod_that_is_ready_again_was_ready_before() -> None:
    first = projection.pod(pod(conditions=[READY]))
    unready = projection.pod(pod(conditions=[{"type": "Ready", "status": "False"}]), first)
    again = projection.pod(
        pod(conditions=[{**READY, "lastTransitionTime": "2026-01-01T02:00:00Z"}]), unready
    )
    assert first is not None
    assert unready is not None
    assert again is not None
    assert unready.status.ready_s is None
    assert again.status.first_ready_s == first.status.ready_s


def test_a_restarted_container_tells_no_start_up_time() -> None:
    view = projection.pod(pod(conditions=[READY], containerStatuses=[{"restartCount": 2}]))
    assert view is not None
    assert (view.status.restarts, view.status.first_ready_s) == (2, None)


def waiting(reason: str, **last: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": reason}}
    return {"name": "triton", "restartCount": 0, "state": state, "lastState": last}


@pytest.mark.parametrize(
    ("status", "told"),
    [
        pytest.param(
            {"containerStatuses": [waiting("ContainerCreating")]}, None, id="about to start"
        ),
        pytest.param(
            {"containerStatuses": [waiting("ImagePullBackOff")]},
            "ImagePullBackOff of container triton",
            id="no image",
        ),
        pytest.param(
            {
                "containerStatuses": [
                    waiting("CrashLoopBackOff", terminated={"reason": "OOMKilled"})
                ]
            },
            "CrashLoopBackOff of container triton after OOMKilled",
            id="no memory",
        ),
        pytest.param(
            {
                "initContainerStatuses": [waiting("CreateContainerConfigError")],
                "containerStatuses": [waiting("PodInitializing")],
            },
            "CreateContainerConfigError of container triton",
            id="an init container",
        ),
        pytest.param(
            {"conditions": [READY], "containerStatuses": [waiting("ImagePullBackOff")]},
            None,
            id="ready all the same",
        ),
    ],
)
def test_why_a_pod_does_not_start(status: dict[str, Any], told: str | None) -> None:
    view = projection.pod(pod(**status))
    assert view is not None
    assert view.status.failing == told


def test_a_start_that_was_held_up_tells_no_start_up_time() -> None:
    """Its image was there three hours later; that is no time that the next start takes."""
    stuck = projection.pod(pod(containerStatuses=[waiting("ErrImagePull")]))
    begun = projection.pod(pod(containerStatuses=[waiting("ContainerCreating")]), stuck)
    ready = projection.pod(
        pod(conditions=[{**READY, "lastTransitionTime": "2026-01-01T03:00:00Z"}]), begun
    )
    assert ready is not None
    assert ready.status.ready_s is not None
    assert (ready.status.first_ready_s, ready.status.failing) == (None, None)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_pods_that_have_ended_are_not_kept(phase: str) -> None:
    assert projection.pod(pod(phase=phase)) is None


def test_a_pod_without_a_node() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    view = projection.pod(pod(conditions=[condition]))
    assert view is not None
    assert (view.status.unschedulable, view.status.gated) == (True, False)
    view = projection.pod(pod(conditions=[{**condition, "reason": "SchedulingGated"}]))
    assert view is not None
    assert (view.status.unschedulable, view.status.gated) == (False, True)


def test_who_holds_a_target() -> None:
    raw = {
        "metadata": {"uid": "h", "namespace": "team", "name": "bert"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "bert"}},
    }
    view = projection.holder(raw)
    assert view is not None
    assert (view.name, view.target) == (
        "HorizontalPodAutoscaler team/bert",
        ("team", "Deployment", "bert"),
    )
    raw["metadata"]["ownerReferences"] = [{"kind": "ScaledObject", "name": "so"}]  # type: ignore[index]
    view = projection.holder(raw)
    assert view is not None
    assert view.name == "ScaledObject team/so"
