"""Reads the cluster-autoscaler's status ConfigMap: YAML since 1.30, text before. Everything in it is optional.

An empty group of the YAML form carries only its target and its bounds; an unhealthy cluster says `Unhealthy` where a
group's scale-up would stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml

from autoscaler.errors import SourceInvalid

NAMESPACE, NAME = "kube-system", "cluster-autoscaler-status"
UPDATED = "cluster-autoscaler.kubernetes.io/last-updated"
STALE_AFTER_S = 180.0
"""It is written every scan, 10 s apart by default."""
_TIME = re.compile(r"^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)?\s*([+-]\d{4}|Z)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStatus:
    """One node group. None: not told."""

    name: str
    ready: int | None = None
    registered: int | None = None
    """Nodes that Kubernetes knows, ready or not."""
    target: int | None = None
    """Nodes that the cloud was asked for."""
    most: int | None = None
    """Its limit: the autoscaler asks for no more nodes than these."""
    backoff: str | None = None
    """Why it is left alone, in the autoscaler's words; None: it is not."""
    changed_s: float | None = None
    """When its scale-up status last changed."""

    @property
    def coming(self) -> int:
        """Nodes that were asked for and that Kubernetes does not know yet: the others tell of themselves."""
        known = self.ready if self.registered is None else self.registered
        return max(0, (self.target or 0) - (known or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalerStatus:
    """All groups, and when it was written."""

    at_s: float | None
    groups: tuple[GroupStatus, ...]

    def stale(self, now_s: float) -> str | None:
        """Why it is not to be trusted; None: it is fresh."""
        if self.at_s is None:
            return "the cluster-autoscaler's status carries no time"
        age_s = now_s - self.at_s
        if age_s > STALE_AFTER_S:
            return f"the cluster-autoscaler's status is {age_s:.0f} s old"
        return None

    def group(self, name: str) -> GroupStatus | None:
        """By its name, else the end of it; None: there is none or more than one."""
        found = [group for group in self.groups if group.name == name]
        found = found or [group for group in self.groups if group.name.endswith(name)]
        return found[0] if len(found) == 1 else None


def read(config_map: Mapping[str, Any]) -> AutoscalerStatus:
    """
    Raises:
        SourceInvalid: neither form.
    """
    text = str((config_map.get("data") or {}).get("status", ""))
    updated = ((config_map.get("metadata") or {}).get("annotations") or {}).get(UPDATED)
    try:
        if text.lstrip().startswith("Cluster-autoscaler status at"):
            return _from_text(text, time_s(updated))
        document = yaml.safe_load(text)
        if isinstance(document, dict):
            return _from_yaml(document, time_s(updated))
    except (yaml.YAMLError, ValueError, TypeError, IndexError) as error:
        raise SourceInvalid(f"{NAMESPACE}/{NAME}: can't be read ({error})") from error
    raise SourceInvalid(f"{NAMESPACE}/{NAME}: neither YAML nor the older text")


def time_s(value: object) -> float | None:
    """`2026-08-01 10:00:00.123 +0000 UTC` or RFC 3339; None: absent or unreadable."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    match = _TIME.match(str(value or ""))
    if match is None:
        return None
    zone = "+0000" if match[3] in (None, "Z") else match[3]
    return datetime.strptime(f"{match[1]} {match[2]} {zone}", "%Y-%m-%d %H:%M:%S %z").timestamp()


# ---------------------------------------------------------------- YAML, 1.30 and newer


def _from_yaml(document: Mapping[str, Any], at_s: float | None) -> AutoscalerStatus:
    groups = document.get("nodeGroups") or ()
    return AutoscalerStatus(
        at_s=time_s(document.get("time")) or at_s,
        groups=tuple(_group(item) for item in groups if isinstance(item, dict)),
    )


def _group(item: Mapping[str, Any]) -> GroupStatus:
    health, scale_up = _mapping(item.get("health")), _mapping(item.get("scaleUp"))
    counts = _mapping(_mapping(health.get("nodeCounts")).get("registered"))
    backoff = None
    if scale_up.get("status") == "Backoff":
        info = _mapping(scale_up.get("backoffInfo"))
        told = [str(info[key]) for key in ("errorCode", "errorMessage") if info.get(key)]
        backoff = ": ".join(told) or "Backoff"
    return GroupStatus(
        name=str(item.get("name", "")),
        # An empty group has no counts and a target: what is not there is not ready.
        ready=_int(counts.get("ready")),
        registered=_int(counts.get("total")),
        target=_int(health.get("cloudProviderTarget")),
        most=_int(health.get("maxSize")),
        backoff=backoff,
        changed_s=time_s(scale_up.get("lastTransitionTime")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None


# ---------------------------------------------------------------- text, up to 1.29


def _from_text(text: str, at_s: float | None) -> AutoscalerStatus:
    first, _, rest = text.lstrip().partition("\n")
    _, _, groups = rest.partition("NodeGroups:")
    return AutoscalerStatus(
        at_s=time_s(first.removeprefix("Cluster-autoscaler status at ")) or at_s,
        groups=tuple(_text_group(block) for block in re.split(r"\n\s*Name:", groups)[1:]),
    )


def _text_group(block: str) -> GroupStatus:
    health = re.search(r"Health:\s+\w+\s*\((.*)\)", block)
    scale_up = re.search(r"ScaleUp:\s+(\w+)\s*\((.*?)\)(.*?)(?:ScaleDown:|$)", block, re.DOTALL)
    numbers = dict(re.findall(r"(\w+)=(\d+)", health[1])) if health else {}
    changed = re.search(r"LastTransitionTime:\s+(.+)", scale_up[3]) if scale_up else None
    return GroupStatus(
        name=block.strip().splitlines()[0].strip(),
        ready=int(numbers["ready"]) if "ready" in numbers else None,
        registered=int(numbers["registered"]) if "registered" in numbers else None,
        target=int(numbers["cloudProviderTarget"]) if "cloudProviderTarget" in numbers else None,
        most=int(numbers["maxSize"]) if "maxSize" in numbers else None,
        backoff="Backoff" if scale_up and scale_up[1] == "Backoff" else None,
        changed_s=time_s(changed[1]) if changed else None,
    )
