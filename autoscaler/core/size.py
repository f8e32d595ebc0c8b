"""Step 4: the fewest replicas that carry a demand within the objective.

Demand is work - inferences a second times the measured time of an inference at full batches - so that a server may hold
several models and clients may batch; a replica carries the work that the queueing model allows.
"""

from __future__ import annotations

import math

from autoscaler.core.computed import computed
from autoscaler.core.observe import View
from autoscaler.core.prior import alike
from autoscaler.core.queueing import UNATTAINABLE_UTILIZATION, utilization_limit
from autoscaler.core.service_time import ServiceTimes, service_times, unproven
from autoscaler.core.state import ModelKnowledge, TemplateKnowledge
from autoscaler.core.token_capacity import TokenCapacity, token_capacity
from autoscaler.core.types import LatencyObjective
from autoscaler.core.variability import Variability

# Models with less of the work than this do not decide how busy a replica may be.
MINOR_WORK_RATIO = 0.05
# Of the fast rate, whose scatter `demand.level_rps` weighs.
FAST_WINDOW_S = 10.0


@computed
class Shared:
    """A model whose requests the replicas share."""

    model: str
    times: ServiceTimes
    """Rounded."""
    variability: Variability


@computed
class Capacity:
    """What one replica carries. `attainable` is False where even an idle replica misses the objective."""

    utilization_limit_ratio: float
    work_s_per_inference: float
    """Of the present mix of models."""
    attainable: bool
    service_s: float
    """Latency without any queue, of the slowest model that matters."""
    variability: float
    """Of that one, for the replicas that carry now."""
    dominant: ServiceTimes
    """Times of the model with the most work."""
    tokens: TokenCapacity | None = None
    """Of an engine that generates tokens; an inference is a token then."""
    models: tuple[Shared, ...] = ()
    """Those that decide the limit, most work first; empty where it was told, or is that of tokens."""
    unproven: str | None = None
    """Why it is not measured on this pod template yet; None: it is."""

    @property
    def rps(self) -> float:
        """Inferences a second that one replica carries."""
        return self.utilization_limit_ratio / self.work_s_per_inference

    def scatter(self, window_s: float) -> float:
        """Of the rate over a window, as a multiple of Poisson's."""
        return self.variability if self.tokens is None else self.tokens.variability(window_s)

    def variability_of(self, replicas: int) -> float:
        """Of the model with the most work, when only `replicas` share the demand."""
        return self.models[0].variability.of(replicas) if self.models else self.variability

    def together(self, replicas: int) -> float:
        """As how many with one queue `replicas` are, of the same model."""
        return self.models[0].variability.pooling.of(replicas) if self.models else 1.0


def capacity(
    templates: tuple[TemplateKnowledge, ...],
    *,
    template_hash: str,
    view: View,
    objective: LatencyObjective,
    shape: str = "",
) -> Capacity | None:
    """Capacity of a replica of `template_hash`, or of the template learned last while nothing is known of it: of one
    that asked for the same `shape` if there is any.

    None: no service time was ever measured.
    """
    entry = _knowledge(templates, template_hash, shape)
    if entry is None:
        return None
    if any(model.tokens for load in view.loads for model in load.models):
        return _token_capacity(entry, view, template_hash)
    shares = {item.model: item.stable_rps for item in view.models}
    known = [(m, t) for m in entry.models if (t := service_times(m.service)) is not None]
    if not known:
        return None
    works = [(m, t, shares.get(m.model, 0.0) * t.work_s) for m, t in known]
    total = sum(work for _, _, work in works)
    rate = sum(shares.get(m.model, 0.0) for m, _ in known)
    # No traffic at all: every model counts alike.
    weight = {m.model: work / total if total > 0.0 else 1.0 / len(works) for m, _, work in works}
    relevant = [(m, t) for m, t, _ in works if weight[m.model] >= MINOR_WORK_RATIO]
    ranked = sorted(relevant, key=lambda item: weight[item[0].model], reverse=True)
    models = tuple(
        Shared(model=m.model, times=t.rounded, variability=m.variability) for m, t in ranked
    )
    limits = _limits(models, objective, replicas=view.carrying)
    dominant = ranked[0]
    return Capacity(
        utilization_limit_ratio=_lowest(limits),
        work_s_per_inference=(
            total / rate if rate > 0.0 else sum(t.work_s for _, t in known) / len(known)
        ),
        attainable=None not in limits,
        service_s=max(t.batch_s[0] + t.overhead_s + t.max_queue_delay_s for _, t in relevant),
        variability=dominant[0].variability.of(view.carrying),
        dominant=dominant[1],
        models=models,
        unproven=_unproven(entry, template_hash, [m for m, _ in relevant]),
    )


def _token_capacity(entry: TemplateKnowledge, view: View, template_hash: str) -> Capacity | None:
    """Of the model with the most tokens: such a server holds one, and adapters of it share its batch."""
    rates = {item.model: item.stable_rps for item in view.models}
    for model in sorted(entry.models, key=lambda m: rates.get(m.model, 0.0), reverse=True):
        told = token_capacity(model, view)
        if told is not None:
            return Capacity(
                utilization_limit_ratio=told.tokens_rps(view.carrying) / told.most_rps,
                work_s_per_inference=1.0 / told.most_rps,
                attainable=told.attainable,
                service_s=told.steps.batch_s[0],
                variability=told.variability(FAST_WINDOW_S),
                dominant=told.steps,
                tokens=told,
                unproven=_unproven(entry, template_hash, [model]),
            )
    return None


def _knowledge(
    templates: tuple[TemplateKnowledge, ...], template_hash: str, shape: str
) -> TemplateKnowledge | None:
    measured = [
        item for item in templates if any(service_times(m.service) is not None for m in item.models)
    ]
    own = next((item for item in measured if item.template_hash == template_hash), None)
    same = [item for item in measured if alike(item.shape, shape)]
    return own or next(iter((same or measured)[-1:]), None)


def _unproven(
    entry: TemplateKnowledge, template_hash: str, models: list[ModelKnowledge]
) -> str | None:
    if template_hash and entry.template_hash != template_hash:
        return f"nothing was measured of pod template {template_hash} yet"
    return next((why for model in models if (why := unproven(model.service)) is not None), None)


def limit_of_fewer(carried: Capacity, objective: LatencyObjective, *, replicas: int) -> float:
    """How busy each may be when only `replicas` share the demand: they make less use of each other.

    At 52 ms for one request, 64 ms for two and `99% < 300ms`, two under least outstanding requests may be 86 % busy,
    where one alone may be 69 %. Sequences of a token engine likewise (`token_capacity`).
    """
    if carried.tokens is not None:
        return carried.tokens.tokens_rps(replicas) / carried.tokens.most_rps
    if not carried.models:
        return carried.utilization_limit_ratio
    return _lowest(_limits(carried.models, objective, replicas=replicas))


def _lowest(limits: list[float | None]) -> float:
    return min(UNATTAINABLE_UTILIZATION if limit is None else limit for limit in limits)


def _limits(
    models: tuple[Shared, ...], objective: LatencyObjective, *, replicas: int
) -> list[float | None]:
    """None: not even an idle replica is fast enough."""
    return [
        utilization_limit(
            model.times,
            ratio=objective.ratio,
            threshold_s=objective.threshold_s,
            variability=round(model.variability.of(replicas), 2),
            together=model.variability.pooling.rounded(replicas),
        )
        for model in models
    ]


def replicas_for(demand_rps: float, carried: Capacity, *, skew_ratio: float = 1.0) -> int:
    """The fewest replicas whose work stays below the limit; at least 0."""
    work = demand_rps * carried.work_s_per_inference * skew_ratio
    # 1e-9: 0.6 / 0.2 is 2.9999999999999996.
    return max(0, math.ceil(work / carried.utilization_limit_ratio - 1e-9))
