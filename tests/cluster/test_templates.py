"""A template moves to a cheaper slice on a real API server: `forescale run` with the rights of deploy/, bound in one
namespace, and real Deployments that roll out. One that was applied is left to whoever applies it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from autoscaler.core.slices.template import SHAPE_ANNOTATION
from loadtests.e2e import controllers
from loadtests.e2e.controllers import Controller
from loadtests.stack.agent.mig import MIG_LABEL
from loadtests.stack.stack import ROOT, Stack
from tests.cluster import waiting

ONE, TWO = "nvidia.com/mig-1g.10gb", "nvidia.com/mig-2g.20gb"
NODE, NAMESPACE = "balanced", "shaped"
DEADLINE_S = 240.0
PORT = 18096
PROFILE = {
    "forescale_profile": 1,
    "models": [
        {
            "model": "m",
            "batches": [
                {"batch_size": 1, "mean_s": 0.052},
                {"batch_size": 2, "mean_s": 0.064},
            ],
        }
    ],
}
POLICY = """
engine:
  tick_s: 5
  slices:
    mode: auto
    templates: auto
    template_patience_s: 60
    pools:
      balanced:
        labels: {pool: balanced}
        gpu: A100-80GB
        gpus_per_node: 2
        configs: {all-balanced: 2x1g.10gb+1x2g.20gb+1x3g.40gb}
profiles:
  shaped/hand@1g.10gb: there.json
  shaped/hand@2g.20gb: here.json
  shaped/applied@1g.10gb: there.json
  shaped/applied@2g.20gb: here.json
forecast: {enabled: false}
"""
SERVER = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  namespace: shaped
  annotations:
    forescale.io/slo: "99% < 300ms"
    forescale.io/slice-shapes: 1g.10gb, 2g.20gb
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: triton
          image: tritonserver
          env:
            - name: MODELS
              value: '[{"name": "m", "max_batch_size": 2, "service_base_ms": 40, "service_per_item_ms": 12}]'
          resources: {limits: {nvidia.com/mig-2g.20gb: 1}}
"""
wait_for = partial(waiting.wait_for, within_s=DEADLINE_S)


@dataclass
class Site:
    """One node that is cut into four 1g and two 2g, and Deployments on it."""

    stack: Stack
    folder: Path

    def deployment(self, name: str) -> dict[str, Any]:
        told = self.stack.kubectl(
            "get", "deployment", name, "-n", NAMESPACE, "-o", "json", "--show-managed-fields"
        )
        return dict(json.loads(told))

    def limits(self, name: str) -> dict[str, str]:
        spec = self.deployment(name)["spec"]["template"]["spec"]
        return dict(spec["containers"][0]["resources"]["limits"])

    def phase(self, name: str) -> str | None:
        text = self.deployment(name)["metadata"]["annotations"].get(SHAPE_ANNOTATION)
        return str(json.loads(text)["phase"]) if text else None

    def held(self, name: str) -> list[str]:
        """What its running pods hold."""
        listed = json.loads(
            self.stack.kubectl("get", "pods", "-n", NAMESPACE, f"-l=app={name}", "-o", "json")
        )
        return [
            resource
            for pod in listed["items"]
            if pod["status"].get("phase") == "Running"
            for resource in pod["spec"]["containers"][0]["resources"]["limits"]
        ]

    def reasons(self, name: str) -> str:
        """Of its Events."""
        selector = f"--field-selector=involvedObject.name={name}"
        return self.stack.kubectl(
            "get", "events", "-n", NAMESPACE, selector, "-o", "jsonpath={..reason}"
        )


@pytest.fixture(scope="module")
def site(real_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    kubectl = real_stack.kubectl
    components = ROOT / "deploy" / "kustomize" / "components"
    roles = [str(components / name / "rbac.yaml") for name in ("slices", "templates")]
    controllers.install(real_stack)
    kubectl("create", "namespace", NAMESPACE)
    for role in roles:
        kubectl("apply", "-f", role)
    kubectl(
        "create", "rolebinding", "forescale-templates", "-n", NAMESPACE,
        "--clusterrole=forescale-templates", "--serviceaccount=forescale:forescale",
    )  # fmt: skip
    labels = {
        "pool": "balanced",
        MIG_LABEL: "2",
        "nvidia.com/mig.config": "all-balanced",
        "kubernetes.io/hostname": NODE,
    }
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}}
    kubectl("apply", "-f", "-", stdin=json.dumps(node))
    folder = tmp_path_factory.mktemp("templates")
    (folder / "policy.yaml").write_text(POLICY)
    for name in ("here.json", "there.json"):
        (folder / name).write_text(json.dumps(PROFILE))
    yield Site(real_stack, folder)
    kubectl("delete", "namespace", NAMESPACE, "--wait=true")
    kubectl("delete", "node", NODE)
    for role in roles:
        kubectl("delete", "-f", role)
    kubectl("delete", "namespace", controllers.NAMESPACE, "--wait=true")


@pytest.fixture
def controller(site: Site) -> Iterator[Controller]:
    policy = site.folder / "policy.yaml"
    name = f"templates-{time.time():.0f}"
    one = controllers.start(site.stack, name, port=PORT, policy=policy, folder=site.folder)
    yield one
    one.stop()


def test_what_was_made_by_hand_moves_and_what_was_applied_is_only_told(
    site: Site, controller: Controller
) -> None:
    site.stack.kubectl("create", "-f", "-", stdin=SERVER.replace("NAME", "hand"))
    site.stack.kubectl("apply", "-f", "-", stdin=SERVER.replace("NAME", "applied"))
    wait_for(lambda: site.held("hand") == [TWO], "a pod on the larger slice")
    wait_for(lambda: site.limits("hand") == {ONE: "1"}, "the template changed")
    wait_for(lambda: site.held("hand") == [ONE], "the new pod alone on the smaller slice")
    wait_for(lambda: site.phase("hand") == "done", "the change settled")
    wait_for(lambda: "ShapeCheaper" in site.reasons("applied"), "the other one recommended")
    controller.stop()
    managers = {item["manager"] for item in site.deployment("hand")["metadata"]["managedFields"]}
    assert "forescale" in managers
    assert (site.limits("applied"), site.phase("applied")) == ({TWO: "1"}, None)
    assert "ShapeChanged" in site.reasons("hand")
    records = controller.records()
    steps = [s.action.step.value for r in records for s in r.shapes if s.outcome.value == "Applied"]
    assert steps == ["change", "settle"]
    told = {d.workload: d.message for r in records for d in r.result.slices.shapes}
    assert "kubectl apply applies it" in told["shaped/applied"]
    # A pod was ready in every tick from the first that was.
    ready = [d.facts.ready for _, d in controllers.decisions(records, "hand") if d.facts.ready]
    assert min(ready) >= 1
