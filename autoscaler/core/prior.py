"""What is believed of a model before it is measured: a profile that the policy names, or another pod template.

How a prior is weighed against what is measured is told in `service_time`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autoscaler.core.profile import ModelPrior
from autoscaler.core.reasons import Reason
from autoscaler.core.service_time import (
    PRIOR_EXECUTIONS,
    BatchEvidence,
    ServiceEvidence,
    as_prior,
    believed,
)
from autoscaler.core.state import ModelKnowledge, TemplateKnowledge, WorkloadState
from autoscaler.core.types import Finding, WorkloadInput
from autoscaler.core.variability import Variability

PROFILE = "an imported profile"


def seeded(
    state: WorkloadState, given: WorkloadInput, priors: tuple[ModelPrior, ...], *, shape: str = ""
) -> WorkloadState:
    """The memory with a profile for each model that is served and of which nothing was learned on any template.

    Templates that asked for another `shape` don't count. A profile of a model that no pod exports is left out: sizing
    one model's demand by another's times is worse than not knowing.
    """
    if not priors:
        return state
    template_hash = given.replicas.template_hash
    own = next((t for t in state.templates if t.template_hash == template_hash), None)
    if own is not None and not alike(own.shape, shape):
        # The template has just been changed, and the newest ReplicaSet is still that of the one before.
        return state
    served = {model.model for sample in given.samples for model in sample.models}
    learned = {
        m.model
        for item in state.templates
        if alike(item.shape, shape)
        for m in item.models
        if m.service.evidence
    }
    seen = burstiness(state)
    fresh = {
        p.model: _from_profile(p, seen.get(p.model)) for p in priors if p.model in served - learned
    }
    if not fresh:
        return state
    own = own or TemplateKnowledge(template_hash=template_hash, shape=shape)
    others = tuple(t for t in state.templates if t.template_hash != template_hash)
    kept = tuple(m for m in own.models if m.model not in fresh)
    own = replace(own, models=(*kept, *fresh.values()))
    return replace(state, templates=(*others, own))


def burstiness(state: WorkloadState) -> dict[str, Variability]:
    """How bursty each model's arrivals were seen to be, on whatever template."""
    return {
        model.model: _seen(model.variability)
        for item in state.templates
        for model in item.models
        if model.variability.requests > 0.0 or model.variability.pooling.seen
    }


def _seen(learned: Variability) -> Variability:
    """What was learned of arrivals and the balancer, as a prior elsewhere."""
    return Variability(value=learned.value, shared_by=learned.shared_by, pooling=learned.pooling)


def on_shape(priors: Mapping[str, tuple[ModelPrior, ...]], shape: str) -> tuple[ModelPrior, ...]:
    """The profiles of a workload that were measured on that shape; where none is named for it, those of no name."""
    return priors.get(shape) or priors.get("", ())


def alike(one: str, other: str) -> bool:
    """What is not told may be the same."""
    return not one or not other or one == other


def unused(given: WorkloadInput, priors: tuple[ModelPrior, ...]) -> Finding | None:
    """What a person should know of a profile of which no pod serves any model: a name is misspelt, or it is stale."""
    if not priors:
        return None
    served = {model.model for sample in given.samples for model in sample.models}
    named = {prior.model for prior in priors}
    if not served or served & named:
        return None
    return Finding(
        reason=Reason.PROFILE_UNUSED,
        message=f"the profile is of {_listed(named)}, the pods serve {_listed(served)}: it is not used",
    )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def inherited(
    templates: tuple[TemplateKnowledge, ...], template_hash: str, shape: str = ""
) -> dict[str, ModelKnowledge]:
    """What a new pod template takes over: of each model what the other templates taught, the one learned of last first.

    A template that asked for another shape teaches no times. How bursty the arrivals are is no matter of the template
    and is taken over as it is.
    """
    found: dict[str, ModelKnowledge] = {}
    for entry in reversed(templates):
        if entry.template_hash == template_hash or not alike(entry.shape, shape):
            continue
        for model in entry.models:
            if model.service.evidence and (points := believed(model.service)):
                found.setdefault(model.model, _from_template(entry.template_hash, model, points))
    return found


def evidence_of(told: ModelPrior) -> ServiceEvidence:
    """What a profile alone says of service times."""
    largest = told.batches[-1].batch_size
    return ServiceEvidence(
        prior=tuple(
            BatchEvidence(
                batch_size=item.batch_size, weight=float(PRIOR_EXECUTIONS), mean_s=item.mean_s
            )
            for item in told.batches
        ),
        prior_from=PROFILE,
        max_batch_size=largest if told.max_batch_size is None else told.max_batch_size,
        instances=told.instances,
        max_queue_delay_s=told.max_queue_delay_s,
    )


def _from_profile(told: ModelPrior, seen: Variability | None) -> ModelKnowledge:
    """How bursty the arrivals are is no matter of the shape: what was seen of it goes before what is told."""
    return ModelKnowledge(
        model=told.model,
        service=evidence_of(told),
        variability=seen or Variability(value=told.variability),
    )


def _from_template(
    template_hash: str, model: ModelKnowledge, points: list[BatchEvidence]
) -> ModelKnowledge:
    return ModelKnowledge(
        model=model.model,
        service=ServiceEvidence(
            prior=as_prior(points),
            prior_from=f"pod template {template_hash}",
            max_batch_size=model.service.max_batch_size,
            instances=model.service.instances,
            max_queue_delay_s=model.service.max_queue_delay_s,
        ),
        variability=_seen(model.variability),
        # Fades within minutes, or goes when more run at once: until then nothing says that this engine holds more.
        sequences=model.sequences,
    )
