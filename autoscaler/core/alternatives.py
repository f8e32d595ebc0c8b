"""What a replica would carry on another slice: learned there before, or told by a profile that was measured there.

Nothing is guessed from one slice to another: half the compute is not half the rate, and what fits into 20 GB need not
fit into 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoscaler.core import size
from autoscaler.core.observe import View
from autoscaler.core.prior import burstiness, evidence_of
from autoscaler.core.profile import ModelPrior
from autoscaler.core.state import ModelKnowledge, TemplateKnowledge, WorkloadState
from autoscaler.core.types import LatencyObjective, WorkloadId
from autoscaler.core.variability import Variability

MIB_PER_GB = 1024
USABLE_RATIO = 0.9
"""Of the memory that a profile is named after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Another slice that the workload may have."""

    shape: str
    replica_rps: float | None = None
    """What one replica carries there; None: not known, or nothing."""
    wanted: int | None = None
    """Replicas that the present demand asks for there."""
    why: str = ""
    """Why that is not known, or why it can't be that one."""


def memory_mib(shape: str) -> int | None:
    """What may be used of a profile's memory, by its name; None: the name does not tell."""
    number = shape.partition(".")[2].partition("gb")[0]
    return int(int(number) * MIB_PER_GB * USABLE_RATIO) if number.isdigit() else None


def capacity_on(
    shape: str,
    workload: WorkloadId,
    state: WorkloadState,
    view: View,
    objective: LatencyObjective,
    priors: Sequence[ModelPrior],
) -> size.Capacity | str:
    """Of a replica on that slice, or why it is not known or none would do."""
    if any(model.tokens for load in view.loads for model in load.models):
        return "what an engine's cache holds on another slice is not known before it runs there"
    served = {item.model for item in view.models}
    if not served:
        return "no model is seen"
    entry = _learned(shape, served, state) or _told(shape, served, state, priors)
    if entry is None:
        lacking = ", ".join(sorted(served - {item.model for item in priors}))
        return (
            f"what {lacking or 'a replica'} does there is not known: profile it there and name the file in the "
            f"policy, as profiles: {workload}@{shape}"
        )
    needed = sum((p.memory_mib or 0) * p.instances for p in priors if p.model in served)
    usable = memory_mib(shape)
    if usable is None or needed > usable:
        return f"its models take {needed} MiB, {usable} can be used there"
    found = size.capacity(
        (entry,), template_hash=entry.template_hash, view=view, objective=objective
    )
    if found is None:
        return "its times there are not known"
    if not found.attainable:
        return (
            f"a request takes {found.service_s * 1000:.0f} ms there without any queue, "
            f"the objective is {objective.threshold_s * 1000:.0f} ms"
        )
    return found


def _learned(shape: str, served: set[str], state: WorkloadState) -> TemplateKnowledge | None:
    """The template learned of last that asked for that slice, if it taught of all models."""
    for entry in reversed(state.templates):
        taught = {item.model for item in entry.models if item.service.evidence}
        if entry.shape == shape and served <= taught:
            return entry
    return None


def _told(
    shape: str, served: set[str], state: WorkloadState, priors: Sequence[ModelPrior]
) -> TemplateKnowledge | None:
    """As a profile tells it. How bursty the arrivals are is no matter of the slice."""
    if not served <= {item.model for item in priors}:
        return None
    seen = burstiness(state)
    return TemplateKnowledge(
        template_hash=f"on {shape}",
        shape=shape,
        models=tuple(
            ModelKnowledge(
                model=item.model,
                service=replace(evidence_of(item), overhead_s=_overhead_s(item.model, state)),
                variability=seen.get(item.model) or Variability(value=item.variability),
            )
            for item in priors
            if item.model in served
        ),
    )


def _overhead_s(model: str, state: WorkloadState) -> float | None:
    """Latency that is neither queue nor compute, as it is here: the longest of what was seen."""
    found = [
        item.service.overhead_s
        for entry in state.templates
        for item in entry.models
        if item.model == model and item.service.overhead_s is not None
    ]
    return max(found, default=None)
