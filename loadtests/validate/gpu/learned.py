"""What forescale would have learned of a level: its own collector and engine over what Triton showed meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autoscaler.core.queueing import utilization_limit
from autoscaler.core.service_time import ServiceTimes, service_times
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slo import parse_slo
from autoscaler.core.types import (
    ServerProfile,
    Slo,
    TickInput,
    WorkloadId,
    WorkloadSpec,
)
from autoscaler.core.variability import Variability
from autoscaler.engine import DecisionEngine
from loadtests.validate.gpu.recording import LevelRecord, Look, since
from loadtests.validate.gpu.scraped import NAMESPACE, POD, TEMPLATE, tick_input

TICK_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What the engine knows of the server after a level."""

    times: ServiceTimes
    variability: Variability
    largest_seen: int
    """Largest batch whose time was measured; those above are extrapolated."""

    @property
    def full_rps(self) -> float:
        """Requests a second at full batches, one after the other: what it takes for the server's capacity."""
        return 1.0 / self.times.work_s

    def carries_rps(self, *, ratio: float, threshold_s: float) -> float | None:
        """Requests a second within the objective, as sizing would count on; None: not even an idle server keeps it."""
        limit = utilization_limit(
            self.times, ratio=ratio, threshold_s=threshold_s, variability=self.variability.value
        )
        return None if limit is None else limit * self.full_rps


def learn(level: LevelRecord, *, slo: str) -> Learned | None:
    """As a controller that begins with the level, of a server that does too. None: it knows no batch's time yet.

    Statistics are read at each tick and not twice a minute: levels are shorter than a controller's life.
    """
    engine = DecisionEngine(EngineConfig())
    now_s, end_s = level.looks[0].at_s, level.looks[-1].at_s
    while now_s < end_s:
        now_s = min(now_s + TICK_S, end_s)
        engine.tick(_input(level, now_s, slo))
    known = engine.snapshot().workloads[0].templates
    models = known[-1].models if known else ()
    if not models or (times := service_times(models[0].service)) is None:
        return None
    return Learned(
        times=times,
        variability=models[0].variability,
        largest_seen=max(item.batch_size for item in models[0].service.evidence),
    )


def _input(level: LevelRecord, now_s: float, slo: str) -> TickInput:
    objective = parse_slo(slo, "slo")
    assert isinstance(objective, Slo)
    spec = WorkloadSpec(id=WorkloadId(namespace=NAMESPACE, name="m"), slo=objective)
    look = max((look for look in level.looks if look.at_s <= now_s), key=lambda look: look.at_s)
    return tick_input(
        spec,
        look.metrics,
        scraped_s=look.at_s,
        began_s=level.looks[0].at_s,
        now_s=now_s,
        profiles=(_profile(look, level.looks[0]),),
    )


def _profile(look: Look, first: Look) -> ServerProfile:
    """Counted from the level's start: what was executed before it is not the traffic that is learned from."""
    told = since(look.profile.batch_times, first.profile.batch_times)
    return ServerProfile(
        pod=POD,
        template_hash=TEMPLATE,
        sampled_at_s=look.at_s,
        models=(replace(look.profile, batch_times=told),),
    )
