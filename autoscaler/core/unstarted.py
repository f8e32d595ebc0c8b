"""Replicas that do not come up: whoever runs them is told, and they are no measure of how long a start takes."""

from __future__ import annotations

from autoscaler.core.lead_time import LeadTimes
from autoscaler.core.reasons import Reason
from autoscaler.core.types import Finding, PodStatus, WorkloadInput

# Kubernetes' own limit for a rollout that makes no progress, unless progressDeadlineSeconds says otherwise.
SHORTEST_LIMIT_S = 600.0
LIMIT_STARTS = 3.0
# A rollout whose pods have found no node for so long waits for room that only fewer replicas make.
ROOMLESS_S = 300.0


def longest_s(times: LeadTimes, *, seed_s: float) -> float:
    """How long a start may take before it is taken to hang: three times the longest that was seen or announced.

    A model that takes half an hour for the first time, where two minutes are known, is looked ahead over for ten
    minutes until it is there, and for half an hour from then on.
    """
    return max(SHORTEST_LIMIT_S, LIMIT_STARTS * max((seed_s, *times.observed_s)))


def wait_for_room(given: WorkloadInput, *, now_s: float) -> bool:
    """Whether a rollout stands still for want of room while what is seen is the old pods alone.

    Of 17 replicas with maxUnavailable: 0 on 15 GPUs none of the old ones may go and no new one can come. Held at 17
    until the rollout is done, they stay so for ever, whatever the demand; at 14 it goes on by itself.
    """
    waiting = [pod for pod in given.pods if pod.ready_s is None and pod.deleted_s is None]
    return (
        given.replicas.rollout
        and bool(waiting)
        and all(pod.unschedulable for pod in waiting)
        and max(now_s - pod.created_s for pod in waiting) >= ROOMLESS_S
    )


def findings(
    given: WorkloadInput, times: LeadTimes, *, seed_s: float, now_s: float
) -> tuple[Finding, ...]:
    """One for all of them; none where every replica runs or has a while left to."""
    limit_s = longest_s(times, seed_s=seed_s)
    alive = [pod for pod in given.pods if pod.deleted_s is None]
    found = [
        (pod, why)
        for pod in alive
        if pod.ready_s is None and (why := _why(pod, limit_s, now_s)) is not None
    ]
    if not found:
        return ()
    first, why = found[0]
    text = f"replicas that do not start: {len(found)} of {len(alive)}, {first.name} first: {why}"
    remedy = f"kubectl -n {given.spec.id.namespace} describe pod {first.name}"
    if given.replicas.rollout:
        remedy += (
            "; nothing is scaled down until the rollout is done or undone (kubectl rollout undo)"
        )
    return (Finding(reason=Reason.NOT_STARTING, message=f"{text}; {remedy}"),)


def _why(pod: PodStatus, limit_s: float, now_s: float) -> str | None:
    if pod.failing is not None:
        return pod.failing
    if pod.scheduled_s is None or pod.first_ready_s is not None or pod.restarts:
        return None
    waited_s = now_s - pod.scheduled_s
    if waited_s <= limit_s:
        return None
    return f"not ready {waited_s / 60.0:.0f} minutes after it had its node; does its readiness probe ever succeed?"
