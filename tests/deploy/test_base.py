"""What deploy/ asks for: exactly these rights, and a policy that can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autoscaler.config import load


def of_kind(rendered: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [item for item in rendered if item["kind"] == kind]
    return found


def config_map(objects: list[dict[str, Any]], name: str) -> dict[str, str]:
    (found,) = [o for o in objects if o["kind"] == "ConfigMap" and o["metadata"]["name"] == name]
    data: dict[str, str] = found["data"]
    return data


def rights(role: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (verb, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }


def test_the_cluster_role_grants_exactly_this(rendered: list[dict[str, Any]]) -> None:
    watched = (
        *("deployments", "statefulsets", "replicasets", "pods", "horizontalpodautoscalers"),
        "inferenceservices",
    )
    assert rights(of_kind(rendered, "ClusterRole")) == {
        *((verb, resource) for verb in ("list", "watch") for resource in watched),
        ("patch", "deployments/scale"),
        ("patch", "statefulsets/scale"),
        ("create", "events"),
    }


def test_the_role_in_its_own_namespace_grants_exactly_this(rendered: list[dict[str, Any]]) -> None:
    assert rights(of_kind(rendered, "Role")) == {
        *((verb, "leases") for verb in ("create", "get", "update")),
        *((verb, "configmaps") for verb in ("create", "get", "update")),
    }


def test_the_policy_can_be_read(rendered: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(config_map(rendered, "forescale-policy")["policy.yaml"])
    assert load(path, {}, {}).prometheus.url.startswith("http://prometheus")


def test_two_replicas_that_may_not_do_much(rendered: list[dict[str, Any]]) -> None:
    spec = of_kind(rendered, "Deployment")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["replicas"] == 2
    assert spec["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
