"""KServe's LLMInferenceServices: who scales them, and where a number of replicas is to be written. Pure.

KServe copies no annotation of forescale's to what it makes: those at the service are the only ones.

| spec | written is |
|---|---|
| neither `replicas` nor `scaling` | the Deployment's scale: KServe leaves it as it finds it, from 0.17 on |
| `replicas` | that field, to which KServe sets the Deployment |
| `scaling` | nothing: KServe has an HPA or KEDA scale it |

Before 0.17 KServe sets a Deployment for which the service names no number back to one replica whenever it looks. It
served v1alpha1 alone then, by which it is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from autoscaler.collectors.detect import Detected
from autoscaler.collectors.kserve import (
    COMPONENT_LABEL,
    GROUP,
    LLM_INFERENCE_SERVICE,
    MODEL_COMPONENT,
    Object,
    Resolved,
    ServiceView,
    common,
    refused,
    scale_of,
    several_nodes,
    stopped,
)
from autoscaler.core.writes import ReplicaWrite

KIND, PLURAL = LLM_INFERENCE_SERVICE, "llminferenceservices"
API_VERSIONS = (f"{GROUP}/v1alpha2", f"{GROUP}/v1alpha1")
"""The newest first."""
PRESET = Detected(engine="vllm", by="KServe's own template")
"""What a service runs that brings no template of its own."""
ROLE_LABEL = "llm-d.ai/role"
"""On its pods: `both`, or `decode` where prefill is apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmServiceView(ServiceView):
    """An LLMInferenceService."""

    kind: ClassVar[str] = KIND
    replicas: int | None
    """spec.replicas; None: it names none."""
    scaling: str | None
    """What KServe is to scale it by, such as `keda`; None: by nothing."""
    prefill: bool
    based: bool
    """It takes over what other objects say, which is not seen here."""

    @property
    def keeps_scale(self) -> bool:
        """KServe leaves the Deployment's number as it is where the service names none."""
        return self.api_version != API_VERSIONS[-1]


def service(raw: Object, _: LlmServiceView | None = None) -> LlmServiceView | None:
    """None: it carries no annotation of forescale."""
    spec = raw.get("spec") or {}
    found = common(
        raw,
        KIND,
        API_VERSIONS[0],
        replicas_at=("spec", "replicas"),
        at_pods=spec.get("annotations") or {},
    )
    if found is None:
        return None
    replicas, scaling = spec.get("replicas"), spec.get("scaling")
    highest = (scaling or {}).get("maxReplicas")
    return LlmServiceView(
        **found,
        replicas=None if replicas is None else int(replicas),
        scaling=None if scaling is None else _by(scaling),
        max_replicas=int(highest) if highest else None,
        multi_node=spec.get("worker") is not None,
        prefill=spec.get("prefill") is not None,
        based=bool(spec.get("baseRefs")),
    )


def _by(scaling: Object) -> str:
    """KEDA by itself, or either behind llm-d's autoscaler, which KServe no longer serves."""
    behind = scaling.get("wva") or {}
    found = [name for name in ("keda", "hpa") if name in scaling or name in behind]
    return ", ".join((*(["wva"] if "wva" in scaling else []), *found)) or "nothing"


def resolve(
    view: LlmServiceView,
    *,
    deployment: str | None,
    role: str | None = None,
    holder: str | None = None,
) -> Resolved:
    """What may be written for a service whose model runs as `deployment`, with pods of that `role`, if no `holder` of
    somebody's own scales it."""
    where = str(view.id)
    if view.multi_node:
        return several_nodes(view, "spec.worker")
    if view.prefill or role == "decode":
        return refused(
            f"{where} spec.prefill",
            "is set" if view.prefill else "is set by one of spec.baseRefs",
            "services are scaled whose pods both read prompts and decode: two Deployments need numbers of their own, "
            "which one set of annotations does not give; remove forescale's, or spec.prefill",
        )
    if view.stopped:
        return stopped(view)
    if deployment is None:
        return refused(
            f"{where} Deployment of the model",
            "is not there",
            f"one that KServe made for it, with {COMPONENT_LABEL}={MODEL_COMPONENT}, decides where the pods are",
        )
    if view.scaling is not None:
        return Resolved(
            held_by=f"KServe's own autoscaler (spec.scaling: {view.scaling})",
            hand_over="take spec.scaling out",
        )
    if holder is not None:
        bases = ", or spec.scaling out of the base that brings it" if view.based else ""
        return Resolved(held_by=holder, hand_over=f"delete it{bases}")
    if view.replicas is not None:
        return Resolved(write=_of_the_service(view, view.replicas))
    if not view.keeps_scale:
        return refused(
            f"{where} spec.replicas",
            "is not set",
            "a number is needed, which forescale writes then: a KServe before 0.17, which serves v1alpha1 alone, "
            "sets the Deployment back to 1 without one",
        )
    return Resolved(write=scale_of(view, deployment))


def _of_the_service(view: LlmServiceView, replicas: int) -> ReplicaWrite:
    """KServe writes the status of a service again and again, so it is the number itself that must still be there."""
    return ReplicaWrite(
        path=f"/apis/{view.api_version}/namespaces/{view.namespace}/{PLURAL}/{view.name}",
        patch=(
            {"op": "test", "path": "/spec/replicas", "value": replicas},
            {"op": "add", "path": "/spec/replicas", "value": None},
        ),
    )
