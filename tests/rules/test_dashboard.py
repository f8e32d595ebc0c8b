"""The dashboard asks for metrics that there are, in expressions that Prometheus takes, and its panels don't overlap."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from autoscaler.rules.controller import RULES
from autoscaler.rules.dashboard import dashboard
from tests.rules.test_promtool import promtool, run

__all__ = ["promtool"]

ROOT = Path(__file__).parents[2]
COMPONENT = ROOT / "deploy" / "kustomize" / "components" / "grafana"


def expressions() -> list[str]:
    return [target["expr"] for panel in graphs() for target in panel["targets"]]


def graphs() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] == "timeseries"]


def test_every_metric_and_label_is_one_that_the_controller_has() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", page, re.M)
    labels = {name: set(re.findall(r"`(\w+)`", text)) for name, _, text in rows}
    for expr in expressions():
        names = {name.removesuffix("_bucket") for name in re.findall(r"forescale_\w+", expr)}
        assert names <= labels.keys(), expr
        by = {b.strip() for text in re.findall(r"by \((.*?)\)", expr) for b in text.split(",")}
        matched = set(re.findall(r"(\w+)=~", expr))
        assert (by - {"le"}) | matched <= set().union(*(labels[name] for name in names)), expr


def test_what_an_alert_is_about_can_be_looked_at() -> None:
    shown = {name for expr in expressions() for name in re.findall(r"forescale_\w+", expr)}
    unseen = {
        rule.alert for rule in RULES if not shown & set(re.findall(r"forescale_\w+", rule.expr))
    }
    assert unseen == {"ForescaleAbsent"}  # then there is nothing to show


def test_a_legend_names_labels_that_are_left() -> None:
    for panel in graphs():
        for target in panel["targets"]:
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            by = re.search(r"by \((.*?)\)", target["expr"])
            assert shown <= set(by.group(1).replace(" ", "").split(",") if by else ()), target


def test_prometheus_takes_every_expression(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": "tried", "expr": expr, "labels": {"of": expr}} for expr in expressions()]
    path = tmp_path / "tried.rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "tried", "rules": rules}]}))
    code, said = run(promtool, "check", "rules", str(path))
    assert code == 0, said


def test_no_panel_lies_on_another_or_beyond_the_page() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    numbers = [panel["id"] for panel in dashboard()["panels"]]
    assert len(numbers) == len(set(numbers))


def test_the_component_is_found_by_grafanas_sidecar() -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(COMPONENT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    made = yaml.safe_load(done.stdout)
    assert made["metadata"]["name"] == "forescale-dashboard"
    assert made["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert json.loads(made["data"]["forescale.json"]) == dashboard()
