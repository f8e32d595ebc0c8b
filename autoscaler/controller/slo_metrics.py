"""`forescale_slo_*`: error budgets as Prometheus sees them, made anew whenever it asks.

The counters begin at zero in each process, as counters do; the gauges go back as far as the accounts that were kept.
Recording rules turn the counters into ratios over any window: `forescale rules` writes them.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from autoscaler.controller.accounts import Accounts
from autoscaler.core.compliance import Bounds, ObjectiveCompliance, WorkloadCompliance
from autoscaler.core.ledger import Account
from autoscaler.core.types import WorkloadId

LABELS = ("namespace", "kind", "name", "objective")
WINDOW_LABELS = (*LABELS, "window", "bound")


class SloSeries(Collector):
    """Every workload of the last tick. What is unknown has no series."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        yield from _counters(self._accounts.totals())
        yield from _gauges(self._accounts.compliance())


def _counters(accounts: tuple[Account, ...]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "forescale_slo_requests", "Requests that SLO accounting has seen", labels=LABELS
    )
    bad = CounterMetricFamily(
        "forescale_slo_bad_requests",
        "Requests that count against the error budget, and between which bounds that is certain",
        labels=(*LABELS, "bound"),
    )
    watched = CounterMetricFamily(
        "forescale_slo_watched_seconds",
        "Time that SLO accounting has seen or not seen",
        labels=(*LABELS, "state"),
    )
    for account in accounts:
        for ledger in account.ledgers:
            labels, total = [*_names(account.workload), ledger.objective], ledger.total
            requests.add_metric(labels, total.requests)
            for bound, value in (("low", total.low), ("estimate", total.bad), ("high", total.high)):
                bad.add_metric([*labels, bound], value)
            watched.add_metric([*labels, "known"], total.known_s)
            watched.add_metric([*labels, "unknown"], total.unknown_s)
    yield from (requests, bad, watched)


def _gauges(told: tuple[WorkloadCompliance, ...]) -> Iterator[Metric]:
    target = GaugeMetricFamily(
        "forescale_slo_target_ratio", "Share of requests that must be good", labels=LABELS
    )
    source = GaugeMetricFamily(
        "forescale_slo_source_active",
        "1 for where the objective's latency is read; an estimate is labelled `summary`",
        labels=(*LABELS, "source"),
    )
    compliance = GaugeMetricFamily(
        "forescale_slo_compliance_ratio", "Share of good requests", labels=WINDOW_LABELS
    )
    budget = GaugeMetricFamily(
        "forescale_slo_budget_left_ratio",
        "Error budget that is left of the window's; negative: overspent",
        labels=WINDOW_LABELS,
    )
    burn = GaugeMetricFamily(
        "forescale_slo_burn_rate_ratio",
        "Speed at which the budget is spent; 1 spends it exactly within the SLO's window",
        labels=WINDOW_LABELS,
    )
    known = GaugeMetricFamily(
        "forescale_slo_known_ratio", "Share of the window that was seen", labels=(*LABELS, "window")
    )
    for workload in told:
        for objective in workload.objectives:
            labels = [*_names(workload.workload), objective.objective]
            target.add_metric(labels, objective.target_ratio)
            if objective.source is not None:
                source.add_metric([*labels, objective.source.value], 1.0)
            _windows(objective, labels, compliance, budget, burn, known)
    yield from (target, source, compliance, budget, burn, known)


def _windows(
    objective: ObjectiveCompliance,
    labels: list[str],
    compliance: GaugeMetricFamily,
    budget: GaugeMetricFamily,
    burn: GaugeMetricFamily,
    known: GaugeMetricFamily,
) -> None:
    for item in objective.windows:
        if item.known_ratio is None:
            continue
        own = [*labels, item.window]
        known.add_metric(own, item.known_ratio)
        _bounds(compliance, own, item.compliance)
        _bounds(budget, own, item.budget_left)
        _bounds(burn, own, item.burn_rate)


def _bounds(family: GaugeMetricFamily, labels: list[str], bounds: Bounds) -> None:
    family.add_metric([*labels, "low"], bounds.low)
    if bounds.estimate is not None:
        family.add_metric([*labels, "estimate"], bounds.estimate)
    family.add_metric([*labels, "high"], bounds.high)


def _names(workload: WorkloadId) -> list[str]:
    return [workload.namespace, workload.kind, workload.name]
