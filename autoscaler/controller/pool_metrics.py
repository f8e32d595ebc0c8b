"""`forescale_pool_*`: every configured node pool as of the last tick. What is unknown has no series."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from autoscaler.core.nodes.observed import PoolDecision
from autoscaler.core.types import TickRecord


@dataclass(frozen=True, slots=True)
class _Series:
    name: str
    text: str
    value: Callable[[PoolDecision], float | None]


_SERIES = (
    _Series("headroom_units", "Asked for beyond what pods hold", lambda d: d.headroom),
    _Series(
        "demand_units", "Upper quantile of the demand expected in time", lambda d: d.facts.demand
    ),
    _Series("held_units", "Scheduled and pending pods of its workloads", lambda d: d.facts.held),
    _Series("free_units", "Allocatable and held by nobody who stays", lambda d: d.facts.free),
    _Series("foreign_units", "Held by pods of other tenants", lambda d: d.facts.foreign),
    _Series(
        "supply_units",
        "The most that its workloads can have together, where that has an end",
        lambda d: d.facts.supply,
    ),
    _Series("coming_nodes", "Asked for and not of use yet", lambda d: d.facts.coming),
    _Series(
        "lead_time_seconds",
        "From the request for a node to allocatable units, P90",
        lambda d: d.facts.lead_time_s,
    ),
    _Series("available", "0: sold out, the next pool takes over", lambda d: float(d.available)),
)


class PoolSeries(Collector):
    """Made from the last tick whenever Prometheus asks."""

    def __init__(self) -> None:
        self._decisions: tuple[PoolDecision, ...] = ()

    def take(self, record: TickRecord) -> None:
        """Shows this tick from now on."""
        self._decisions = record.result.pools

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        for series in _SERIES:
            family = GaugeMetricFamily(
                f"forescale_pool_{series.name}", series.text, labels=("pool",)
            )
            for decision in self._decisions:
                value = series.value(decision)
                if value is not None:
                    family.add_metric((decision.pool,), float(value))
            yield family
        yield self._findings()

    def _findings(self) -> Metric:
        family = GaugeMetricFamily(
            "forescale_pool_finding_active",
            "1 while there is something that a person should know",
            labels=("pool", "reason"),
        )
        for decision in self._decisions:
            for reason in sorted({reason.value for reason, _ in decision.findings}):
                family.add_metric((decision.pool, reason), 1.0)
        return family
