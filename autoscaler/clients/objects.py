"""Readings of raw Kubernetes objects that collectors and actuators share. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from autoscaler.core.mig.choice import WHOLE_GPU, WHOLE_GPU_RESOURCE
from autoscaler.core.slices.observed import CHANGE_ANNOTATION, Holder, Mark, profile_of

Object = Mapping[str, Any]


def requests(spec: Object) -> dict[str, int]:
    """Whole-numbered resources that a pod holds, as the scheduler counts them; a limit without a request is one.

    Init containers run one after the other and before the rest, but for those that go on running beside it.
    """
    held = Counter[str]()
    for container in spec.get("containers") or ():
        held += _asked(container)
    beside, most = Counter[str](), Counter[str]()
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            beside += _asked(container)
            most |= beside
        else:
            most |= beside + _asked(container)
    return dict((held + beside) | most)


def _asked(container: Object) -> Counter[str]:
    resources = container.get("resources") or {}
    both = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return Counter({str(k): int(v) for k, v in both.items() if str(v).isdigit()})


def mark_of(raw: Object) -> Mark | None:
    """What forescale wrote on a node that it is about to cut anew; one that can't be read is one nevertheless."""
    text = (raw["metadata"].get("annotations") or {}).get(CHANGE_ANNOTATION)
    if text is None:
        return None
    try:
        told = json.loads(text)
        return Mark(before=str(told["before"]), after=str(told["after"]))
    except (ValueError, KeyError, TypeError):
        return Mark(before="", after="")


def holder(raw: Object) -> Holder | None:
    """A pod that holds a GPU or a slice; None: it holds none, or has ended."""
    if (raw.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return None
    metadata = raw["metadata"]
    for resource, count in sorted(requests(raw.get("spec") or {}).items()):
        shape = WHOLE_GPU if resource == WHOLE_GPU_RESOURCE else profile_of(resource)
        if count and shape is not None:
            return Holder(pod=f"{metadata['namespace']}/{metadata['name']}", shape=shape)
    return None
