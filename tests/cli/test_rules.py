"""`forescale rules`: groups, the operator's resource, and what can not be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import forescale

ANNOTATED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: bert, namespace: team, annotations: {forescale.io/slo: "99% < 200ms, 90% < 50ms"}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: llm, namespace: team, annotations: {forescale.io/slo: "p95 < 2s"}}
"""


def test_rules_come_in_a_group_for_each_workload(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(ANNOTATED)
    code, out, _ = forescale(capsys, "rules", "--manifests", str(path), "--json")
    assert code == 0
    groups = {group["name"]: group["rules"] for group in json.loads(out)["groups"]}
    assert list(groups) == ["forescale/team/bert", "forescale/team/statefulset/llm"]
    objectives = {rule["labels"]["objective"] for rule in groups["forescale/team/bert"]}
    assert objectives == {"99% < 200ms", "90% < 50ms"}


def test_a_workload_that_is_there_twice_gets_no_rules_of_one_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "base.yaml").write_text(ANNOTATED)
    (tmp_path / "production.yaml").write_text(ANNOTATED.replace("p95 < 2s", "p95 < 1s"))
    code, out, err = forescale(capsys, "rules", "--manifests", str(tmp_path))
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "forescale: team/bert: is in the manifests twice, give those of one environment",
        "forescale: team/statefulset/llm: is in the manifests twice, give those of one environment",
    ]


def test_rules_of_one_workload_as_the_operators_resource(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(ANNOTATED)
    argv = ("team/bert", "--manifests", str(path), "--prometheus-rule", "--json")
    code, out, _ = forescale(capsys, "rules", *argv)
    assert code == 0
    document = json.loads(out)
    assert document["kind"] == "PrometheusRule"
    assert [group["name"] for group in document["spec"]["groups"]] == ["forescale/team/bert"]


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("team/brt",), 1, "team/brt: is not known, did you mean team/bert?"),
        (("--output", "x", "--json"), 2, "--output: with --json, writes plain rule files only"),
        (
            ("--output", __file__),
            1,
            "test_rules.py: File exists, name another place",
        ),
        (("--controller-alerts",), 2, "--controller-alerts: with --manifests, are of no workload"),
    ],
)
def test_rules_that_can_not_be_written(
    argv: tuple[str, ...],
    code: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(ANNOTATED)
    got, _, err = forescale(capsys, "rules", *argv, "--manifests", str(path))
    assert got == code
    assert said in err


def test_a_mistake_in_a_manifest_stops_the_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(ANNOTATED.replace("p95 < 2s", "fast"))
    code, _, err = forescale(capsys, "rules", "--manifests", str(path))
    assert code == 2
    assert "'fast' is no objective" in err
