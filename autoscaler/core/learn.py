"""What one tick teaches: time to ready, service times, variability, how demand rises. Knowledge in, knowledge out.

Pods that have just become ready are in quarantine: caches are cold, kernels compile, and one slow start must not pass
for a slow model. So are pods that are slower than their siblings: a model that has become slower is so on all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from autoscaler.core import (
    demand,
    lead_time,
    pooling,
    prior,
    service_readings,
    service_time,
    sick,
    token_readings,
    unstarted,
    variability,
)
from autoscaler.core.lead_time import LeadTimes
from autoscaler.core.nodes.wait import NodeWait
from autoscaler.core.observe import View
from autoscaler.core.service_time import ServiceEvidence
from autoscaler.core.settings import SignalSettings
from autoscaler.core.signals import ModelLoad
from autoscaler.core.slices.observed import shape_of_resource
from autoscaler.core.state import Minute, ModelKnowledge, TemplateKnowledge, WorkloadState
from autoscaler.core.types import (
    BatchTime,
    LatencyObjective,
    ModelProfile,
    PodStatus,
    ServerProfile,
    WorkloadInput,
)
from autoscaler.core.variability import Variability
from autoscaler.core.window import Window

# Knowledge of this many pod templates is kept: the present one and those that a rollback may bring back.
TEMPLATES_KEPT = 4
PODS_REMEMBERED = 400
# A pod that was ready before anyone watched shows when it last became so: after a probe that failed on its third day,
# three days after it was made. No more than is ever looked ahead over is believed to have been a start.
LONGEST_UNWATCHED_S = 1800.0
Shown = tuple[ModelLoad, bool]
"""A model's load on one pod, and whether its waits may be learned from."""


def lead_times(
    known: LeadTimes, pods: tuple[PodStatus, ...], watched: Collection[str]
) -> LeadTimes:
    """Times to ready of the pods that have become ready; a pod whose container restarted tells nothing.

    `watched` are the pods that were known before they were ready.
    """
    return lead_time.learn(
        known,
        [(pod.name, ready_s - pod.created_s) for pod, ready_s in _first_ready(pods, watched)],
    )


def start_times(
    known: LeadTimes, pods: tuple[PodStatus, ...], watched: Collection[str]
) -> LeadTimes:
    """The same from when each pod had its node."""
    return lead_time.learn(
        known,
        [
            (pod.name, ready_s - pod.scheduled_s)
            for pod, ready_s in _first_ready(pods, watched)
            if pod.scheduled_s is not None
        ],
    )


def _first_ready(
    pods: tuple[PodStatus, ...], watched: Collection[str]
) -> Iterator[tuple[PodStatus, float]]:
    for pod in pods:
        if pod.first_ready_s is None or pod.restarts > 0:
            continue
        # The cheap question first: hardly any start took so long that the names have to be gone through.
        if pod.first_ready_s - pod.created_s <= LONGEST_UNWATCHED_S or pod.name in watched:
            yield pod, pod.first_ready_s


def starts(state: WorkloadState, wait: NodeWait | None) -> LeadTimes:
    """The start-ups that sizing reckons with: without the wait for a node where others look ahead over that."""
    return state.start_times if wait is not None and wait.apart else state.lead_times


def lead_p90_s(
    state: WorkloadState,
    given: WorkloadInput,
    wait: NodeWait | None,
    *,
    seed_s: float,
    now_s: float,
) -> float:
    """How far the workload looks ahead: P90 time to ready, pods that are still starting included as censored.

    Without headroom it includes the wait for a node: as it was seen, and where no node has room that of one more.
    """
    if wait is not None and wait.apart:
        return start_p90_s(state, given, seed_s=seed_s, now_s=now_s)
    longest_s = unstarted.longest_s(state.lead_times, seed_s=seed_s)
    waiting_s = [
        min(longest_s, max(0.0, now_s - pod.created_s))
        for pod in _starting(given)
        if not pod.unschedulable
    ]
    lead_s = lead_time.p90_s(state.lead_times, seed_s=seed_s, waiting_s=waiting_s)
    if wait is None or wait.room:
        return lead_s
    start_s = start_p90_s(state, given, seed_s=seed_s, now_s=now_s)
    return max(lead_s, wait.lead_s + start_s)


def start_p90_s(
    state: WorkloadState, given: WorkloadInput, *, seed_s: float, now_s: float
) -> float:
    """P90 from a pod's node to its readiness. One that waits for a node is no slow start, one that has it may be."""
    longest_s = unstarted.longest_s(state.start_times, seed_s=seed_s)
    waiting_s = [
        min(longest_s, max(0.0, now_s - pod.scheduled_s))
        for pod in _starting(given)
        if pod.scheduled_s is not None
    ]
    return lead_time.p90_s(state.start_times, seed_s=seed_s, waiting_s=waiting_s)


def _starting(given: WorkloadInput) -> list[PodStatus]:
    """Pods that may yet be seen to start: one that fails takes as long as somebody needs to mend it."""
    return [
        pod
        for pod in given.pods
        if pod.ready_s is None
        and pod.deleted_s is None
        and pod.restarts == 0
        and pod.failing is None
    ]


def seen_pods(state: WorkloadState, given: WorkloadInput) -> tuple[str, ...]:
    """Pods known from before they were ready, among those that still exist."""
    before = set(state.seen_pods)
    return tuple(pod.name for pod in given.pods if pod.ready_s is None or pod.name in before)[
        -PODS_REMEMBERED:
    ]


def templates(
    known: tuple[TemplateKnowledge, ...],
    given: WorkloadInput,
    view: View,
    *,
    now_s: float,
    settings: SignalSettings,
) -> tuple[TemplateKnowledge, ...]:
    """Service times and variability, by pod template; the one learned of last comes last."""
    warm, calm = _teachers(view, now_s=now_s, settings=settings)
    by_hash = {item.template_hash: item for item in known}
    # The template is what the newest ReplicaSet was made from; while it has just changed, that may be one before.
    newest = given.replicas.template_hash
    needs = given.spec.node_needs
    asked = "" if needs is None else shape_of_resource(needs.resource)

    def new_entry(template_hash: str) -> TemplateKnowledge:
        shape = asked if template_hash == newest else ""
        taken_over = prior.inherited(known, template_hash, shape)
        return TemplateKnowledge(
            template_hash=template_hash, shape=shape, models=tuple(taken_over.values())
        )

    own = by_hash.get(newest)
    if own is not None and not own.shape and asked and not given.replicas.rollout:
        by_hash[newest] = replace(own, shape=asked)

    for profile in given.profiles:
        if warm.get(profile.pod) == profile.template_hash:
            entry = by_hash.pop(profile.template_hash, None) or new_entry(profile.template_hash)
            usual = view.judged.paces.level.get(profile.template_hash)
            by_hash[profile.template_hash] = _take_profile(entry, profile, usual)
    objective = given.spec.slo.objectives[0]
    for template_hash, by_model in _shown(view, warm, calm).items():
        entry = by_hash.get(template_hash) or new_entry(template_hash)
        models = {item.model: item for item in entry.models}
        for name, of_pods in by_model.items():
            known_model = models.get(name) or ModelKnowledge(model=name)
            models[name] = _take_loads(known_model, of_pods, objective, view)
        by_hash[template_hash] = replace(entry, models=tuple(models.values()))
    return tuple(by_hash.values())[-TEMPLATES_KEPT:]


def _teachers(
    view: View, *, now_s: float, settings: SignalSettings
) -> tuple[dict[str, str], frozenset[str]]:
    """(the template of each pod that is warmed up and not ill, those of them whose waits may be learned from)."""
    ready_for_s = {
        pod.name: now_s - pod.ready_s for pod in view.ready_pods if pod.ready_s is not None
    }
    judged = view.judged
    warm = {
        pod.name: pod.template_hash
        for pod in view.ready_pods
        if ready_for_s.get(pod.name, 0.0) >= settings.warmup_s and pod.name not in judged.doubted
    }
    # What waits behind one slow start waits long: the whole window must lie behind the warm-up.
    calm_s = settings.warmup_s + settings.rate_window_s
    # Until another one has stood in for a whole window, the others bear a sick one's load: their waits tell of that.
    fresh = any(now_s - item.since_s < sick.SICK_AFTER_S + calm_s for item in judged.sick)
    unsettled = view.starting > 0 or any(ready_s < calm_s for ready_s in ready_for_s.values())
    if judged.suspects > 0 or fresh or (judged.left_out > 0 and unsettled):
        return warm, frozenset()
    return warm, frozenset(name for name in warm if ready_for_s.get(name, 0.0) >= calm_s)


def _shown(
    view: View, warm: dict[str, str], calm: frozenset[str]
) -> dict[str, dict[str, list[Shown]]]:
    """By template and model, what its warm pods showed, and whether each was calm."""
    shown: dict[str, dict[str, list[Shown]]] = {}
    for load in view.loads:
        template_hash = warm.get(load.pod)
        if template_hash is None:
            continue
        by_model = shown.setdefault(template_hash, {})
        for model in load.models:
            by_model.setdefault(model.model, []).append((model, load.pod in calm))
    return shown


def _take_profile(
    entry: TemplateKnowledge, profile: ServerProfile, usual: float | None
) -> TemplateKnowledge:
    """`usual`: times that all pods took lately over those that are known; None: not known."""
    baselines = {(pod, model): times for pod, model, times in entry.baselines}
    models = {item.model: item for item in entry.models}
    for told in profile.models:
        knowledge = models.get(told.model) or ModelKnowledge(model=told.model)
        baseline = baselines.get((profile.pod, told.model))
        batch_times = told.batch_times
        if service_readings.has_new_version(knowledge.service, told):
            baseline = ()  # a version's statistics begin with it
        elif _begins_with_warm_up(knowledge, told, baseline) or _is_the_pods_own(
            knowledge, told, baseline or (), usual
        ):
            told = replace(told, batch_times=())
        service = service_readings.take_profile(knowledge.service, told, baseline or ())
        # A model that has become slower makes waits longer: since the last reading that agreed they told of that, and
        # taken for burstiness as well they would ask for replicas twice.
        changed = service.doubted or service.prior != knowledge.service.prior
        learned = knowledge.agreed if changed and knowledge.agreed else knowledge.variability
        models[told.model] = replace(
            knowledge, service=service, variability=learned, agreed=learned
        )
        baselines.pop((profile.pod, told.model), None)
        baselines[(profile.pod, told.model)] = batch_times
    kept: list[tuple[str, str, tuple[BatchTime, ...]]] = [
        (pod, model, times) for (pod, model), times in baselines.items()
    ]
    return replace(
        entry,
        models=tuple(models.values()),
        baselines=tuple(kept[-16:]),
    )


def _is_the_pods_own(
    knowledge: ModelKnowledge,
    told: ModelProfile,
    baseline: tuple[BatchTime, ...],
    usual: float | None,
) -> bool:
    """Whether a reading shows a slower model that the other pods do not show: then it is that one pod that is slow."""
    if usual is None or usual >= service_readings.DEVIATION:
        return False
    slower = service_readings.level_told(knowledge.service, told, baseline)
    return slower is not None and slower >= service_readings.DEVIATION


def _begins_with_warm_up(
    knowledge: ModelKnowledge, told: ModelProfile, baseline: tuple[BatchTime, ...] | None
) -> bool:
    """Whether a reading counts from a server's start: it is a baseline only, unless nothing at all is known."""
    if not knowledge.service.exact and not knowledge.service.prior:
        return False
    return baseline is None or service_readings.has_restarted(told, baseline)


def _take_loads(
    known: ModelKnowledge, shown: Sequence[Shown], objective: LatencyObjective, view: View
) -> ModelKnowledge:
    """What the pods of one template showed of one model: its times by all of them, then what each one's waits say."""
    service, overheads_s = known.service, []
    for load, _ in shown:
        if load.mean_batch and load.compute_s is not None:
            service = service_readings.take_counters(
                service,
                mean_batch=load.mean_batch,
                compute_s=load.compute_s,
                executions=load.requests * load.items_per_request / load.mean_batch,
                even=load.even_batch,
            )
            if load.overhead_s is not None and not load.tokens:
                overheads_s.append(load.overhead_s)
    service = service_readings.take_overheads(service, overheads_s)
    generated = [load for load, _ in shown if load.tokens]
    if generated:
        calm_ones = [load for load, calm in shown if load.tokens and calm]
        known = replace(known, service=service)
        return token_readings.take(known, generated, calm_ones, view)
    learned = _variability(known.variability, service, shown, objective, view.carrying)
    return replace(known, service=service, variability=learned)


def _variability(
    learned: Variability,
    service: ServiceEvidence,
    shown: Sequence[Shown],
    objective: LatencyObjective,
    replicas: int,
) -> Variability:
    """With what the waits at each pod say."""
    times = service_time.service_times(service)
    if times is None or service_time.unproven(service) is not None:
        return learned
    windows = [
        Window(
            rate=load.completed_rps,
            requests=load.requests_a_tick,
            queue_s=load.queue_s,
            miss_ratio=None if load.misses is None else load.misses.low,
        )
        for load, calm in shown
        if calm and load.steady and load.queue_s is not None
    ]
    told = variability.learn(
        learned,
        times,
        windows,
        threshold_s=objective.threshold_s,
        replicas=replicas,
        ratio=objective.ratio,
    )
    shared = pooling.learn(told.pooling, times, windows, replicas=replicas)
    return told if shared is told.pooling else replace(told, pooling=shared)


def fill_minute(
    state: WorkloadState, *, now_s: float, level_rps: float | None, lead_s: float
) -> tuple[Minute | None, demand.Growth, Minute | None]:
    """(the minute being filled, what demand's rises taught, the minute that was just finished).

    A minute without any known tick leaves a gap.
    """
    minute_s = now_s - now_s % 60.0
    current, growth, finished = state.minute, state.growth, None
    if current is not None and minute_s > current.minute_s:
        if current.ticks:
            finished = current
            growth = demand.add_minute(
                growth,
                minute_s=current.minute_s,
                mean_rps=current.sum_rps / current.ticks,
                highest_rps=current.highest_rps,
                lead_s=lead_s,
            )
        current = None
    if current is None or minute_s < current.minute_s:
        current = Minute(minute_s=minute_s)
    if level_rps is not None:
        current = Minute(
            minute_s=current.minute_s,
            ticks=current.ticks + 1,
            sum_rps=current.sum_rps + level_rps,
            highest_rps=max(current.highest_rps, level_rps),
        )
    return current, growth, finished
