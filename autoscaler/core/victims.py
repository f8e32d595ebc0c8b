"""Which pods go when replicas are lowered, so that nodes empty: sick ones, then from nodes to be emptied, then from
the emptiest that go when they are empty.

Kubernetes takes pods that are not ready first, whatever is asked; of ready ones those with the lowest
`controller.kubernetes.io/pod-deletion-cost`, before its own order, which spreads what is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from autoscaler.core.types import WorkloadInput

MOST = 50
"""Pods that are marked for one change: each is a write."""


def loads(inputs: Sequence[WorkloadInput]) -> Counter[str]:
    """Units that managed pods hold, by node."""
    found: Counter[str] = Counter()
    for given in inputs:
        needs = given.spec.node_needs
        for pod in given.pods:
            if pod.node is not None and pod.deleted_s is None:
                found[pod.node] += needs.count if needs is not None else 1
    return found


def victims(
    given: WorkloadInput,
    replicas: int,
    load: Mapping[str, int],
    emptied: Collection[str],
    sick: Collection[str] = (),
    staying: Collection[str] = (),
) -> tuple[str, ...]:
    """Names of the ready pods that should go for `replicas` to be left; empty where it is not ours to say.

    Nodes of `staying` are there whether they are empty or not, so pods on others go first.
    """
    if not given.spec.steer_victims or not given.pods_known:
        return ()
    alive = [pod for pod in given.pods if pod.deleted_s is None]
    ready = [pod for pod in alive if pod.ready_s is not None and pod.node is not None]
    unready = len(alive) - len(ready)
    going = max(0, min(len(alive) - replicas - unready, MOST))
    order = sorted(
        ready,
        key=lambda pod: (
            pod.name not in sick,
            pod.node not in emptied,
            pod.node in staying,
            load.get(pod.node or "", 0),
            pod.node or "",
            -pod.created_s,
            pod.name,
        ),
    )
    return tuple(pod.name for pod in order[:going])
