"""The new user's path: which lines it has, how they are run, and what breaks it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from loadtests.bench.first_ten_minutes import Line, PathBroken, figures, lines_of, path_of, script

ROOT = Path(__file__).parents[2]


def run(commands: list[str]) -> str:
    done = subprocess.run(
        ["bash", "-c", script(commands)], capture_output=True, text=True, check=False
    )
    return done.stdout


def test_the_readmes_lines_are_the_path() -> None:
    lines = path_of((ROOT / "README.md").read_text())
    assert lines[:2] == ["make demo", "make stack"]
    assert lines[-1] == "make stack-down"
    for word in ("annotate", "plan", "explain", "report"):
        assert any(word in line.split() for line in lines), word
    assert not any("#" in line for line in lines)


def test_a_readme_without_the_block_is_told() -> None:
    with pytest.raises(PathBroken, match="no block of commands"):
        path_of("# forescale\n\nmake demo is nice\n")


def test_lines_share_one_shell_with_its_jobs() -> None:
    commands = ["export A=3", "sleep 30 &", "kill %1", "echo $A"]
    lines = lines_of(commands, run(commands))
    assert [line.command for line in lines] == commands
    assert lines[-1].output == "3"
    assert all(0.0 <= line.seconds < 30.0 for line in lines)


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        (["true", "false", "true"], "false: exit code 1"),
        (["echo nothing # plan"], "does not print 'team/bert'"),
        (["exit 3"], "exit 3: it never ended"),
    ],
)
def test_what_breaks_it(commands: list[str], said: str) -> None:
    with pytest.raises(PathBroken, match=said):
        lines_of(commands, run(commands))


def test_installation_is_told_apart_and_instants_are_left_out() -> None:
    commands = (
        ("make demo", 55.0),
        ("kill %1", 0.0),
        (".venv/bin/forescale plan --wait 3", 5.0),
        (".venv/bin/python -m loadtests.load --model bert", 120.0),
    )
    lines = [Line(command=text, seconds=seconds, output="") for text, seconds in commands]
    assert [(figure.name, figure.value, figure.met) for figure in figures(900.0, lines)] == [
        ("installation", 900.0, None),
        ("make demo", 55.0, None),
        ("forescale plan", 5.0, None),
        ("python loadtests.load", 120.0, None),
        ("the path without installation", 180.0, True),
    ]
