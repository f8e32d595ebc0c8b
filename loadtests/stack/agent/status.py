"""What a kubelet writes into a pod's status."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.stack.agent.api import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Where a pod is in its life. Times are as Kubernetes writes them."""

    address: str
    started: str
    """When the kubelet took it."""
    running_since: str | None = None
    ready: bool = False
    changed: str
    """When readiness last changed."""
    restarts: int = 0
    waiting_reason: str = "ContainerCreating"


def pod_status(pod: Object, phase: Phase) -> Object:
    """A strategic-merge patch of the status subresource."""
    container = pod["spec"]["containers"][0]
    running = phase.running_since is not None
    state: Object = (
        {"running": {"startedAt": phase.running_since}}
        if running
        else {"waiting": {"reason": phase.waiting_reason}}
    )
    ready = "True" if phase.ready else "False"
    return {
        "status": {
            "phase": "Running" if running else "Pending",
            "startTime": phase.started,
            "hostIP": "127.0.0.1",
            "podIP": phase.address,
            "podIPs": [{"ip": phase.address}],
            "conditions": [
                {"type": "Initialized", "status": "True", "lastTransitionTime": phase.started},
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": phase.started},
                {"type": "ContainersReady", "status": ready, "lastTransitionTime": phase.changed},
                {"type": "Ready", "status": ready, "lastTransitionTime": phase.changed},
            ],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "",
                    "ready": phase.ready,
                    "started": running,
                    "restartCount": phase.restarts,
                    "state": state,
                }
            ],
        }
    }
