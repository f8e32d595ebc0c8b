"""Every metric of the controller, in one place: `forescale_<subsystem>_<what>_<unit>`.

What concerns one workload is made from the last tick whenever Prometheus asks, so its series end with the workload.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from autoscaler import __version__
from autoscaler.controller.pool_metrics import PoolSeries
from autoscaler.controller.slice_metrics import SliceSeries
from autoscaler.core import scarcity
from autoscaler.core.reasons import BLIND, Reason
from autoscaler.core.types import Decision, Outcome, TickRecord, WorkloadId

LABELS = ("namespace", "kind", "name")
# A tick has 10 s; half a second is what 1,000 workloads take.
TICK_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0)
CALL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
STAGES = ("observe", "decide", "actuate", "record")
WRITTEN = ("headroom", "node", "template")
SOURCES = ("kubernetes", "prometheus", "backfill")

UNKNOWN_REASONS = BLIND | {Reason.CAPACITY_UNKNOWN, Reason.INTERNAL_ERROR}
"""Holds because something is not known, as opposed to holds by rule."""


class Metrics:
    """The controller's own metrics; counters exist from the start, so that absence is not zero."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.workloads = WorkloadSeries()
        self.registry.register(self.workloads)
        self.pools = PoolSeries()
        self.registry.register(self.pools)
        self.slices = SliceSeries()
        self.registry.register(self.slices)
        registry = self.registry
        self.build = Gauge("forescale_build_info", "Version", ["version"], registry=registry)
        self.build.labels(__version__).set(1)
        self._ticks(registry)
        self.source_errors = Counter(
            "forescale_source_errors_total",
            "Times that a source gave nothing, or not all",
            ["source"],
            registry=registry,
        )
        self._writes(registry)
        self.decisions = Counter(
            "forescale_engine_decisions_total", "Decisions by reason", ["reason"], registry=registry
        )
        self.events_sent = Counter(
            "forescale_events_sent_total", "Kubernetes Events written", registry=registry
        )
        self.events_dropped = Counter(
            "forescale_events_dropped_total", "Events that could not be written", registry=registry
        )
        self._records(registry)
        self._forecasts(registry)
        self._leader(registry)
        for source in SOURCES:
            self.source_errors.labels(source)
        for reason in Reason:
            self.decisions.labels(reason.value)

    def _ticks(self, registry: CollectorRegistry) -> None:
        self.ticks = Counter(
            "forescale_tick_runs_total", "Ticks that were begun", registry=registry
        )
        self.tick_failures = Counter(
            "forescale_tick_failures_total", "Ticks that an error ended", registry=registry
        )
        self.tick_overruns = Counter(
            "forescale_tick_overruns_total",
            "Ticks left out because the one before took too long",
            registry=registry,
        )
        self.tick_seconds = Histogram(
            "forescale_tick_duration_seconds",
            "Length of a tick",
            registry=registry,
            buckets=TICK_BUCKETS,
        )
        self.stage_seconds = Histogram(
            "forescale_tick_stage_duration_seconds",
            "Length of each part of a tick",
            ["stage"],
            registry=registry,
            buckets=TICK_BUCKETS,
        )
        self.last_tick = Gauge(
            "forescale_tick_last_completed_timestamp_seconds",
            "When a tick was last completed",
            registry=registry,
        )
        self.tick_interval = Gauge(
            "forescale_tick_interval_seconds",
            "From one tick to the next, as set",
            registry=registry,
        )
        for stage in STAGES:
            self.stage_seconds.labels(stage)

    def _writes(self, registry: CollectorRegistry) -> None:
        self.actions = Counter(
            "forescale_actuation_actions_total",
            "Actions by what became of them",
            ["outcome"],
            registry=registry,
        )
        self.writes = Counter(
            "forescale_actuation_writes_total",
            "Writes to other things than replicas, by what became of them",
            ["to", "outcome"],
            registry=registry,
        )
        self.action_seconds = Histogram(
            "forescale_actuation_duration_seconds",
            "Time that one action took",
            registry=registry,
            buckets=CALL_BUCKETS,
        )
        for outcome in Outcome:
            self.actions.labels(outcome.value)
            for to in WRITTEN:
                self.writes.labels(to, outcome.value)

    def _forecasts(self, registry: CollectorRegistry) -> None:
        self.forecast_workloads = Gauge(
            "forescale_forecast_workloads",
            "Workloads with a forecast, by the model that made it",
            ["model"],
            registry=registry,
        )
        self.forecast_failures = Counter(
            "forescale_forecast_failures_total",
            "Fits and forecasts that failed; the ones from before go on until they expire",
            registry=registry,
        )
        self.forecast_late = Counter(
            "forescale_forecast_late_total",
            "Minutes without new forecasts because a fit took longer",
            registry=registry,
        )
        for model in ("own", "fleet"):
            self.forecast_workloads.labels(model).set(0)

    def _records(self, registry: CollectorRegistry) -> None:
        self.journal_failures = Counter(
            "forescale_journal_failures_total", "Records that were not written", registry=registry
        )
        self.journal_bytes = Gauge(
            "forescale_journal_written_bytes", "Written since start", registry=registry
        )
        self.journal_ok = Gauge(
            "forescale_journal_writable", "1: the last record was written", registry=registry
        )
        self.checkpoint_failures = Counter(
            "forescale_checkpoint_failures_total",
            "Checkpoints that could not be saved or taken over",
            registry=registry,
        )
        self.checkpoint_bytes = Gauge(
            "forescale_checkpoint_size_bytes", "Size of the last checkpoint", registry=registry
        )
        self.checkpoint_saved = Gauge(
            "forescale_checkpoint_last_saved_timestamp_seconds",
            "When a checkpoint was last saved",
            registry=registry,
        )
        self.accounts_failures = Counter(
            "forescale_slo_accounts_failures_total",
            "Times that SLO accounts could not be saved or taken over",
            registry=registry,
        )
        self.accounts_bytes = Gauge(
            "forescale_slo_accounts_size_bytes",
            "Size of the SLO accounts as last saved",
            registry=registry,
        )
        self.accounts_saved = Gauge(
            "forescale_slo_accounts_last_saved_timestamp_seconds",
            "When the SLO accounts were last saved",
            registry=registry,
        )

    def _leader(self, registry: CollectorRegistry) -> None:
        self.leading = Gauge("forescale_leader_leading", "1: this one acts", registry=registry)
        self.lease_failures = Counter(
            "forescale_leader_lease_failures_total",
            "Calls for the lease that failed",
            registry=registry,
        )
        self.frozen = Gauge("forescale_fleet_frozen", "1: a person froze all", registry=registry)
        self.policy_outdated = Gauge(
            "forescale_fleet_policy_outdated",
            "1: the policy file has changed since the leader was started, or can't be used; freeze does not count",
            registry=registry,
        )
        self.refused = Gauge(
            "forescale_fleet_refused_workloads",
            "Annotated workloads left alone: InvalidAnnotation or Unsupported",
            registry=registry,
        )

    def watch_leading(self, is_leading: Callable[[], bool]) -> None:
        """Asked whenever Prometheus asks: a leader that is cut off must not go on showing 1."""
        self.leading.set_function(lambda: float(is_leading()))

    def watch_policy(self, outdated: Callable[[], bool]) -> None:
        """Asked whenever Prometheus asks."""
        self.policy_outdated.set_function(lambda: float(outdated()))

    def ticked(self, record: TickRecord, duration_s: float) -> None:
        """Takes in a tick that was completed."""
        self.tick_seconds.observe(duration_s)
        self.last_tick.set(record.input.now_s)
        self.frozen.set(record.input.frozen is not None)
        for decision in record.result.decisions:
            self.decisions.labels(decision.reason.value).inc()
        for result in record.actions:
            self.actions.labels(result.outcome.value).inc()
        written = (
            *(("headroom", result.outcome) for result in record.headroom),
            *(("node", result.outcome) for result in record.mig),
            *(("template", result.outcome) for result in record.shapes),
        )
        for to, outcome in written:
            self.writes.labels(to, outcome.value).inc()
        self.workloads.take(record)
        self.pools.take(record)
        self.slices.take(record)


@dataclass(frozen=True, slots=True)
class _Series:
    name: str
    text: str
    value: Callable[[Decision], float | None]


_SERIES = (
    _Series("current_replicas", "spec.replicas as seen", lambda d: d.current),
    _Series("target_replicas", "Replicas decided on", lambda d: d.target),
    _Series(
        "cut_replicas",
        "Replicas that are not asked for because no GPU is to be had",
        lambda d: sum(s.before - s.after for s in d.steps if s.stage == scarcity.STAGE),
    ),
    _Series("ready_replicas", "Ready pods", lambda d: d.facts.ready),
    _Series(
        "sick_replicas",
        "Ready pods with a hardware error or much slower than their siblings",
        lambda d: len(d.sick),
    ),
    _Series("starting_replicas", "Pods on their way", lambda d: d.facts.starting),
    _Series(
        "offered_inferences_per_second",
        "Arriving demand; of an engine that generates text, in tokens",
        lambda d: d.facts.offered_rps,
    ),
    _Series(
        "upper_inferences_per_second",
        "Demand provided for; of an engine that generates text, in tokens",
        lambda d: d.facts.upper_rps,
    ),
    _Series(
        "outgrown_ratio",
        "Chance that demand exceeds what is provided for within the lead time",
        lambda d: d.facts.exceeded_ratio,
    ),
    _Series("miss_price", "Of a miss, in what a request costs to serve", lambda d: d.facts.price),
    _Series(
        "capacity_inferences_per_second",
        "What one replica carries within the objective; of an engine that generates text, in tokens",
        lambda d: d.facts.capacity_rps,
    ),
    _Series(
        "utilization_limit_ratio",
        "How busy a replica may be",
        lambda d: d.facts.utilization_limit_ratio,
    ),
    _Series("latency_seconds", "At the objective's quantile", lambda d: d.facts.latency_s),
    _Series("queue_ratio", "The queue's share of mean latency", lambda d: d.facts.queue_ratio),
    _Series("violated_ratio", "Requests that missed the SLO", lambda d: d.facts.violated_ratio),
    _Series("skew_ratio", "The busiest pod's load over the mean", lambda d: d.facts.skew_ratio),
    _Series("lead_time_seconds", "Time to ready, P90", lambda d: d.facts.lead_time_s),
    _Series("coverage_ratio", "Ready pods with fresh samples", lambda d: d.facts.coverage_ratio),
    _Series("sample_age_seconds", "Age of the oldest sample", lambda d: d.facts.sample_age_s),
)


class WorkloadSeries(Collector):
    """`forescale_workload_*` of the last tick. What is unknown has no series."""

    def __init__(self) -> None:
        self._record: TickRecord | None = None
        self._unknown_since_s: dict[WorkloadId, float] = {}

    def take(self, record: TickRecord) -> None:
        """Shows this tick from now on."""
        now_s = record.input.now_s
        self._unknown_since_s = {
            d.workload: min(now_s, self._unknown_since_s.get(d.workload, now_s))
            for d in record.result.decisions
            if d.reason in UNKNOWN_REASONS
        }
        self._record = record

    def clear(self) -> None:
        """This process decides no more."""
        self._record = None

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        record = self._record
        decisions = record.result.decisions if record else ()
        for series in _SERIES:
            family = GaugeMetricFamily(
                f"forescale_workload_{series.name}", series.text, labels=LABELS
            )
            for decision in decisions:
                value = series.value(decision)
                if value is not None:
                    family.add_metric(_labels(decision.workload), float(value))
            yield family
        yield self._held(record)
        yield _findings(decisions)
        yield _fleet_findings(record)

    def _held(self, record: TickRecord | None) -> Metric:
        family = GaugeMetricFamily(
            "forescale_workload_unknown_hold_seconds",
            "For how long it has been held because something is unknown; 0: it is not",
            labels=LABELS,
        )
        for decision in record.result.decisions if record else ():
            since_s = self._unknown_since_s.get(decision.workload)
            held_s = 0.0 if since_s is None or record is None else record.input.now_s - since_s
            family.add_metric(_labels(decision.workload), held_s)
        return family


def _findings(decisions: tuple[Decision, ...]) -> Metric:
    family = GaugeMetricFamily(
        "forescale_workload_finding_active",
        "1 while there is something that a person should know",
        labels=(*LABELS, "reason"),
    )
    for decision in decisions:
        for reason in sorted({finding.reason.value for finding in decision.findings}):
            family.add_metric([*_labels(decision.workload), reason], 1.0)
    return family


def _fleet_findings(record: TickRecord | None) -> Metric:
    family = GaugeMetricFamily(
        "forescale_fleet_finding_active",
        "1 while there is something that a person should know of the fleet as a whole",
        labels=("reason",),
    )
    for reason in sorted(
        {finding.reason.value for finding in record.result.fleet} if record else ()
    ):
        family.add_metric([reason], 1.0)
    return family


def _labels(workload: WorkloadId) -> list[str]:
    return [workload.namespace, workload.kind, workload.name]
