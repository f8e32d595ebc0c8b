"""What the stack tells Karpenter, and how the agent takes over the nodes that it makes."""

from __future__ import annotations

import json
from pathlib import Path

from loadtests.stack import karpenter
from loadtests.stack.agent import models, nodes
from loadtests.stack.karpenter import Pool

CHEAP = Pool(name="cheap", units=2, weight=10)


def test_a_pool_has_one_instance_type_with_its_gpus() -> None:
    (made,) = karpenter.instance_types((CHEAP,))
    assert made["name"] == "cheap-type"
    assert made["resources"]["nvidia.com/gpu"] == "2"
    assert made["offerings"][0]["Price"] == 1.0


def test_node_pools_go_when_they_are_empty_and_boot_takes_its_time() -> None:
    listed = json.loads(karpenter.manifests((CHEAP, Pool(name="dear")), boot_s=20))
    node_class, cheap, dear = listed["items"]
    assert node_class["spec"]["nodeRegistrationDelay"] == "20s"
    assert [pool["spec"]["weight"] for pool in (cheap, dear)] == [10, 1]
    assert cheap["spec"]["disruption"]["consolidationPolicy"] == "WhenEmpty"
    requirement = cheap["spec"]["template"]["spec"]["requirements"][0]
    assert requirement["values"] == ["cheap-type"]


def test_buffers_are_on_and_the_file_of_what_is_sold_out_is_named(tmp_path: Path) -> None:
    told = karpenter.environment(tmp_path, tmp_path / "admin.kubeconfig")
    assert "CapacityBuffer=true" in told["FEATURE_GATES"]
    assert told["STOCKOUT_FILE"] == str(tmp_path / "sold-out")


def test_an_adopted_node_is_ready_before_its_gpus_are() -> None:
    for units in ("0", "2"):
        status = nodes.adopted_status({"nvidia.com/gpu": units})["status"]
        assert status["allocatable"]["nvidia.com/gpu"] == units
        assert status["conditions"][0]["status"] == "True"


def test_a_placeholder_runs_no_server() -> None:
    def pod(image: str) -> dict[str, object]:
        return {"spec": {"containers": [{"image": image}]}}

    assert models.only_holds(pod("registry.k8s.io/pause:3.10"))
    assert not models.only_holds(pod("tritonserver"))
