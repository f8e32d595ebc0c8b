"""deploy/ on the real API server: it accepts everything, and every right that is granted is needed and enough.

For each verb on each resource there is one thing that the product does with it. As the service account it works;
without the verb it fails.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from autoscaler.actuators.events import EventWriter
from autoscaler.actuators.scale import ScaleActuator
from autoscaler.clients.kubernetes import JSON_PATCH, KubernetesClient
from autoscaler.clock import SystemClock
from autoscaler.config import KubernetesSettings, Settings
from autoscaler.controller import sources
from autoscaler.controller.doctor.diagnosis import Level
from autoscaler.controller.doctor.rights import check, kserve_served, needed
from autoscaler.controller.kube_objects import KubeLease, KubeMaps
from autoscaler.controller.leader import LeaseRecord
from autoscaler.core.reasons import Reason
from autoscaler.core.types import Outcome, SetReplicas, Severity, WorkloadId
from autoscaler.errors import ActuationRejected, SourceDenied, SourceMissing
from loadtests.stack.errors import StackError
from loadtests.stack.stack import ROOT, Stack

BASE = ROOT / "deploy" / "kustomize" / "base"
# The component `nodes` has accounts and namespaces of its own, and a suite: test_node_rights.py.
COMPONENTS = sorted(
    path
    for path in (ROOT / "deploy" / "kustomize" / "components").glob("*/rbac.yaml")
    if path.parent.name != "nodes"
)
NAMESPACE = "forescale"
WORKLOADS = """
apiVersion: v1
kind: Namespace
metadata: {name: rights}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, namespace: rights}
spec: &spec
  replicas: 0
  selector: {matchLabels: {app: a}}
  template: &template
    metadata: {labels: {app: a}}
    spec: {containers: [{name: a, image: "none:1"}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: a, namespace: rights}
spec:
  replicas: 0
  serviceName: a
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec: {containers: [{name: a, image: "none:1"}]}
"""

Right = tuple[str, str]
Use = Callable[[KubernetesClient], Awaitable[None]]


# ---------------------------------------------------------------- what each right is for


def listing(path: str) -> Use:
    async def use(client: KubernetesClient) -> None:
        with suppress(SourceMissing):  # not installed: it was allowed to ask
            async with aclosing(client.pages(path)) as pages:
                async for _ in pages:
                    return

    return use


def watching(path: str) -> Use:
    async def use(client: KubernetesClient) -> None:
        with suppress(SourceMissing):
            # Left open, its connection would be closed whenever it is collected: in another test.
            async with aclosing(client.watch(path, "0")) as events:
                async for _ in events:
                    return

    return use


def scaling(kind: str) -> Use:
    async def use(client: KubernetesClient) -> None:
        done = await ScaleActuator(client).apply(
            SetReplicas(
                workload=WorkloadId(namespace="rights", name="a", kind=kind),
                api_version="apps/v1",
                observed=0,
                replicas=1,
                reason=Reason.DEMAND_RISING,
                message="",
            )
        )
        if done.outcome is Outcome.REJECTED:
            raise ActuationRejected(done.message)
        # A conflict has passed the authorizer: another case has scaled it already.
        assert done.outcome in (Outcome.APPLIED, Outcome.CONFLICT)

    return use


def patching(path: str) -> Use:
    """An object that is not there, or whose kind is not installed: 404 comes after the authorizer."""

    async def use(client: KubernetesClient) -> None:
        try:
            await client.write("PATCH", path, [], content=JSON_PATCH)
        except ActuationRejected as error:
            if "404" not in str(error):
                raise

    return use


def reading(path: str) -> Use:
    async def use(client: KubernetesClient) -> None:
        with suppress(SourceMissing):
            await client.read(path)

    return use


async def telling(client: KubernetesClient) -> None:
    await EventWriter(client, lambda _: None, instance="test").write(
        WorkloadId(namespace="rights", name="a"),
        api_version="apps/v1",
        reason="Test",
        message="test",
        severity=Severity.NORMAL,
        now_s=1_700_000_000.0,
    )


def unused(prefix: str) -> str:
    """A name that nothing bears: two clients can have the same `id`, one after the other, and then nothing is new."""
    return f"{prefix}-{uuid4().hex}"


def lease(client: KubernetesClient, name: str = "forescale") -> KubeLease:
    return KubeLease(client, NAMESPACE, name)


RECORD = LeaseRecord(
    holder="test", duration_s=15.0, acquired_at_s=1e9, renewed_at_s=1e9, transitions=0, version=""
)


async def lease_created(client: KubernetesClient) -> None:
    await lease(client, unused("test")).create(RECORD)


async def lease_read(client: KubernetesClient) -> None:
    await lease(client).read()


async def lease_replaced(client: KubernetesClient) -> None:
    one = lease(client)
    before = await one.read()
    assert before is not None
    await one.replace(before)


async def map_read(client: KubernetesClient) -> None:
    await KubeMaps(client, NAMESPACE).read("forescale-state")


async def map_created(client: KubernetesClient) -> None:
    await client.write(
        "POST",
        f"/api/v1/namespaces/{NAMESPACE}/configmaps",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": unused("test")}},
    )


async def map_replaced(client: KubernetesClient) -> None:
    maps = KubeMaps(client, NAMESPACE)
    await maps.read("forescale-state")  # it exists: the write below is a PUT
    await maps.write("forescale-state", {"part": b"x"})


WATCHED = {
    "deployments": "/apis/apps/v1/deployments",
    "statefulsets": "/apis/apps/v1/statefulsets",
    "replicasets": "/apis/apps/v1/replicasets",
    "pods": "/api/v1/pods",
    "horizontalpodautoscalers": "/apis/autoscaling/v2/horizontalpodautoscalers",
    "inferenceservices": "/apis/serving.kserve.io/v1beta1/inferenceservices",
    "llminferenceservices": "/apis/serving.kserve.io/v1alpha2/llminferenceservices",
    "nodes": "/api/v1/nodes",
    "services": "/api/v1/services",
}
USES: dict[Right, Use] = {
    **{("list", resource): listing(path) for resource, path in WATCHED.items()},
    **{("watch", resource): watching(path) for resource, path in WATCHED.items()},
    ("patch", "deployments/scale"): scaling("Deployment"),
    ("patch", "statefulsets/scale"): scaling("StatefulSet"),
    ("patch", "inferenceservices"): patching(
        "/apis/serving.kserve.io/v1beta1/namespaces/rights/inferenceservices/a"
    ),
    ("patch", "llminferenceservices"): patching(
        "/apis/serving.kserve.io/v1alpha2/namespaces/rights/llminferenceservices/a"
    ),
    ("patch", "revisions"): patching("/apis/serving.knative.dev/v1/namespaces/rights/revisions/a"),
    # Of the components slices and victims: a cordon with the label that cuts, and what marks who goes first.
    ("get", "nodes"): reading("/api/v1/nodes/absent"),
    ("patch", "nodes"): patching("/api/v1/nodes/absent"),
    # Of the component templates, which is bound in that namespace alone.
    ("get", "deployments"): reading("/apis/apps/v1/namespaces/rights/deployments/absent"),
    ("patch", "deployments"): patching("/apis/apps/v1/namespaces/rights/deployments/absent"),
    ("patch", "pods"): patching("/api/v1/namespaces/rights/pods/absent"),
    ("create", "events"): telling,
    ("create", "leases"): lease_created,
    ("get", "leases"): lease_read,
    ("update", "leases"): lease_replaced,
    ("get", "configmaps"): map_read,
    ("create", "configmaps"): map_created,
    ("update", "configmaps"): map_replaced,
}


# ---------------------------------------------------------------- the installation


def roles() -> dict[str, dict[str, Any]]:
    """ClusterRole and Role of the base, by kind; the opt-in components' rules are in the ClusterRole."""
    documents = yaml.safe_load_all((BASE / "rbac.yaml").read_text())
    found = {d["kind"]: d for d in documents if d["kind"] in ("ClusterRole", "Role")}
    for path in COMPONENTS:
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] == "ClusterRole":
                found["ClusterRole"]["rules"] += document["rules"]
    return found


def granted() -> set[Right]:
    return {
        (verb, resource)
        for role in roles().values()
        for rule in role["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }


def without(role: dict[str, Any], right: Right) -> dict[str, Any]:
    """The role with one verb on one resource taken out."""
    verb, resource = right
    rules = []
    for rule in role["rules"]:
        for one in rule["resources"]:
            verbs = [v for v in rule["verbs"] if (v, one) != (verb, resource)]
            if verbs:
                rules.append({**rule, "resources": [one], "verbs": verbs})
    return {**role, "rules": rules}


@dataclass
class Installed:
    """The base on the stack, and accounts that have all of its rights but one."""

    stack: Stack

    def account(self, right: Right | None) -> Path:
        """A kubeconfig of the service account itself, or of one that lacks a right."""
        if right is None:
            return self.stack.service_account_kubeconfig(NAMESPACE, "forescale")
        name = f"lacks-{right[0]}-{right[1].replace('/', '-')}"
        objects: list[dict[str, Any]] = [
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": name, "namespace": NAMESPACE},
            }
        ]
        for kind, role in roles().items():
            place = {} if kind == "ClusterRole" else {"namespace": NAMESPACE}
            objects.append({**without(role, right), "metadata": {"name": name, **place}})
            objects.append(
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": f"{kind}Binding",
                    "metadata": {"name": name, **place},
                    "roleRef": {
                        "apiGroup": "rbac.authorization.k8s.io",
                        "kind": kind,
                        "name": name,
                    },
                    "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
                }
            )
        document = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.stack.kubectl("apply", "-f", "-", stdin=json.dumps(document))
        return self.stack.service_account_kubeconfig(NAMESPACE, name)


@pytest.fixture(scope="module")
def installed(real_stack: Stack) -> Iterator[Installed]:
    real_stack.kubectl("apply", "--validate=strict", "-k", str(BASE))
    real_stack.kubectl(
        "scale", "deployment", "forescale", f"--namespace={NAMESPACE}", "--replicas=0"
    )
    for path in COMPONENTS:
        real_stack.kubectl("apply", "-f", str(path))
    real_stack.kubectl("apply", "-f", "-", stdin=WORKLOADS)
    # The component templates is bound in single namespaces, as docs/templates.md shows.
    real_stack.kubectl(
        "create", "rolebinding", "forescale-templates", "-n", "rights",
        "--clusterrole=forescale-templates", "--serviceaccount=forescale:forescale",
    )  # fmt: skip
    own = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "forescale-state", "namespace": NAMESPACE},
            },
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": "forescale", "namespace": NAMESPACE},
                "spec": {"holderIdentity": "test", "leaseDurationSeconds": 15},
            },
        ],
    }
    real_stack.kubectl("apply", "-f", "-", stdin=json.dumps(own))
    yield Installed(real_stack)
    real_stack.kubectl("delete", "namespace", "rights", NAMESPACE, "--wait=true")


def test_every_right_that_is_granted_has_a_use() -> None:
    assert granted() == set(USES)


@pytest.mark.parametrize("right", sorted(USES), ids=" ".join)
async def test_a_right_is_enough_and_needed(installed: Installed, right: Right) -> None:
    async def use(kubeconfig: Path) -> None:
        client = await KubernetesClient.connect(
            kubeconfig=str(kubeconfig), context=None, timeout_s=10.0
        )
        try:
            await USES[right](client)
        finally:
            await client.close()

    await use(installed.account(None))
    with pytest.raises((SourceDenied, ActuationRejected), match="403|forbidden|Forbidden"):
        await use(installed.account(right))


def test_nothing_else_may_be_done(installed: Installed) -> None:
    """The rights that would let it run code in somebody's pods, or read secrets. Templates may be changed where their
    component is bound, and in no other namespace."""
    for verb, resource, namespace in (
        ("patch", "deployments.apps", "default"),
        ("update", "deployments.apps", "rights"),
        ("create", "pods", "rights"),
        ("delete", "pods", "rights"),
        ("get", "secrets", "rights"),
        ("list", "configmaps", "rights"),
        ("delete", "nodes", "rights"),
    ):
        account = f"--as=system:serviceaccount:{NAMESPACE}:forescale"
        arguments = ("auth", "can-i", verb, resource, f"--namespace={namespace}", account)
        with pytest.raises(StackError, match=r"kubectl auth can-i"):
            installed.stack.kubectl(*arguments)


def test_its_pods_are_what_a_restricted_namespace_takes(installed: Installed) -> None:
    """The controller's and the sweep's, by Kubernetes' own pod security admission."""
    stack = installed.stack
    names = ("base/deployment.yaml", "components/nodes/sweep.yaml")
    texts = ((ROOT / "deploy" / "kustomize" / name).read_text() for name in names)
    documents = [one for text in texts for one in yaml.safe_load_all(text)]
    specs = [d["spec"] for d in documents if d["kind"] == "Deployment"]
    specs += [d["spec"]["jobTemplate"]["spec"] for d in documents if d["kind"] == "CronJob"]
    pods: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"p{index}", "namespace": "restricted"},
            "spec": {**spec["template"]["spec"], "serviceAccountName": "default"},
        }
        for index, spec in enumerate(specs)
    ]
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": "restricted", "labels": label}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    stack.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    listed = {"apiVersion": "v1", "kind": "List", "items": pods}
    told = stack.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(listed))
    assert told.count("created (server dry run)") == len(pods) == 2
    pods[0]["spec"]["containers"][0]["securityContext"] = {}
    with pytest.raises(StackError, match="violates PodSecurity"):
        stack.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(listed))
    stack.kubectl("delete", "namespace", "restricted", "--wait=false")


def test_the_chart_is_accepted_too(installed: Installed) -> None:
    import subprocess

    from loadtests.stack.toolbox import cache_dir

    found = list(cache_dir().glob("bin/helm-*/helm"))
    if not found:
        pytest.skip("helm: not built yet, run make stack-tools")
    chart = ROOT / "deploy" / "helm" / "forescale"
    done = subprocess.run(
        [str(found[0]), "template", "blue", str(chart), f"--namespace={NAMESPACE}", "--kube-version=1.35.0"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = installed.stack.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=done.stdout
    )
    assert "deployment.apps/blue-forescale created (server dry run)" in told


async def test_single_namespaces_need_no_right_in_the_cluster(installed: Installed) -> None:
    """What deploy/kustomize/namespace grants in one namespace is enough there, and nothing is asked elsewhere."""
    stack, folder = installed.stack, ROOT / "deploy" / "kustomize" / "namespace"
    documents = list(yaml.safe_load_all((folder / "rbac.yaml").read_text()))
    documents[1]["subjects"][0]["name"] = "tenant"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "tenant"}}
    stack.kubectl("apply", f"--namespace={NAMESPACE}", "-f", "-", stdin=json.dumps(account))
    stack.kubectl("apply", "--namespace=rights", "-f", "-", stdin=yaml.safe_dump_all(documents))
    client = await KubernetesClient.connect(
        kubeconfig=str(stack.service_account_kubeconfig(NAMESPACE, "tenant")),
        context=None,
        timeout_s=10.0,
    )
    settings = Settings(kubernetes=KubernetesSettings(watch_namespaces=("rights", "default")))
    try:
        collector = sources.collector(settings, client, SystemClock())
        for mirror in collector.mirrors:
            await mirror.try_relist()
        assert collector.synced
        assert all("/namespaces/default/" in part for part in str(collector.error).split("; "))
        asked = needed(settings, NAMESPACE, kserve=await kserve_served(client))
        here, there, _ = await check(client, asked, None)
        await scaling("StatefulSet")(client)
    finally:
        await client.close()
    assert (here.check, here.level) == ("rights: Role in rights", Level.OK)
    assert (there.check, there.level) == ("rights: Role in default", Level.ERROR)
