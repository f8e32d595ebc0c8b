"""What a cluster's objects say of one annotated workload: its spec, or what is wrong with its annotations. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autoscaler.collectors import inference_service, llm_inference_service
from autoscaler.collectors.inference_service import InferenceServiceView
from autoscaler.collectors.kserve import Resolved
from autoscaler.collectors.llm_inference_service import ROLE_LABEL, LlmServiceView
from autoscaler.collectors.projection import TargetView
from autoscaler.core.annotations import PREFIX, Defaults, Shape, parse_workload
from autoscaler.core.mig.choice import WHOLE_GPU_RESOURCE
from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.nodes.placement import Toleration
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.template import TemplateStatus
from autoscaler.core.types import PodStatus, ReplicaStatus, WorkloadId, WorkloadSpec
from autoscaler.core.writes import ReplicaWrite
from autoscaler.errors import Problem
from autoscaler.schedule import with_readable_schedule

EitherService = InferenceServiceView | LlmServiceView


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One annotated object: its spec, or what is wrong with its annotations."""

    id: WorkloadId
    api_version: str
    uid: str
    spec: WorkloadSpec | None
    problems: tuple[Problem, ...] = ()
    replicas: ReplicaStatus
    pods: tuple[PodStatus, ...]
    pods_known: bool
    template: TemplateStatus | None = None
    """Of a Deployment whose template may ask for several slices."""
    reason: Reason = Reason.INVALID_ANNOTATION
    """What is wrong, if `problems` says that something is."""


def tolerating(
    needs: NodeNeeds | None, admitted: tuple[Toleration, ...] | None
) -> NodeNeeds | None:
    """Without a pod that shows it, admission is taken to let pods onto nodes that are tainted for what they ask for."""
    if needs is None:
        return None
    if admitted is None:
        keys = {WHOLE_GPU_RESOURCE, needs.resource}
        admitted = tuple(Toleration(key=key, operator="Exists") for key in keys)
    both = tuple(sorted({*needs.placement.tolerations, *admitted}))
    return replace(needs, placement=replace(needs.placement, tolerations=both))


def id_of(view: TargetView) -> WorkloadId:
    """The object itself."""
    return WorkloadId(namespace=view.namespace, name=view.name, kind=view.kind)


def managed_by(view: TargetView) -> WorkloadId:
    """The object that people know: what KServe made belongs to its service."""
    return id_of(view) if view.made is None else view.made.service


def _judged(
    parsed: WorkloadSpec | tuple[Problem, ...], *unsupported: Problem | None
) -> tuple[WorkloadSpec | None, tuple[Problem, ...], Reason]:
    """The spec if nothing is wrong, and what is: annotations before what the object itself can't do."""
    parsed = with_readable_schedule(parsed)
    if not isinstance(parsed, WorkloadSpec):
        return None, parsed, Reason.INVALID_ANNOTATION
    problems = tuple(problem for problem in unsupported if problem is not None)
    if problems:
        return None, problems, Reason.UNSUPPORTED
    return parsed, (), Reason.INVALID_ANNOTATION


def _slipped(
    view: TargetView | EitherService, parsed: WorkloadSpec | tuple[Problem, ...]
) -> WorkloadSpec | tuple[Problem, ...]:
    """What was misspelt may be what keeps it safe, as max-replicas does: it is left alone until that is mended."""
    if not view.slips:
        return parsed
    if isinstance(parsed, WorkloadSpec) or not view.annotations:
        return view.slips
    return (*view.slips, *parsed)


def seen_target(
    view: TargetView,
    defaults: Defaults,
    pods: tuple[PodStatus, ...],
    templates: dict[str, str],
    holders: dict[tuple[str, str, str], str],
    *,
    pods_known: bool,
    writes_as: str | None = None,
) -> Seen:
    """A Deployment or StatefulSet. `templates`: the newest template hash by uid; `holders`: who else scales what.
    `writes_as`: what this forescale's own writes are kept as.
    """
    parsed = parse_workload(
        id_of(view),
        view.annotations,
        defaults=defaults,
        shape=Shape(
            api_version=view.api_version,
            gpus_per_replica=view.gpus_per_replica,
            engine=view.engine.engine if view.engine else None,
            engine_from=view.engine.by if view.engine else "",
            max_sequences=view.engine.max_sequences if view.engine else None,
            silent=view.engine.silent if view.engine else None,
        ),
    )
    parsed = _slipped(view, parsed)
    spec, problems, reason = _judged(parsed, view.unusable, _other_shape(view, parsed))
    return Seen(
        id=id_of(view),
        api_version=view.api_version,
        uid=view.uid,
        spec=spec,
        problems=problems,
        reason=reason,
        replicas=ReplicaStatus(
            desired=view.desired,
            rollout=view.rolling,
            template_hash=templates.get(view.uid, view.update_revision),
            held_by=holders.get((view.namespace, view.kind, view.name)),
            blocked=view.blocked,
            set_by=view.replicas_set_by,
            set_by_itself=writes_as is not None and view.replicas_set_by == writes_as,
        ),
        pods=pods,
        pods_known=pods_known,
        template=view.template,
    )


def _other_shape(view: TargetView, parsed: WorkloadSpec | tuple[Problem, ...]) -> Problem | None:
    """What its template asks for now must be one of the slices that it may have."""
    if not isinstance(parsed, WorkloadSpec) or not parsed.slice_shapes:
        return None
    where, allowed = f"{parsed.id} {PREFIX}slice-shapes", ", ".join(parsed.slice_shapes)
    if view.template is None:
        given = view.needs.resource if view.needs is not None else "no GPU"
        return Problem(
            where,
            f"beside a template that asks for {given}",
            "one slice in one container is allowed, of those that it names",
        )
    if view.template.shape not in parsed.slice_shapes:
        return Problem(
            where,
            f"beside a template that asks for {view.template.shape}",
            f"{allowed} are allowed",
        )
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenService:
    """A service of KServe's, and where its replicas are written."""

    seen: Seen
    write: ReplicaWrite | None
    """None: nowhere, as `seen` says."""


def seen_service(
    service: EitherService,
    made: list[TargetView],
    defaults: Defaults,
    pods: dict[str, tuple[PodStatus, ...]],
    templates: dict[str, str],
    holders: dict[tuple[str, str, str], str],
    *,
    pods_known: bool,
    knative_follows: bool,
    writes_as: str | None = None,
) -> SeenService:
    """A service with the pods that run its model: of several Deployments (Knative's Revisions) the newest is live."""
    alive = sorted(made, key=lambda v: (v.desired > 0, v.name))
    live = alive[-1] if alive else None
    holder = holders.get((live.namespace, live.kind, live.name)) if live else None
    resolved = _resolved(service, live, holder, knative_follows=knative_follows)
    set_by = _set_by(service, live, resolved)
    parsed = parse_workload(
        service.id, service.annotations, defaults=defaults, shape=_shape(service, live)
    )
    parsed = _slipped(service, parsed)
    spec, problems, reason = _judged(parsed, resolved.problem, live.unusable if live else None)
    return SeenService(
        seen=Seen(
            id=service.id,
            api_version=service.api_version,
            uid=service.uid,
            spec=spec,
            problems=problems,
            reason=reason,
            replicas=ReplicaStatus(
                desired=sum(view.desired for view in made),
                rollout=any(view.rolling for view in made) or sum(v.desired > 0 for v in made) > 1,
                template_hash=templates.get(live.uid, "") if live else "",
                held_by=resolved.held_by,
                hand_over=resolved.hand_over,
                blocked=live.blocked if live else None,
                set_by=set_by,
                set_by_itself=writes_as is not None and set_by == writes_as,
            ),
            pods=tuple(pod for view in made for pod in pods.get(view.uid, ())),
            pods_known=pods_known,
        ),
        write=resolved.write,
    )


def _resolved(
    service: EitherService, live: TargetView | None, holder: str | None, *, knative_follows: bool
) -> Resolved:
    """By the rules of its kind."""
    deployment = live.name if live else None
    if isinstance(service, LlmServiceView):
        role = live.pod_labels.get(ROLE_LABEL) if live else None
        return llm_inference_service.resolve(
            service, deployment=deployment, role=role, holder=holder
        )
    return inference_service.resolve(
        service,
        deployment=deployment,
        revision=live.revision if live else None,
        holder=holder,
        knative_follows=knative_follows,
    )


def _set_by(service: EitherService, live: TargetView | None, resolved: Resolved) -> str | None:
    """Who last changed the number where forescale writes it too; None: it is not told, as of Knative's annotations."""
    if resolved.write is None or resolved.write.as_text:
        return None
    at_deployment = resolved.write.path.endswith("/scale")
    return service.set_by if not at_deployment else live.replicas_set_by if live else None


def _shape(service: EitherService, live: TargetView | None) -> Shape:
    """What else than the annotations tells; little without a Deployment."""
    engine = live.engine if live else None
    return Shape(
        api_version=service.api_version,
        gpus_per_replica=live.gpus_per_replica if live else 1.0,
        engine=engine.engine if engine else None,
        engine_from=engine.by if engine else "",
        max_sequences=engine.max_sequences if engine else None,
        silent=engine.silent if engine else None,
        pods_of=live.name if live else None,
        max_replicas=service.max_replicas,
    )
