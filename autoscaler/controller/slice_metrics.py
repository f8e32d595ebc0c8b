"""`forescale_slices_*`: slice pools, variant groups and templates of the last tick. What is unknown has no series."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from autoscaler.core.slices.observed import SlicesDecision
from autoscaler.core.types import TickRecord


class SliceSeries(Collector):
    """Made from the last tick whenever Prometheus asks."""

    def __init__(self) -> None:
        self._slices = SlicesDecision()

    def take(self, record: TickRecord) -> None:
        """Shows this tick from now on."""
        self._slices = record.result.slices

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        nodes = GaugeMetricFamily(
            "forescale_slices_nodes", "Nodes by MIG config", labels=("pool", "config")
        )
        changing = GaugeMetricFamily(
            "forescale_slices_changing_nodes", "Nodes that are being cut anew", labels=("pool",)
        )
        active = GaugeMetricFamily(
            "forescale_slices_finding_active",
            "1 while there is something that a person should know",
            labels=("pool", "reason"),
        )
        needed = GaugeMetricFamily(
            "forescale_slices_group_needed_inferences_per_second",
            "Demand that a variant group's Deployments carry together",
            labels=("group",),
        )
        yield self._templates()
        for pool in self._slices.pools:
            for config, count in pool.configs:
                nodes.add_metric((pool.pool, config), count)
            changing.add_metric((pool.pool,), float(pool.node is not None))
            for reason in sorted({reason.value for reason, _, _ in pool.findings}):
                active.add_metric((pool.pool, reason), 1.0)
        for group in self._slices.groups:
            if group.needed_mrps is not None:
                needed.add_metric((group.group,), group.needed_mrps / 1000.0)
        yield from (nodes, changing, active, needed)

    def _templates(self) -> Metric:
        family = GaugeMetricFamily(
            "forescale_slices_template_info",
            "1 for each template that may ask for several slices: its own, a cheaper one if any, what became of it",
            labels=("namespace", "kind", "name", "shape", "wanted", "reason"),
        )
        for decision in self._slices.shapes:
            namespace, _, name = decision.workload.partition("/")
            shape, wanted = decision.shape, decision.wanted or ""
            family.add_metric(
                (namespace, "Deployment", name, shape, wanted, decision.reason.value), 1.0
            )
        return family
