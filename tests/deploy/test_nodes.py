"""The component `nodes`: exactly these rights, in a namespace in which nothing has any, and a sweep that fits them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from autoscaler.cli import build_parser
from autoscaler.config import load
from autoscaler.config.settings import HeadroomSettings
from tests.deploy.test_base import config_map, rights
from tests.deploy.test_helm import CHART, DEPLOY, chart, helm, run, without_labels

COMPONENT = DEPLOY / "kustomize" / "components" / "nodes"
ON = ("--set", "nodes.enabled=true")
__all__ = ["helm"]


def documents() -> list[dict[str, Any]]:
    return [
        document
        for name in ("headroom", "rbac", "sweep")
        for document in yaml.safe_load_all((COMPONENT / f"{name}.yaml").read_text())
    ]


def named(objects: list[dict[str, Any]], kind: str, name: str, namespace: str = "") -> Any:
    (found,) = [
        o
        for o in objects
        if (o["kind"], o["metadata"]["name"], o["metadata"].get("namespace", ""))
        == (kind, name, namespace)
    ]
    return found


def test_what_is_read_of_the_cluster() -> None:
    assert rights(named(documents(), "ClusterRole", "forescale-nodes")) == {
        (verb, resource)
        for verb in ("list", "watch")
        for resource in ("nodes", "nodeclaims", "nodepools", "events")
    }


def test_what_is_written_is_written_into_its_own_namespace() -> None:
    settings = HeadroomSettings()
    role = named(documents(), "Role", "forescale-nodes", settings.namespace)
    assert rights(role) == {
        ("create", "podtemplates"),
        ("patch", "podtemplates"),
        *((v, "deployments") for v in ("list", "watch", "create", "patch")),
        *((v, "capacitybuffers") for v in ("list", "watch", "create", "patch")),
    }
    # Whoever may make a Deployment may use the accounts of its namespace: here there is none with rights.
    subjects = [
        subject["namespace"]
        for o in documents()
        if o["kind"].endswith("RoleBinding")
        for subject in o["subjects"]
    ]
    assert set(subjects) == {"forescale"}


def test_placeholders_are_the_least_that_the_cluster_autoscaler_looks_at() -> None:
    found = named(documents(), "PriorityClass", HeadroomSettings().priority_class)
    assert (found["value"], found["preemptionPolicy"]) == (-10, "Never")


def test_the_sweep_can_be_run_and_ends_headroom_within_fifteen_minutes() -> None:
    job = named(documents(), "CronJob", "forescale-sweep", "forescale")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    args = build_parser().parse_args(container["args"])
    assert (args.lease, args.namespace) == ("forescale/forescale", "forescale-headroom")
    assert job["spec"]["schedule"] == "*/5 * * * *"
    assert args.silent_for + 300.0 == 900.0


def test_the_chart_has_the_same_and_only_when_asked(helm: Path, tmp_path: Path) -> None:
    assert not [o for o in chart(helm) if "headroom" in str(o["metadata"])]
    theirs = chart(helm, *ON)
    for ours in documents():
        metadata = ours["metadata"]
        found = named(theirs, ours["kind"], metadata["name"], metadata.get("namespace", ""))
        assert without_labels(found) == without_labels(ours)
    path = tmp_path / "policy.yaml"
    path.write_text(config_map(theirs, "forescale-policy")["policy.yaml"])
    assert load(path, {}, {}).headroom == HeadroomSettings()


def test_the_sweep_is_pulled_and_scheduled_as_the_controller_is(helm: Path) -> None:
    """Where it can't be, headroom outlives a dead controller, and nobody notices."""
    given = {
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
    }
    options = [f"--set-json={key}={json.dumps(value)}" for key, value in given.items()]
    job = named(chart(helm, *ON, *options), "CronJob", "forescale-sweep", "forescale")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert {key: pod[key] for key in given} == given


def test_a_controller_that_renews_no_lease_can_not_have_headroom(helm: Path) -> None:
    """The sweep would take away every five minutes what the controller asks for in each tick."""
    given = ["template", "forescale", str(CHART), "--kube-version=1.35.0", *ON]
    given += ["--set", "policy.leader.enabled=false"]
    done = run(helm, *given)
    assert done.returncode != 0
    assert "policy.leader.enabled: false, must be true with nodes.enabled" in done.stderr


def test_two_releases_share_no_headroom(helm: Path, tmp_path: Path) -> None:
    objects = chart(helm, *ON, release="blue")
    path = tmp_path / "policy.yaml"
    path.write_text(config_map(objects, "blue-forescale-policy")["policy.yaml"])
    headroom = load(path, {}, {}).headroom
    assert headroom.namespace == headroom.priority_class == "blue-forescale-headroom"
    assert named(objects, "Namespace", "blue-forescale-headroom")
