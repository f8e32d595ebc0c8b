"""Whether the API server would let forescale do what it has to: it is asked, nothing is tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.collectors import cluster_autoscaler
from autoscaler.config import Settings
from autoscaler.controller.doctor.diagnosis import Diagnosis, error, ok, unknown
from autoscaler.core.slices.settings import SlicesMode, TemplatesMode
from autoscaler.core.types import WorkloadSpec
from autoscaler.core.writes import ReplicaWrite
from autoscaler.errors import ActuationError, SourceError

GROUP = "serving.kserve.io"
REVIEWS = "/apis/authorization.k8s.io/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One verb on one resource; `namespace` empty: in all of them."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        what = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {what}{f'.{self.group}' if self.group else ''}{where}"


def needed(settings: Settings, own_namespace: str) -> dict[str, tuple[Right, ...]]:
    """By what grants them."""
    both = ("list", "watch")
    base = [
        *(
            Right(verb=verb, group="apps", resource=resource)
            for resource in ("deployments", "statefulsets", "replicasets")
            for verb in both
        ),
        *(Right(verb=verb, resource="pods") for verb in both),
        *(Right(verb=v, group="autoscaling", resource="horizontalpodautoscalers") for v in both),
        *(Right(verb=v, group=GROUP, resource="inferenceservices") for v in both),
        Right(verb="create", resource="events"),
    ]
    namespaces = settings.scaled_namespaces
    scales = [
        Right(verb="patch", group="apps", resource=resource, subresource="scale", namespace=name)
        for name in ([""] if namespaces is None else namespaces)
        for resource in ("deployments", "statefulsets")
    ]
    own = [
        Right(
            verb="create",
            group="coordination.k8s.io",
            resource="leases",
            namespace=own_namespace,
        ),
        *(
            Right(
                verb=verb,
                group="coordination.k8s.io",
                resource="leases",
                namespace=own_namespace,
                name=settings.leader.lease_name,
            )
            for verb in ("get", "update")
        ),
        *(
            Right(verb=verb, resource="configmaps", namespace=own_namespace)
            for verb in ("get", "create", "update")
        ),
    ]
    found = {"base": tuple(base), "base, own namespace": tuple(own)}
    if namespaces is None:
        found["base"] += tuple(scales)
    elif scales:
        found["base, where the policy lets it scale"] = tuple(scales)
    if settings.engine.nodes.pools:
        found["component nodes"] = tuple(_nodes(settings))
    if any(policy.steer_victims for policy in settings.namespaces.values()):
        found["component victims"] = (Right(verb="patch", resource="pods"),)
    if settings.kserve.patch_revisions:
        revisions = Right(verb="patch", group="serving.knative.dev", resource="revisions")
        found["component knative"] = (revisions,)
    mode = settings.engine.slices.mode
    if mode is not SlicesMode.OFF:
        verbs = ("get", "list", "watch", *(("patch",) if mode is SlicesMode.AUTO else ()))
        found["component slices"] = (
            *(Right(verb=verb, resource="nodes") for verb in verbs),
            *(Right(verb=verb, resource="services") for verb in both),
        )
    return found


def of_templates(settings: Settings, specs: Sequence[WorkloadSpec]) -> dict[str, tuple[Right, ...]]:
    """To change templates, in the namespaces of workloads that ask for it."""
    namespaces = sorted({spec.id.namespace for spec in specs if spec.slice_shapes})
    if settings.engine.slices.templates is not TemplatesMode.AUTO or not namespaces:
        return {}
    return {
        "component templates": tuple(
            Right(verb=verb, group="apps", resource="deployments", namespace=namespace)
            for namespace in namespaces
            for verb in ("get", "patch")
        )
    }


def of_services(writes: Sequence[ReplicaWrite]) -> dict[str, tuple[Right, ...]]:
    """To write InferenceServices themselves, as those of class `none` want it."""
    services = [write.path.split("/") for write in writes if "/inferenceservices/" in write.path]
    namespaces = sorted({parts[parts.index("namespaces") + 1] for parts in services})
    if not namespaces:
        return {}
    return {
        "component kserve": tuple(
            Right(verb="patch", group=GROUP, resource="inferenceservices", namespace=namespace)
            for namespace in namespaces
        )
    }


def _nodes(settings: Settings) -> list[Right]:
    own = settings.headroom.namespace
    return [
        *(Right(verb=verb, resource="nodes") for verb in ("list", "watch")),
        *(Right(verb=verb, resource="events") for verb in ("list", "watch")),
        *(
            Right(verb=verb, group="karpenter.sh", resource=resource)
            for resource in ("nodeclaims", "nodepools")
            for verb in ("list", "watch")
        ),
        *(
            Right(verb=verb, group=group, resource=resource, namespace=own)
            for group, resource in (
                ("apps", "deployments"),
                ("autoscaling.x-k8s.io", "capacitybuffers"),
            )
            for verb in ("list", "watch", "create", "patch")
        ),
        *(Right(verb=v, resource="podtemplates", namespace=own) for v in ("create", "patch")),
        Right(
            verb="get",
            resource="configmaps",
            namespace=cluster_autoscaler.NAMESPACE,
            name=cluster_autoscaler.NAME,
        ),
    ]


async def check(
    client: KubernetesClient, rights: dict[str, tuple[Right, ...]], account: str | None
) -> list[Diagnosis]:
    """One finding for each role. `account` is `namespace/name` of a service account; None: whoever asks."""
    found = []
    for role, wanted in rights.items():
        try:
            lacking = [right for right in wanted if not await _allowed(client, right, account)]
        except (ActuationError, SourceError) as failed:
            remedy = "give yourself create on (self)subjectaccessreviews.authorization.k8s.io"
            found.append(unknown(f"rights: {role}", str(failed), remedy))
            continue
        who = account or "you"
        if lacking:
            text = ", ".join(str(right) for right in lacking)
            # Of the base there are parts, as `base, own namespace`.
            remedy = f"install the {role.partition(',')[0]} of deploy/, and bind it to {who}"
            found.append(error(f"rights: {role}", f"{who} may not {text}", remedy))
        else:
            found.append(ok(f"rights: {role}", f"{who}: all {len(wanted)} of them"))
    return found


async def _allowed(client: KubernetesClient, right: Right, account: str | None) -> bool:
    kind = "SelfSubjectAccessReview" if account is None else "SubjectAccessReview"
    spec: dict[str, object] = {
        "resourceAttributes": {
            "verb": right.verb,
            "group": right.group,
            "resource": right.resource,
            "subresource": right.subresource,
            "namespace": right.namespace,
            "name": right.name,
        }
    }
    if account is not None:
        namespace, _, name = account.partition("/")
        spec["user"] = f"system:serviceaccount:{namespace}:{name}"
        spec["groups"] = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    answer = await client.write(
        "POST",
        f"{REVIEWS}/{kind.lower()}s",
        {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec},
    )
    return bool((answer.get("status") or {}).get("allowed"))
