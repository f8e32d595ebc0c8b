"""Rules and their unit tests as values, and as the plain documents that Prometheus and promtool read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A recording rule (`record`) or an alert (`alert`); exactly one of the two is given."""

    expr: str
    record: str | None = None
    alert: str | None = None
    for_: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> Document:
        """In the order in which people write it."""
        parts: Document = {"record": self.record} if self.record else {"alert": self.alert}
        parts["expr"] = self.expr
        if self.for_:
            parts["for"] = self.for_
        if self.labels:
            parts["labels"] = dict(self.labels)
        if self.annotations:
            parts["annotations"] = dict(self.annotations)
        return parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated together, in their order."""

    name: str
    rules: tuple[Rule, ...]
    interval: str = "1m"

    def document(self) -> Document:
        """As Prometheus reads it."""
        return {
            "name": self.name,
            "interval": self.interval,
            "rules": [rule.document() for rule in self.rules],
        }


def rule_file(groups: Iterable[Group]) -> Document:
    """A file of `rule_files`."""
    return {"groups": [group.document() for group in groups]}


def prometheus_rule(groups: Iterable[Group], name: str) -> Document:
    """The same as the Prometheus Operator's resource."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "forescale"}},
        "spec": rule_file(groups),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertCheck:
    """At `at`, of the alerts of this name exactly these fire."""

    at: str
    alert: str
    fire: tuple[Rule, ...] = ()

    def document(self) -> Document:
        """As promtool reads it."""
        return {
            "eval_time": self.at,
            "alertname": self.alert,
            "exp_alerts": [
                {"exp_labels": dict(rule.labels), "exp_annotations": dict(rule.annotations)}
                for rule in self.fire
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTest:
    """Series as they would be scraped, and which alerts follow."""

    name: str
    series: Mapping[str, str]
    """Values by series, in promtool's notation: `0+60x30` rises by 60 in each of 30 minutes."""
    checks: tuple[AlertCheck, ...]

    def document(self) -> Document:
        """As promtool reads it."""
        return {
            "interval": "1m",
            "name": self.name,
            "input_series": [
                {"series": series, "values": values} for series, values in self.series.items()
            ],
            "alert_rule_test": [check.document() for check in self.checks],
        }


def unit_test_file(rule_file_name: str, tests: Iterable[UnitTest]) -> Document:
    """What `promtool test rules` takes."""
    return {
        "rule_files": [rule_file_name],
        "evaluation_interval": "1m",
        "tests": [test.document() for test in tests],
    }
