"""The house itself: what is imported when, what the README promises, what is documented."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from autoscaler.core.reasons import Reason

ROOT = Path(__file__).parents[1]
HEAVY = (
    "aiohttp",
    "kubernetes_asyncio",
    "msgspec",
    "numba",
    "numpy",
    "pydantic",
    "rich",
    "scipy",
    "yaml",
)


def loaded(code: str) -> set[str]:
    """Top-level modules that a new interpreter has loaded after `code`."""
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return {name.split(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import autoscaler", id="import"),
        pytest.param(
            "from autoscaler.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
            id="help",
        ),
        pytest.param("import autoscaler.core.decide", id="core"),
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert loaded(code).isdisjoint(HEAVY)


def makefile_targets() -> dict[str, str]:
    text = (ROOT / "Makefile").read_text()
    return dict(re.findall(r"^([a-z0-9-]+):.*?(?:## (.*))?$", text, re.MULTILINE))


def test_every_target_has_a_help_text() -> None:
    assert {name for name, told in makefile_targets().items() if not told} == set()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_targets_that_pages_name_exist(page: str) -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z0-9-]+)", (ROOT / page).read_text()))
    assert named
    assert named <= set(makefile_targets())


def test_the_readme_has_pictures_and_they_are_small() -> None:
    named = re.findall(r"!\[[^]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert named
    assert [name for name in named if (ROOT / name).stat().st_size > 200_000] == []


def test_every_reason_is_explained() -> None:
    text = (ROOT / "docs/decisions.md").read_text()
    assert [reason.value for reason in Reason if f"`{reason.value}`" not in text] == []


def tracked(*options: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", *options], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return listed.stdout.splitlines()


def test_nothing_that_git_ignores_is_in_the_tree() -> None:
    assert tracked("--cached", "--ignored", "--exclude-standard") == []


def test_nothing_of_a_machine_is_in_the_tree() -> None:
    # Written in two parts, so that this file does not hold what it looks for.
    foreign = re.compile("|".join(["/wo" + "rk/", "/ro" + "ot/", "index" + "-url"]))
    found = []
    for name in tracked():
        try:
            text = (ROOT / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        if foreign.search(text):
            found.append(name)
    assert found == []
