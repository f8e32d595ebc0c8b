"""Recording rules and burn-rate alerts of one workload's objectives, and the unit tests that prove them.

They rest on the counters that forescale exports for every objective, so they are the same for every engine, for both
forms of an SLO and for every place where latency may be read. The workload's labels are written into each rule: what is
recorded has its namespace as `namespace`, whatever the scrape has made of that label.
"""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.core.ledger import target_ratio
from autoscaler.core.slo import objective_text, window_text
from autoscaler.core.types import LatencyObjective, WorkloadSpec
from autoscaler.rules.burn import BurnAlert, burn_alerts
from autoscaler.rules.document import Group, Rule

# Longer windows are averages of this one: a rate over four weeks of raw samples would be read every minute.
BASE = "5m"
LONGEST_RAW_S = 3600.0
RATIO = "forescale:slo_bad_requests:ratio_rate"
BURNING, SPENT, UNKNOWN = "ForescaleSloBurning", "ForescaleSloBudgetSpent", "ForescaleSloUnknown"
UNKNOWN_FOR_MINUTES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveRules:
    """Everything about one objective of one workload."""

    spec: WorkloadSpec
    objective: LatencyObjective
    namespace_label: str = "namespace"
    """What the scrape makes of forescale's label `namespace`: with `honor_labels: false`, `exported_namespace`."""

    @property
    def text(self) -> str:
        """`p95 < 200ms`."""
        return objective_text(self.objective)

    @property
    def target(self) -> float:
        """Share of requests that must be good."""
        return target_ratio(self.objective, self.spec.slo)

    @property
    def alerts(self) -> tuple[BurnAlert, ...]:
        """The fastest first."""
        return burn_alerts(self.spec.slo.window_s, self.target)

    @property
    def labels(self) -> dict[str, str]:
        """On every rule."""
        key = self.spec.id
        return {
            "namespace": key.namespace,
            "kind": key.kind,
            "name": key.name,
            "objective": self.text,
        }

    def series(self, metric: str, **more: str) -> str:
        """A selector of exactly this objective."""
        labels = {**self.labels, **more}
        named = {self.namespace_label if k == "namespace" else k: v for k, v in labels.items()}
        inner = ",".join(f'{key}="{value}"' for key, value in named.items())
        return f"{metric}{{{inner}}}"

    def rules(self) -> tuple[Rule, ...]:
        """Recordings first, then alerts."""
        return (
            *self._recordings(),
            *(self.burning(alert) for alert in self.alerts),
            self.spent(),
            self.unknown(),
        )

    def _recordings(self) -> tuple[Rule, ...]:
        bad = self.series("forescale_slo_bad_requests_total", bound="estimate")
        requests = self.series("forescale_slo_requests_total")
        base = (
            Rule(
                record=f"forescale:slo_bad_requests:rate{BASE}",
                expr=f"sum(rate({bad}[{BASE}]))",
                labels=self.labels,
            ),
            Rule(
                record=f"forescale:slo_requests:rate{BASE}",
                expr=f"sum(rate({requests}[{BASE}]))",
                labels=self.labels,
            ),
        )
        windows = {window_text(w): w for a in self.alerts for w in (a.short_s, a.long_s)}
        windows[window_text(self.spec.slo.window_s)] = self.spec.slo.window_s
        return base + tuple(
            Rule(
                record=f"{RATIO}{name}",
                expr=self._ratio(bad, requests, name, seconds),
                labels=self.labels,
            )
            for name, seconds in sorted(windows.items(), key=lambda item: item[1])
        )

    def _ratio(self, bad: str, requests: str, window: str, seconds: float) -> str:
        if seconds <= LONGEST_RAW_S:
            return f"sum(rate({bad}[{window}])) / (sum(rate({requests}[{window}])) > 0)"
        recorded = [
            self._recorded(f"forescale:slo_{n}:rate{BASE}") for n in ("bad_requests", "requests")
        ]
        # Both averages are over the same minutes, so that each minute weighs as much as it had requests.
        return (
            f"sum(avg_over_time({recorded[0]}[{window}])) / "
            f"(sum(avg_over_time({recorded[1]}[{window}])) > 0)"
        )

    def _recorded(self, metric: str) -> str:
        """What a rule has recorded carries the workload's own namespace."""
        inner = ",".join(f'{key}="{value}"' for key, value in self.labels.items())
        return f"{metric}{{{inner}}}"

    def burning(self, alert: BurnAlert) -> Rule:
        """The budget goes too fast, lately and still."""
        limit = f"{alert.rate:g} * {1.0 - self.target:.6g}"
        both = " and ".join(
            f"{self._recorded(RATIO + window)} > {limit}" for window in (alert.long, alert.short)
        )
        return Rule(
            alert=BURNING,
            expr=both,
            labels={**self.labels, "severity": alert.severity, "window": alert.long},
            annotations={
                "summary": f"{self.spec.id} spends its error budget {alert.rate:g} times too fast",
                "description": (
                    f"{self.text}, {self.target * 100:g} % over {window_text(self.spec.slo.window_s)}: "
                    f"at this rate {alert.budget_share * 100:.2g} % of the budget goes in {alert.long}. "
                    f"See what was decided: forescale explain {self.spec.id}"
                ),
            },
        )

    def spent(self) -> Rule:
        """Nothing is left, by forescale's own account: Prometheus need not keep the whole window."""
        return Rule(
            alert=SPENT,
            expr=f"max({self.spent_series()}) < 0",
            for_="5m",
            labels={**self.labels, "severity": "ticket"},
            annotations={
                "summary": f"{self.spec.id} has spent its error budget",
                "description": (
                    f"{self.text}: fewer than {self.target * 100:g} % of the requests of the last "
                    f"{window_text(self.spec.slo.window_s)} were good"
                ),
            },
        )

    def spent_series(self) -> str:
        """What `spent` looks at."""
        window = window_text(self.spec.slo.window_s)
        return self.series("forescale_slo_budget_left_ratio", window=window, bound="estimate")

    def unknown(self) -> Rule:
        """Nobody knows whether the objective holds."""
        unseen = self.series("forescale_slo_watched_seconds_total", state="unknown")
        watched = self.series("forescale_slo_watched_seconds_total")
        return Rule(
            alert=UNKNOWN,
            expr=(
                f"sum(rate({unseen}[10m])) / sum(rate({watched}[10m])) > 0.5 "
                f"or sum(absent({watched}))"
            ),
            for_=f"{UNKNOWN_FOR_MINUTES}m",
            labels={**self.labels, "severity": "ticket"},
            annotations={
                "summary": f"nobody knows whether {self.spec.id} keeps its SLO",
                "description": (
                    f"{self.text}: no metrics of latency for most of the last ten minutes, or forescale "
                    "does not watch it any more; nothing is scaled down meanwhile"
                ),
            },
        )


def rules_of(
    spec: WorkloadSpec, *, namespace_label: str = "namespace"
) -> tuple[ObjectiveRules, ...]:
    """One for each objective."""
    return tuple(
        ObjectiveRules(spec=spec, objective=objective, namespace_label=namespace_label)
        for objective in spec.slo.objectives
    )


def group_of(spec: WorkloadSpec, *, namespace_label: str = "namespace") -> Group:
    """All rules of one workload."""
    told = rules_of(spec, namespace_label=namespace_label)
    return Group(
        name=f"forescale/{spec.id}", rules=tuple(rule for item in told for rule in item.rules())
    )
