"""Slice pools against what a cluster may show: each fault is found and has a remedy."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.config import Settings
from autoscaler.controller.doctor import slices
from autoscaler.controller.doctor.cluster import Cluster
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.settings import SlicePoolSettings, SliceSettings, SlicesMode
from tests.controller.doctor.test_checks import worst

POOL = SlicePoolSettings(
    labels={"pool": "mig"}, gpu="A100-80GB", configs={"ones": "7x1g.10gb"}, gpus_per_node=2
)
ON = Settings(engine=EngineConfig(slices=SliceSettings(mode=SlicesMode.AUTO, pools={"mig": POOL})))
GOOD = {
    "pool": "mig",
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
    "nvidia.com/mig.config": "ones",
    "nvidia.com/mig.config.state": "success",
    "nvidia.com/mig.strategy": "mixed",
    "nvidia.com/gpu.sharing-strategy": "none",
}
MAP = {
    "metadata": {"namespace": "gpu-operator", "name": "mine"},
    "data": {"config.yaml": "mig-configs: {ones: []}"},
}


def cuts(*devices: str) -> dict[str, Any]:
    """The ConfigMap, with these `mig-devices` under the policy's only name."""
    entries = ", ".join(f"{{devices: all, mig-enabled: true, mig-devices: {d}}}" for d in devices)
    return {**MAP, "data": {"config.yaml": f"{{version: v1, mig-configs: {{ones: [{entries}]}}}}"}}


def node(slices_: int = 14, /, **labels: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "n1", "labels": {**GOOD, **labels}},
        "status": {"allocatable": {"nvidia.com/mig-1g.10gb": str(slices_)}},
    }


def policy(strategy: str = "mixed") -> dict[str, Any]:
    return {"spec": {"mig": {"strategy": strategy}, "migManager": {"config": {"name": "mine"}}}}


def seen(
    *nodes: dict[str, Any], strategy: str = "mixed", maps: tuple[Any, ...] = (MAP,)
) -> Cluster:
    found = {"nodes": nodes, "cluster policies": (policy(strategy),), "mig configs": maps}
    return Cluster(found=found)


@pytest.mark.parametrize(
    "config",
    [
        MAP,
        cuts("{1g.10gb: 7}"),
        # One name for several kinds of GPU, as the operator's own all-balanced is.
        cuts("{1g.10gb: 7}", "{1g.5gb: 7}"),
        # What can't be read is not wrong.
        cuts("[1g.10gb]"),
        cuts("{1g.10gb: many}"),
    ],
)
def test_a_pool_as_it_should_be(config: dict[str, Any]) -> None:
    assert worst(slices.check(seen(node(), maps=(config,)), ON)) == []


@pytest.mark.parametrize(
    ("cluster", "level", "said"),
    [
        pytest.param(seen(), "warning", "no node has its labels", id="none"),
        pytest.param(seen(node(strategy="x"), strategy="single"), "error", "strategy is single", id="single"),
        pytest.param(seen(node(), maps=({**MAP, "data": {}},)), "error", "has no ones", id="configs"),
        pytest.param(
            seen(node(), maps=(cuts("{3g.40gb: 2}"),)), "error",
            "ones cuts a GPU into 2x3g.40gb by ConfigMap gpu-operator/mine, and into 7x1g.10gb by", id="cut otherwise",
        ),
        pytest.param(seen(node(), maps=()), "unknown", "is not known", id="no ConfigMap"),
        pytest.param(
            seen(node(**{"karpenter.sh/nodepool": "mig"})), "error", "Karpenter brings such nodes anew", id="grown"
        ),
        pytest.param(
            seen(node(**{"eks.amazonaws.com/nodegroup": "mig"}), node(**{"eks.amazonaws.com/nodegroup": "mig"})),
            "warning", "is of the group eks.amazonaws.com/nodegroup=mig, which may be grown", id="a cloud's group",
        ),
        pytest.param(
            seen(node(pool="MIG")), "warning", "no node has its labels, and node n1 has pool=MIG", id="case",
        ),
        pytest.param(
            seen(node(**{"nvidia.com/gpu.product": "NVIDIA-H200"})), "error", "has NVIDIA-H200", id="another GPU"
        ),
        pytest.param(
            seen(node(**{"nvidia.com/mig.config.state": ""})), "error", "no MIG manager", id="no manager"
        ),
        pytest.param(
            seen(node(**{"nvidia.com/mig.config": "hand"})), "warning", "is hand, which configs", id="unnamed"
        ),
        pytest.param(
            seen(node(**{"nvidia.com/mig-1g.10gb.sharing-strategy": "time-slicing"})), "error",
            "lets several pods share one device (time-slicing)", id="shared",
        ),
        pytest.param(
            seen(node(**{"nvidia.com/mig.strategy": "single"})), "error", "strategy is single (nvidia", id="its own"
        ),
        pytest.param(seen(node(7)), "error", "offers 7x1g.10gb, the policy says 14x1g.10gb", id="fewer"),
    ],
)  # fmt: skip
def test_each_fault_is_found(cluster: Cluster, level: str, said: str) -> None:
    (found,) = worst(slices.check(cluster, ON))
    assert found[0] == level
    assert said in found[1]


def test_nothing_is_checked_where_slices_are_off() -> None:
    assert slices.check(seen(), Settings()) == []


def test_dra_is_named_where_it_is_present() -> None:
    cluster = seen(node())
    driver = {"spec": {"driver": "gpu.nvidia.com"}}
    with_dra = Cluster(found={**cluster.found, "resource slices": (driver,)})
    ((level, said),) = worst(slices.check(with_dra, ON))
    assert (level, "which forescale does not drive" in said) == ("error", True)
