"""The plots that pages share: demand, replicas and latency of one policy, and one quantity of several side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autoscaler.core.types import LatencyObjective
from autoscaler.report.content import Form, Look, Plot, Series, Values, Why

LOOKS = (Look.OURS, Look.THEIRS, Look.OTHER, Look.STATIC)
# What is overspent further than this is not drawn; its figure is in the table.
LOWEST_BUDGET = -100.0


def demand(title: str, *, known: Sequence[Series], arriving: Values | None, high: float) -> Plot:
    """What was known of the demand, over what arrived where that is known too."""
    area: tuple[Series, ...] = ()
    if arriving is not None:
        area = (Series(label="arriving", look=Look.DEMAND, values=arriving, form=Form.AREA),)
    return Plot(title=title, unit="requests/s", series=(*known, *area), high=high)


def seen(label: str, values: Values) -> Series:
    """Demand as it was known at the time."""
    return Series(label=label, look=Look.SEEN, values=values)


def provided(values: Values) -> Series:
    """Demand that was provided for."""
    return Series(label="provided for", look=Look.PROVIDED, values=values)


def replicas(
    title: str,
    *,
    wanted: Values,
    ready: Values,
    starting: Values,
    high: float,
    why: Why | None = None,
    also: tuple[Series, ...] = (),
) -> Plot:
    """Starting stands on ready; what is wanted is a line over both, and `also` over that."""
    return Plot(
        title=title,
        unit="",
        series=(
            *also,
            Series(label="wanted", look=Look.WANTED, values=wanted, form=Form.STEP),
            Series(label="ready", look=Look.READY, values=ready, form=Form.AREA),
            Series(
                label="starting", look=Look.STARTING, values=starting, form=Form.AREA, base=ready
            ),
        ),
        high=high,
        why=why,
    )


def latency(title: str, latency_s: Values, objective: LatencyObjective, *, beside: Values) -> Plot:
    """The objective's quantile against its threshold; `beside` is what the same axis must also hold."""
    limit_ms = 1000.0 * objective.threshold_s
    both = [1000.0 * v for v in (*latency_s, *beside) if v is not None and math.isfinite(v)]
    return Plot(
        title=f"{title}: p{100 * objective.ratio:g} latency",
        unit="ms",
        series=(
            Series(
                label=f"p{100 * objective.ratio:g}",
                look=Look.LATENCY,
                values=tuple(None if v is None else 1000.0 * v for v in latency_s),
            ),
        ),
        low=min([*both, limit_ms]),
        high=max([*both, limit_ms]),
        limit=(limit_ms, "objective"),
        logarithmic=True,
    )


def budgets(title: str, told: Sequence[tuple[str, Values]]) -> Plot:
    """What is left of the error budget under each policy, as shares."""
    percent = [
        (name, tuple(None if v is None else 100.0 * v for v in values)) for name, values in told
    ]
    lowest = min([0.0, *(v for _, values in percent for v in values if v is not None)])
    return Plot(
        title=title,
        unit="%",
        series=compared(percent),
        low=max(LOWEST_BUDGET, lowest),
        high=100.0,
        limit=(0.0, "spent"),
    )


def compared(told: Sequence[tuple[str, Values]]) -> tuple[Series, ...]:
    """One quantity under several policies, forescale first."""
    return tuple(
        Series(label=name, look=look, values=values)
        for (name, values), look in zip(told, LOOKS, strict=False)
    )


def highest(*many: Values) -> float:
    """Of all that is known."""
    return max((value for values in many for value in values if value is not None), default=1.0)
