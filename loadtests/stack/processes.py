"""Starts, finds and stops the stack's processes, by pid and start time: a recycled pid is never killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from loadtests.stack.errors import StackError


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """One process of the stack, and how to tell it from a later one with the same pid."""

    name: str
    pid: int
    started_ticks: int
    command: tuple[str, ...]
    log: str


def started_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot (field 22 of /proc/PID/stat); None: it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name, in parentheses, may itself hold spaces and parentheses.
    fields = text.rsplit(")", 1)[1].split()
    return None if fields[0] == "Z" else int(fields[19])


def is_running(process: Started) -> bool:
    """Whether this very process still runs."""
    return started_ticks(process.pid) == process.started_ticks


def start(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Started:
    """Starts a process that outlives the caller, in a session of its own, its output in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    ticks = started_ticks(child.pid)
    # It is meant to outlive this object: without this, Popen warns that it still runs.
    child.returncode = 0
    if ticks is None:
        raise StackError(f"{name}: ended at once; {log} ends with:\n{tail(log)}")
    return Started(
        name=name, pid=child.pid, started_ticks=ticks, command=tuple(command), log=str(log)
    )


def stop(process: Started, *, grace_s: float = 10.0) -> None:
    """SIGTERM, and SIGKILL to what is left after `grace_s`. One that is gone already is fine."""
    for sent, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        if not is_running(process):
            break
        try:
            os.kill(process.pid, sent)
        except ProcessLookupError:
            break
        deadline_s = time.monotonic() + patience_s
        while is_running(process) and time.monotonic() < deadline_s:
            _reap(process.pid)
            time.sleep(0.05)
    _reap(process.pid)


def _reap(pid: int) -> None:
    """Takes the exit status if it is our child, so that no zombie is left."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def save(path: Path, processes: Sequence[Started]) -> None:
    """Writes the list at once or not at all: a crash leaves the old one."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps([asdict(process) for process in processes], indent=1))
    partial.replace(path)


def load(path: Path) -> list[Started]:
    """The list as saved; empty where there is none."""
    try:
        entries = json.loads(path.read_text())
    except FileNotFoundError:
        return []
    return [Started(**{**entry, "command": tuple(entry["command"])}) for entry in entries]
