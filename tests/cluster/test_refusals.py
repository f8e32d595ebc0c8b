"""Writes that the real API server has no time for, or that a webhook never answers: what forescale makes of them."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from autoscaler.actuators.events import EventWriter
from autoscaler.actuators.scale import ScaleActuator
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.core.reasons import Reason
from autoscaler.core.types import ActionResult, Outcome, SetReplicas, Severity, WorkloadId
from autoscaler.errors import ActuationUnknown
from loadtests.stack.stack import ROOT, Stack

NAMESPACE = "refusals"
FLOW = "flowcontrol.apiserver.k8s.io/v1"
DEADLINE_S = 60.0


def objects(port: int) -> list[dict[str, Any]]:
    """A level of priority and fairness without a seat of its own, which runs one request at a time, and the account
    whose requests are of it. Of what they write in this namespace a webhook is asked, at a port that never answers.
    """
    account = {"kind": "ServiceAccount", "name": "refused", "namespace": NAMESPACE}
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}
    none = {"nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0}
    label = {"app": "bert"}
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "operations": ["CREATE"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "operations": ["UPDATE"]},
    ]
    webhook = {
        "name": "hangs.example.com",
        "clientConfig": {"url": f"https://127.0.0.1:{port}/"},
        "timeoutSeconds": 30,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "rules": [{"apiVersions": ["v1"], **rule} for rule in rules],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "refused", "namespace": NAMESPACE},
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAMESPACE},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            },
            "subjects": [account],
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "bert", "namespace": NAMESPACE},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": label},
                "template": {
                    "metadata": {"labels": label},
                    "spec": {"containers": [{"name": "a", "image": "none:1"}]},
                },
            },
        },
        {
            "apiVersion": FLOW,
            "kind": "PriorityLevelConfiguration",
            "metadata": {"name": NAMESPACE},
            "spec": {
                "type": "Limited",
                "limited": {**none, "limitResponse": {"type": "Reject"}},
            },
        },
        {
            "apiVersion": FLOW,
            "kind": "FlowSchema",
            "metadata": {"name": NAMESPACE},
            "spec": {
                "priorityLevelConfiguration": {"name": NAMESPACE},
                "matchingPrecedence": 10,
                "rules": [
                    {
                        "subjects": [
                            {
                                "kind": "ServiceAccount",
                                "serviceAccount": {"name": "refused", "namespace": NAMESPACE},
                            }
                        ],
                        "resourceRules": [everything],
                    }
                ],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": NAMESPACE},
            "webhooks": [webhook],
        },
    ]


@pytest.fixture(scope="module")
def refusing(real_stack: Stack) -> Iterator[Stack]:
    """The stack with all that refuses; taken away afterwards."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        made = json.dumps(
            {"apiVersion": "v1", "kind": "List", "items": objects(silent.getsockname()[1])}
        )
        real_stack.kubectl("apply", "-f", "-", stdin=made)
        try:
            yield real_stack
        finally:
            real_stack.kubectl("delete", "--wait=false", "-f", "-", stdin=made)


async def connected(stack: Stack, *, timeout_s: float) -> KubernetesClient:
    path = stack.service_account_kubeconfig(NAMESPACE, "refused")
    return await KubernetesClient.connect(kubeconfig=str(path), context=None, timeout_s=timeout_s)


async def scaled(client: KubernetesClient) -> ActionResult:
    return await ScaleActuator(client).apply(
        SetReplicas(
            workload=WorkloadId(namespace=NAMESPACE, name="bert"),
            api_version="apps/v1",
            observed=0,
            replicas=1,
            reason=Reason.DEMAND_RISING,
            message="",
        )
    )


def replicas(stack: Stack) -> str:
    where = ("deployment", "bert", f"--namespace={NAMESPACE}")
    return stack.kubectl("get", *where, "-o", "jsonpath={.spec.replicas}")


async def until(stack: Stack, client: KubernetesClient, words: str) -> ActionResult:
    """The first outcome with these words: the API server takes a while to know its own objects."""
    deadline_s = time.monotonic() + DEADLINE_S
    while words not in (result := await scaled(client)).message:
        assert time.monotonic() < deadline_s, result
        if result.outcome is Outcome.APPLIED:
            stack.kubectl(
                "patch",
                "deployment",
                "bert",
                f"--namespace={NAMESPACE}",
                "-p",
                '{"spec":{"replicas":0}}',
            )
        await asyncio.sleep(0.2)
    return result


async def test_a_webhook_that_hangs_is_no_answer_and_nothing_is_written(refusing: Stack) -> None:
    client = await connected(refusing, timeout_s=1.0)
    result = await until(refusing, client, "no answer in time")
    await client.close()
    assert result.outcome is Outcome.UNKNOWN
    assert replicas(refusing) == "0"


async def test_a_full_level_of_priority_and_fairness_is_told_with_its_cause(
    refusing: Stack,
) -> None:
    """One request of the same level hangs, and the next ones are answered 429 at once."""
    hog, client = [await connected(refusing, timeout_s=20.0) for _ in range(2)]
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "hog-"}}
    hanging = asyncio.create_task(
        hog.write("POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps", body)
    )
    await asyncio.sleep(0.5)  # it is in the webhook's hands
    result = await until(refusing, client, "priority and fairness")
    assert (result.outcome, replicas(refusing)) == (Outcome.UNKNOWN, "0")
    writer = EventWriter(client, lambda _: None, instance="test")
    with pytest.raises(ActuationUnknown, match="priority and fairness") as refused:
        await writer.write(
            WorkloadId(namespace=NAMESPACE, name="bert"),
            api_version="apps/v1",
            reason="ScaleUnknown",
            message="",
            severity=Severity.WARNING,
            now_s=time.time(),
        )
    assert (refused.value.retry_after_s or 0.0) >= 1.0
    hanging.cancel()
    with suppress(asyncio.CancelledError):
        await hanging
    await hog.close()
    await client.close()


def test_the_flow_schemas_of_the_install_page_are_accepted(real_stack: Stack) -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    (given,) = [part for part in page.split("```yaml\n") if "kind: FlowSchema" in part]
    told = real_stack.kubectl("apply", "--dry-run=server", "-f", "-", stdin=given.split("```")[0])
    assert [line.split()[0].split("/")[1] for line in told.splitlines()] == [
        "forescale",
        "forescale-lease",
    ]
