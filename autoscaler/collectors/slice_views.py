"""From raw JSON to what slices need of nodes, pods that hold GPUs, Services and a GPU exporter's series. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from autoscaler.clients.objects import holders, mark_of
from autoscaler.clients.prometheus import Series
from autoscaler.collectors.node_needs import taints
from autoscaler.collectors.node_views import extended, goes
from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.nodes.placement import Taint
from autoscaler.core.slices.observed import (
    CONFIG_LABEL,
    STATE_LABEL,
    Holder,
    Mark,
    MigState,
    profile_of,
)

Object = Mapping[str, Any]
DEVICES = "DCGM_FI_DEV_FB_USED"
"""A series for each device that a node has, per slice where MIG is on; it has the pod's labels while one holds it."""
EXPORTER = "dcgm-exporter"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceNodeView:
    """A node with GPUs."""

    name: str
    labels: Mapping[str, str]
    config: str
    state: MigState
    slices: Geometry
    ready: bool
    cordoned: bool
    leaving: bool
    taints: tuple[Taint, ...]
    mark: Mark | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """A Service that selects pods."""

    namespace: str
    name: str
    selector: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedHolder:
    """A pod that holds GPUs or slices, and the node that it is bound to."""

    node: str
    holders: tuple[Holder, ...]

    @property
    def shows(self) -> bool:
        """Whether an exporter is to show it."""
        return any(item.sure for item in self.holders)


def node(raw: Object) -> SliceNodeView:
    """Of any node; whose pool it is in is told by its labels."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    labels = metadata.get("labels") or {}
    told = str(labels.get(STATE_LABEL, ""))
    counts = {
        profile: count
        for resource, count in extended(status.get("allocatable")).items()
        if count and (profile := profile_of(resource)) is not None
    }
    return SliceNodeView(
        name=metadata["name"],
        labels=labels,
        config=str(labels.get(CONFIG_LABEL, "")),
        # A word that is not known is no success.
        state=MigState(told) if told in set(MigState) else MigState.PENDING,
        slices=Geometry.of(counts),
        ready=any(
            condition.get("type") == "Ready" and condition.get("status") == "True"
            for condition in status.get("conditions") or ()
        ),
        cordoned=bool(spec.get("unschedulable")),
        leaving=goes(raw),
        taints=taints(spec),
        mark=mark_of(raw),
    )


def placed(raw: Object) -> PlacedHolder | None:
    """None: it holds nothing of a node."""
    where, held = (raw.get("spec") or {}).get("nodeName"), holders(raw)
    return PlacedHolder(node=str(where), holders=held) if where and held else None


def service(raw: Object) -> ServiceView | None:
    """None: it selects nothing by itself."""
    selector = (raw.get("spec") or {}).get("selector")
    if not selector:
        return None
    metadata = raw["metadata"]
    return ServiceView(namespace=metadata["namespace"], name=metadata["name"], selector=selector)


def devices_query(nodes: Iterable[str]) -> str:
    """PromQL for the devices of these nodes; both spellings of the label are about."""
    names = "|".join(sorted(nodes)).replace(".", r"\\.")
    return f'{DEVICES}{{Hostname=~"{names}"}} or {DEVICES}{{hostname=~"{names}"}}'


def held_devices(series: Iterable[Series]) -> dict[str, int]:
    """By node, how many of its devices a pod holds. A node without a series is not named: it tells nothing."""
    found: dict[str, int] = {}
    for one in series:
        labels = one.labels
        name = labels.get("Hostname") or labels.get("hostname")
        if name:
            found[name] = found.get(name, 0) + _is_held(labels)
    return found


def _is_held(labels: Mapping[str, str]) -> bool:
    """With `honorLabels: false` the holder is `exported_pod`, and `pod` is the exporter; else `pod` is the holder."""
    if labels.get("exported_pod"):
        return True
    pod = labels.get("pod", "")
    return bool(pod) and EXPORTER not in pod
