"""The component `nodes` on the real API server: each of its rights is enough and needed, the sweep's too.

One account for each right lacks it and has all the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.clients.kubernetes import APPLY, KubernetesClient
from autoscaler.errors import ActuationRejected, SourceDenied, SourceMissing
from loadtests.stack.stack import ROOT, Stack
from tests.cluster.test_rights import Use, listing, unused, watching, without

COMPONENT = ROOT / "deploy" / "kustomize" / "components" / "nodes"
HOME, HEADROOM = "forescale", "forescale-headroom"
BUFFERS = f"/apis/autoscaling.x-k8s.io/v1beta1/namespaces/{HEADROOM}/capacitybuffers"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{HEADROOM}/deployments"
TEMPLATES = f"/api/v1/namespaces/{HEADROOM}/podtemplates"
POD = {
    "metadata": {"labels": {"app": "room"}},
    "spec": {"containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10"}]},
}
BODIES: dict[str, dict[str, Any]] = {
    DEPLOYMENTS: {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "room"}}, "template": POD},
    },
    TEMPLATES: {"apiVersion": "v1", "kind": "PodTemplate", "template": POD},
    BUFFERS: {"apiVersion": "autoscaling.x-k8s.io/v1beta1", "kind": "CapacityBuffer", "spec": {}},
}
# The right to create is asked for last, when the object proves to be new: so the kind must be there, in our own words.
BUFFER_KIND = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: capacitybuffers.autoscaling.x-k8s.io}
spec:
  group: autoscaling.x-k8s.io
  scope: Namespaced
  names: {kind: CapacityBuffer, listKind: CapacityBufferList, plural: capacitybuffers, singular: capacitybuffer}
  versions:
    - name: v1beta1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
BUFFER_CRD = "crd/capacitybuffers.autoscaling.x-k8s.io"
Right = tuple[str, str]
Key = tuple[str, Right]
"""(account, (verb, resource))."""


def applying(path: str, *, new: bool) -> Use:
    """Server-side apply, which makes what is missing."""

    async def use(client: KubernetesClient) -> None:
        name = unused("room") if new else "room"
        body = {**BODIES[path], "metadata": {"name": name}}
        await client.write(
            "PATCH", f"{path}/{name}?fieldManager=test&force=true", body, content=APPLY
        )

    return use


def reading(path: str) -> Use:
    async def use(client: KubernetesClient) -> None:
        try:
            await client.read(path)
        except SourceMissing:
            return

    return use


def removing(path: str) -> Use:
    async def use(client: KubernetesClient) -> None:
        await client.write("DELETE", f"{path}?labelSelector=none%3Dsuch", {})

    return use


LOOKED_AT = {
    "nodes": "/api/v1/nodes",
    "nodeclaims": "/apis/karpenter.sh/v1/nodeclaims",
    "nodepools": "/apis/karpenter.sh/v1/nodepools",
    "events": "/api/v1/events",
    "deployments": DEPLOYMENTS,
    "capacitybuffers": BUFFERS,
}
WRITTEN = {"deployments": DEPLOYMENTS, "podtemplates": TEMPLATES, "capacitybuffers": BUFFERS}
STATUS = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases/forescale"
USES: dict[Key, Use] = {
    **{("forescale", ("list", what)): listing(path) for what, path in LOOKED_AT.items()},
    **{("forescale", ("watch", what)): watching(path) for what, path in LOOKED_AT.items()},
    **{("forescale", ("create", what)): applying(p, new=True) for what, p in WRITTEN.items()},
    **{("forescale", ("patch", what)): applying(p, new=False) for what, p in WRITTEN.items()},
    ("forescale", ("get", "configmaps")): reading(STATUS),
    ("forescale-sweep", ("get", "leases")): reading(LEASE),
    **{("forescale-sweep", ("deletecollection", w)): removing(p) for w, p in WRITTEN.items()},
}


def documents() -> list[dict[str, Any]]:
    """Of the component: its roles and the bindings that give them to an account."""
    return [
        document
        for name in ("headroom.yaml", "rbac.yaml", "sweep.yaml")
        for document in yaml.safe_load_all((COMPONENT / name).read_text())
    ]


def roles(account: str) -> list[dict[str, Any]]:
    """Those that are bound to the account."""
    bound = {
        (b["roleRef"]["kind"], b["roleRef"]["name"], b["metadata"].get("namespace"))
        for b in documents()
        if b["kind"].endswith("Binding") and b["subjects"][0]["name"] == account
    }
    return [
        d
        for d in documents()
        if (d["kind"], d["metadata"]["name"], d["metadata"].get("namespace")) in bound
    ]


def granted() -> set[Key]:
    return {
        (account, (verb, resource))
        for account in ("forescale", "forescale-sweep")
        for role in roles(account)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }


@dataclass
class Installed:
    """The component, and accounts that have all of its rights but one."""

    stack: Stack

    def account(self, of: str, lacking: Right | None) -> Path:
        """A kubeconfig of a new account with the rights of `of`, less one."""
        name = f"{of}-test" if lacking is None else f"{of}-no-{'-'.join(lacking)}"
        subject = {"kind": "ServiceAccount", "name": name, "namespace": HOME}
        objects: list[dict[str, Any]] = [
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": name, "namespace": HOME},
            }
        ]
        for role in roles(of):
            place = {k: v for k, v in role["metadata"].items() if k == "namespace"}
            metadata = {"name": name, **place}
            cut = role if lacking is None else without(role, lacking)
            objects.append({**cut, "metadata": metadata})
            objects.append(
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": f"{role['kind']}Binding",
                    "metadata": metadata,
                    "roleRef": {
                        "apiGroup": "rbac.authorization.k8s.io",
                        "kind": role["kind"],
                        "name": name,
                    },
                    "subjects": [subject],
                }
            )
        document = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.stack.kubectl("apply", "-f", "-", stdin=json.dumps(document))
        return self.stack.service_account_kubeconfig(HOME, name)


@pytest.fixture(scope="module")
def installed(real_stack: Stack) -> Iterator[Installed]:
    base = ROOT / "deploy" / "kustomize" / "base"
    for path in (base / "namespace.yaml", *sorted(COMPONENT.glob("[hrs]*.yaml"))):
        real_stack.kubectl("apply", "--validate=strict", "-f", str(path))
    real_stack.kubectl("apply", "-f", "-", stdin=BUFFER_KIND)
    real_stack.wait_for_crds(BUFFER_CRD)
    yield Installed(real_stack)
    real_stack.kubectl("delete", "namespace", HOME, HEADROOM, "--wait=true")
    real_stack.kubectl("delete", BUFFER_CRD)


def test_every_right_that_is_granted_has_a_use() -> None:
    assert granted() == set(USES)


@pytest.mark.parametrize("key", sorted(USES), ids=lambda key: f"{key[0]} {' '.join(key[1])}")
async def test_a_right_is_enough_and_needed(installed: Installed, key: Key) -> None:
    account, right = key

    async def use(kubeconfig: Path) -> None:
        client = await KubernetesClient.connect(
            kubeconfig=str(kubeconfig), context=None, timeout_s=10.0
        )
        try:
            await USES[key](client)
        finally:
            await client.close()

    await use(installed.account(account, None))
    with pytest.raises((SourceDenied, ActuationRejected), match="403|forbidden|Forbidden"):
        await use(installed.account(account, right))
