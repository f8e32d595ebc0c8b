"""What a person should know of a workload beside its number of replicas, and the figures behind the decision."""

from __future__ import annotations

from autoscaler.core import sick, skew
from autoscaler.core.latency import main_objective
from autoscaler.core.need import Need
from autoscaler.core.observe import View
from autoscaler.core.reasons import Reason
from autoscaler.core.sickness import Ailment, SickReplica
from autoscaler.core.size import Capacity, Shared
from autoscaler.core.slo import objective_text
from autoscaler.core.types import Facts, Finding, WorkloadInput
from autoscaler.core.untold import remedy, told_of, unserved, untold
from autoscaler.core.xid import HARDWARE_ERRORS


def findings(
    given: WorkloadInput, view: View, need: Need, spread: skew.Skew | None, now_s: float
) -> list[Finding]:
    """In the order of how near they are to the number of replicas."""
    found = [Finding(reason=reason, message=message) for reason, message in view.notes]
    absent = unserved(given.spec, given.samples)
    if absent is not None:
        found.append(Finding(reason=Reason.MODEL_UNSERVED, message=absent))
    elif need.carried is not None and not need.carried.attainable:
        message = _unattainable(given, need.carried)
        found.append(Finding(reason=Reason.SLO_UNATTAINABLE, message=message))
    # What is seen needs no second look; of several objectives one may be.
    several = len(given.spec.slo.objectives) > 1
    missing = (
        untold(given.spec, given.samples, given.gateway) if view.misses is None or several else ()
    )
    if missing:
        found.append(
            Finding(
                reason=Reason.SLO_UNTOLD,
                message=f"{told_of(missing)}; sized by what a replica carries alone: {remedy(given.spec, missing)}",
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
    found += _sick(view, now_s)
    if given.replicas.blocked:
        found.append(Finding(reason=Reason.FAILED_CREATE, message=given.replicas.blocked))
    stuck = sum(1 for pod in given.pods if pod.unschedulable)
    if stuck:
        found.append(Finding(reason=Reason.UNSCHEDULABLE, message=_unscheduled(given, stuck)))
    return found


def _unscheduled(given: WorkloadInput, stuck: int) -> str:
    text = f"{stuck} pods find no node with a free GPU"
    if not given.replicas.rollout:
        return text
    return f"{text}, and a rollout waits for them: with maxSurge: 0 and maxUnavailable: 1 it needs no GPU more"


def _unattainable(given: WorkloadInput, carried: Capacity) -> str:
    """The objective that is missed without any queue, by what, and of several models by which."""
    slo, took = given.spec.slo, f"{carried.service_s * 1000:.0f} ms"
    if carried.tokens is None:
        objective = main_objective(slo)
        several = len({one.model for sample in given.samples for one in sample.models}) > 1
        named = carried.models and given.spec.model is None and several
        slowest = max(carried.models, key=_service_s).model if named else ""
        whose = f" of model {slowest}" if slowest else ""
        text = (
            f"a request{whose} takes {took} without any queue, the objective is {objective.threshold_s * 1000:.0f} ms: "
            "no number of replicas meets it; sized for a short queue"
        )
        if slowest:
            text += (
                "; name the model that it is meant for in forescale.io/model, or serve them apart"
            )
        return text
    # The step of a single sequence is above what it allows: of an answer's mean length, or itself.
    missed = [
        objective_text(one)
        for one in slo.objectives
        if one.signal == "latency" or (one.signal == "tpot" and one.threshold_s < carried.service_s)
    ]
    told = carried.tokens
    answers = ""
    if told.tokens_each is not None and any(one.signal == "latency" for one in slo.objectives):
        answers = f", and of answers of {told.tokens_each:.0f} tokens the longest have {told.spread:.1f} times as many"
    return (
        f"a token takes {took} however few sequences run together{answers}: too long for {' and '.join(missed)}; "
        "no number of replicas meets it; sized by what else limits one"
    )


def _service_s(model: Shared) -> float:
    times = model.times
    return times.batch_s[0] + times.overhead_s + times.max_queue_delay_s


def _sick(view: View, now_s: float) -> list[Finding]:
    """One for each pod, with what a person does about it."""
    judged = view.judged
    found = [
        Finding(
            reason=Reason.SICK_REPLICAS,
            message=_told(item, ready=view.ready, now_s=now_s),
            about=item.pod,
        )
        for item in judged.sick
    ]
    if judged.uneven:
        first = judged.uneven[0]
        found.append(
            Finding(
                reason=Reason.UNEVEN_SPEED,
                message=(
                    f"{len(judged.uneven)} of {view.ready} replicas are slower than the others, {first.pod} the most: "
                    "too many to be sick, so all of them count; are they on GPUs of different kinds, or is a node slow?"
                ),
            )
        )
    return found


def _told(item: SickReplica, *, ready: int, now_s: float) -> str:
    where = f"{item.pod} on node {item.node}" if item.node else item.pod
    minutes = max(1, round((now_s - item.since_s) / 60.0))
    if item.ailment is Ailment.HARDWARE_ERROR and item.xid is not None:
        error = HARDWARE_ERRORS[item.xid]
        what, remedy = f"has XID {item.xid}, {error.meaning}", error.remedy.value
    else:
        remedy = "delete the pod; if the next one on that node is no better, drain the node"
        what = "answers no request while its siblings answer theirs"
        if item.ailment is Ailment.FAILING:
            what = "fails requests that its siblings answer"
        elif item.slow_ratio is not None:
            what = f"takes {item.slow_ratio:.2g} times as long for a batch as its siblings"
    if item.well_since_s is not None:
        minutes = round(sick.WELL_AFTER_S / 60.0)
        return f"{where} shows no sign of being sick any more, and counts again after {minutes} minutes of that"
    counted = f"not replaced: at most {sick.LARGEST_SHARE:.0%} of {ready} replicas are"
    if item.left_out:
        counted = "counts for nothing, one more replica is asked for"
    return f"{where} {what}, for {minutes} min: {counted}; {remedy}"


def facts(
    view: View, need: Need, spread: skew.Skew | None, lead_s: float, start_s: float | None
) -> Facts:
    """The figures behind a decision, for metrics, `explain` and the journal; None for each that is not known."""
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
        tokens=any(model.tokens for load in view.loads for model in load.models),
        capacity_limit=carried.tokens.limited_by if carried and carried.tokens else None,
        capacity_unproven=carried.unproven if carried else None,
        latency_s=view.latency_s,
        queue_ratio=view.queue_ratio,
        violated_ratio=misses.estimate if misses else None,
        violated_low_ratio=misses.low if misses else None,
        violated_high_ratio=misses.high if misses else None,
        violated_of=(misses.of or None) if misses else None,
        violated_from=view.misses_from.value if misses and view.misses_from else None,
        skew_ratio=spread.ratio if spread else None,
        lead_time_s=lead_s,
        start_time_s=start_s,
        ready=view.ready,
        starting=view.starting,
        coverage_ratio=view.coverage_ratio,
        sample_age_s=view.sample_age_s,
    )
