"""Annotated workloads: whether pods may take placeholders' room, find nodes, end gracefully, fit their quotas.

And whether they survive a loss, and whether their variant groups are any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any

from autoscaler.clients.objects import requests
from autoscaler.collectors.kserve import made_for
from autoscaler.config import Settings
from autoscaler.controller.doctor import autoscalers
from autoscaler.controller.doctor.cluster import Cluster, allocatable
from autoscaler.controller.doctor.diagnosis import Diagnosis, error, ok, unknown, warning
from autoscaler.core.annotations import PREFIX
from autoscaler.core.nodes.choice import choice_of
from autoscaler.core.slices.observed import SHARED
from autoscaler.core.slices.prices import slice_pools
from autoscaler.core.slices.settings import SlicesMode
from autoscaler.core.survival import asked, unspread
from autoscaler.core.types import Survive, WorkloadId, WorkloadSpec

PRIORITY, QUOTA, ENDING = "priority classes", "quotas", "graceful end"
SURVIVAL, GROUPS, NODES = "survive", "variant groups", "room for replicas"
Object = Mapping[str, Any]


def check(cluster: Cluster, settings: Settings, specs: Sequence[WorkloadSpec]) -> list[Diagnosis]:
    """All of it."""
    services = {spec.id for spec in specs}
    annotated = [
        item
        for item in cluster.all("deployments")
        if f"{PREFIX}slo" in (item["metadata"].get("annotations") or {})
        or _runs_one_of(services, item["metadata"])
    ]
    return [
        *_priorities(cluster, settings, annotated),
        *_placed(cluster, settings, specs),
        *_quotas(cluster, settings, specs),
        *_endings(annotated),
        *_survival(settings, specs),
        *_groups(settings, specs),
    ]


def _runs_one_of(services: Set[WorkloadId], metadata: Object) -> bool:
    """KServe does not copy an LLMInferenceService's annotations to what it makes."""
    made = made_for(metadata)
    return made is not None and made.predictor and made.service in services


def _priorities(
    cluster: Cluster, settings: Settings, annotated: Sequence[Object]
) -> list[Diagnosis]:
    if not settings.engine.nodes.pools:
        return []
    if "priority classes" in cluster.unreadable:
        remedy = "let doctor list priorityclasses"
        return [unknown(PRIORITY, cluster.unreadable["priority classes"], remedy)]
    classes = {str(item["metadata"]["name"]): item for item in cluster.all("priority classes")}
    own = classes.get(settings.headroom.priority_class)
    if own is None:
        text = f"there is no PriorityClass {settings.headroom.priority_class}"
        return [
            error(PRIORITY, text, "install the component nodes, or set headroom.priority_class")
        ]
    value, lowest = int(own.get("value", 0)), autoscalers.cutoff(cluster)
    found = []
    if value < lowest:
        found.append(
            error(
                PRIORITY,
                f"{settings.headroom.priority_class} is {value}, "
                f"the cluster-autoscaler overlooks what is below {lowest}",
                f"make it {lowest}: a new PriorityClass, for its value can't be changed",
            )
        )
    if value >= 0:
        text = f"{settings.headroom.priority_class} is {value}: pods without a class can't take placeholders' room"
        if value > 0 and own.get("preemptionPolicy") != "Never":
            text += ", and placeholders evict them"
        remedy = "name one of -10 in headroom.priority_class: a new PriorityClass, for its value can't be changed"
        found.append(error(PRIORITY, text, remedy))
    for item in annotated:
        name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        spec = item["spec"]["template"]["spec"]
        theirs = classes.get(str(spec.get("priorityClassName")), {})
        if (spec.get("preemptionPolicy") or theirs.get("preemptionPolicy")) == "Never":
            text = f"{name}: its pods never preempt, so they can't take a placeholder's room"
            found.append(warning(PRIORITY, text, "give it a class with PreemptLowerPriority"))
        if int(theirs.get("value", 0)) <= value:
            text = f"{name}: its priority is not above the placeholders' {value}"
            found.append(warning(PRIORITY, text, "give it a class with a higher value"))
    return found or [ok(PRIORITY, f"placeholders give way: priority {value}")]


def _placed(cluster: Cluster, settings: Settings, specs: Sequence[WorkloadSpec]) -> list[Diagnosis]:
    """Whether what a replica asks for is on a node, or brought by a pool, and fits into a placeholder."""
    pools = settings.engine.nodes.pools
    most: Counter[str] = Counter()
    for node in cluster.all("nodes"):
        most |= Counter(allocatable(node))
    found = []
    for spec in specs:
        needs = spec.node_needs
        if needs is None:
            continue
        about, asked = f"{spec.id.namespace}/{spec.id.name}", f"{needs.count} {needs.resource}"
        own = {name: pool for name, pool in pools.items() if pool.resource == needs.resource}
        can = max([most[needs.resource], *(pool.units_per_node for pool in own.values())])
        cut = bool(slice_pools(needs, settings.engine))
        if can < needs.count and not cut and "nodes" in cluster.found:
            has = f"no node has more than {can}" if can else "no node has any"
            text = (
                f"{about}: a replica asks for {asked}, {has}, and no pool of the policy brings it"
            )
            remedy = "correct resources.limits, or name the pool that brings it"
            found.append(warning(NODES, text, remedy))
        for name in choice_of(needs, pools):
            if pools[name].unit < needs.count and not pools[name].fixed:
                text = f"{about}: a replica asks for {asked}, and pool {name} keeps room by {pools[name].unit}"
                remedy = f"set unit: {needs.count} in engine.nodes.pools.{name}: pieces here and there hold no replica"
                found.append(warning(NODES, text, remedy))
        if needs.resource.endswith(SHARED):
            text = f"{about}: it asks for {asked}, a part of a GPU that several pods share"
            remedy = "ask for a whole GPU or a MIG slice: what a replica carries depends on the others there"
            found.append(warning(NODES, text, remedy))
    return found


def _quotas(cluster: Cluster, settings: Settings, specs: Sequence[WorkloadSpec]) -> list[Diagnosis]:
    if "quotas" in cluster.unreadable:
        return [unknown(QUOTA, cluster.unreadable["quotas"], "let doctor list resourcequotas")]
    found = []
    for quota in cluster.all("quotas"):
        namespace = str(quota["metadata"]["namespace"])
        hard = (quota.get("spec") or {}).get("hard") or {}
        for key, amount in hard.items():
            resource = key.removeprefix("requests.")
            if "/" not in resource or not str(amount).isdigit():
                continue
            wanted = _wanted(namespace, resource, settings, specs)
            if wanted > int(amount):
                found.append(
                    warning(
                        QUOTA,
                        f"{namespace}: {key} is {amount}, up to {wanted} may be asked for",
                        "raise the quota, or lower max-replicas or max_headroom",
                    )
                )
    return found or [ok(QUOTA, "none is lower than what may be asked for")]


def _wanted(
    namespace: str, resource: str, settings: Settings, specs: Sequence[WorkloadSpec]
) -> int:
    replicas = sum(
        settings.engine.most_replicas(spec.max_replicas) * spec.node_needs.count
        for spec in specs
        if spec.id.namespace == namespace
        and spec.node_needs is not None
        and spec.node_needs.resource == resource
    )
    headroom = 0
    if namespace == settings.headroom.namespace:
        pools = settings.engine.nodes.pools.values()
        headroom = sum(pool.max_headroom for pool in pools if pool.resource == resource)
    return replicas + headroom


def _endings(annotated: Sequence[Object]) -> list[Diagnosis]:
    found, without = [], []
    for item in annotated:
        name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        spec = item["spec"]["template"]["spec"]
        if not any("/" in resource for resource in requests(spec)):
            text = f"{name}: its pods ask for no GPU"
            remedy = "name nvidia.com/gpu, or a slice, under resources.limits"
            found.append(warning("GPU request", text, remedy))
        if int(spec.get("terminationGracePeriodSeconds", 30)) == 0:
            text = f"{name}: its pods are killed at once"
            remedy = "set terminationGracePeriodSeconds to the longest request"
            found.append(error(ENDING, text, remedy))
        elif not any((c.get("lifecycle") or {}).get("preStop") for c in spec["containers"]):
            without.append(name)
    if without:
        remedy = "sleep a few seconds in preStop: clients learn that a pod goes after it does"
        found.append(warning(ENDING, f"{', '.join(without)}: no preStop", remedy))
    return found or [ok(ENDING, f"{len(annotated)} Deployments")]


def _survival(settings: Settings, specs: Sequence[WorkloadSpec]) -> list[Diagnosis]:
    """Whether what is to survive a loss is spread, and its zones are known."""
    found, engine = [], settings.engine
    surviving = asked(specs)
    for spec in specs:
        survive = surviving[spec.id]
        name, why = f"{spec.id.namespace}/{spec.id.name}", unspread(spec, survive)
        if why is not None:
            remedy = "add the topology spread constraint, or take the annotation away"
            found.append(warning(SURVIVAL, f"{name}: {why}", remedy))
        elif survive is Survive.ZONE and not (engine.nodes.pools or engine.slices.pools):
            text = f"{name}: survive: zone, and no pool is configured whose nodes' zones could be looked at"
            remedy = (
                "name the pool in engine.nodes.pools or engine.slices.pools, or use survive: node"
            )
            found.append(warning(SURVIVAL, text, remedy))
    return found


def _groups(settings: Settings, specs: Sequence[WorkloadSpec]) -> list[Diagnosis]:
    """A group of one shares with nobody: often its name is spelt otherwise in another Deployment."""
    groups: dict[str, list[str]] = {}
    for spec in specs:
        if spec.variant_group is not None:
            group = f"{spec.id.namespace}/{spec.variant_group}"
            groups.setdefault(group, []).append(str(spec.id))
    if groups and settings.engine.slices.mode is SlicesMode.OFF:
        text = f"{', '.join(sorted(groups))}: named, and engine.slices.mode is off"
        return [warning(GROUPS, text, "set it to recommend or auto, or take the annotation away")]
    return [
        warning(GROUPS, f"{group}: {members[0]} is alone in it", "give another one the same name")
        for group, members in sorted(groups.items())
        if len(members) == 1
    ]
