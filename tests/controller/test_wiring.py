"""The real parts put together, against an API server over HTTP; Prometheus is unreachable, as it may well be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from autoscaler.clients.templates import mark_text, shape_mark
from autoscaler.clock import SystemClock
from autoscaler.config import PrometheusSettings, ServerSettings, Settings, load
from autoscaler.controller import sources
from autoscaler.controller.checkpoint import unpack
from autoscaler.controller.freeze import FreezeSwitch
from autoscaler.controller.kube_objects import KubeLease, KubeMaps
from autoscaler.controller.leader import LeaseRecord
from autoscaler.controller.wiring import build, own_namespace, store_of
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import CHANGE_ANNOTATION, CONFIG_LABEL, STATE_LABEL
from autoscaler.core.slices.settings import (
    SlicePoolSettings,
    SliceSettings,
    SlicesMode,
    TemplatesMode,
)
from autoscaler.core.slices.template import SHAPE_ANNOTATION, ShapeMark, ShapePhase
from autoscaler.errors import ActuationConflict, ConfigError, Problem
from tests.fakes.cluster_api import ClusterApi, deployment, put_pods

BERT = "/apis/apps/v1/namespaces/team/deployments/bert"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/forescale"
GROWS = PoolSettings(labels={"pool": "h100"}, max_headroom=8)
CUT = SlicePoolSettings(labels={"pool": "mig"}, gpu="A100-80GB", configs={"all": "7x1g.10gb"})
SMALL = "nvidia.com/mig-1g.10gb"
STATE = "/api/v1/namespaces/default/configmaps/forescale-state"


def settings_for(folder: Path, api: ClusterApi) -> Settings:
    """Ticks fast, so that a story takes no time."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
        f"clusters: [{{name: c, cluster: {{server: '{api.url}'}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
    )
    base = Settings()
    return replace(
        base,
        engine=EngineConfig(tick_s=0.1),
        kubernetes=replace(base.kubernetes, kubeconfig=str(kubeconfig)),
        prometheus=PrometheusSettings(url="http://127.0.0.1:1", backfill_s=0.0),
        server=ServerSettings(bind="127.0.0.1", port=0),
    )


@asynccontextmanager
async def controller(settings: Settings, identity: str) -> AsyncIterator[asyncio.Event]:
    """A whole controller; ends cleanly when the block does."""
    client = await sources.connect_kubernetes(settings)
    prometheus = sources.connect_prometheus(settings)
    stop = asyncio.Event()
    built = build(
        settings,
        SystemClock(),
        client=client,
        prometheus=prometheus,
        identity=identity,
        frozen=lambda: None,
    )
    running = asyncio.create_task(built.process.run(stop))
    try:
        yield stop
        stop.set()
        await running
    finally:
        running.cancel()
        prometheus.close()
        await client.close()


async def test_a_workload_is_scaled_told_about_and_what_was_learned_taken_over(
    tmp_path: Path,
) -> None:
    api = ClusterApi()
    api.put(BERT, deployment("bert", 2, {"slo": "99% < 300ms", "min-replicas": "4"}))

    def told() -> bool:
        return any(
            o.get("message") == "Scaled from 2 to 4 replicas: min-replicas is 4"
            for o in api.objects.values()
        )

    async with api.serving():
        settings = settings_for(tmp_path, api)
        async with controller(settings, "first"):
            await api.until(told)
            assert api.objects[BERT]["spec"]["replicas"] == 4
            assert api.objects[LEASE]["spec"]["holderIdentity"] == "first"
        assert api.objects[LEASE]["spec"]["holderIdentity"] is None
        assert STATE in api.objects
        client = await sources.connect_kubernetes(settings)
        saved = await store_of(settings, client).load()
        await client.close()
        assert saved is not None
        assert [str(w.id) for w in unpack(saved).state.workloads] == ["team/bert"]
        async with controller(settings, "second"):
            await api.until(lambda: api.objects[LEASE]["spec"]["holderIdentity"] == "second")
    assert [write for write in api.writes if write[1] == BERT] == [("PATCH", BERT)]


async def test_without_metrics_nothing_is_scaled_down(tmp_path: Path) -> None:
    api = ClusterApi()
    api.put(BERT, deployment("bert", 9, {"slo": "99% < 300ms"}))
    put_pods(api, "bert", 9)

    def told() -> bool:
        return any(o.get("reason") == "NoData" for o in api.objects.values())

    async with api.serving():
        async with controller(settings_for(tmp_path, api), "only"):
            await api.until(told)
    assert api.objects[BERT]["spec"]["replicas"] == 9


async def test_what_the_api_server_refuses_is_told_at_the_workload(tmp_path: Path) -> None:
    api = ClusterApi()
    api.put(BERT, deployment("bert", 2, {"slo": "99% < 300ms", "min-replicas": "4"}))
    api.refuse = {"/scale": 403}

    def told() -> bool:
        return any(o.get("reason") == "ScaleRejected" for o in api.objects.values())

    async with api.serving():
        async with controller(settings_for(tmp_path, api), "only"):
            await api.until(told)
    assert api.objects[BERT]["spec"]["replicas"] == 2


async def test_a_node_that_a_controller_before_left_cordoned_is_given_back(
    tmp_path: Path,
) -> None:
    path, pool = (
        "/api/v1/nodes/n1",
        SlicePoolSettings(
            labels={"pool": "mig"}, gpu="A100-80GB", configs={"ones": "7x1g.10gb"}, gpus_per_node=1
        ),
    )
    api = ClusterApi()
    api.put(
        path,
        {
            "metadata": {
                "name": "n1",
                "labels": {"pool": "mig", CONFIG_LABEL: "ones", STATE_LABEL: "success"},
                "annotations": {CHANGE_ANNOTATION: '{"before": "ones", "after": "threes"}'},
            },
            "spec": {"unschedulable": True},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        },
    )
    async with api.serving():
        settings = settings_for(tmp_path, api)
        slices = SliceSettings(mode=SlicesMode.AUTO, pools={"mig": pool})
        settings = replace(settings, engine=replace(settings.engine, slices=slices))
        async with controller(settings, "second"):
            await api.until(
                lambda: any(o.get("reason") == "MigChanging" for o in api.objects.values())
            )
    assert api.objects[path]["spec"]["unschedulable"] is False
    assert api.objects[path]["metadata"]["annotations"] == {}
    assert [write for write in api.writes if write[1] == path] == [("PATCH", path)]


async def test_a_slice_that_a_controller_before_tried_in_vain_is_taken_back(tmp_path: Path) -> None:
    """It was written in 2023, and no pod of it is ready."""
    mark = ShapeMark(
        before="2g.20gb",
        after="1g.10gb",
        container="c",
        image="bert:1",
        replicas_before=2,
        replicas=2,
        phase=ShapePhase.ROLLING,
        at_s=1_700_000_000.0,
    )
    made = deployment("bert", 2, {"slo": "99% < 300ms", "slice-shapes": "1g.10gb, 2g.20gb"})
    made["metadata"]["annotations"][SHAPE_ANNOTATION] = mark_text(mark)
    container = {"name": "c", "image": "bert:1", "resources": {"limits": {SMALL: "1"}}}
    made["spec"]["template"]["spec"]["containers"] = [container]
    api = ClusterApi()
    api.put(BERT, made)
    async with api.serving():
        settings = settings_for(tmp_path, api)
        slices = SliceSettings(mode=SlicesMode.AUTO, templates=TemplatesMode.AUTO)
        settings = replace(settings, engine=replace(settings.engine, slices=slices))
        async with controller(settings, "second"):
            await api.until(
                lambda: any(o.get("reason") == "ShapeFailed" for o in api.objects.values())
            )
    (container,) = api.objects[BERT]["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"limits": {"nvidia.com/mig-2g.20gb": "1"}}
    left = shape_mark(api.objects[BERT])
    assert left is not None
    assert (left.phase, left.before) == (ShapePhase.RESTORING, "2g.20gb")
    assert [write for write in api.writes if write[1] == BERT] == [("PATCH", BERT)]


async def test_a_lease_is_written_with_its_version_and_keeps_foreign_labels(tmp_path: Path) -> None:
    api = ClusterApi()
    async with api.serving():
        client = await sources.connect_kubernetes(settings_for(tmp_path, api))
        lease = KubeLease(client, "default", "forescale")
        assert await lease.read() is None
        fresh = LeaseRecord(holder="a", duration_s=15.0, acquired_at_s=5.0, renewed_at_s=7.25)
        created = await lease.create(fresh)
        assert replace(created, version="") == fresh
        with pytest.raises(ActuationConflict):
            await lease.create(fresh)
        stored = api.objects[LEASE]
        assert stored["spec"]["renewTime"] == "1970-01-01T00:00:07.250000Z"
        stored["metadata"]["labels"]["team"] = "x"
        read = await lease.read()
        assert read == created
        written = await lease.replace(replace(created, holder=""))
        assert written.holder == ""
        assert api.objects[LEASE]["spec"]["holderIdentity"] is None
        assert api.objects[LEASE]["metadata"]["labels"]["team"] == "x"
        with pytest.raises(ActuationConflict):
            await lease.replace(created)
        await client.close()


async def test_config_maps_are_made_replaced_and_made_anew(tmp_path: Path) -> None:
    api = ClusterApi()
    async with api.serving():
        client = await sources.connect_kubernetes(settings_for(tmp_path, api))
        maps = KubeMaps(client, "default")
        assert await maps.read("m") is None
        await maps.write("m", {"part": b"\x00\xff"})
        assert await maps.read("m") == {"part": b"\x00\xff"}
        await KubeMaps(client, "default").write("m", {"part": b"2"})  # of a process before
        assert await maps.read("m") == {"part": b"2"}
        await client.close()


def test_the_namespace_of_the_lease() -> None:
    base = Settings()
    assert own_namespace(base) == "default"
    assert own_namespace(replace(base, leader=replace(base.leader, namespace="x"))) == "x"


def test_a_freeze_takes_effect_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("a")
    answers: list[Settings | ConfigError] = []

    def reload() -> Settings:
        answer = answers.pop(0)
        if isinstance(answer, ConfigError):
            raise answer
        return answer

    switch = FreezeSwitch(Settings(), path, reload)
    assert switch() is None
    answers.append(Settings(freeze="incident"))
    path.write_text("bb")
    assert switch() == "incident"
    assert switch() == "incident"  # and the file is not read again
    answers.append(ConfigError((Problem("freeze", "x", "y"),)))
    path.write_text("ccc")
    assert switch() == "incident"
    path.unlink()
    assert switch() == "incident"
    answers.append(Settings())
    path.write_text("dddd")
    assert switch() is None


def test_a_policy_that_needs_a_restart_shows(tmp_path: Path) -> None:
    """Not freeze, which is taken over; but any other change, and a file that the next start would refuse."""
    path = tmp_path / "policy.yaml"
    path.write_text("engine: {tick_s: 10}")
    switch = FreezeSwitch(load(path), path, lambda: load(path))
    for text, outdated in (
        ("engine: {tick_s: 10}\nfreeze: incident", False),
        ("engine: {tick_s: 10}\nnamespaces: {team: {mode: recommend}}", True),
        ("engine: {tick_s: 10}", False),
        ("engine: {tick_z: 5}", True),
        ("engine: {tick_s: 10.0} # as it was", False),
    ):
        path.write_text(text)
        switch()
        assert switch.outdated is outdated, text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("freeze: incident 42", "incident 42"),
        ("freeze: true", "true"),
        ("freeze: 2026-02-30 # until then", "2026-02-30 # until then"),
        ("freeze: 2026-11-28", "2026-11-28"),
        ("engine:\n  tick_s: 10\nfreeze: 'all red'\nprometeus: {}", "all red"),
        ("freeze: incident 42\nengine: {tick_z: 5}", "incident 42"),
        ("freeze: incident 42: all red", "incident 42: all red"),
        ("freeze: # not any more\nengine: {tick_z: 5}", None),
        ("freeze: off\nengine: {tick_z: 5}", None),
        ("engine: {tick_z: 5}", None),
    ],
)
def test_a_freeze_is_taken_from_a_file_that_is_wrong_otherwise(
    text: str, why: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("{}")
    switch = FreezeSwitch(Settings(), path, lambda: load(path))
    path.write_text(text)
    assert switch() == why


@pytest.mark.parametrize(
    ("mode", "nodes", "slices", "asked"),
    [
        (SlicesMode.AUTO, {}, {}, False),
        (SlicesMode.AUTO, {"h100": GROWS}, {}, True),
        (SlicesMode.RECOMMEND, {}, {"mig": CUT}, True),
        (SlicesMode.OFF, {"h100": GROWS}, {"mig": CUT}, False),
    ],
)
def test_the_packing_is_asked_where_there_is_something_to_pack_onto(
    mode: SlicesMode,
    nodes: dict[str, PoolSettings],
    slices: dict[str, SlicePoolSettings],
    asked: bool,
) -> None:
    engine = EngineConfig(
        nodes=NodeSettings(pools=nodes), slices=SliceSettings(mode=mode, pools=slices)
    )
    assert sources.packing_on(replace(Settings(), engine=engine)) is asked


@pytest.mark.parametrize("pools", [{}, {"h100": GROWS}], ids=["slices alone", "and headroom"])
async def test_nodes_and_pods_are_watched_once_whoever_looks_at_them(
    pools: dict[str, PoolSettings], tmp_path: Path
) -> None:
    api = ClusterApi()
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    labels = {"pool": "mig", CONFIG_LABEL: "all"}
    api.put("/api/v1/nodes/n1", {"metadata": {"name": "n1", "labels": labels}, "status": ready})
    slicing = SliceSettings(mode=SlicesMode.AUTO, pools={"mig": CUT})
    engine = EngineConfig(nodes=NodeSettings(pools=pools), slices=slicing)
    async with api.serving():
        settings = replace(settings_for(tmp_path, api), engine=engine)
        client = await sources.connect_kubernetes(settings)
        prometheus, clock = sources.connect_prometheus(settings), SystemClock()
        workloads = sources.collector(settings, client, clock)
        nodes = sources.node_parts(settings, client, clock, workloads)
        slices = sources.slice_collector(settings, client, prometheus, clock, workloads, nodes)
        assert slices is not None
        mirrors = [*workloads.mirrors, *slices.mirrors, *(nodes.collector.mirrors if nodes else ())]
        for mirror in mirrors:
            await mirror.relist()
        paths = [mirror.path for mirror in mirrors]
        assert (paths.count("/api/v1/nodes"), paths.count("/api/v1/pods")) == (1, 1)
        assert [(node.name, node.config) for node in slices.observe().nodes] == [("n1", "all")]
        prometheus.close()
        await client.close()
