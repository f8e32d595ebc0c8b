"""The pages: references are current, everything that can be told is told, and what is shown works."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.cli.manifests import workloads_in
from autoscaler.collectors.detect import IMAGES
from autoscaler.config import Settings, load
from autoscaler.config.keys import setting_keys
from autoscaler.controller.notes import NOTABLE, REFUSALS
from autoscaler.controller.reference import PAGES
from autoscaler.core.annotations import KEYS, Defaults, Shape, parse_workload
from autoscaler.core.reasons import Reason
from autoscaler.core.types import WorkloadId, WorkloadSpec
from autoscaler.rules.controller import RULES
from autoscaler.rules.objectives import BURNING, SPENT, UNKNOWN
from autoscaler.simulation.peers.catalog import RULES as PEERS

DOCS = Path(__file__).parents[1] / "docs"
ALL = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


@pytest.mark.parametrize("name", PAGES)
def test_references_are_current(name: str) -> None:
    page = (DOCS / "reference" / name).read_text()
    assert page == PAGES[name](), "run make docs-reference"


def test_every_setting_has_a_meaning() -> None:
    assert [key.key for key in setting_keys() if not key.meaning] == []


@pytest.mark.parametrize("key", KEYS)
def test_the_example_of_every_annotation_is_allowed(key: str) -> None:
    own = {"forescale.io/slo": KEYS["slo"].example, f"forescale.io/{key}": KEYS[key].example}
    parsed = parse_workload(
        WorkloadId(namespace="team", name="bert"),
        own,
        defaults=Defaults(engines=("triton", "vllm")),
        shape=Shape(api_version="apps/v1", gpus_per_replica=1.0),
    )
    assert isinstance(parsed, WorkloadSpec), parsed


def test_the_readme_and_the_reference_have_every_annotation() -> None:
    readme = (DOCS.parent / "README.md").read_text()
    table = readme[readme.index("## Annotations") : readme.index("## What it never does")]
    assert set(re.findall(r"`([a-z-]+)`", table)) >= set(KEYS)


def warnings() -> set[Reason]:
    """Reasons of all findings that the code makes, and of workloads that are not followed: each is a Warning Event."""
    # Handed on in variables, and not to be seen where a finding is made.
    found = {Reason.DUPLICATE_SAMPLE, Reason.INVALID_ANNOTATION, Reason.UNSUPPORTED}
    for path in (DOCS.parent / "autoscaler").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="Finding"), keywords=given):
                    told = {item.arg: ast.unparse(item.value) for item in given}
                    name = re.fullmatch(r"Reason\.([A-Z_]+)", told.get("reason", ""))
                    if name and told.get("severity") != "Severity.NORMAL":
                        found.add(Reason[name[1]])
    return found


def test_operations_tell_of_every_event() -> None:
    text = (DOCS / "operations.md").read_text()
    table = text[text.index("| Event |") : text.index("## Dashboard")]
    assert len(warnings()) > 15
    events = {reason.value for reason in (*NOTABLE, *warnings())} | set(REFUSALS.values())
    assert {event for event in events if f"`{event}`" not in table} == set()


def test_operations_tell_of_every_alert() -> None:
    text = (DOCS / "operations.md").read_text()
    alerts = {rule.alert for rule in RULES} | {BURNING, SPENT, UNKNOWN}
    assert {alert for alert in alerts if f"`{alert}`" not in text} == set()


def test_every_alert_has_a_first_command() -> None:
    text = (DOCS / "operations.md").read_text()
    rows = re.findall(r"^\| (`Forescale\w+`.*?) \| (.*?) \| ", text, re.M)
    alerts = {rule.alert for rule in RULES} | {BURNING, SPENT, UNKNOWN}
    assert {name for row, _ in rows for name in re.findall(r"`(\w+)`", row)} == alerts
    no_command = [row for row, command in rows if not re.match(r"`(kubectl|forescale) ", command)]
    assert no_command == ["`ForescaleAccountsNotSaved`"]  # the same


def stages() -> set[str]:
    """Names of steps, as `explain` shows them."""
    found = set()
    for path in (DOCS.parent / "autoscaler").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="move" | "raise_to" | "lower_to" | "then"),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    found.add(name)
                case (
                    ast.Assign(targets=[ast.Name(id="STAGE")], value=ast.Constant(value=str(name)))
                    | ast.keyword(arg="stage", value=ast.Constant(value=str(name)))
                ):
                    found.add(name)
    return found


def test_decisions_tell_of_every_step() -> None:
    text = (DOCS / "decisions.md").read_text()
    table = text[text.index("| step |") : text.index("## Reasons")]
    told = {
        name for row in re.findall(r"^\| ([a-z, ]+) \|", table, re.M) for name in row.split(", ")
    }
    assert len(stages()) > 15
    assert stages() - told == set()


def test_the_comparison_tells_of_every_peer() -> None:
    text = (DOCS / "comparison.md").read_text()
    table = text[text.index("| name | rule |") : text.index("Where they differ")]
    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.M)) == set(PEERS)


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, text) of every block of code in that language."""
    found = []
    for name in ALL:
        text = (DOCS / name).read_text()
        found += [(name, block) for block in re.findall(rf"```{language}\n(.*?)```", text, re.S)]
    return found


@pytest.mark.parametrize(("page", "text"), blocks("yaml"))
def test_every_manifest_that_a_page_shows_can_be_followed(
    page: str, text: str, tmp_path: Path
) -> None:
    documents: list[Any] = list(yaml.safe_load_all(text))
    assert all(isinstance(document, dict) for document in documents)
    path = tmp_path / "shown.yaml"
    path.write_text(text)
    specs, problems = workloads_in([path], Settings())
    assert problems == []
    assert len(specs) == text.count("forescale.io/slo")


@pytest.mark.parametrize(
    ("page", "text"), [shown for shown in blocks("yaml") if "queries:" in shown[1]]
)
def test_queries_that_a_page_shows_are_a_policy(page: str, text: str, tmp_path: Path) -> None:
    """Under a name that pods are known by, so that they need no annotation."""
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    for name, own in load(path).queries.items():
        assert any(name == engine for engine, _ in IMAGES)
        assert own.success
        assert own.inferences


@pytest.mark.parametrize(
    ("page", "text"),
    [shown for shown in blocks("yaml") if re.search(r"^namespaces:", shown[1], re.M)],
)
def test_namespaces_that_a_page_shows_are_a_policy(page: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    assert load(path).namespaces


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ +(.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *ALL])
def test_every_link_leads_somewhere(name: str) -> None:
    page = DOCS / name if name in ALL else DOCS.parent / name
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        there = page.parent / path if path else page
        if not there.exists() or (anchor and anchor not in anchors(there.read_text())):
            lost.append(link)
    assert lost == []


def test_both_sides_of_each_move_are_shown() -> None:
    kinds = [
        yaml.safe_load(text)["kind"] for page, text in blocks("yaml") if page == "migration.md"
    ]
    assert kinds == [
        *("HorizontalPodAutoscaler", "Deployment"),
        *("ScaledObject", "Deployment"),
        *("InferenceService", "InferenceService"),
    ]
