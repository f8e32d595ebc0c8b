"""A scenario out of a journal: the demand that was seen, and the servers and start-ups as they were measured.

`replay` asks the engine again about what was observed; this runs the demand through the modelled cluster, so that what
another configuration or another autoscaler would have done has its consequences.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.types import ModelProfile, Slo, TickRecord, WorkloadId, WorkloadInput
from autoscaler.errors import ConfigError, Problem
from autoscaler.simulation.demand import DAY_S
from autoscaler.simulation.journal_file import records_of
from autoscaler.simulation.scenario import Demand, Scenario
from autoscaler.simulation.scenario_file import goal_of, of_tokens
from autoscaler.simulation.serving import ServingModel
from autoscaler.simulation.startup import Startup
from autoscaler.simulation.traces import MOST_DAYS


@dataclass
class Watched:
    """What the records told of one workload, as far as a scenario needs it."""

    last: WorkloadInput | None = None
    first_replicas: int = 1
    demand: list[tuple[float, float]] = field(default_factory=list)
    startups_s: dict[str, float] = field(default_factory=dict)
    profile: ModelProfile | None = None


def scenario_of(paths: list[Path], workload: str | None = None, slo: Slo | None = None) -> Scenario:
    """The scenario of a workload, `namespace/name`; None: the only one that the journals hold. `slo` replaces its own.

    Raises:
        JournalInvalid: a journal can't be read.
        ConfigError: the workload is not in it, or its demand or service time was never seen.
    """
    seen: dict[WorkloadId, Watched] = {}
    seed_s = 0.0
    for config, record in records_of(paths):
        seed_s = config.startup_time_s
        watch(seen, record)
    where = str(paths[0] if len(paths) == 1 else paths[0].parent)
    known = {str(key): item for key, item in seen.items()}
    if not known:
        raise ConfigError((Problem(where, "holds no workload", "let the controller run on"),))
    if workload is None and len(known) != 1:
        allowed = f"name one with --workload: {', '.join(sorted(known)[:20])}"
        raise ConfigError((Problem(where, f"{len(known)} workloads", allowed),))
    name = workload or next(iter(known))
    if name not in known:
        problem = Problem("--workload", name, f"one of {', '.join(sorted(known)[:20])}")
        raise ConfigError((problem,))
    found = known[name]
    if slo is not None and found.last is not None:
        found.last = replace(found.last, spec=replace(found.last.spec, slo=slo))
    return scenario_from(where, name, found, seed_s)


def watch(seen: dict[WorkloadId, Watched], record: TickRecord) -> None:
    """Takes one record in."""
    offered = {item.workload: item.facts.offered_rps for item in record.result.decisions}
    for given in record.input.workloads:
        item = seen.get(given.spec.id)
        if item is None:
            first = max(1, given.replicas.desired)
            item = seen[given.spec.id] = Watched(first_replicas=first)
        item.last = given
        rate_rps = offered.get(given.spec.id)
        if rate_rps is not None:
            item.demand.append((record.input.now_s, max(0.0, rate_rps)))
        for pod in given.pods:
            if pod.first_ready_s is not None and pod.restarts == 0:
                item.startups_s[pod.name] = pod.first_ready_s - pod.created_s
        for profile in given.profiles:
            wanted = given.spec.model
            told = [m for m in profile.models if wanted is None or m.model == wanted]
            item.profile = next((m for m in told if _measured(m)), item.profile)


def _measured(profile: ModelProfile) -> bool:
    return any(item.count > 0 and item.total_s > 0.0 for item in profile.batch_times)


def scenario_from(where: str, name: str, seen: Watched, seed_s: float) -> Scenario:
    """`seed_s`: the start-up where none was measured. Raises ConfigError where demand or service time are not known."""
    problems = []
    if len(seen.demand) < 2:
        problems.append(Problem(where, f"{name}: no demand was seen", "a journal with traffic"))
    times_s = [at_s for at_s, _ in seen.demand]
    days = (max(times_s, default=0.0) - min(times_s, default=0.0)) / DAY_S
    if days > MOST_DAYS:
        told = f"{name}: {days:,.0f} days from the first tick to the last"
        problems.append(Problem(where, told, f"at most {MOST_DAYS:g} are run: name fewer files"))
    if seen.profile is None:
        problems.append(
            Problem(where, f"{name}: no service time was measured", "a journal with profiles")
        )
    if seen.last is not None and (said := of_tokens(seen.last.spec.slo)):
        problems.append(Problem(where, f"{name}: {said}", "one on latency is run again"))
    if problems or seen.profile is None or seen.last is None:
        raise ConfigError(tuple(problems))
    spec = seen.last.spec
    measured_s = list(seen.startups_s.values())
    startup_s = median(measured_s) if measured_s else (spec.startup_time_s or seed_s)
    return Scenario(
        name=name,
        spec=spec,
        server=served(seen.profile),
        demand=Demand(name=name, rates_rps=by_second(seen.demand)),
        startup=Startup(median_s=startup_s),
        goal_ratio=goal_of(spec.slo),
        first_replicas=seen.first_replicas,
    )


def by_second(demand: list[tuple[float, float]]) -> NDArray[np.float64]:
    """The rate of every second: each tick's until the next, also where ticks were missed."""
    times = np.array([at_s for at_s, _ in demand])
    rates = np.array([rate_rps for _, rate_rps in demand])
    order = np.argsort(times, kind="stable")
    times, rates = times[order], rates[order]
    seconds = np.arange(times[0], times[-1])
    return np.asarray(rates[np.searchsorted(times, seconds, side="right") - 1])


def served(profile: ModelProfile) -> ServingModel:
    """A server as it was measured: batch sizes that were not seen lie on the line between those that were."""
    known = [
        (item.batch_size, item.total_s / item.count)
        for item in profile.batch_times
        if item.count > 0 and item.total_s > 0.0 and item.batch_size <= profile.max_batch_size
    ]
    sizes = np.arange(1, max(1, profile.max_batch_size) + 1)
    places = [size for size, _ in known]
    times = np.interp(sizes, places, [time_s for _, time_s in known])
    return ServingModel(
        max_batch_size=int(sizes[-1]),
        batch_service_s=tuple(float(time_s) for time_s in times),
        instances=profile.instances,
        max_queue_delay_s=profile.max_queue_delay_s,
    )
