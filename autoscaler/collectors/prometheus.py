"""What Prometheus knows of every pod at one moment: one query for each signal, for all workloads together.

Needs no rights in Kubernetes. A signal that fails is missing, and only what is essential - that requests were counted,
and when - makes the whole collection fail.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Template

from autoscaler.clients.prometheus import PrometheusClient, Series
from autoscaler.clock import Clock, SystemClock
from autoscaler.collectors import exposition, gateways, scrapes
from autoscaler.collectors.exposition import (
    BUCKETS,
    COUNTERS,
    PARTS,
    SHARES,
    TIMES,
    Parts,
    PodKey,
    Table,
)
from autoscaler.collectors.presets import (
    BUILT_IN,
    GPU_XID,
    Preset,
    is_per_workload,
    presets,
)
from autoscaler.config import GatewayQueries, QuerySet
from autoscaler.core.annotations import ASSUMED
from autoscaler.core.types import (
    HistoryPoint,
    PodGpus,
    PodSample,
    Scrape,
    Targets,
    WorkloadId,
    WorkloadSpec,
)
from autoscaler.errors import SourceError
from autoscaler.lasting import Lasting

log = logging.getLogger(__name__)

# A range query is cut into pieces of this length: 7 days of 1,000 workloads in one answer would be 100 MB.
PIECE_S = 6 * 3600.0
STEP_S = 60.0
# A rate over two minutes stands for the minute in their middle: that of 9:00 to 9:01 is asked at 9:01:30.
RATE_AHEAD_S = 90.0
LOOK_FOR_GATEWAYS_S = 300.0
# Latency and times of batches are learned over minutes; arrivals and their time are needed now.
ESSENTIAL = frozenset({"success", "at", "inferences", "failure", "pending"})
# What tells the misses of an objective. The largest answers of all: where `query.max-samples` is too small for the
# fleet, these are refused and no others.
JUDGED_BY = {
    "latency_quantiles": "latency",
    "latency_buckets": "latency",
    "ttft_buckets": "ttft",
    "tpot_buckets": "tpot",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Samples by (namespace, pod), and why some are missing."""

    samples: Mapping[PodKey, PodSample] = field(default_factory=dict)
    error: str | None = None
    errors: Mapping[WorkloadId, str] = field(default_factory=dict)
    doubled: frozenset[PodKey] = frozenset()
    gateway: Mapping[WorkloadId, tuple[PodSample, ...]] = field(default_factory=dict)
    """What a gateway's or mesh's instances have counted of each workload's requests."""
    scrapes: Mapping[PodKey, Scrape] = field(default_factory=dict)
    """How the last scrapes ended, in namespaces in which one failed."""
    targets: Targets | None = None
    gpus: Mapping[PodKey, PodGpus] = field(default_factory=dict)
    """Of the pods that hold GPUs which DCGM shows."""


class PrometheusCollector:
    """Asks one Prometheus for all workloads."""

    def __init__(
        self,
        client: PrometheusClient,
        *,
        custom: Mapping[str, QuerySet] | None = None,
        backfill_s: float = 0.0,
        gateway: str = "none",
        custom_gateways: Mapping[str, GatewayQueries] | None = None,
        apart_s: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        """`gateway` names whose histograms are read beside the servers': `auto`, `none`, or one of them. `apart_s`: how
        far Prometheus' clock may be from the controller's."""
        self._client = client
        self._presets = presets(custom or {})
        self._backfill_s = backfill_s
        self._gateway = gateway
        self._apart_s = apart_s
        self._gateways = {**gateways.BUILT_IN, **(custom_gateways or {})}
        self._unread = Lasting(log, clock or SystemClock(), over="gateway is read again")
        self._found_gateways: tuple[str, ...] = ()
        self._looked_at_s = float("-inf")
        self._parts: dict[tuple[str, str], Parts] = {}
        """By engine and signal, of the last answer."""

    @property
    def engines(self) -> tuple[str, ...]:
        """What `forescale.io/engine` may name."""
        return tuple(sorted(self._presets))

    async def collect(
        self, now_s: float, workloads: tuple[WorkloadSpec, ...], *, ago_s: float = 0.0
    ) -> Collected:
        """Samples as of `ago_s` before `now_s` for the engines that the workloads use; of the past they are all that is
        told. Never raises for a source that fails."""
        at_s = now_s - ago_s
        found: dict[PodKey, PodSample] = {}
        problems: list[str] = []
        answered = False
        errors: dict[WorkloadId, str] = {}
        doubled: set[PodKey] = set()
        gpus, apart = await asyncio.gather(self._gpu_errors(at_s), self._apart(now_s))
        if apart is not None:
            return Collected(error=apart)
        engines = sorted({spec.engine for spec in workloads})
        for engine in [*engines, *(name for name in BUILT_IN if name not in engines)]:
            own = tuple(spec for spec in workloads if spec.engine == engine)
            if not own:
                # Whose engine nothing has told may run this one, if its pods were not seen by another's metrics.
                own = _unseen([spec for spec in workloads if spec.id not in errors], found)
            preset = self._presets.get(engine)
            if preset is None:
                errors.update({spec.id: f"engine {engine!r} has no queries" for spec in own})
            elif own:
                answers, failed, partial, unjudged = await self._ask(preset, at_s, own)
                for spec in own:
                    # Others have queries of their own: one that is wrong holds nobody else.
                    missing = [why for of, why in unjudged if _is_judged(spec, of)]
                    if failed or partial or missing:
                        errors[spec.id] = _joined([*failed, *partial, *missing])
                problems += failed
                answered = answered or not failed
                # Seconds for 20,000 pods, in which the lease has to be renewed.
                part, twice = await asyncio.to_thread(
                    _samples, engine, answers, preset, self._parts
                )
                found.update({pod: sample for pod, sample in part.items() if pod not in found})
                doubled |= twice
        error = _joined(problems) if problems and not answered else None
        if ago_s:
            return Collected(samples=found, error=error)
        namespaces = frozenset(spec.id.namespace for spec in workloads)
        scraped = scrapes.Scraped() if error else await scrapes.look(self._client, at_s, namespaces)
        return Collected(
            samples=found,
            error=error,
            errors=errors,
            doubled=frozenset(doubled),
            gateway={} if error else await self._at_gateways(at_s, workloads),
            scrapes=scraped.scrapes,
            targets=scraped.targets,
            gpus=exposition.gpu_errors(gpus),
        )

    async def _at_gateways(
        self, at_s: float, workloads: tuple[WorkloadSpec, ...]
    ) -> dict[WorkloadId, tuple[PodSample, ...]]:
        """Empty where there is none or it can't be read: the servers' own figures stand in."""
        told: dict[WorkloadId, tuple[PodSample, ...]] = {}
        if not workloads:
            return told
        try:
            for name in await self._present_gateways(at_s):
                queries = self._gateways[name]
                at = f"timestamp({gateways.selector(queries, workloads, only_le='+Inf')})"
                series, times = await asyncio.gather(
                    self._client.query(gateways.selector(queries, workloads), at_s),
                    self._client.query(at, at_s),
                )
                told = {**gateways.samples(series, times, queries, workloads), **told}
        except SourceError as error:
            self._unread.tell("gateway not read", error=str(error))
            return {}
        self._unread.end()
        return told

    async def _present_gateways(self, at_s: float) -> tuple[str, ...]:
        """The one that is configured; with `auto` those built-in ones that anything is scraped of, looked up rarely."""
        if self._gateway != "auto":
            return () if self._gateway == "none" else (self._gateway,)
        if at_s - self._looked_at_s >= LOOK_FOR_GATEWAYS_S:
            answers = {
                name: await self._client.query(f"group({queries.metric})", at_s)
                for name, queries in gateways.BUILT_IN.items()
            }
            self._looked_at_s = at_s
            self._found_gateways = tuple(name for name, answer in answers.items() if answer)
        return self._found_gateways

    async def _apart(self, now_s: float) -> str | None:
        """How wrong the clocks are: a controller that is five minutes behind asks for what was five minutes ago, and
        takes it for fresh."""
        try:
            there_s = await self._client.clock_s()
        except SourceError:
            return None  # The other queries tell.
        if there_s is None or abs(there_s - now_s) <= self._apart_s:
            return None
        which = "ahead of" if there_s > now_s else "behind"
        return (
            f"Prometheus' clock is {abs(there_s - now_s):.0f} s {which} the controller's, so that nothing tells how "
            "old its samples are: look at the time services of both nodes"
        )

    async def _gpu_errors(self, at_s: float) -> tuple[Series, ...]:
        try:
            return await self._client.query(GPU_XID, at_s)
        except SourceError:
            return ()  # a secondary signal: nothing waits for it

    async def _ask(
        self, preset: Preset, at_s: float, workloads: tuple[WorkloadSpec, ...]
    ) -> tuple[dict[str, tuple[Series, ...]], list[str], list[str], list[tuple[str, str]]]:
        """Each signal's series, the errors of the signals that nothing can be decided without, why others of them may
        lack some series, and by objectives' signal why their misses are not seen."""
        queries = _queries(preset, workloads)
        answers = await asyncio.gather(
            *(self._client.answer(promql, at_s) for _, promql in queries), return_exceptions=True
        )
        series: dict[str, tuple[Series, ...]] = {}
        failed: list[str] = []
        partial: list[str] = []
        unjudged: list[tuple[str, str]] = []
        for (signal, _), answer in zip(queries, answers, strict=True):
            if isinstance(answer, SourceError):
                if signal in ESSENTIAL:
                    failed.append(str(answer))
                elif signal in JUDGED_BY:
                    unjudged.append((JUDGED_BY[signal], str(answer)))
            elif isinstance(answer, BaseException):
                raise answer
            else:
                series[signal] = series.get(signal, ()) + answer.series
                if answer.incomplete is not None and signal in ESSENTIAL:
                    partial.append(answer.incomplete)
        return series, failed, partial, unjudged

    async def backfill(
        self, at_s: float, workloads: tuple[WorkloadSpec, ...]
    ) -> dict[WorkloadId, tuple[HistoryPoint, ...]]:
        """Demand of the past, minute by minute, pods that are long gone included (by the names that controllers give).

        Raises SourceError.
        """
        points: dict[WorkloadId, dict[float, float]] = {}
        wanted = {(spec.id.namespace, spec.pods_of or spec.id.name): spec for spec in workloads}
        for preset in {id(p): p for s in workloads if (p := self._presets.get(s.engine))}.values():
            if preset.backfill is None or self._backfill_s <= 0.0:
                continue
            # The moments at which the rate is asked; the last is not yet to come.
            end_s = at_s - (at_s - RATE_AHEAD_S) % STEP_S + STEP_S
            start_s = end_s - self._backfill_s
            while start_s < end_s:
                stop_s = min(start_s + PIECE_S, end_s) - STEP_S
                series = await self._client.query_range(
                    _history_query(preset), start_s=start_s, end_s=stop_s, step_s=STEP_S
                )
                _add_points(points, series, preset, wanted)
                start_s += PIECE_S
        return {
            spec.id: tuple(
                HistoryPoint(minute_s=at_s - RATE_AHEAD_S, offered_rps=value)
                for at_s, value in sorted(points.get(spec.id, {}).items())
            )
            for spec in workloads
        }


def _joined(problems: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(problems))


def _is_judged(spec: WorkloadSpec, signal: str) -> bool:
    return any(objective.signal == signal for objective in spec.slo.objectives)


def _unseen(
    workloads: Sequence[WorkloadSpec], found: Mapping[PodKey, PodSample]
) -> tuple[WorkloadSpec, ...]:
    """Workloads of an assumed engine in namespaces in which it has no pod."""
    seen = {(namespace, sample.engine) for (namespace, _), sample in found.items()}
    return tuple(
        spec
        for spec in workloads
        if spec.engine_from == ASSUMED and (spec.id.namespace, spec.engine) not in seen
    )


def _queries(preset: Preset, workloads: tuple[WorkloadSpec, ...]) -> list[tuple[str, str]]:
    """(signal, PromQL); a query that names the workload once for each of them, any other once."""
    told = preset.queries
    found: list[tuple[str, str]] = []
    for signal in (*COUNTERS, "latency_quantiles", *BUCKETS):
        promql = getattr(told, signal)
        if promql is not None:
            found += [(signal, text) for text in _for_workloads(promql, workloads)]
    scraped = preset.scraped or told.success or told.inferences
    if scraped is not None:
        found += [("at", f"timestamp({text})") for text in _for_workloads(scraped, workloads)]
    return found


def _for_workloads(promql: str, workloads: tuple[WorkloadSpec, ...]) -> list[str]:
    if not is_per_workload(promql):
        return [promql]
    return [
        Template(promql).safe_substitute(
            namespace=spec.id.namespace, name=spec.pods_of or spec.id.name
        )
        for spec in workloads
    ]


def _samples(
    engine: str,
    series: Mapping[str, tuple[Series, ...]],
    preset: Preset,
    known: dict[tuple[str, str], Parts],
) -> tuple[dict[PodKey, PodSample], set[PodKey]]:
    """`known` is what the sums of the last answer were made of, and is brought up to date."""
    unit = preset.queries.seconds_per_unit
    tables: dict[str, Table] = {
        name: exposition.counter_table(
            series[name],
            preset,
            scale=unit if name in TIMES else 1.0,
            highest=name in SHARES,
            most=exposition.MOST_PRESENT if name in exposition.PRESENT else math.inf,
        )
        for name in COUNTERS
        if name in series
    }
    for name, table in tables.items():
        known[engine, name] = table.compared(known.get((engine, name), {}))
    found = exposition.samples(
        tables,
        exposition.curve_table(
            series.get("latency_quantiles", ()), preset, label="quantile", x_scale=1.0, y_scale=unit
        ),
        {
            name: exposition.curve_table(
                series[name],
                preset,
                label="le",
                x_scale=preset.seconds_per_le,
                y_scale=1.0,
                add=True,
            )
            for name in BUCKETS
            if name in series
        },
        exposition.scrape_times(series.get("at", ()), preset),
        engine=engine,
    )
    doubled = {pod for table in tables.values() for pod in table.doubled}
    return found, doubled


def _history_query(preset: Preset) -> str:
    """One series for each workload and model: pods are named by their controller, NAME-HASH-RANDOM or NAME-NUMBER."""
    namespace, pod = preset.queries.namespace_label, preset.queries.pod_label
    model = (preset.queries.model_label,) if preset.queries.model_label else ()
    # A rate over two minutes: four scrapes even at the field's usual 30 s. Of a pod that is scraped twice one counts.
    known = ", ".join((namespace, pod, *model, *PARTS))
    rate = f"max by ({known}) (rate({preset.backfill}[2m]))"
    by = ", ".join((namespace, "workload", *model))
    named = f'label_replace({rate}, "workload", "$1", "{pod}", "(.+)-[0-9]+")'
    named = (
        f'label_replace({named}, "workload", "$1", "{pod}", "(.+)-[0-9a-z]{{5,10}}-[0-9a-z]{{5}}")'
    )
    return f'label_replace(sum by ({by}) ({named}), "namespace", "$1", "{namespace}", "(.+)")'


def _add_points(
    points: dict[WorkloadId, dict[float, float]],
    series: tuple[Series, ...],
    preset: Preset,
    wanted: Mapping[tuple[str, str], WorkloadSpec],
) -> None:
    """What a workload's models add up to at each moment; of one that is about a single model, that one alone."""
    for entry in series:
        spec = wanted.get((entry.labels.get("namespace", ""), entry.labels.get("workload", "")))
        model = entry.labels.get(preset.queries.model_label or "")
        if spec is None or (spec.model is not None and model is not None and model != spec.model):
            continue
        known = points.setdefault(spec.id, {})
        for at_s, value in entry.points:
            if value is not None:
                known[at_s] = known.get(at_s, 0.0) + value
