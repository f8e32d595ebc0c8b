"""What deploy/ holds of alerts and the dashboard is what the commands print: `make deploy-files` writes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from autoscaler.cli import main

DEPLOY = Path(__file__).parents[2] / "deploy"
STALE = "run make deploy-files"
ALERTS = ["rules", "--controller-alerts"]
COPIES = {
    "helm/forescale/files/alerts.yaml": ALERTS,
    "kustomize/components/prometheus-operator/alerts.yaml": [*ALERTS, "--prometheus-rule"],
    "helm/forescale/files/dashboard.json": ["dashboard"],
    "kustomize/components/grafana/forescale.json": ["dashboard"],
}


@pytest.mark.parametrize("name", COPIES)
def test_what_is_installed_is_what_the_command_prints(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(COPIES[name]) == 0
    assert (DEPLOY / name).read_text() == capsys.readouterr().out, STALE


def test_the_base_has_the_same_alerts_in_a_config_map() -> None:
    base = yaml.safe_load((DEPLOY / "kustomize/base/alerts.yaml").read_text())
    text = (DEPLOY / "helm/forescale/files/alerts.yaml").read_text()
    assert base["data"]["forescale.rules.yaml"] == text, STALE
