"""The component `templates`: the right to patch Deployments, bound in the namespaces that are named and only there."""

from __future__ import annotations

from pathlib import Path

import yaml

from autoscaler.config import Settings
from autoscaler.controller.doctor.rights import of_templates
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.settings import SliceSettings, SlicesMode, TemplatesMode
from tests.core.story import spec
from tests.deploy.test_base import rights
from tests.deploy.test_helm import DEPLOY, chart, helm, without_labels
from tests.deploy.test_nodes import named

COMPONENT = DEPLOY / "kustomize" / "components" / "templates"
ON = ("--set", "templates.namespaces={team,other}")
ROLE = "forescale-templates"
__all__ = ["helm"]


def test_the_component_grants_the_role_and_binds_it_nowhere() -> None:
    (role,) = yaml.safe_load_all((COMPONENT / "rbac.yaml").read_text())
    assert rights(role) == {("get", "deployments"), ("patch", "deployments")}
    kustomization = yaml.safe_load((COMPONENT / "kustomization.yaml").read_text())
    assert (kustomization["kind"], kustomization["resources"]) == ("Component", ["rbac.yaml"])


def test_the_chart_binds_it_in_the_namespaces_that_are_named(helm: Path) -> None:
    assert not [o for o in chart(helm) if o["metadata"]["name"] == ROLE]
    theirs = [o for o in chart(helm, *ON) if o["metadata"]["name"] == ROLE]
    (ours,) = yaml.safe_load_all((COMPONENT / "rbac.yaml").read_text())
    assert without_labels(named(theirs, "ClusterRole", ROLE)) == without_labels(ours)
    bindings = [o for o in theirs if o["kind"] == "RoleBinding"]
    assert [o["metadata"]["namespace"] for o in bindings] == ["team", "other"]
    assert not [o for o in theirs if o["kind"] == "ClusterRoleBinding"]
    assert {o["roleRef"]["name"] for o in bindings} == {ROLE}


def test_doctor_asks_for_it_where_a_workload_does() -> None:
    slices = SliceSettings(mode=SlicesMode.AUTO, templates=TemplatesMode.AUTO)
    auto = Settings(engine=EngineConfig(slices=slices))
    mine = spec(slice_shapes=("1g.10gb", "2g.20gb"))
    asked = of_templates(auto, (mine, spec("other")))
    assert [str(right) for right in asked["component templates"]] == [
        "get deployments.apps in team",
        "patch deployments.apps in team",
    ]
    assert of_templates(auto, (spec("other"),)) == {}
    assert of_templates(Settings(), (mine,)) == {}
