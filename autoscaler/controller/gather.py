"""Puts a tick's input together from what the sources know. One that fails or is late leaves a hole that says why."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from autoscaler.clock import Clock
from autoscaler.controller.deadline import within
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.ports import (
    ClusterSource,
    Measured,
    MetricsSource,
    ObservedWorkload,
    ProfileSource,
    Refused,
    Samples,
)
from autoscaler.core.annotations import ASSUMED
from autoscaler.core.nodes.observed import PoolInput
from autoscaler.core.slices.observed import SlicePlan, SlicesInput
from autoscaler.core.types import (
    DemandForecast,
    HistoryPoint,
    PodSample,
    Scrape,
    ServerProfile,
    TickInput,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)
from autoscaler.errors import AutoscalerError
from autoscaler.lasting import Lasting

log = logging.getLogger(__name__)

# A range query over days takes longer than a tick and is waited for outside of it.
BACKFILL_TIMEOUT_S = 120.0
# Workloads asked about at once: their minutes are objects, and go into one line of the journal. After a failure they
# are asked about again.
BACKFILL_BATCH = 100
BACKFILL_RETRY_S = 300.0
# Of the time in which a tick waits for metrics, for each look back: two of them leave it the time to act.
LOOK_BACK_SHARE = 0.25
TOLD = 3
"""Different errors of one tick that the log names."""


class Gatherer:
    """Asks the sources once a tick."""

    def __init__(
        self,
        *,
        cluster: ClusterSource,
        measures: MetricsSource,
        profiles: ProfileSource,
        clock: Clock,
        metrics: Metrics,
        collect_timeout_s: float,
        frozen: Callable[[], str | None],
        backfill: bool,
        look_back_s: Sequence[float] = (),
        forecasts: Callable[[], tuple[DemandForecast, ...]] = tuple,
        pools: Callable[[], tuple[PoolInput, ...]] = tuple,
        slices: Callable[[], SlicesInput | None] = lambda: None,
        slice_plan: Callable[[], SlicePlan | None] = lambda: None,
    ) -> None:
        """`look_back_s`: how long before a tick Prometheus is asked for as well, the longest first, where what it last
        told is as old as that."""
        self._cluster, self._measures, self._profiles = cluster, measures, profiles
        self._clock, self._metrics = clock, metrics
        self._collect_timeout_s = collect_timeout_s
        self._frozen = frozen
        self._forecasts = forecasts
        self._pools = pools
        self._slices, self._slice_plan = slices, slice_plan
        self._backfill = Backfill(measures, clock, metrics) if backfill else None
        self._blind = Lasting(log, clock, over="metrics are whole again")
        self._look_back_s = look_back_s
        self._measured_s = float("-inf")
        """When Prometheus last answered, by the monotonic clock."""
        self.refused: tuple[Refused, ...] = ()
        self._seen_pools: tuple[PoolInput, ...] = ()
        self._seen_slices = SlicesInput()

    async def gather(self) -> TickInput:
        """Everything that is known now. Takes no longer than the metrics source may."""
        now_s = self._clock.now_s()
        observation = self._cluster.observe()
        self.refused = observation.refused
        self._metrics.refused.set(len(observation.refused))
        if self._cluster.error is not None:
            self._metrics.source_errors.labels("kubernetes").inc()
        specs = tuple(item.spec for item in observation.workloads)
        earlier = await self._look_back(now_s, specs)
        measured = await self._measure(now_s, specs)
        profiles = self._profiles.take()
        history = self._backfill.take(now_s, specs) if self._backfill else {}
        return TickInput(
            now_s=now_s,
            workloads=tuple(
                _input(item, measured, earlier, profiles, history) for item in observation.workloads
            ),
            targets=measured.targets,
            forecasts=self._forecasts(),
            frozen=self._frozen(),
            pools=self._look_at_pools(),
            slices=self._look_at_slices(),
            slice_plan=self._slice_plan(),
        )

    def stop(self) -> None:
        """Ends what runs in the background."""
        if self._backfill:
            self._backfill.stop()

    def _look_at_pools(self) -> tuple[PoolInput, ...]:
        """Those of the tick before, held, where they can't be told."""
        try:
            self._seen_pools = self._pools()
        except Exception as error:  # noqa: BLE001 - the border of the tick, as `_unseen` says
            why = self._unseen("node pools", error)
            self._seen_pools = tuple(replace(pool, stale=why) for pool in self._seen_pools)
        return self._seen_pools

    def _look_at_slices(self) -> SlicesInput | None:
        """Those of the tick before, held, where they can't be told."""
        try:
            found = self._slices()
        except Exception as error:  # noqa: BLE001 - the border of the tick, as `_unseen` says
            found = replace(self._seen_slices, stale=self._unseen("slices", error))
        if found is not None:
            self._seen_slices = found
        return found

    def _unseen(self, what: str, error: Exception) -> str:
        # The border of the tick: what can't be told of nodes holds nodes, and no workload.
        self._metrics.source_errors.labels("kubernetes").inc()
        log.exception("%s not looked at", what)
        return f"they could not be looked at: {type(error).__name__}: {error}"

    async def _look_back(
        self, now_s: float, specs: tuple[WorkloadSpec, ...]
    ) -> tuple[Measured, ...]:
        """What Prometheus knew before: a rate needs two samples. What is remembered of a leader that was killed is up
        to a minute and a half old, and the mean since then hides a rise. Whatever goes wrong here, it is less."""
        found: list[Measured] = []
        gap_s = self._clock.monotonic_s() - self._measured_s
        if not specs or not self._look_back_s or gap_s < self._look_back_s[0]:
            return ()
        limit_s = LOOK_BACK_SHARE * self._collect_timeout_s
        for ago_s in self._look_back_s:
            try:
                asked = self._measures.collect(now_s, specs, ago_s=ago_s)
                told = await within(self._clock, limit_s, asked)
            except Exception as error:  # noqa: BLE001 - a help, not a need: `_measure` tells what is wrong
                log.debug("no earlier samples: %s", error)
                break
            if told.error is not None:
                break
            found.append(told)
        return tuple(found)

    async def _measure(self, now_s: float, specs: tuple[WorkloadSpec, ...]) -> Measured:
        if not specs:
            return Samples()
        try:
            measured = await within(
                self._clock, self._collect_timeout_s, self._measures.collect(now_s, specs)
            )
        except TimeoutError:
            return self._nothing(f"Prometheus did not answer within {self._collect_timeout_s:g} s")
        except AutoscalerError as error:
            return self._nothing(str(error))
        except Exception as error:
            # The border of the tick: whatever a source does, the others are still heard.
            log.exception("metrics source failed")
            return self._nothing(f"metrics source failed: {type(error).__name__}: {error}")
        if measured.error is None:
            self._measured_s = self._clock.monotonic_s()
        told = tuple(dict.fromkeys(filter(None, (measured.error, *measured.errors.values()))))
        if told:
            self._metrics.source_errors.labels("prometheus").inc()
            self._blind.tell("metrics incomplete", error="; ".join(told[:TOLD]))
        else:
            self._blind.end()
        return measured

    def _nothing(self, why: str) -> Measured:
        self._metrics.source_errors.labels("prometheus").inc()
        self._blind.tell("no metrics", error=why)
        return Samples(error=why)


def _input(
    item: ObservedWorkload,
    measured: Measured,
    earlier: tuple[Measured, ...],
    profiles: Mapping[WorkloadId, tuple[ServerProfile, ...]],
    history: Mapping[WorkloadId, tuple[HistoryPoint, ...]],
) -> WorkloadInput:
    key = item.spec.id
    samples = _samples(item, measured)
    return WorkloadInput(
        spec=_with_engine(item.spec, samples),
        replicas=item.replicas,
        pods=item.pods,
        pods_known=item.pods_known,
        samples=samples,
        earlier=tuple([sample for each in earlier for sample in _samples(item, each)]),
        samples_error=measured.error or measured.errors.get(key),
        scrapes=_without_sample(item, measured, samples),
        doubled_pods=tuple(
            pod.name for pod in item.pods if (key.namespace, pod.name) in measured.doubled
        ),
        gpus=tuple(
            gpus for pod in item.pods if (gpus := measured.gpus.get((key.namespace, pod.name)))
        ),
        gateway=measured.gateway.get(key, ()),
        profiles=profiles.get(key, ()),
        template=item.template,
        backfill=history.get(key, ()),
    )


def _samples(item: ObservedWorkload, measured: Measured) -> tuple[PodSample, ...]:
    """Another engine's metrics of the same pods are not those that this workload is judged by."""
    found = (measured.samples.get((item.spec.id.namespace, pod.name)) for pod in item.pods)
    return tuple(
        sample
        for sample in found
        if sample is not None
        and (item.spec.engine_from == ASSUMED or sample.engine in ("", item.spec.engine))
    )


def _without_sample(
    item: ObservedWorkload, measured: Measured, samples: tuple[PodSample, ...]
) -> tuple[Scrape, ...]:
    """A sample says itself that the scrape was answered."""
    told = {sample.pod for sample in samples}
    namespace = item.spec.id.namespace
    return tuple(
        scrape
        for pod in item.pods
        if pod.name not in told and (scrape := measured.scrapes.get((namespace, pod.name)))
    )


def _with_engine(spec: WorkloadSpec, samples: tuple[PodSample, ...]) -> WorkloadSpec:
    """With the engine whose metrics are scraped, where nothing else told which it is."""
    engines = {sample.engine for sample in samples if sample.engine}
    if spec.engine_from != ASSUMED or len(engines) != 1:
        return spec
    return replace(spec, engine=engines.pop(), engine_from="metrics that are scraped")


class Backfill:
    """Fetches the past of workloads that are new to this process, in the background, once."""

    def __init__(self, measures: MetricsSource, clock: Clock, metrics: Metrics) -> None:
        self._measures, self._clock, self._metrics = measures, clock, metrics
        self._asked: set[WorkloadId] = set()
        self._ready: dict[WorkloadId, tuple[HistoryPoint, ...]] = {}
        self._task: asyncio.Task[None] | None = None
        self._not_before_s = self._last_s = float("-inf")

    def take(
        self, now_s: float, specs: tuple[WorkloadSpec, ...]
    ) -> dict[WorkloadId, tuple[HistoryPoint, ...]]:
        """What has arrived since the last call; asks for what is still missing."""
        present = {spec.id for spec in specs}
        # After a clock that was ahead, what it wrote over is asked for again.
        self._asked = set() if now_s < self._last_s else self._asked & present
        self._last_s = now_s
        ready, self._ready = self._ready, {}
        missing = tuple(spec for spec in specs if spec.id not in self._asked)[:BACKFILL_BATCH]
        idle = self._task is None or self._task.done()
        if missing and idle and self._clock.monotonic_s() >= self._not_before_s:
            self._asked |= {spec.id for spec in missing}
            self._task = asyncio.create_task(self._fetch(now_s, missing))
        return ready

    def stop(self) -> None:
        """Gives up what is under way."""
        if self._task is not None:
            self._task.cancel()

    async def _fetch(self, now_s: float, specs: tuple[WorkloadSpec, ...]) -> None:
        try:
            answer = await within(
                self._clock, BACKFILL_TIMEOUT_S, self._measures.backfill(now_s, specs)
            )
            self._ready.update(answer)
        except Exception as error:
            # History is a help, not a need: without it the engine learns as time passes.
            if not isinstance(error, AutoscalerError | TimeoutError):
                log.exception("history failed")
            self._metrics.source_errors.labels("backfill").inc()
            self._asked -= {spec.id for spec in specs}
            self._not_before_s = self._clock.monotonic_s() + BACKFILL_RETRY_S
            log.warning("no history", extra={"workloads": len(specs), "error": str(error)})
