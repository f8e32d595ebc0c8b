"""The stack as a whole: up, down, status, and stopping one part in mid-run."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtests.stack import karpenter, plane, processes
from loadtests.stack.errors import StackError
from loadtests.stack.processes import Started
from loadtests.stack.toolbox import Say, Toolbox, find_karpenter, find_or_make

ROOT = Path(__file__).parents[2]
# A second stack beside one that runs needs a folder of its own, and a network of its own for its ports.
FOLDER = Path(os.environ.get("STACK_FOLDER") or ROOT / "build" / "stack")
READY_DEADLINE_S = 90.0


def quiet(_: str) -> None:
    """Says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatus:
    """One part of the stack."""

    name: str
    pid: int
    running: bool
    log: str


class Stack:
    """Handle on the stack that lives in `folder`; several handles may look at the same one."""

    def __init__(self, folder: Path = FOLDER, say: Say = quiet) -> None:
        self.folder = folder
        self.ports = plane.Ports()
        self._say = say

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "admin.kubeconfig"

    @property
    def prometheus_url(self) -> str:
        return f"http://{plane.HOST}:{self.ports.prometheus}"

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{plane.HOST}:{self.ports.apiserver}"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def _ca(self) -> Path:
        return self.folder / "certs" / "apiserver.crt"

    def up(self, *, nodes: int = 2, gpus_per_node: int = 8) -> None:
        """Starts everything and waits until it answers.

        Raises StackError where one runs already, a port is taken or a part does not come up (with the end of its log).
        """
        if any(part.running for part in self.status()):
            raise StackError(
                "the stack runs already: see `make stack-status`, stop it with `make stack-down`"
            )
        self._check_ports()
        tools = find_or_make(self._say)
        self.down()
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.logs, ignore_errors=True)
        try:
            self._start_all(tools, nodes=nodes, gpus_per_node=gpus_per_node)
        except BaseException:
            self.down()
            raise

    def _start_all(self, tools: Toolbox, *, nodes: int, gpus_per_node: int) -> None:
        token = plane.write_secrets(self.folder)
        self._start("etcd", plane.etcd(tools, self.ports, self.folder / "etcd"))
        self._start("apiserver", plane.apiserver(tools, self.ports, self.folder))
        self._wait("apiserver", lambda: self._answers(f"{self.server}/readyz", token))
        plane.kubeconfig(
            self.kubeconfig, server=self.server, ca=self._ca, token=token, user="admin"
        )
        self._start(
            "controller-manager", plane.controller_manager(tools, self.kubeconfig, self.folder)
        )
        self._start("scheduler", plane.scheduler(tools, self.kubeconfig))
        self._start(
            "agent",
            [
                sys.executable,
                "-m",
                "loadtests.stack.agent",
                f"--folder={self.folder}",
                f"--nodes={nodes}",
                f"--gpus-per-node={gpus_per_node}",
            ],
        )
        self._wait(
            "agent", lambda: self._answers(f"http://{plane.HOST}:{self.ports.agent}/healthz")
        )
        self._start("prometheus", plane.prometheus(tools, self.ports, self.folder))
        self._wait("prometheus", lambda: self._answers(f"{self.prometheus_url}/-/ready"))

    def add_karpenter(self, pools: tuple[karpenter.Pool, ...], *, boot_s: int) -> None:
        """Starts Karpenter on a stack that is up, and creates its pools. Raises StackError."""
        tool = find_karpenter(self._say)
        types = self.folder / "instance-types.json"
        types.write_text(json.dumps(karpenter.instance_types(pools), indent=1))
        self.kubectl("apply", "--server-side", "-f", str(tool.crds))
        self.wait_for_crds("crd", "nodepools.karpenter.sh")
        environment = karpenter.environment(self.folder, self.kubeconfig)
        self._start("karpenter", karpenter.command(tool), environment)
        self._wait("karpenter", lambda: self._answers(karpenter.ready_url()))
        self.kubectl("apply", "-f", "-", stdin=karpenter.manifests(pools, boot_s=boot_s))

    def sell_out(self, *pools: str) -> None:
        """From now on Karpenter's provider has no capacity in these pools, and in all others."""
        karpenter.sold_out_file(self.folder).write_text("\n".join(pools))

    def give_past(self, openmetrics: Path) -> None:
        """Stops Prometheus, gives it blocks of the past, and starts it again. Raises StackError."""
        self.stop("prometheus")
        done = subprocess.run(
            [
                *("promtool", "tsdb", "create-blocks-from", "openmetrics"),
                *(str(openmetrics), str(self.folder / "prometheus")),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StackError(f"promtool: {done.stderr.strip()[-1000:]}")
        self.start("prometheus")

    def down(self, *, purge: bool = False) -> None:
        """Stops every process of this stack and removes its data; logs stay unless `purge`. Also after a crash."""
        # The agent first: it takes its Triton servers with it while there is an API server to talk to.
        order = [
            "karpenter",
            "agent",
            "prometheus",
            "scheduler",
            "controller-manager",
            "apiserver",
            "etcd",
        ]
        parts = sorted(self._parts(), key=lambda part: order.index(part.name))
        for part in parts:
            processes.stop(part, grace_s=20.0 if part.name == "agent" else 10.0)
        for leftover in processes.load(self.folder / "servers.json"):
            processes.stop(leftover, grace_s=1.0)
        if not self.folder.exists():
            return
        for entry in self.folder.iterdir():
            if entry != self.logs or purge:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if purge:
            self.folder.rmdir()

    def status(self) -> tuple[PartStatus, ...]:
        """Every part that was started and whether it runs."""
        return tuple(
            PartStatus(name=p.name, pid=p.pid, running=processes.is_running(p), log=p.log)
            for p in self._parts()
        )

    def stop(self, name: str) -> None:
        """Stops one part, for instance `prometheus`, as an outage would."""
        processes.stop(self._part(name))

    def kill(self, name: str) -> None:
        """Ends one part without a word, as the loss of its node would."""
        processes.stop(self._part(name), grace_s=0.0)

    def start(self, name: str) -> None:
        """Starts a stopped part again, with its data."""
        part = self._part(name)
        if processes.is_running(part):
            raise StackError(f"{name}: runs already (pid {part.pid})")
        self._start(name, list(part.command))
        if name == "prometheus":
            self._wait(name, lambda: self._answers(f"{self.prometheus_url}/-/ready"))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs kubectl as the administrator and returns what it prints. Raises StackError with its words."""
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, cwd=ROOT
        )
        if done.returncode != 0:
            raise StackError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def wait_for_crds(self, *named: str) -> None:
        """Until definitions serve their kinds. `kubectl wait` alone fails on one that has no status yet."""
        deadline_s = time.monotonic() + 30.0
        while True:
            try:
                self.kubectl("wait", "--for=condition=Established", *named, "--timeout=30s")
                return
            except StackError:
                if time.monotonic() > deadline_s:
                    raise
            time.sleep(0.2)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig with exactly the rights of a service account, by a token that the API server signs."""
        token = self.kubectl("create", "token", name, f"--namespace={namespace}", "--duration=6h")
        path = self.folder / f"{namespace}-{name}.kubeconfig"
        return plane.kubeconfig(
            path, server=self.server, ca=self._ca, token=token.strip(), user=name
        )

    def _parts(self) -> list[Started]:
        return processes.load(self.folder / "processes.json")

    def _part(self, name: str) -> Started:
        for part in self._parts():
            if part.name == name:
                return part
        known = ", ".join(part.name for part in self._parts()) or "none: the stack is down"
        raise StackError(f"{name}: no such part; there are {known}")

    def _start(
        self, name: str, command: list[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._say(f"{name}: starting")
        log = self.logs / f"{name}.log"
        part = processes.start(name, command, log=log, environment=environment)
        parts = [other for other in self._parts() if other.name != name]
        processes.save(self.folder / "processes.json", [*parts, part])

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + READY_DEADLINE_S
        part = self._part(name)
        while not ready():
            if not processes.is_running(part) or time.monotonic() > deadline_s:
                how = "did not answer in time" if processes.is_running(part) else "ended"
                raise StackError(
                    f"{name}: {how}; {part.log} ends with:\n{processes.tail(Path(part.log))}"
                )
            time.sleep(0.2)

    def _answers(self, url: str, token: str | None = None) -> bool:
        context = ssl.create_default_context()
        if url.startswith("https"):
            if not self._ca.exists():
                return False
            context.load_verify_locations(self._ca)
        request = urllib.request.Request(url)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=2.0, context=context) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _check_ports(self) -> None:
        taken = []
        for name, port in self.ports.all().items():
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex((plane.HOST, port)) == 0:
                    taken.append(f"{port} ({name})")
        if taken:
            raise StackError(
                f"ports {', '.join(taken)} on {plane.HOST} are taken by another program; stop it first"
            )

    def as_json(self) -> str:
        """What `status --json` prints."""
        return json.dumps(
            {
                "kubeconfig": str(self.kubeconfig),
                "prometheus_url": self.prometheus_url,
                "parts": [
                    {"name": p.name, "pid": p.pid, "running": p.running, "log": p.log}
                    for p in self.status()
                ],
            },
            indent=1,
        )
