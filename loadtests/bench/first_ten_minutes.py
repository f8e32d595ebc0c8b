"""A new user's path: a fresh clone, and then the README's own lines one after the other, each timed.

Read from the README of the clone, so that what is timed is what is written there. All lines run in one shell, as at a
prompt. Installation is told apart: it takes what the network and the compiler take, once.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.report import Figure, report

ROOT = Path(__file__).parents[2]
CLONE = ROOT / "build" / "first-ten-minutes" / "clone"
LIMIT_S = 600.0
INSTANT_S = 0.2
INSTALL = ("make venv", "make stack-tools")
MARK = "@@"
# What a line must print to have been of use; the others must only succeed.
TELLS = {"plan": "team/bert", "explain": "one replica", "report": "GOOD, ESTIMATED"}


class PathBroken(Exception):
    """A line of the README failed, or printed nothing of use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line as it was run."""

    command: str
    seconds: float
    output: str


def path_of(readme: str) -> list[str]:
    """The demo and the lines of the ten minutes, in order, without their comments. Raises PathBroken."""
    found = re.search(r"^## Ten minutes on real parts\n+```sh\n(.*?)```", readme, re.M | re.S)
    if found is None or "make demo " not in readme:
        raise PathBroken("README.md: no block of commands under `Ten minutes on real parts`")
    lines = (re.sub(r"\s+# .*", "", line).strip() for line in found[1].splitlines())
    return ["make demo", *(line for line in lines if line)]


def script(commands: list[str]) -> str:
    """Runs the commands in this shell, with job control as at a prompt, and says when each began and how it ended."""
    parts = ["set -m"]
    for number, command in enumerate(commands):
        parts += [
            f"echo; echo {MARK} begin {number} $EPOCHREALTIME",
            command,
            f"code=$?; echo; echo {MARK} end {number} $EPOCHREALTIME $code",
            "[ $code -eq 0 ] || exit 1",
        ]
    return "\n".join(parts) + "\n"


def lines_of(commands: list[str], printed: str) -> list[Line]:
    """What the script printed, by command. Raises PathBroken for the first that failed or told nothing."""
    done = []
    for number, command in enumerate(commands):
        begun = re.search(rf"^{MARK} begin {number} (\S+)\n", printed, re.M)
        ended = re.search(rf"^{MARK} end {number} (\S+) (\d+)$", printed, re.M)
        if begun is None or ended is None:
            raise PathBroken(f"{command}: it never ended")
        output = printed[begun.end() : ended.start()].strip()
        if ended[2] != "0":
            raise PathBroken(f"{command}: exit code {ended[2]}")
        words = command.split()
        told = next((t for word, t in TELLS.items() if word in words), "")
        if told not in output:
            raise PathBroken(f"{command}: does not print {told!r}")
        seconds = float(ended[1]) - float(begun[1])
        done.append(Line(command=command, seconds=seconds, output=output))
    return done


def figures(install_s: float, lines: list[Line]) -> list[Figure]:
    """Each line that took any time, and all of them together against the ten minutes."""
    return [
        Figure(name="installation", value=install_s, unit="s", note=", ".join(INSTALL)),
        *(
            Figure(name=_short(line.command), value=line.seconds, unit="s")
            for line in lines
            if line.seconds >= INSTANT_S
        ),
        Figure(
            name="the path without installation",
            value=sum(line.seconds for line in lines),
            unit="s",
            target=LIMIT_S,
        ),
    ]


def _short(command: str) -> str:
    """`forescale plan` of a line with all its options."""
    words = [word for word in command.split() if not word.startswith("-")]
    return " ".join([Path(words[0]).name, *words[1:2]])


def main() -> int:
    """Returns the exit code."""
    shutil.rmtree(CLONE.parent, ignore_errors=True)
    clone = ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(CLONE)]
    subprocess.run(clone, check=True)
    try:
        began_s = time.monotonic()
        for command in INSTALL:
            subprocess.run(command.split(), cwd=CLONE, check=True)
        install_s = time.monotonic() - began_s
        commands = path_of((CLONE / "README.md").read_text())
        printed = _run(script(commands))
        report("first-ten-minutes", figures(install_s, lines_of(commands, printed)))
    except (PathBroken, subprocess.CalledProcessError) as error:
        print(f"first-ten-minutes: {error}", file=sys.stderr)
        return 1
    finally:
        subprocess.run(["make", "stack-down"], cwd=CLONE, check=False, capture_output=True)
    return 0


def _run(text: str) -> str:
    """What the shell prints, which is shown as it comes."""
    with subprocess.Popen(
        ["bash", "-c", text],
        cwd=CLONE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as shell:
        assert shell.stdout is not None
        printed = []
        for line in shell.stdout:
            printed.append(line)
            print(line, end="", flush=True)
    return "".join(printed)


if __name__ == "__main__":
    sys.exit(main())
