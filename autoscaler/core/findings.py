"""What a person should know of a workload beside its number of replicas, and the figures behind the decision."""

from __future__ import annotations

from autoscaler.core import skew
from autoscaler.core.need import Need, objective_of
from autoscaler.core.observe import View
from autoscaler.core.reasons import Reason
from autoscaler.core.types import Facts, Finding, WorkloadInput


def findings(
    given: WorkloadInput, view: View, need: Need, spread: skew.Skew | None
) -> list[Finding]:
    objective = objective_of(given)
    found = [Finding(reason=reason, message=message) for reason, message in view.notes]
    if need.carried is not None and not need.carried.attainable:
        found.append(
            Finding(
                reason=Reason.SLO_UNATTAINABLE,
                message=(
                    f"a {'token' if need.carried.tokens else 'request'} takes "
                    f"{need.carried.service_s * 1000:.0f} ms without any queue, the objective is "
                    f"{objective.threshold_s * 1000:.0f} ms: no number of replicas meets it; sized for a short queue"
                ),
            )
        )
    if spread is not None and spread.notable:
        found.append(
            Finding(
                reason=Reason.UNEVEN_LOAD,
                message=(
                    f"{spread.busiest} gets {spread.ratio:.1f} times the mean load, {spread.idlest} the least: "
                    "connections are pinned to pods (gRPC through an L4 proxy?); limit their age or balance by request"
                ),
            )
        )
    if given.replicas.blocked:
        found.append(Finding(reason=Reason.FAILED_CREATE, message=given.replicas.blocked))
    stuck = sum(1 for pod in given.pods if pod.unschedulable)
    if stuck:
        found.append(
            Finding(
                reason=Reason.UNSCHEDULABLE, message=f"{stuck} pods find no node with a free GPU"
            )
        )
    return found


def facts(view: View, need: Need, spread: skew.Skew | None, lead_s: float) -> Facts:
    carried, misses = need.carried, view.misses
    return Facts(
        offered_rps=need.level_rps,
        upper_rps=need.upper_rps,
        exceeded_ratio=(
            need.outlook.exceeded_ratio(need.upper_rps)
            if need.outlook is not None and need.upper_rps is not None
            else None
        ),
        price=need.price,
        work_ratio=(
            need.level_rps * carried.work_s_per_inference
            if carried is not None and need.level_rps is not None
            else None
        ),
        utilization_limit_ratio=carried.utilization_limit_ratio if carried else None,
        capacity_rps=carried.rps if carried else None,
        capacity_unproven=carried.unproven if carried else None,
        latency_s=view.latency_s,
        queue_ratio=view.queue_ratio,
        violated_ratio=misses.estimate if misses else None,
        violated_low_ratio=misses.low if misses else None,
        violated_high_ratio=misses.high if misses else None,
        violated_from=view.misses_from.value if misses and view.misses_from else None,
        skew_ratio=spread.ratio if spread else None,
        lead_time_s=lead_s,
        ready=view.ready,
        starting=view.starting,
        coverage_ratio=view.coverage_ratio,
        sample_age_s=view.sample_age_s,
    )
