"""The component `slices`: exactly these rights, and the chart's only when asked; without `cut` it may touch no node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from autoscaler.config import NamespacePolicy, Settings
from autoscaler.controller.doctor.rights import needed
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.settings import SliceSettings, SlicesMode
from tests.deploy.test_base import rights
from tests.deploy.test_helm import DEPLOY, chart, helm, without_labels
from tests.deploy.test_nodes import named

COMPONENT = DEPLOY / "kustomize" / "components" / "slices"
ON = ("--set", "slices.enabled=true")
READS = {("get", "nodes"), ("list", "nodes"), ("watch", "nodes")}
SERVICES = {("list", "services"), ("watch", "services")}
__all__ = ["helm"]


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((COMPONENT / "rbac.yaml").read_text()))


def asked(mode: SlicesMode) -> set[tuple[str, str]]:
    """What doctor asks for."""
    settings = Settings(engine=EngineConfig(slices=SliceSettings(mode=mode)))
    return {(r.verb, r.resource) for r in needed(settings, "forescale").get("component slices", ())}


def test_it_may_patch_nodes_and_nothing_else() -> None:
    role = named(documents(), "ClusterRole", "forescale-slices")
    assert rights(role) == READS | SERVICES | {("patch", "nodes")}
    assert rights(role) == asked(SlicesMode.AUTO)


def test_it_is_named_by_the_component() -> None:
    kustomization = yaml.safe_load((COMPONENT / "kustomization.yaml").read_text())
    assert (kustomization["kind"], kustomization["resources"]) == ("Component", ["rbac.yaml"])


def test_the_chart_has_the_same_and_only_when_asked(helm: Path) -> None:
    assert not [o for o in chart(helm) if "slices" in str(o["metadata"])]
    theirs = chart(helm, *ON)
    for ours in documents():
        found = named(theirs, ours["kind"], ours["metadata"]["name"])
        assert without_labels(found) == without_labels(ours)


def test_what_is_only_recommended_needs_no_right_to_write(helm: Path) -> None:
    objects = chart(helm, *ON, "--set", "slices.cut=false")
    assert rights(named(objects, "ClusterRole", "forescale-slices")) == READS | SERVICES
    assert asked(SlicesMode.RECOMMEND) == READS | SERVICES
    assert asked(SlicesMode.OFF) == set()


def test_victims_are_a_component_of_their_own(helm: Path) -> None:
    folder = DEPLOY / "kustomize" / "components" / "victims"
    ours = list(yaml.safe_load_all((folder / "rbac.yaml").read_text()))
    assert rights(named(ours, "ClusterRole", "forescale-victims")) == {("patch", "pods")}
    assert not [o for o in chart(helm, *ON) if "victims" in str(o["metadata"])]
    theirs = chart(helm, "--set", "victims.enabled=true")
    for one in ours:
        found = named(theirs, one["kind"], one["metadata"]["name"])
        assert without_labels(found) == without_labels(one)
    steered = Settings(namespaces={"team": NamespacePolicy(steer_victims=True)})
    assert [str(r) for r in needed(steered, "forescale")["component victims"]] == ["patch pods"]
