"""Three workloads as teams have them: one follows the day, one is sent jobs by cron, one meets a flash crowd."""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.core.slo import parse_slo
from autoscaler.core.types import ScheduledFloor, Slo, WorkloadId, WorkloadSpec
from autoscaler.simulation import shapes
from autoscaler.simulation.nodes import Span
from autoscaler.simulation.scenario import Demand, Scenario
from autoscaler.simulation.serving import ServingModel
from autoscaler.simulation.shapes import Shape
from autoscaler.simulation.startup import Startup

HOUR_S, MINUTE_S = 3600.0, 60.0
MAX_REPLICAS = 40
OUTAGE = Span(start_s=8 * HOUR_S, end_s=8 * HOUR_S + 20 * MINUTE_S)
CROWD_S = 14 * HOUR_S
# Five minutes past every second hour; the floor begins three minutes before, to be ready for it.
JOBS_EVERY_S, JOBS_AT_S, JOBS_S = 2 * HOUR_S, 5 * MINUTE_S, 30 * MINUTE_S
JOBS_FLOOR = ScheduledFloor(cron="2 */2 * * *", duration_s=33 * MINUTE_S, min_replicas=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A scenario, what is special about it in words, and the times at which something happens."""

    scenario: Scenario
    told: str
    events: tuple[tuple[Span, str], ...] = ()

    @property
    def name(self) -> str:
        """`namespace/name`."""
        return str(self.scenario.spec.id)


def workloads(*, hours: float, seed: int) -> tuple[Workload, ...]:
    """All three, for so many hours from a Thursday's midnight on."""
    return _search(hours, seed), _docs(hours, seed), _shop(hours, seed)


def _search(hours: float, seed: int) -> Workload:
    """Two humps and noise; metrics are gone for twenty minutes while demand rises."""
    day = shapes.diurnal(low_rps=12.0, high_rps=90.0) * shapes.noise(cv=0.08, seed=seed)
    lost = ((OUTAGE, "no metrics"),) if OUTAGE.end_s < hours * HOUR_S else ()
    scenario = Scenario(
        name="search",
        spec=_spec("web", "search", "99% < 400ms"),
        # Four at once: 80 ms for one inference, 140 ms for four.
        server=ServingModel(max_batch_size=4, batch_service_s=(0.08, 0.10, 0.12, 0.14)),
        demand=_demand("search", day, hours),
        startup=Startup(median_s=60.0, seed=seed),
        goal_ratio=0.99,
        first_replicas=3,
        outages=tuple(span for span, _ in lost),
    )
    return Workload(
        scenario=scenario,
        told="It follows the day. While the morning's demand rises, metrics are gone for twenty minutes.",
        events=lost,
    )


def _docs(hours: float, seed: int) -> Workload:
    """A job every second hour, five times the demand between; both sides are told when."""
    jobs = shapes.spikes(rate_rps=24.0, every_s=JOBS_EVERY_S, length_s=JOBS_S, offset_s=JOBS_AT_S)
    rate = (shapes.constant(6.0) + jobs) * shapes.noise(cv=0.08, seed=seed + 1)
    scenario = Scenario(
        name="docs",
        spec=_spec("batch", "docs", "95% < 2s", schedule=(JOBS_FLOOR,)),
        server=ServingModel(max_batch_size=2, batch_service_s=(0.25, 0.36)),
        demand=_demand("docs", rate, hours),
        startup=Startup(median_s=90.0, seed=seed),
        goal_ratio=0.95,
        first_replicas=3,
    )
    return Workload(
        scenario=scenario,
        told="A job every second hour sends five times the demand at once. Its team names the times: "
        "forescale.io/schedule for forescale, and a cron trigger with the same floor for HPA through KEDA.",
    )


def _shop(hours: float, seed: int) -> Workload:
    """A flash crowd to two and a half times the demand, on replicas that take three minutes to start."""
    day = shapes.diurnal(low_rps=8.0, high_rps=40.0, morning_h=12.0) * shapes.noise(
        cv=0.08, seed=seed + 2
    )
    crowd = hours * HOUR_S > CROWD_S + HOUR_S
    if crowd:
        day = day * shapes.flash_crowd(
            at_s=CROWD_S, peak_ratio=2.5, rise_s=300.0, hold_s=900.0, decay_s=900.0
        )
    scenario = Scenario(
        name="shop",
        spec=_spec("shop", "offers", "p95 < 800ms for 98%"),
        server=ServingModel(max_batch_size=4, batch_service_s=(0.12, 0.16, 0.20, 0.24)),
        demand=_demand("shop", day, hours),
        startup=Startup(median_s=180.0, seed=seed),
        goal_ratio=0.95,
        first_replicas=3,
    )
    span = Span(start_s=CROWD_S, end_s=CROWD_S + 1200.0)
    return Workload(
        scenario=scenario,
        told="A flash crowd brings two and a half times the demand within five minutes, and a replica takes three to "
        "start: what the error budget is for.",
        events=((span, "flash crowd"),) if crowd else (),
    )


def _demand(name: str, shape: Shape, hours: float) -> Demand:
    return Demand(name=name, rates_rps=shape.sample(hours * HOUR_S))


def _spec(
    namespace: str, name: str, slo: str, *, schedule: tuple[ScheduledFloor, ...] = ()
) -> WorkloadSpec:
    """The workload as its annotations would say it."""
    parsed = parse_slo(slo, name)
    if not isinstance(parsed, Slo):
        raise ValueError(f"{name}: {parsed}")
    return WorkloadSpec(
        id=WorkloadId(namespace=namespace, name=name),
        slo=parsed,
        max_replicas=MAX_REPLICAS,
        schedule=schedule,
    )
