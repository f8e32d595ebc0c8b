"""Whether the API server would let forescale do what it has to: it is asked, nothing is tried."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from autoscaler.clients.kubernetes import KubernetesClient, is_served
from autoscaler.collectors import cluster_autoscaler, inference_service, llm_inference_service
from autoscaler.collectors.kserve import GROUP
from autoscaler.config import Settings
from autoscaler.controller.doctor.diagnosis import Diagnosis, error, ok, unknown
from autoscaler.core.slices.settings import SlicesMode, TemplatesMode
from autoscaler.core.types import WorkloadSpec
from autoscaler.core.writes import ReplicaWrite
from autoscaler.errors import ActuationError, SourceError

SERVICES = {
    inference_service.PLURAL: (inference_service.API_VERSION,),
    llm_inference_service.PLURAL: llm_inference_service.API_VERSIONS,
}
"""KServe's kinds, and the versions in which each may be served."""
REVISIONS = {"group": "serving.knative.dev", "resource": "revisions"}
BOTH = ("list", "watch")
ROLE_IN = "Role in "
"""With a namespace behind it: what grants all that is needed there, where single ones are watched."""
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


def needed(
    settings: Settings, own_namespace: str, *, kserve: Collection[str] = tuple(SERVICES)
) -> dict[str, tuple[Right, ...]]:
    """By what grants them. `kserve`: those of its kinds that are installed; for others nothing need be granted."""
    watched = settings.kubernetes.watch_namespaces
    found = _in_single(settings, kserve=kserve) if watched else _in_all(settings, kserve=kserve)
    found["base, own namespace"] = tuple(_own(settings, own_namespace))
    if settings.engine.nodes.pools:
        found["component nodes"] = tuple(_nodes(settings))
    steered = any(policy.steer_victims for policy in settings.namespaces.values())
    if steered and not watched:
        found["component victims"] = (Right(verb="patch", resource="pods"),)
    if settings.kserve.patch_revisions and not watched:
        found["component knative"] = (Right(verb="patch", **REVISIONS),)
    mode = settings.engine.slices.mode
    if mode is not SlicesMode.OFF:
        verbs = ("get", "list", "watch", *(("patch",) if mode is SlicesMode.AUTO else ()))
        found["component slices"] = (
            *(Right(verb=verb, resource="nodes") for verb in verbs),
            *(Right(verb=verb, resource="services") for verb in BOTH),
        )
    return found


def _in_all(settings: Settings, *, kserve: Collection[str]) -> dict[str, tuple[Right, ...]]:
    """Of whoever watches the whole cluster."""
    namespaces = settings.scaled_namespaces
    if namespaces is None:
        return {"base": (*_read("", kserve=kserve), *_scale(""))}
    scales = tuple(right for name in namespaces for right in _scale(name))
    base = {"base": tuple(_read("", kserve=kserve))}
    return {**base, "base, where the policy lets it scale": scales} if scales else base


def _in_single(settings: Settings, *, kserve: Collection[str]) -> dict[str, tuple[Right, ...]]:
    """Of whoever watches single namespaces: one Role in each."""
    scaled = settings.scaled_namespaces or ()
    revised = ("patch",) if settings.kserve.patch_revisions else ()
    found = {}
    for name in settings.kubernetes.watch_namespaces:
        steers = settings.namespace(name).steer_victims
        found[f"{ROLE_IN}{name}"] = (
            *_read(name, kserve=kserve),
            *(_scale(name) if name in scaled else ()),
            *((Right(verb="patch", resource="pods", namespace=name),) if steers else ()),
            *(Right(verb=verb, namespace=name, **REVISIONS) for verb in revised),
        )
    return found


def _own(settings: Settings, namespace: str) -> list[Right]:
    leases = {"group": "coordination.k8s.io", "resource": "leases", "namespace": namespace}
    return [
        Right(verb="create", **leases),
        *(
            Right(verb=verb, name=settings.leader.lease_name, **leases)
            for verb in ("get", "update")
        ),
        *(
            Right(verb=verb, resource="configmaps", namespace=namespace)
            for verb in ("get", "create", "update")
        ),
    ]


def _read(namespace: str, *, kserve: Collection[str]) -> list[Right]:
    """What a namespace is looked at by, and where its Events come from; empty: all of them."""
    watched = [
        *(("apps", resource) for resource in ("deployments", "statefulsets", "replicasets")),
        ("", "pods"),
        ("autoscaling", "horizontalpodautoscalers"),
        *((GROUP, plural) for plural in kserve),
    ]
    return [
        *(
            Right(verb=verb, group=group, resource=resource, namespace=namespace)
            for group, resource in watched
            for verb in BOTH
        ),
        Right(verb="create", resource="events", namespace=namespace),
    ]


def _scale(namespace: str) -> list[Right]:
    return [
        Right(
            verb="patch", group="apps", resource=resource, subresource="scale", namespace=namespace
        )
        for resource in ("deployments", "statefulsets")
    ]


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


def of_services(settings: Settings, writes: Sequence[ReplicaWrite]) -> dict[str, tuple[Right, ...]]:
    """To write KServe's services themselves, as class `none` and `spec.replicas` want it."""
    written = sorted({found for write in writes if (found := _service(write)) is not None})
    rights = [
        Right(verb="patch", group=GROUP, resource=plural, namespace=namespace)
        for namespace, plural in written
    ]
    if settings.kubernetes.watch_namespaces:
        return {
            f"{ROLE_IN}{right.namespace}, to write {right.resource}": (right,) for right in rights
        }
    return {"component kserve": tuple(rights)} if rights else {}


def _service(write: ReplicaWrite) -> tuple[str, str] | None:
    """Its namespace and the plural of its kind; None: something else is written."""
    parts = write.path.split("/")
    namespace, plural = parts[parts.index("namespaces") + 1 :][:2]
    return (namespace, plural) if plural in SERVICES else None


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


async def kserve_served(client: KubernetesClient) -> tuple[str, ...]:
    """Those of KServe's kinds that the API server knows, which anybody may ask; all of those of which it can't be
    told."""
    return tuple([name for name in SERVICES if await _is_served(client, name)])


async def _is_served(client: KubernetesClient, plural: str) -> bool:
    for version in SERVICES[plural]:
        if await is_served(client, f"/apis/{version}/{plural}"):
            return True
    return False


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
