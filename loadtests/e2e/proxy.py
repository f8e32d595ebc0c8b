"""A real L4 proxy (haproxy in TCP mode) that pins connections and learns of new pods late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from loadtests.load.targets import HTTP_PORT
from loadtests.stack import processes
from loadtests.stack.processes import Started
from loadtests.stack.toolbox import debian_program

ADDRESS, PORT = "127.0.0.1", 18500


def config(servers: dict[str, str]) -> str:
    """haproxy.cfg for these pods, in rotation by connection."""
    lines = [
        "global",
        "  maxconn 2000",
        "defaults",
        "  mode tcp",
        "  timeout connect 2s",
        "  timeout client 120s",
        "  timeout server 120s",
        f"listen triton\n  bind {ADDRESS}:{PORT}\n  balance roundrobin",
    ]
    lines += [f"  server {name} {ip}:{HTTP_PORT}" for name, ip in sorted(servers.items())]
    return "\n".join(lines) + "\n"


class Proxy:
    """Follows the ready pods: one that goes is dropped at once, one that comes is known `late_s` later.

    A reload starts a new process that takes the port over, while the old one keeps the connections that it has: pinned
    connections stay where they are.
    """

    def __init__(self, folder: Path, *, late_s: float) -> None:
        self._binary = str(debian_program("haproxy", lambda _: None))
        self._folder = folder
        self._late_s = late_s
        self._seen: dict[str, float] = {}
        self._known: dict[str, str] = {}
        self._processes: list[Started] = []

    def update(self, ready: dict[str, str], *, first: bool = False) -> None:
        """Takes in who is ready now."""
        now_s = time.monotonic()
        for name in ready:
            self._seen.setdefault(name, now_s - (self._late_s if first else 0.0))
        known = {name: ip for name, ip in ready.items() if now_s - self._seen[name] >= self._late_s}
        if known != self._known and known:
            self._known = known
            self._reload()

    def _reload(self) -> None:
        path = self._folder / "haproxy.cfg"
        path.write_text(config(self._known))
        running = [p for p in self._processes if processes.is_running(p)]
        command = [self._binary, "-f", str(path), "-db"]
        if running:
            command += ["-sf", *(str(p.pid) for p in running)]
        started = processes.start("haproxy", command, log=self._folder / "haproxy.log")
        self._processes = [*running, started]

    async def follow(self, ready: Callable[[], dict[str, str]]) -> None:
        """For ever."""
        while True:
            self.update(ready())
            await asyncio.sleep(1.0)

    def stop(self) -> None:
        """Ends every process of it."""
        for process in self._processes:
            processes.stop(process, grace_s=1.0)
