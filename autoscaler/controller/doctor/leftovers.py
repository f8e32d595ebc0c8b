"""What forescale began or asked for and that nobody ends any more: headroom of no pool, nodes that stay cordoned.

And whether what is to end it does so, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.clients.objects import mark_of
from autoscaler.collectors import node_views
from autoscaler.collectors.node_views import carries
from autoscaler.config import Settings
from autoscaler.controller.doctor.cluster import Cluster
from autoscaler.controller.doctor.diagnosis import Diagnosis, error, warning
from autoscaler.core.nodes.observed import HEADROOM_LABEL
from autoscaler.core.nodes.settings import HeadroomMode
from autoscaler.core.slices.observed import CHANGE_ANNOTATION
from autoscaler.core.slices.settings import SlicesMode

HEADROOM, CORDONED = "headroom left over", "nodes left cordoned"
KINDS = {"deployments": "deployment", "capacity buffers": "capacitybuffer"}


def check(cluster: Cluster, settings: Settings) -> list[Diagnosis]:
    """Nothing where nothing is left."""
    return [
        *_unled(settings),
        *_swept(cluster, settings),
        *_headroom(cluster, settings),
        *_cordoned(cluster, settings),
    ]


def _unled(settings: Settings) -> list[Diagnosis]:
    nodes = settings.engine.nodes
    if settings.leader.enabled or not nodes.pools or nodes.mode is not HeadroomMode.AUTO:
        return []
    text = "leader.enabled is false: the CronJob forescale-sweep takes headroom away while no Lease is renewed"
    return [warning(HEADROOM, text, "leave leader.enabled out, or the CronJob")]


def _swept(cluster: Cluster, settings: Settings) -> list[Diagnosis]:
    """Whether headroom goes with a controller that is dead, and only then."""
    nodes, leader = settings.engine.nodes, settings.leader
    applies = leader.enabled and nodes.pools and nodes.mode is HeadroomMode.AUTO
    if not applies or "cron jobs" not in cluster.found:
        return []
    sweeps = [
        item
        for item in cluster.all("cron jobs")
        if _option(item, "--namespace") == settings.headroom.namespace
    ]
    if not sweeps:
        text = f"no CronJob takes away what is in {settings.headroom.namespace} when the controller is dead"
        return [
            warning(
                HEADROOM,
                text,
                "install the component nodes: headroom is paid for until somebody notices",
            )
        ]
    found = []
    for item in sweeps:
        name = f"CronJob {item['metadata'].get('namespace')}/{item['metadata']['name']}"
        namespace, _, lease = _option(item, "--lease").partition("/")
        if lease != leader.lease_name or namespace != (leader.namespace or namespace):
            text = f"{name} looks at the Lease {namespace}/{lease}, and leader.lease_name is {leader.lease_name}"
            remedy = "let both name the same: it takes the headroom of a controller that lives"
            found.append(error(HEADROOM, text, remedy))
        elif (item.get("spec") or {}).get("suspend"):
            text = f"{name} is suspended: headroom outlives a controller that is dead"
            found.append(
                warning(HEADROOM, text, f"kubectl edit {name}: spec.suspend is to be false")
            )
    return found


def _option(cron_job: Mapping[str, Any], flag: str) -> str:
    """Of `forescale sweep` in a CronJob; empty: it is another, or does not name it."""
    spec = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    for container in spec.get("containers") or ():
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        if "sweep" in words and flag in words[:-1]:
            return str(words[words.index(flag) + 1])
    return ""


def _headroom(cluster: Cluster, settings: Settings) -> list[Diagnosis]:
    nodes, found = settings.engine.nodes, []
    for kind, name in KINDS.items():
        for raw in cluster.all(kind):
            own = node_views.headroom(raw)
            if own is None or not own.replicas:
                continue
            if own.pool not in nodes.pools:
                why = f"engine.nodes.pools does not name {own.pool}"
            elif nodes.mode is not HeadroomMode.AUTO:
                why = f"engine.nodes.mode is {nodes.mode.value}"
            else:
                continue
            where = raw["metadata"].get("namespace")
            text = f"{name} {own.name} asks for {own.replicas} placeholders, and {why}: nobody lowers it"
            remedy = f"kubectl delete {name} -n {where} {own.name}, if no other forescale looks after {HEADROOM_LABEL}"
            found.append(warning(HEADROOM, text, remedy))
    return found


def _cordoned(cluster: Cluster, settings: Settings) -> list[Diagnosis]:
    slices, found = settings.engine.slices, []
    pools = () if slices.mode is SlicesMode.OFF else slices.pools.values()
    for node in cluster.all("nodes"):
        metadata = node["metadata"]
        mark, labels = mark_of(node), metadata.get("labels") or {}
        if mark is None or any(carries(labels, pool.labels) for pool in pools):
            continue
        name = metadata["name"]
        text = (
            f"node {name} was being cut from {mark.before or 'something'} to {mark.after or 'something else'}, and is "
            "in no pool of engine.slices.pools by now: nobody ends that"
        )
        ended = f"kubectl annotate node {name} {CHANGE_ANNOTATION}- and kubectl uncordon {name}"
        found.append(warning(CORDONED, text, f"{ended}, if its slices are sound"))
    return found
