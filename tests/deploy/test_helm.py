"""The Helm chart asks for what the kustomize base asks for, no more; and says what it can't do."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.cli import main
from autoscaler.config import load
from autoscaler.config.settings import KServeSettings
from autoscaler.controller.doctor.rights import Right, needed
from loadtests.stack.errors import ToolMissing
from loadtests.stack.toolbox import cache_dir, find_helm
from tests.deploy.test_base import config_map, granted, of_kind

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "forescale"


@pytest.fixture(scope="module")
def helm() -> Path:
    """Built by `make stack-tools`; only CI waits for that here."""
    in_ci = os.environ.get("CI") == "true"
    if not in_ci and not list(cache_dir().glob("bin/helm-*/helm")):
        pytest.skip("helm: not built yet, run make stack-tools")
    try:
        return find_helm(lambda _: None)
    except ToolMissing as missing:
        if in_ci:
            pytest.fail(str(missing))
        pytest.skip(str(missing))


def run(helm: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(helm), *argv], capture_output=True, text=True, check=False)


def chart(helm: Path, *argv: str, release: str = "forescale") -> list[dict[str, Any]]:
    given = ["template", release, str(CHART), "--namespace=forescale", "--kube-version=1.35.0"]
    done = run(helm, *given, *argv)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def test_the_chart_is_sound(helm: Path) -> None:
    done = run(helm, "lint", str(CHART), "--strict")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("ClusterRole", "rules"),
        ("Role", "rules"),
        ("ClusterRoleBinding", "roleRef"),
        ("ClusterRoleBinding", "subjects"),
        ("RoleBinding", "subjects"),
    ],
)
def test_the_chart_grants_what_the_base_grants(
    helm: Path, rendered: list[dict[str, Any]], kind: str, part: str
) -> None:
    assert of_kind(chart(helm), kind)[part] == of_kind(rendered, kind)[part]


def test_the_chart_grants_what_the_components_grant_and_only_when_asked(
    helm: Path, tmp_path: Path
) -> None:
    assert len([o for o in chart(helm) if o["kind"] == "ClusterRole"]) == 1
    on = ("--set", "kserve.writeMinReplicas=true", "--set", "kserve.patchRevisions=true")
    roles = {
        o["metadata"]["name"]: o["rules"] for o in chart(helm, *on) if o["kind"] == "ClusterRole"
    }
    for name in ("kserve", "knative"):
        text = (DEPLOY / "kustomize" / "components" / name / "rbac.yaml").read_text()
        role = of_kind(list(yaml.safe_load_all(text)), "ClusterRole")
        assert roles[role["metadata"]["name"]] == role["rules"]
    few = chart(helm, *on, "--set", "kserve.llm=false")
    (role,) = [o for o in few if o["metadata"]["name"] == "forescale-kserve" and "rules" in o]
    assert role["rules"][0]["resources"] == ["inferenceservices"]
    path = tmp_path / "policy.yaml"
    path.write_text(config_map(chart(helm, *on), "forescale-policy")["policy.yaml"])
    assert load(path, {}, {}).kserve.patch_revisions is True


@pytest.mark.parametrize(
    ("namespaces", "bound"),
    [
        ({"*": {"mode": "recommend"}}, None),
        ({"team": {"max_mode": "recommend"}}, None),
        ({"*": {"max_mode": "recommend"}}, []),
        ({"*": {"max_mode": False}}, []),
        ({"*": {"allow": False}, "a": {"allow": True}, "b": {"allow": False}, "c": None}, ["a"]),
        (
            {"*": {"max_mode": "recommend"}, "a": {"max_mode": "auto"}, "b": {"max_priority": 1}},
            ["a"],
        ),
    ],
)
def test_the_right_to_scale_is_where_the_policy_lets_it(
    helm: Path, tmp_path: Path, namespaces: dict[str, Any], bound: list[str] | None
) -> None:
    """None: in the whole cluster. It is what doctor asks for."""
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"policy": {"namespaces": namespaces}}))
    objects = chart(helm, "--values", str(values))
    (base, *more) = [granted(o) for o in objects if o["kind"] == "ClusterRole"]
    bindings = [
        o["metadata"]["namespace"]
        for o in objects
        if o["kind"] == "RoleBinding" and o["roleRef"]["kind"] == "ClusterRole"
    ]
    cluster_wide = any(right.subresource == "scale" for right in base)
    assert (cluster_wide, bindings) == (bound is None, bound or [])
    assert [all(right.subresource == "scale" for right in role) for role in more] == (
        [True] if bound else []
    )
    namespaces.pop("c", None)  # refused where `*` has allow: false
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump({"namespaces": namespaces}))
    asked = needed(load(path, {}, {}), "forescale")
    told = {right.namespace for rights in asked.values() for right in rights if right.subresource}
    assert told == ({""} if bound is None else set(bound))


def without_labels(value: Any) -> Any:
    """Labels and the selectors by them differ: a chart has several releases. Its pods are new with a new policy."""
    if isinstance(value, dict):
        left_out = ("labels", "matchLabels", "annotations", "imagePullPolicy")
        return {k: without_labels(v) for k, v in value.items() if k not in left_out}
    return [without_labels(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", ["Deployment", "PodDisruptionBudget", "NetworkPolicy"])
def test_the_chart_runs_what_the_base_runs(
    helm: Path, rendered: list[dict[str, Any]], kind: str
) -> None:
    ours, theirs = of_kind(rendered, kind)["spec"], of_kind(chart(helm), kind)["spec"]
    assert without_labels(theirs) == without_labels(ours)


def test_the_policy_of_the_chart_can_be_read(helm: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        config_map(chart(helm, "--set", "policy.engine.tick_s=20"), "forescale-policy")[
            "policy.yaml"
        ]
    )
    settings = load(path, {}, {})
    assert settings.engine.tick_s == 20.0
    assert settings.leader.lease_name == "forescale"


def test_the_pages_values_are_taken(helm: Path, tmp_path: Path) -> None:
    page = (DEPLOY.parent / "docs" / "install.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith("helm install")]
    objects = chart(helm, *shlex.split(line)[7:])
    (container,) = of_kind(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("registry.example.com/forescale:")
    path = tmp_path / "policy.yaml"
    path.write_text(config_map(objects, "forescale-policy")["policy.yaml"])
    assert load(path, {}, {}).prometheus.url == "http://prometheus-operated.monitoring.svc:9090"


def test_what_the_policy_names_by_path_can_be_mounted(helm: Path, tmp_path: Path) -> None:
    """As the page shows it for a Prometheus behind a login."""
    page = (DEPLOY.parent / "docs" / "install.md").read_text()
    (shown,) = [block for block in page.split("```yaml\n") if "extraVolumes" in block]
    values = tmp_path / "values.yaml"
    values.write_text(shown.split("```")[0] + "extraEnv: [{name: NO_PROXY, value: .svc}]\n")
    objects = chart(helm, "--values", str(values))
    pod = of_kind(objects, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["volumes"][-1] == {
        "name": "prometheus",
        "secret": {"secretName": "prometheus-login"},
    }
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == "prometheus"]
    assert container["env"] == [{"name": "NO_PROXY", "value": ".svc"}]
    policy = tmp_path / "policy.yaml"
    policy.write_text(config_map(objects, "forescale-policy")["policy.yaml"])
    prometheus = load(policy, {}, {}).prometheus
    for path in (prometheus.bearer_token_file, prometheus.ca_file):
        assert path is not None
        assert path.startswith(f"{mount['mountPath']}/")


def test_profiles_stand_beside_the_policy_that_names_them(helm: Path, tmp_path: Path) -> None:
    profile = tmp_path / "bert.csv"
    profile.write_text("batch_size,service_ms\n1,25\n8,37\n")
    assert (
        main(["profile", "import", str(profile), "--model", "bert", "-o", f"{tmp_path}/p.json"])
        == 0
    )
    argv = (
        *("--set-file", f"profileFiles.bert\\.json={tmp_path}/p.json"),
        *("--set", "policy.profiles.team/bert=bert.json"),
    )
    objects = chart(helm, *argv)
    for name, text in config_map(objects, "forescale-policy").items():
        (tmp_path / name).write_text(text)
    settings = load(tmp_path / "policy.yaml", {}, {})
    assert [prior.workload for prior in settings.engine.priors] == ["team/bert"]
    before, after = (
        of_kind(items, "Deployment")["spec"]["template"]["metadata"]["annotations"]
        for items in (chart(helm, *argv[2:]), objects)
    )
    assert before != after
    done = run(helm, "template", "x", str(CHART), "--set", "profileFiles.policy\\.yaml=x")
    assert done.returncode != 0


def test_two_releases_share_neither_lease_nor_rights(helm: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    objects = chart(helm, release="blue")
    path.write_text(config_map(objects, "blue-forescale-policy")["policy.yaml"])
    settings = load(path, {}, {})
    assert settings.leader.lease_name == "blue-forescale"
    assert settings.checkpoint.config_map == "blue-forescale-state"
    (leases,) = [r for r in of_kind(objects, "Role")["rules"] if r.get("resourceNames")]
    assert leases["resourceNames"] == ["blue-forescale"]


def alerts(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert main(["rules", "--controller-alerts", *argv]) == 0
    return yaml.safe_load(capsys.readouterr().out)


def test_alert_rules_are_those_of_the_command(
    helm: Path, rendered: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    written = alerts(capsys)
    for objects in (rendered, chart(helm)):
        text = config_map(objects, "forescale-alerts")["forescale.rules.yaml"]
        assert yaml.safe_load(text) == written
    (resource,) = [
        o for o in chart(helm, "--set", "alerts.as=prometheusRule") if o["kind"] == "PrometheusRule"
    ]
    assert resource["spec"] == written
    component = DEPLOY / "kustomize" / "components" / "prometheus-operator" / "alerts.yaml"
    assert yaml.safe_load(component.read_text()) == alerts(capsys, "--prometheus-rule")


def test_the_dashboard_is_the_commands(helm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objects = chart(helm, "--set", "dashboard.enabled=true")
    (made,) = [o for o in objects if o["metadata"]["name"] == "forescale-dashboard"]
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert main(["dashboard"]) == 0
    assert made["data"]["forescale.json"].strip() == capsys.readouterr().out.strip()
    assert len(chart(helm)) == len(objects) - 1


def test_a_scrape_keeps_the_workloads_namespace(helm: Path) -> None:
    (monitor,) = [
        o for o in chart(helm, "--set", "podMonitor.enabled=true") if o["kind"] == "PodMonitor"
    ]
    assert monitor["spec"]["podMetricsEndpoints"][0]["honorLabels"] is True


def test_what_the_chart_can_not_do_is_said(helm: Path) -> None:
    done = run(
        helm, "template", "x", str(CHART), "--kube-version=1.35.0", "--set", "alerts.as=mail"
    )
    assert done.returncode != 0
    assert 'alerts.as: "mail", must be configMap, prometheusRule or none' in done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("jounal.persistent=true", "additional properties 'jounal' not allowed"),
        ("podMonitor.enable=true", "additional properties 'enable' not allowed"),
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("templates.namespaces=team", "at '/templates/namespaces': got string, want array"),
        ("journal.size=4GB", "at '/journal/size': '4GB' does not match pattern"),
    ],
)
def test_a_value_that_the_chart_does_not_have_is_refused(helm: Path, given: str, said: str) -> None:
    done = run(helm, "template", "x", str(CHART), "--kube-version=1.35.0", "--set", given)
    assert done.returncode != 0
    assert said in done.stderr


def test_a_changed_policy_starts_new_pods_and_a_freeze_does_not(helm: Path) -> None:
    """Only freeze is taken over while they run."""

    def annotations(*argv: str) -> dict[str, str]:
        deployment = of_kind(chart(helm, *argv), "Deployment")
        found: dict[str, str] = deployment["spec"]["template"]["metadata"]["annotations"]
        return found

    before = annotations()
    assert annotations("--set", "policy.freeze=incident") == before
    assert annotations("--set", "policy.engine.tick_s=20") != before
    assert annotations("--set", "podAnnotations.team=ml") == {**before, "team": "ml"}


WATCHED = {
    "kubernetes": {"watch_namespaces": ["a", "b"]},
    "namespaces": {"*": {"steer_victims": True}, "b": {"max_mode": "recommend"}},
    "kserve": {"patch_revisions": True},
}
ON = ("--set", "victims.enabled=true", "--set", "kserve.patchRevisions=true")


def test_single_namespaces_are_granted_what_doctor_asks_there_and_the_cluster_nothing(
    helm: Path, tmp_path: Path
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"policy": WATCHED}))
    objects = chart(helm, "--values", str(values), *ON, release="blue")
    assert {o["metadata"].get("namespace") for o in objects} == {"forescale", "a", "b"}
    assert not any(o["kind"].startswith("Cluster") for o in objects)
    path = tmp_path / "policy.yaml"
    path.write_text(config_map(objects, "blue-forescale-policy")["policy.yaml"])
    settings = load(path, {}, {})
    asked: dict[str, set[Right]] = {}
    for rights in needed(settings, "forescale").values():
        for right in rights:
            asked.setdefault(right.namespace, set()).add(right)
    roles = [o for o in objects if o["kind"] == "Role"]
    given = {
        o["metadata"]["namespace"]: granted(o, namespace=o["metadata"]["namespace"]) for o in roles
    }
    assert given == asked
    bound = {
        (o["metadata"]["namespace"], o["roleRef"]["name"], o["subjects"][0]["name"])
        for o in objects
        if o["kind"] == "RoleBinding"
    }
    assert bound == {
        ("forescale", "blue-forescale", "blue-forescale"),
        ("a", "blue-forescale-watch", "blue-forescale"),
        ("b", "blue-forescale-watch", "blue-forescale"),
    }
    without = chart(helm, "--values", str(values), *ON[:2], "--set", "kserve.watch=false")
    roles = [o for o in without if o["kind"] == "Role" and o["metadata"]["namespace"] == "a"]
    given_a = set().union(*(granted(o, namespace="a") for o in roles))
    few = chart(helm, "--values", str(values), *ON[:2], "--set", "kserve.llm=false")
    roles = [o for o in few if o["kind"] == "Role" and o["metadata"]["namespace"] == "a"]
    given_few = set().union(*(granted(o, namespace="a") for o in roles))
    settings = replace(settings, kserve=KServeSettings())
    assert given_few == set(
        needed(settings, "forescale", kserve=("inferenceservices",))["Role in a"]
    )
    assert given_a == set(needed(settings, "forescale", kserve=())["Role in a"])


def test_an_empty_section_of_the_policy_watches_the_whole_cluster(helm: Path) -> None:
    assert of_kind(chart(helm, "--set", "policy.kubernetes=null"), "ClusterRole")["rules"]


@pytest.mark.parametrize(
    "value", ["nodes.enabled=true", "slices.enabled=true", "templates.namespaces={a}"]
)
def test_what_needs_the_whole_cluster_is_refused_where_single_namespaces_are_watched(
    helm: Path, value: str
) -> None:
    watched = "policy.kubernetes.watch_namespaces={a}"
    done = run(
        helm, "template", "x", str(CHART), "--kube-version=1.35.0", "--set", watched, "--set", value
    )
    assert done.returncode != 0
    assert "with policy.kubernetes.watch_namespaces" in done.stderr


def test_who_may_read_the_port_is_named(helm: Path, tmp_path: Path) -> None:
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"networkPolicy": {"from": [peer]}}))
    named = of_kind(chart(helm, "--values", str(values)), "NetworkPolicy")["spec"]["ingress"]
    (everybody,) = of_kind(chart(helm), "NetworkPolicy")["spec"]["ingress"]
    assert named == [{**everybody, "from": [peer]}]
    assert "from" not in everybody
