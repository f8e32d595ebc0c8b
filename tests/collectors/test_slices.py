"""Slice pools from the API server's own JSON and a GPU exporter's series: who holds what, by two sources."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient, Configuration

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clients.prometheus import Series
from autoscaler.collectors import slice_views
from autoscaler.collectors.slices import EXPORTER_LASTS_S, SliceCollector
from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.nodes.placement import Taint
from autoscaler.core.slices.observed import (
    CHANGE_ANNOTATION,
    Front,
    Holder,
    Mark,
    MigState,
    SlicesInput,
)
from autoscaler.core.slices.settings import SlicePoolSettings
from autoscaler.errors import SourceUnavailable
from tests.fakes.clock import FakeClock
from tests.fakes.cluster_api import ClusterApi
from tests.fakes.pods import WithPods, all_pods

POOL = SlicePoolSettings(labels={"pool": "mig"}, gpu="A100-80GB", configs={"ones": "7x1g.10gb"})
MIG_1G = "nvidia.com/mig-1g.10gb"
GROUPS = {("team", "bert"): {"team/whole": {"app": "bert", "on": "gpu"}, "team/ones": {"app": "bert"}}}  # fmt: skip


class FakePrometheus:
    """Answers with these series, or not at all."""

    def __init__(self, *labels: dict[str, str]) -> None:
        self.labels = labels
        self.down = False
        self.asked: list[str] = []

    async def query(self, promql: str, at_s: float) -> tuple[Series, ...]:
        self.asked.append(promql)
        if self.down:
            raise SourceUnavailable("no answer in time")
        return tuple(Series(labels=one, points=((at_s, 1.0),)) for one in self.labels)


def node(
    name: str = "n1", labels: Mapping[str, str] | None = None, **changes: Any
) -> dict[str, Any]:
    own = {"pool": "mig", "nvidia.com/mig.config": "ones", "nvidia.com/mig.config.state": "success"}
    return {
        "metadata": {
            "name": name,
            "labels": own | dict(labels or {}),
            **changes.get("metadata", {}),
        },
        "spec": changes.get("spec", {}),
        "status": {
            "allocatable": {"cpu": "64", MIG_1G: "7", "nvidia.com/mig-3g.40gb": "0"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(where: str, resource: str = MIG_1G, phase: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "team"},
        "spec": {"nodeName": where, "containers": [{"resources": {"limits": {resource: 1}}}]},
        "status": {"phase": phase},
    }


async def seen(
    api: ClusterApi,
    prometheus: FakePrometheus,
    *,
    clock: FakeClock | None = None,
    later_s: float = 0.0,
    labels: frozenset[str] = frozenset(),
) -> SlicesInput:
    async with watching(api, prometheus, clock=clock, labels=labels) as (collector, now):
        await collector.read_once()
    if later_s:
        await now.sleep(later_s)
    return collector.observe()


@asynccontextmanager
async def watching(
    api: ClusterApi,
    prometheus: FakePrometheus,
    *,
    clock: FakeClock | None = None,
    labels: frozenset[str] = frozenset(),
) -> AsyncIterator[tuple[WithPods[SlicesInput], FakeClock]]:
    clock = clock or FakeClock()
    async with api.serving():
        client = KubernetesClient(
            ApiClient(configuration=Configuration(host=api.url)), timeout_s=5.0
        )
        pods = all_pods(client, clock)
        collector = SliceCollector(
            client,
            prometheus,  # type: ignore[arg-type]
            clock,
            pools={"mig": POOL},
            groups=lambda: GROUPS,
            pods=pods,
            labels=lambda: labels,
        )
        try:
            yield WithPods(collector, pods), clock
        finally:
            await client.close()


async def test_a_node_tells_whom_it_is_for_and_only_labels_that_matter() -> None:
    api = ClusterApi()
    told = {"disk": "ssd", "rack": "7", "topology.kubernetes.io/zone": "a"}
    taint = {"key": "dedicated", "value": "bert", "effect": "NoSchedule"}
    cordon = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    api.put("/api/v1/nodes/n1", node(labels=told, spec={"taints": [taint, cordon]}))
    asked = frozenset({"disk", "gone"})
    (found,) = (await seen(api, FakePrometheus(), labels=asked)).nodes
    assert found.taints == (Taint(key="dedicated", value="bert"),)
    assert (found.labels, found.zone) == ((("disk", "ssd"),), "a")


async def test_a_node_with_its_slices_and_who_holds_them() -> None:
    api = ClusterApi()
    api.put("/api/v1/nodes/n1", node())
    api.put("/api/v1/nodes/n2", node("n2", {"pool": "other"}))
    api.put("/api/v1/namespaces/team/pods/p", pod("n1"))
    held = {"Hostname": "n1", "exported_pod": "p", "pod": "dcgm-exporter-x"}
    prometheus = FakePrometheus(held, {"Hostname": "n1", "pod": "dcgm-exporter-x"})
    (found,) = (await seen(api, prometheus)).nodes
    assert (found.name, found.pool, found.config, found.state) == (
        "n1", "mig", "ones", MigState.SUCCESS,
    )  # fmt: skip
    assert found.slices == Geometry.of({"1g.10gb": 7})
    assert (found.ready, found.cordoned, found.mark) == (True, False, None)
    assert found.holders == (Holder(pod="team/p", shape="1g.10gb"),)
    assert found.devices == 1
    assert prometheus.asked == [
        'DCGM_FI_DEV_FB_USED{Hostname=~"n1"} or DCGM_FI_DEV_FB_USED{hostname=~"n1"}'
    ]


@pytest.mark.parametrize(
    ("labels", "devices"),
    [
        pytest.param({"Hostname": "n1"}, 0, id="no pod"),
        pytest.param({"hostname": "n1", "pod": "dcgm-exporter-x"}, 0, id="the exporter's own"),
        pytest.param({"hostname": "n1", "pod": "bert-1"}, 1, id="honorLabels"),
        pytest.param({"Hostname": "n2"}, None, id="no series of the node"),
    ],
)
async def test_a_node_that_the_exporter_does_not_show_is_not_known_to_be_empty(
    labels: dict[str, str], devices: int | None
) -> None:
    api = ClusterApi()
    api.put("/api/v1/nodes/n1", node())
    (found,) = (await seen(api, FakePrometheus(labels))).nodes
    assert (found.holders, found.devices) == ((), devices)


async def test_an_exporter_that_never_tells_of_pods_does_not_confirm_that_a_node_is_empty() -> None:
    """It shows each slice, and of none who holds it: n1 is in use, so that its word on n2 is worth nothing."""
    api = ClusterApi()
    for name in ("n1", "n2"):
        api.put(f"/api/v1/nodes/{name}", node(name))
    api.put("/api/v1/namespaces/team/pods/p", pod("n1"))
    prometheus = FakePrometheus({"Hostname": "n1"}, {"Hostname": "n2"})
    async with watching(api, prometheus) as (collector, clock):
        await collector.read_once()
        # The pod may be new: it does not show at once.
        assert [one.devices for one in collector.observe().nodes] == [0, 0]
        await clock.sleep(120.0)
        await collector.read_once()
        assert [one.devices for one in collector.observe().nodes] == [None, None]
        # Nor when the pod has gone.
        del api.objects["/api/v1/namespaces/team/pods/p"]
        await collector.read_once()
        assert [one.devices for one in collector.observe().nodes] == [None, None]
        # One that tells is believed, and the other is not for that.
        prometheus.labels = ({"Hostname": "n1"}, {"Hostname": "n2", "exported_pod": "p"})
        await collector.read_once()
        assert [one.devices for one in collector.observe().nodes] == [None, 1]


async def test_what_the_exporter_told_goes_stale() -> None:
    api = ClusterApi()
    api.put("/api/v1/nodes/n1", node())
    prometheus = FakePrometheus({"Hostname": "n1"})
    (found,) = (await seen(api, prometheus, later_s=EXPORTER_LASTS_S + 1.0)).nodes
    assert found.devices is None
    prometheus.down = True
    (found,) = (await seen(api, prometheus)).nodes
    assert found.devices is None


async def test_pods_that_can_not_be_listed_hold_everything() -> None:
    api = ClusterApi()
    api.put("/api/v1/nodes/n1", node())
    api.plurals.discard("pods")
    found = await seen(api, FakePrometheus({"Hostname": "n1"}))
    assert found.stale is not None
    assert found.nodes[0].holders is None


async def test_services_over_several_members_of_a_group() -> None:
    api = ClusterApi()
    for name, selector in {"both": {"app": "bert"}, "one": {"on": "gpu"}, "none": None}.items():
        api.put(
            f"/api/v1/namespaces/team/services/{name}",
            {"metadata": {"name": name, "namespace": "team"}, "spec": {"selector": selector}},
        )
    found = await seen(api, FakePrometheus())
    assert found.fronts == (Front(service="team/both", workloads=("team/ones", "team/whole")),)
    api.plurals.discard("services")
    for path in [path for path in api.objects if "services" in path]:
        del api.objects[path]
    assert (await seen(api, FakePrometheus())).fronts is None


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ('{"before": "a", "after": "b"}', Mark(before="a", after="b")),
        ("not json", Mark(before="", after="")),
        ('{"before": "a"}', Mark(before="", after="")),
    ],
)
def test_a_mark_that_can_not_be_read_is_one_nevertheless(text: str, mark: Mark) -> None:
    raw = node(metadata={"annotations": {CHANGE_ANNOTATION: text}}, spec={"unschedulable": True})
    view = slice_views.node(raw)
    assert (view.mark, view.cordoned) == (mark, True)


def test_a_state_that_is_not_known_is_no_success() -> None:
    assert slice_views.node(node(labels={"nvidia.com/mig.config.state": "new"})).state is (
        MigState.PENDING
    )


def test_a_pod_that_holds_several_kinds_holds_all_of_them() -> None:
    asks = {"nvidia.com/mig-3g.40gb": "1", "nvidia.com/mig-1g.10gb.me": 1}
    raw = pod("n1", resource="nvidia.com/mig-1g.10gb")
    raw["spec"]["containers"][0]["resources"]["limits"] = asks
    raw["spec"]["initContainers"] = [{"resources": {"limits": {"nvidia.com/mig-3g.40gb": 2}}}]
    placed = slice_views.placed(raw)
    assert placed is not None
    assert placed.holders == (
        Holder(pod="team/p", shape="1g.10gb+me"),
        Holder(pod="team/p", shape="3g.40gb", count=2),
    )


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_holds_nothing(phase: str) -> None:
    assert slice_views.placed(pod("n1", phase=phase)) is None
    assert slice_views.placed(pod("n1", resource="cpu")) is None
    assert slice_views.placed(pod("")) is None
