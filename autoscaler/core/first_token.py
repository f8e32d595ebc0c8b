"""Step 3 for engines that generate tokens, where an objective is on the first one: how busy a replica may be.

An engine that reads long prompts does so one after the other, and requests wait for it as for a server that does one
at a time: of prompts of 3,000 tokens that take 150 ms, four a second keep it 60 % busy and wait for 0.2 s. One that
runs 64 long answers at once takes each request at its next step. Which of them it is, how the prompts' lengths scatter
and how well a balancer levels it is what the factor v of the queueing model says (`variability.py`), learned from the
waits. It begins at its lowest: as long as no wait shows it there is no queue but behind a full batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoscaler.core import variability
from autoscaler.core.queueing import UNATTAINABLE_UTILIZATION, utilization_limit
from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.signals import ModelLoad
from autoscaler.core.state import ModelKnowledge
from autoscaler.core.types import LatencyObjective, Slo
from autoscaler.core.variability import LOWEST, Variability
from autoscaler.core.window import Window

SIGNAL = "ttft"
# Where more of the batch is taken than this, what waits may wait for a place in it, and not for prompts to be read.
MOST_TAKEN = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstToken:
    """How long requests wait for it."""

    objective: LatencyObjective
    times: ServiceTimes
    factor: Variability
    tokens_each: float
    """Of an answer."""

    def tokens_rps(self, replicas: int) -> float:
        """Tokens a second of a replica where `replicas` share the demand."""
        limit = load_limit(self.times, self.objective, self.factor.of(replicas))
        return limit * self.tokens_each / self.times.work_s


def known_of(model: ModelKnowledge, most_rps: float, slo: Slo) -> FirstToken | None:
    """None: no objective is on it, or nothing is known of it yet."""
    objective, times = objective_of(slo), request_times(model, most_rps)
    tokens_each = model.sequences.tokens_each
    if objective is None or times is None or tokens_each is None:
        return None
    return FirstToken(
        objective=objective, times=times, factor=factor_of(model), tokens_each=tokens_each
    )


def objective_of(slo: Slo) -> LatencyObjective | None:
    """The objective on the first token that allows the least; None: there is none."""
    of_first = [item for item in slo.objectives if item.signal == SIGNAL]
    return min(of_first, key=lambda item: item.threshold_s, default=None)


def request_times(model: ModelKnowledge, most_rps: float) -> ServiceTimes | None:
    """Requests as a queue sees them; `most_rps`: tokens a second of a full engine. None: no answer was counted yet.

    What one keeps the next from being read is the time from the end of its wait to its first token, or where several
    are read in one step, which is no more than that, its answer's part of all that a full engine does.
    """
    tokens_each, reading_s = model.sequences.tokens_each, model.sequences.reading_s_each
    if not tokens_each or not reading_s or most_rps <= 0.0:
        return None
    reading_s = float(f"{reading_s:.4g}")
    work_s = min(reading_s, float(f"{tokens_each / most_rps:.4g}"))
    return ServiceTimes(batch_s=(work_s,), overhead_s=reading_s - work_s)


def factor_of(model: ModelKnowledge) -> Variability:
    """v as it was learned, or where it begins."""
    return model.variability if model.variability.requests > 0.0 else Variability(value=LOWEST)


def load_limit(times: ServiceTimes, objective: LatencyObjective, factor: float) -> float:
    """How busy a replica may be with them, 0 to 1.

    Prompts that take too long to read even alone are no reason to leave engines idle.
    """
    limit = utilization_limit(
        times,
        ratio=objective.ratio,
        threshold_s=objective.threshold_s,
        variability=round(factor, 2),
    )
    return UNATTAINABLE_UTILIZATION if limit is None else limit


def learn(
    known: FirstToken,
    loads: Sequence[ModelLoad],
    *,
    slo: Slo,
    places: int | None,
    replicas: int,
) -> Variability:
    """v with what the waits of one tick say, pod by pod; `replicas` share the demand.

    `places`: for sequences, in the batch of one; None: not known.
    """
    # Misses are told of the objective that is closest to its limit, which may be another.
    alone = all(item == known.objective for item in slo.objectives)
    windows = []
    for load in loads:
        taken = max(load.mean_batch or 0.0, load.running or 0.0)
        if places is not None and taken > MOST_TAKEN * places:
            continue
        if load.steady and load.queue_s is not None and load.items_per_request > 0.0:
            window = Window(
                rate=load.completed_rps / load.items_per_request,
                requests=load.requests_a_tick,
                queue_s=load.queue_s,
                miss_ratio=load.misses.low if alone and load.misses is not None else None,
            )
            windows.append(window)
    threshold_s = known.objective.threshold_s
    return variability.learn(
        known.factor, known.times, windows, threshold_s=threshold_s, replicas=replicas
    )
