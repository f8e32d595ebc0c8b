"""A node is cut anew on a real API server: `forescale run` with the rights of deploy/, and the stack's MIG manager."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from autoscaler.core.slices.observed import CHANGE_ANNOTATION
from autoscaler.core.types import TickRecord
from loadtests.e2e import controllers
from loadtests.e2e.controllers import Controller
from loadtests.stack.agent.mig import FAULT, MIG_LABEL
from loadtests.stack.stack import ROOT, Stack
from tests.cluster import waiting

ONES, THREES = "all-1g.10gb", "all-3g.40gb"
STATE = "nvidia.com/mig.config.state"
DEADLINE_S = 240.0
PORT = 18095
POLICY = """
engine:
  tick_s: 5
  slices:
    mode: auto
    patience_s: 0
    settle_s: 20
    backoff_s: 3600
    pools:
      cut:
        labels: {pool: cut}
        gpu: A100-80GB
        gpus_per_node: 1
        configs: {all-1g.10gb: 7x1g.10gb, all-3g.40gb: 2x3g.40gb}
forecast: {enabled: false}
"""
SERVER = """
apiVersion: v1
kind: Namespace
metadata: {name: sliced}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  namespace: sliced
  annotations: ANNOTATIONS
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
          resources: {limits: {RESOURCE: 1}}
"""
wait_for = partial(waiting.wait_for, within_s=DEADLINE_S)


class Site:
    """Two nodes that are cut into sevenths, and what runs on them."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder

    def add_node(self, name: str, *, fault: str | None = None) -> None:
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {
                    "pool": "cut",
                    MIG_LABEL: "1",
                    "nvidia.com/mig.config": ONES,
                    "kubernetes.io/hostname": name,
                },
            },
        }
        self.stack.kubectl("apply", "-f", "-", stdin=json.dumps(node))
        wait_for(lambda: self.state(name) == "success", f"{name} cut for the first time")
        if fault is not None:
            self.stack.kubectl("annotate", "node", name, f"{FAULT}={fault}")

    def node(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stack.kubectl("get", "node", name, "-o", "json"))
        return found

    def state(self, name: str) -> str | None:
        value = self.node(name)["metadata"]["labels"].get(STATE)
        return str(value) if value else None

    def config(self, name: str) -> str:
        return str(self.node(name)["metadata"]["labels"]["nvidia.com/mig.config"])

    def is_ours(self, name: str) -> bool:
        node = self.node(name)
        marked = CHANGE_ANNOTATION in (node["metadata"].get("annotations") or {})
        return marked or bool(node["spec"].get("unschedulable"))

    def serve(self, name: str, profile: str, *, managed: bool) -> None:
        annotations = '{forescale.io/slo: "99% < 300ms"}' if managed else "{}"
        text = SERVER.replace("NAME", name).replace("RESOURCE", f"nvidia.com/mig-{profile}")
        text = text.replace("ANNOTATIONS", annotations)
        self.stack.kubectl("apply", "-f", "-", stdin=text)

    def running_on(self, name: str) -> str | None:
        listed = json.loads(
            self.stack.kubectl("get", "pods", "-n", "sliced", f"-l=app={name}", "-o", "json")
        )
        for pod in listed["items"]:
            if pod["status"].get("phase") == "Running":
                return str(pod["spec"]["nodeName"])
        return None

    def remove(self, *names: str) -> None:
        self.stack.kubectl("delete", "namespace", "sliced", "--wait=true", "--ignore-not-found")
        for name in names:
            self.stack.kubectl("delete", "node", name, "--ignore-not-found")


@pytest.fixture(scope="module")
def site(real_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    component = str(ROOT / "deploy" / "kustomize" / "components" / "slices" / "rbac.yaml")
    controllers.install(real_stack)
    real_stack.kubectl("apply", "-f", component)
    folder = tmp_path_factory.mktemp("mig")
    (folder / "policy.yaml").write_text(POLICY)
    yield Site(real_stack, folder)
    real_stack.kubectl("delete", "-f", component)
    real_stack.kubectl("delete", "namespace", controllers.NAMESPACE, "--wait=true")


@pytest.fixture
def controller(site: Site) -> Iterator[Callable[[], Controller]]:
    started: list[Controller] = []

    def start() -> Controller:
        policy = site.folder / "policy.yaml"
        one = controllers.start(
            site.stack, f"mig-{time.time():.0f}", port=PORT, policy=policy, folder=site.folder
        )
        started.append(one)
        return one

    yield start
    for one in started:
        one.stop()


def never_in_use(records: list[TickRecord], node: str) -> bool:
    """In no tick in which the label was written did any pod hold a slice of the node."""
    wrote = [r for r in records if any(m.action.step == "apply" for m in r.mig)]
    return all(
        seen.holders == () and seen.devices == 0
        for record in wrote
        for seen in (record.input.slices.nodes if record.input.slices else ())
        if seen.name == node and any(m.action.node == node for m in record.mig)
    )


def test_an_idle_node_is_cut_as_a_pending_pod_needs_it_and_the_one_in_use_is_not(
    site: Site, controller: Callable[[], Controller]
) -> None:
    site.add_node("cut-a")
    site.serve("tenant", "1g.10gb", managed=False)
    wait_for(lambda: site.running_on("tenant") == "cut-a", "another tenant's pod on the first node")
    site.add_node("cut-b")
    site.serve("large", "3g.40gb", managed=True)
    one = controller()
    wait_for(lambda: site.config("cut-b") == THREES, "the idle node cut otherwise")
    wait_for(lambda: site.running_on("large") == "cut-b", "the pod on its new slice")
    wait_for(lambda: not site.is_ours("cut-b"), "the node given back")
    one.stop()
    assert (site.config("cut-a"), site.running_on("tenant")) == (ONES, "cut-a")
    assert not site.is_ours("cut-a")
    records = one.records()
    assert never_in_use(records, "cut-b")
    steps = [m.action.step.value for r in records for m in r.mig if m.outcome.value == "Applied"]
    assert steps == ["cordon", "apply", "uncordon"]
    told = site.stack.kubectl("get", "events", "-n", "default", "-o", "jsonpath={..reason}")
    assert "MigChanging" in told
    site.remove("cut-a", "cut-b")


def test_a_change_that_fails_brings_the_old_slices_back(
    site: Site, controller: Callable[[], Controller]
) -> None:
    site.add_node("cut-c", fault="fail")
    site.serve("large", "3g.40gb", managed=True)
    one = controller()
    wait_for(lambda: site.state("cut-c") == "failed", "the change that fails")
    wait_for(
        lambda: site.config("cut-c") == ONES and site.state("cut-c") == "success",
        "the old slices back",
    )
    wait_for(lambda: not site.is_ours("cut-c"), "the node given back")
    one.stop()
    reasons = {d.reason.value for r in one.records() for d in r.result.slices.pools}
    assert "MigFailed" in reasons
    site.remove("cut-c")
