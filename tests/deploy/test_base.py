"""What deploy/ asks for: exactly these rights, and a policy that can be read."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from autoscaler.config import Settings, load
from autoscaler.config.settings import KServeSettings
from autoscaler.controller.doctor.rights import SERVICES, Right, needed, of_services
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import Mode
from autoscaler.core.writes import ReplicaWrite

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPONENTS = DEPLOY / "kustomize" / "components"


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
        *("inferenceservices", "llminferenceservices"),
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


def granted(role: dict[str, Any], namespace: str = "") -> set[Right]:
    return {
        Right(
            verb=verb,
            group=group,
            resource=resource.partition("/")[0],
            subresource=resource.partition("/")[2],
            namespace=namespace,
            name=name,
        )
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def test_doctor_asks_for_what_the_base_grants_no_more_and_no_less(
    rendered: list[dict[str, Any]],
) -> None:
    asked = needed(Settings(), "forescale")
    assert set(asked["base"]) == granted(of_kind(rendered, "ClusterRole"))
    assert set(asked["base, own namespace"]) == granted(of_kind(rendered, "Role"), "forescale")


def test_doctor_asks_for_what_the_components_grant(rendered: list[dict[str, Any]]) -> None:
    pool = PoolSettings(labels={"a": "b"}, max_headroom=1)
    settings = Settings(
        engine=EngineConfig(nodes=NodeSettings(pools={"h100": pool})),
        kserve=KServeSettings(patch_revisions=True),
    )
    asked = needed(settings, "forescale")
    text = (COMPONENTS / "knative" / "rbac.yaml").read_text()
    role = of_kind(list(yaml.safe_load_all(text)), "ClusterRole")
    assert set(asked["component knative"]) == granted(role)
    text = (COMPONENTS / "kserve" / "rbac.yaml").read_text()
    role = of_kind(list(yaml.safe_load_all(text)), "ClusterRole")
    written = of_services(
        settings,
        [
            ReplicaWrite(path=f"/apis/serving.kserve.io/v1/namespaces/a/{plural}/b", patch=())
            for plural in SERVICES
        ],
    )
    assert set(written["component kserve"]) == granted(role, "a")
    text = (COMPONENTS / "nodes" / "rbac.yaml").read_text()
    roles = [o for o in yaml.safe_load_all(text) if o["kind"] in ("ClusterRole", "Role")]
    rights = [granted(role, role["metadata"].get("namespace", "")) for role in roles]
    assert set(asked["component nodes"]) == set().union(*rights)


def test_the_policy_can_be_read(rendered: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(config_map(rendered, "forescale-policy")["policy.yaml"])
    assert load(path, {}, {}).prometheus.url.startswith("http://prometheus")


def overlays(folder: Path) -> list[str]:
    """Those that the page shows, as they stand in `folder`."""
    page = (DEPLOY.parent / "docs" / "install.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.S)
    deploy = os.path.relpath(DEPLOY, folder)
    shown = [block for block in blocks if "kind: Kustomiz" in block]
    return [re.sub(r"(\.\./)+forescale/deploy", deploy, block) for block in shown]


def kustomized(folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_the_overlay_of_single_namespaces_grants_what_doctor_asks_there(tmp_path: Path) -> None:
    own, inner = overlays(tmp_path)[1], overlays(tmp_path / "team-a")[2]
    (tmp_path / "kustomization.yaml").write_text(own)
    for name in ("team-a", "team-b"):
        (tmp_path / name).mkdir()
        text = inner.replace("team-a", name)
        (tmp_path / name / "kustomization.yaml").write_text(text)
    built = kustomized(tmp_path)
    assert not [o for o in built if o["kind"] in ("Namespace", "ClusterRole", "ClusterRoleBinding")]
    path = tmp_path / "policy.yaml"
    path.write_text(config_map(built, "forescale-policy")["policy.yaml"])
    asked = needed(load(path, {}, {}), "forescale", kserve=())
    for name in ("team-a", "team-b"):
        (role, binding) = [o for o in built if o["metadata"].get("namespace") == name]
        assert granted(role, name) == set(asked[f"Role in {name}"])
        assert binding["subjects"][0]["namespace"] == "forescale"


def test_the_overlay_that_the_page_shows_can_be_built(
    rendered: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "kustomization.yaml").write_text(overlays(tmp_path)[0])
    built = kustomized(tmp_path)
    (container,) = of_kind(built, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com/forescale:0.1.0"
    path = tmp_path / "policy.yaml"
    path.write_text(config_map(built, "forescale-policy")["policy.yaml"])
    assert load(path, {}, {}).namespace("team").mode is Mode.RECOMMEND
    kinds = {item["kind"] for item in built} - {item["kind"] for item in rendered}
    assert kinds == {"PodMonitor", "PrometheusRule"}


OPT_INS = (
    *("podMonitor.enabled", "alerts.as", "nodes.enabled", "slices.enabled", "slices.cut"),
    *("victims.enabled", "kserve.writeMinReplicas", "kserve.patchRevisions", "kserve.llm"),
    *("networkPolicy.prometheusPort", "templates.namespaces", "dashboard.enabled"),
    *(
        "journal.persistent",
        "journal.size",
        "journal.existingClaim",
        "journal.accessMode",
        "journal.enabled",
    ),
)


def test_the_page_names_every_component_and_the_charts_values() -> None:
    page = (DEPLOY.parent / "docs" / "install.md").read_text()
    named = re.findall(r"^\| `([a-z-]+)` \| `", page, re.M)
    assert sorted(named) == sorted(folder.name for folder in COMPONENTS.iterdir())
    values = yaml.safe_load((DEPLOY / "helm" / "forescale" / "values.yaml").read_text())
    for name in OPT_INS:
        section, key = name.split(".")
        assert key in values[section]
        assert f"`{name}" in page, name


def test_the_charts_schema_has_every_value_and_no_other() -> None:
    chart = DEPLOY / "helm" / "forescale"
    values = yaml.safe_load((chart / "values.yaml").read_text())
    schema = json.loads((chart / "values.schema.json").read_text())
    # Helm gives every chart this one.
    assert set(schema["properties"]) - {"global"} == set(values)
    assert schema["additionalProperties"] is False
    for section, told in schema["properties"].items():
        # What is passed on as it is, such as the policy, has no names of ours.
        if told.get("additionalProperties") is False:
            # The chart itself says what has become of journal.sizeLimit.
            assert set(told["properties"]) - {"sizeLimit"} == set(values[section]), section


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
