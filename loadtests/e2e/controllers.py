"""Real controllers as processes, with exactly the rights that deploy/ grants."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from autoscaler.core.types import Decision, TickRecord
from autoscaler.simulation.journal_file import JournalInvalid, open_journal
from loadtests.stack import processes
from loadtests.stack.processes import Started
from loadtests.stack.stack import ROOT, Stack

NAMESPACE = "forescale"


@dataclass(slots=True)
class Controller:
    """One `forescale run`."""

    name: str
    process: Started
    journal: Path

    def kill(self) -> float:
        """SIGKILL; the time at which it was gone."""
        import os
        import signal

        os.kill(self.process.pid, signal.SIGKILL)
        while processes.is_running(self.process):
            time.sleep(0.01)
        return time.time()

    def stop(self) -> None:
        """SIGTERM, as Kubernetes would."""
        processes.stop(self.process, grace_s=15.0)

    def records(self) -> list[TickRecord]:
        """Everything it wrote down."""
        found: list[TickRecord] = []
        for path in sorted(self.journal.iterdir()):
            try:
                with open_journal(path) as file:
                    for record in file.records():
                        found.append(record)
            except JournalInvalid as error:
                # The last line of a controller that was killed may be torn; those before it are fine.
                print(f"journal of {self.name}: {error}", file=sys.stderr)
        return sorted(found, key=lambda record: record.result.now_s)


def install(stack: Stack) -> None:
    """deploy/kustomize/base as it is; its Deployment is accepted and then set to 0, for no image can run here."""
    stack.kubectl("apply", "-k", str(ROOT / "deploy" / "kustomize" / "base"))
    stack.kubectl("scale", "deployment", "forescale", f"--namespace={NAMESPACE}", "--replicas=0")


def start(stack: Stack, name: str, *, port: int, policy: Path, folder: Path) -> Controller:
    """`forescale run` with the service account's own kubeconfig."""
    journal = folder / f"journal-{name}"
    # What a run that was broken off left behind is not this run's.
    shutil.rmtree(journal, ignore_errors=True)
    journal.mkdir(parents=True)
    kubeconfig = stack.service_account_kubeconfig(NAMESPACE, "forescale")
    command = [
        str(Path(sys.executable).with_name("forescale")),
        "run",
        f"--config={policy}",
        f"--kubeconfig={kubeconfig}",
        f"--prometheus-url={stack.prometheus_url}",
        f"--journal={journal}",
        f"--namespace={NAMESPACE}",
        f"--identity={name}",
        "--bind=127.0.0.1",
        f"--port={port}",
    ]
    log = folder / f"controller-{name}.log"
    log.unlink(missing_ok=True)
    return Controller(name=name, process=processes.start(name, command, log=log), journal=journal)


def leader(stack: Stack) -> str | None:
    """Who holds the lease."""
    from loadtests.stack.errors import StackError

    try:
        lease = json.loads(
            stack.kubectl("get", "lease", "forescale", f"--namespace={NAMESPACE}", "-o", "json")
        )
    except StackError:
        return None
    holder = lease["spec"].get("holderIdentity")
    return str(holder) if holder else None


def decisions(records: list[TickRecord], name: str) -> list[tuple[float, Decision]]:
    """(time, decision) of one workload."""
    return [
        (record.result.now_s, decision)
        for record in records
        for decision in record.result.decisions
        if decision.workload.name == name
    ]
