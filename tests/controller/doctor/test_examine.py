"""The whole examination over HTTP: findings whatever answers, and an exit code that says whether one is bad."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autoscaler.cli import main
from autoscaler.config import KubernetesSettings, PrometheusSettings, Settings
from autoscaler.controller.doctor.diagnosis import Level
from autoscaler.controller.doctor.examine import examine
from tests.fakes.clock import FakeClock
from tests.fakes.cluster_api import ClusterApi, deployment

NOBODY = "http://127.0.0.1:9"


def kubeconfig(folder: Path, url: str) -> str:
    path = folder / "kubeconfig"
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\n"
        f"clusters: [{{name: c, cluster: {{server: '{url}'}}}}]\n"
        "users: [{name: u, user: {}}]\n"
    )
    return str(path)


async def test_what_does_not_answer_is_a_finding_and_the_rest_goes_on(tmp_path: Path) -> None:
    api = ClusterApi()
    api.put("/version", {"gitVersion": "v1.35.4"})
    api.put(
        "/apis/apps/v1/namespaces/team/deployments/bert",
        deployment("bert", 1, {"slo": "99% < 300ms"}),
    )
    async with api.serving():
        settings = replace(
            Settings(),
            kubernetes=KubernetesSettings(kubeconfig=kubeconfig(tmp_path, api.url)),
            prometheus=PrometheusSettings(url=NOBODY),
        )
        found = {item.check: item for item in await examine(settings, FakeClock())}
    assert found["Kubernetes"].found.startswith("v1.35.4 at ")
    # This server knows no reviews of rights: that says nothing about the rights.
    assert found["rights: base"].level is Level.UNKNOWN
    assert found["Prometheus"].level is Level.ERROR
    assert found["node autoscaler"].level is Level.OK
    assert found["graceful end"].found == "team/bert: no preStop"
    assert all(item.remedy for item in found.values() if item.level is not Level.OK)


async def test_of_single_namespaces_nothing_else_is_looked_at(tmp_path: Path) -> None:
    """And what follows is told once, not as rights that are lacking."""
    api = ClusterApi()
    api.put("/version", {"gitVersion": "v1.35.4"})
    for name in ("team", "other"):
        made = deployment("bert", 1, {"slo": "99% < 300ms"})
        made["metadata"]["namespace"] = name
        api.put(f"/apis/apps/v1/namespaces/{name}/deployments/bert", made)
    api.denied = ("/nodes", "v1/deployments", "v1/cronjobs", "v1/resourcequotas", "/other/")
    async with api.serving():
        settings = replace(
            Settings(),
            kubernetes=KubernetesSettings(
                kubeconfig=kubeconfig(tmp_path, api.url), watch_namespaces=("team",)
            ),
            prometheus=PrometheusSettings(url=NOBODY),
        )
        found = {item.check: item for item in await examine(settings, FakeClock())}
    assert "rights: Role in team" in found
    assert "rights: base" not in found
    assert found["GPUs on nodes"].level is Level.UNKNOWN
    assert found["GPUs on nodes"].found.startswith("not looked at, as only team is watched: ")
    assert found["graceful end"].found == "team/bert: no preStop"
    assert not [item for item in found.values() if "403" in item.found]


def test_the_exit_code_is_1_with_an_error_and_2_for_what_can_not_be_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["doctor", "--kubeconfig", kubeconfig(tmp_path, NOBODY)]
    argv += ["--prometheus-url", NOBODY, "--json"]
    assert main(argv) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["errors"] == 2
    # Without a cluster Prometheus is looked at all the same, and both say at which address.
    assert [
        (item["check"], item["level"], item["found"].startswith(f"{NOBODY}: "))
        for item in told["findings"]
    ] == [("Kubernetes", "error", True), ("Prometheus", "error", True)]
    assert main(argv[:-1]) == 1
    assert capsys.readouterr().out.endswith("\n2 errors, 0 warnings, 0 not seen\n")
    assert main([*argv, "--service-account", "forescale"]) == 2
    assert "must be NAMESPACE/NAME" in capsys.readouterr().err
