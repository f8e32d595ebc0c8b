"""The Grafana dashboard over what `/metrics` says, as a value in Grafana's JSON model.

That is grafana.com/docs/grafana/latest/dashboards; the data source and the workload are chosen on the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autoscaler.rules.panels import ROWS, Panel, Row

UID = "forescale"
# Of the JSON model: Grafana migrates an older one when it reads it.
SCHEMA_VERSION = 39
COLUMNS, WIDTH, HEIGHT = 24, 8, 8
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict[str, Any]:
    """As Grafana imports it, or reads it from a ConfigMap."""
    return {
        "uid": UID,
        "title": "forescale",
        "tags": ["forescale"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": _choices()},
        "panels": _laid_out(ROWS),
    }


def _choices() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        _choice("namespace", "label_values(forescale_workload_target_replicas, namespace)"),
        _choice(
            "name",
            'label_values(forescale_workload_target_replicas{namespace=~"$namespace"}, name)',
        ),
    ]


def _choice(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _laid_out(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each row's heading at the full width, and its panels from left to right below it."""
    made: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        place = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
        made.append(
            {"id": len(made) + 1, "type": "row", "title": row.title, "gridPos": place, "panels": []}
        )
        x, y = 0, y + 1
        for panel in row.panels:
            if x + WIDTH > COLUMNS:
                x, y = 0, y + HEIGHT
            place = {"h": HEIGHT, "w": WIDTH, "x": x, "y": y}
            made.append(_graph(panel, len(made) + 1, place))
            x += WIDTH
        y += HEIGHT
    return made


def _graph(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {
            # What is unknown has no sample: a line is not drawn across it.
            "defaults": {"unit": panel.unit, "custom": {"spanNulls": False}},
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "none"},
        },
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": DATASOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
            }
            for place, query in enumerate(panel.queries)
        ],
    }
