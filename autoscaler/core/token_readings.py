"""What one tick teaches of an engine that generates tokens, beside the time of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoscaler.core import first_token, sequences
from autoscaler.core.observe import View
from autoscaler.core.service_time import unproven
from autoscaler.core.signals import ModelLoad
from autoscaler.core.state import ModelKnowledge
from autoscaler.core.token_capacity import token_capacity
from autoscaler.core.types import Slo


def take(
    known: ModelKnowledge, loads: Sequence[ModelLoad], calm: Sequence[ModelLoad], view: View
) -> ModelKnowledge:
    """Of all warm pods; `calm`: of those whose waits may be learned from."""
    most_seen = max((item.batch_size for item in known.service.evidence), default=0)
    shown = sequences.learn(
        known.sequences,
        loads,
        most_seen=most_seen,
        calm=calm,
        answer_s=_answer_s(view.slo),
    )
    known = replace(known, sequences=shown)
    carried = token_capacity(known, view)
    first = None if carried is None else carried.first_token
    if first is None or view.slo is None or unproven(known.service) is not None:
        return known
    factor = first_token.learn(
        first,
        calm,
        slo=view.slo,
        places=shown.full_at if view.max_sequences is None else view.max_sequences,
        replicas=view.carrying,
    )
    return replace(known, variability=factor)


def _answer_s(slo: Slo | None) -> float | None:
    """Within which whole answers are to be there; None: of several objectives it isn't told which one misses are of."""
    if slo is None or len(slo.objectives) > 1:
        return None
    (only,) = slo.objectives
    return only.threshold_s if only.signal == "latency" else None
