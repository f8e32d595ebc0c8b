"""The journal's volume: goes with the pod, or stays in a claim that every replica can mount."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.config import load
from tests.deploy.test_base import COMPONENTS, config_map, of_kind
from tests.deploy.test_helm import CHART, chart, helm, run

PERSISTENT = ("--set", "journal.persistent=true")
MOUNT = {"name": "journal", "mountPath": "/var/lib/forescale"}
__all__ = ["helm"]


def pod(objects: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = of_kind(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


def volume(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = [v for v in pod(objects)["volumes"] if v["name"] == "journal"]
    return {k: v for k, v in found.items() if k != "name"}


def claims(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [o for o in objects if o["kind"] == "PersistentVolumeClaim"]


def with_component(tmp_path: Path) -> list[dict[str, Any]]:
    """The base with the component `journal`."""
    kustomize = COMPONENTS.parent
    overlay = {
        "resources": [os.path.relpath(kustomize / "base", tmp_path)],
        "components": [os.path.relpath(COMPONENTS / "journal", tmp_path)],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    done = subprocess.run(
        ["kubectl", "kustomize", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_by_default_it_goes_with_the_pod(helm: Path, rendered: list[dict[str, Any]]) -> None:
    for objects in (rendered, chart(helm)):
        assert volume(objects) == {"emptyDir": {"sizeLimit": "4Gi"}}
        assert claims(objects) == []
    assert volume(chart(helm, "--set", "journal.size=1Gi")) == {"emptyDir": {"sizeLimit": "1Gi"}}


@pytest.mark.usefixtures("rendered")
def test_the_component_puts_it_into_a_claim_that_both_replicas_mount(tmp_path: Path) -> None:
    objects = with_component(tmp_path)
    (claim,) = claims(objects)
    assert claim["metadata"]["name"] == "forescale-journal"
    assert claim["metadata"]["namespace"] == "forescale"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert volume(objects) == {"persistentVolumeClaim": {"claimName": "forescale-journal"}}
    assert MOUNT in pod(objects)["containers"][0]["volumeMounts"]


def test_the_charts_claim_is_the_components(helm: Path, tmp_path: Path) -> None:
    objects, ours = chart(helm, *PERSISTENT), with_component(tmp_path)
    (theirs,), (claim,) = claims(objects), claims(ours)
    assert theirs["spec"] == claim["spec"]
    assert volume(objects) == volume(ours)
    # An upgrade without it, or an uninstall, deletes no journal.
    assert theirs["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "strategy" not in of_kind(objects, "Deployment")["spec"]


def test_class_and_size_are_taken_and_releases_share_no_claim(helm: Path) -> None:
    given = ("--set", "journal.storageClass=filestore", "--set", "journal.size=9Gi")
    (claim,) = claims(chart(helm, *PERSISTENT, *given, release="blue"))
    assert claim["metadata"]["name"] == "blue-forescale-journal"
    assert claim["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "filestore",
        "resources": {"requests": {"storage": "9Gi"}},
    }


@pytest.mark.parametrize(("given", "rendered"), [("-", ""), ("1e3", "1e3"), ("true", "true")])
def test_a_name_stays_a_name(helm: Path, given: str, rendered: str) -> None:
    (claim,) = claims(chart(helm, *PERSISTENT, "--set-string", f"journal.storageClass={given}"))
    assert claim["spec"]["storageClassName"] == rendered
    mine = chart(helm, "--set-string", f"journal.existingClaim={given}")
    assert volume(mine) == {"persistentVolumeClaim": {"claimName": given}}


def test_a_claim_that_is_there_is_mounted_and_none_made(helm: Path) -> None:
    objects = chart(helm, "--set", "journal.existingClaim=mine")
    assert volume(objects) == {"persistentVolumeClaim": {"claimName": "mine"}}
    assert claims(objects) == []


@pytest.mark.parametrize("mode", ["ReadWriteOnce", "ReadWriteOncePod"])
def test_a_volume_of_one_node_is_for_one_replica_that_goes_before_the_next(
    helm: Path, mode: str
) -> None:
    given = ("--set", f"journal.accessMode={mode}")
    objects = chart(helm, *PERSISTENT, *given, "--set", "replicas=1")
    strategy = of_kind(objects, "Deployment")["spec"]["strategy"]
    assert strategy == {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    # Where no claim is mounted its mode says nothing.
    assert "strategy" not in of_kind(chart(helm, *given), "Deployment")["spec"]


def test_none_is_kept_where_none_is_wanted(helm: Path, tmp_path: Path) -> None:
    objects = chart(helm, *PERSISTENT, "--set", "journal.enabled=false")
    assert claims(objects) == []
    assert [v["name"] for v in pod(objects)["volumes"]] == ["policy", "tmp"]
    assert MOUNT not in pod(objects)["containers"][0]["volumeMounts"]
    path = tmp_path / "policy.yaml"
    path.write_text(config_map(objects, "forescale-policy")["policy.yaml"])
    assert load(path, {}, {}).journal.path is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "journal.persistent=true,journal.accessMode=ReadWriteOnce",
            "journal.accessMode: ReadWriteOnce with replicas 2: a second pod on another node would wait",
        ),
        (
            "journal.existingClaim=mine,journal.accessMode=ReadWriteOncePod,replicas=3",
            "journal.accessMode: ReadWriteOncePod with replicas 3",
        ),
        (
            "journal.accessMode=RWX",
            'journal.accessMode: "RWX", must be ReadWriteMany, ReadWriteOnce',
        ),
        ("journal.sizeLimit=8Gi", "journal.sizeLimit: is journal.size now"),
        ("policy.journal.path=/data", 'policy.journal.path: "/data", must be a folder below'),
        ("policy.journal=null", 'policy.journal.path: "", must be a folder below'),
    ],
)
def test_what_can_not_work_is_refused(helm: Path, given: str, said: str) -> None:
    done = run(helm, "template", "x", str(CHART), "--kube-version=1.35.0", "--set", given)
    assert done.returncode != 0
    assert said in done.stderr
