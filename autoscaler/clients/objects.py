"""Readings of raw Kubernetes objects that collectors and actuators share. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from autoscaler.core.mig.choice import WHOLE_GPU, WHOLE_GPU_RESOURCE
from autoscaler.core.mig.geometry import RESOURCE_PREFIX
from autoscaler.core.nodes.observed import BUFFER_API, Backend
from autoscaler.core.slices.observed import CHANGE_ANNOTATION, SHARED, Holder, Mark, profile_of

Object = Mapping[str, Any]
_THOUSANDS = ("", "k", "M", "G", "T", "P", "E")
_WHOLE = re.compile(f"([0-9]+)({'|'.join(_THOUSANDS)})")
CLAIM = "resource claim"
"""Whatever a pod holds by dynamic resource allocation: which devices these are is not read."""


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
    counts = ((str(k), whole(v)) for k, v in both.items())
    return Counter({name: count for name, count in counts if count is not None})


def whole(quantity: object) -> int | None:
    """A quantity as the API server writes whole numbers: 1000 of a thing are `1k`. None: it is a fraction, or bytes."""
    match = _WHOLE.fullmatch(str(quantity))
    return None if match is None else int(match[1]) * 1000 ** _THOUSANDS.index(match[2])


def scopes(path: str, namespaces: Collection[str]) -> dict[str, str]:
    """Where objects of a namespaced resource are read, by namespace: `path` for all at once under the empty name, or
    one path for each of `namespaces`."""
    if not namespaces:
        return {"": path}
    folder, _, plural = path.rpartition("/")
    return {name: f"{folder}/namespaces/{name}/{plural}" for name in namespaces}


def headroom_path(backend: Backend, namespace: str) -> str:
    """Of all objects in `namespace` that ask for headroom through `backend`."""
    match backend:
        case Backend.PLACEHOLDER:
            return f"/apis/apps/v1/namespaces/{namespace}/deployments"
        case Backend.CAPACITY_BUFFER:
            return f"/apis/{BUFFER_API}/namespaces/{namespace}/capacitybuffers"


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


def holders(raw: Object) -> tuple[Holder, ...]:
    """What a pod holds of GPUs, one for each kind; empty: nothing, or it has ended.

    `nvidia.com/gpu.shared` is a part of one. Of another resource of NVIDIA's it is not known what it is: its network
    cards are called `nvidia.com/hostdev`.
    """
    if (raw.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return ()
    metadata, spec = raw["metadata"], raw.get("spec") or {}
    pod = f"{metadata['namespace']}/{metadata['name']}"
    found = [
        Holder(pod=pod, shape=_shape(resource), count=count, sure=_is_gpu(resource))
        for resource, count in sorted(requests(spec).items())
        if count and (_is_gpu(resource) or resource.startswith("nvidia.com/"))
    ]
    if spec.get("resourceClaims"):
        found.append(Holder(pod=pod, shape=CLAIM, sure=False))
    return tuple(found)


def _is_gpu(resource: str) -> bool:
    domain, _, name = resource.rpartition("/")
    return resource.startswith(RESOURCE_PREFIX) or (domain != "" and "gpu" in name)


def _shape(resource: str) -> str:
    if resource == WHOLE_GPU_RESOURCE:
        return WHOLE_GPU
    profile = None if resource.endswith(SHARED) else profile_of(resource)
    return profile or resource
