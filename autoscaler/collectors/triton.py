"""Service times from Triton's own statistics: a few pods of each workload, now and then, in the background.

Always the same pods, as long as they live, so that two readings of one pod can be compared. Needs no rights in
Kubernetes; network policies must let the controller reach the servers' HTTP port.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoscaler.clients.triton import TritonClient
from autoscaler.clock import Clock
from autoscaler.core.types import BatchTime, ModelProfile, ServerProfile, WorkloadId
from autoscaler.errors import SourceError, SourceInvalid

log = logging.getLogger(__name__)

PERIOD_S = 30.0
TIMEOUT_S = 3.0
# For all models of a pod: with one that answers slowly for thousands of them the others would wait for ever.
POD_TIMEOUT_S = 15.0
# Triton's batches are of a few hundred at most.
MOST_BATCH_SIZES = 1024
MAX_CONCURRENT = 16
HTTP_PORT = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A ready pod that can be asked."""

    workload: WorkloadId
    pod: str
    template_hash: str
    ip: str


class TritonCollector:
    """Reads one pod of each workload and template every half minute."""

    def __init__(
        self,
        endpoints: Callable[[], tuple[Endpoint, ...]],
        clock: Clock,
        *,
        sick: Callable[[], frozenset[tuple[WorkloadId, str]]] = frozenset,
        port: int = HTTP_PORT,
    ) -> None:
        """`sick` names pods that tell nothing of their workload's model; one of the others is read."""
        self._endpoints = endpoints
        self._sick = sick
        self._clock = clock
        self._port = port
        self._chosen: dict[tuple[WorkloadId, str], str] = {}
        self._read: dict[tuple[WorkloadId, str], ServerProfile] = {}

    def take(self) -> Mapping[WorkloadId, tuple[ServerProfile, ...]]:
        """The newest reading of each workload and template since the last call."""
        read, self._read = self._read, {}
        told: dict[WorkloadId, tuple[ServerProfile, ...]] = {}
        for (workload, _), profile in read.items():
            told[workload] = (*told.get(workload, ()), profile)
        return told

    async def run(self) -> None:
        """For ever; a pod that does not answer is left for the next round."""
        while True:
            await self.read_once()
            await self._clock.sleep(PERIOD_S)

    async def read_once(self) -> None:
        """One round over all workloads."""
        gate = asyncio.Semaphore(MAX_CONCURRENT)

        async def one(endpoint: Endpoint) -> None:
            async with gate:
                try:
                    async with asyncio.timeout(POD_TIMEOUT_S):
                        profile = await self._profile(endpoint)
                except (SourceError, TimeoutError) as error:
                    log.debug("%s: statistics of %s: %s", endpoint.workload, endpoint.pod, error)
                    self._chosen.pop((endpoint.workload, endpoint.template_hash), None)
                    return
                # A controller that does not lead reads too, and nobody takes it.
                self._read[endpoint.workload, endpoint.template_hash] = profile

        async with asyncio.TaskGroup() as group:
            for endpoint in self._choose():
                group.create_task(one(endpoint))

    def _choose(self) -> list[Endpoint]:
        groups: dict[tuple[WorkloadId, str], list[Endpoint]] = {}
        for endpoint in self._endpoints():
            groups.setdefault((endpoint.workload, endpoint.template_hash), []).append(endpoint)
        self._chosen = {key: pod for key, pod in self._chosen.items() if key in groups}
        self._read = {key: profile for key, profile in self._read.items() if key in groups}
        ill = self._sick()
        picked = []
        for key, members in groups.items():
            before = self._chosen.get(key)
            well = [e for e in members if (e.workload, e.pod) not in ill] or members
            endpoint = next((e for e in well if e.pod == before), well[0])
            self._chosen[key] = endpoint.pod
            picked.append(endpoint)
        return picked

    async def _profile(self, endpoint: Endpoint) -> ServerProfile:
        client = TritonClient(f"{endpoint.ip}:{self._port}", timeout_s=TIMEOUT_S)
        try:
            statistics = await client.statistics()
            versions: dict[str, list[Mapping[str, Any]]] = {}
            for entry in statistics:
                versions.setdefault(str(entry.get("name", "")), []).append(entry)
            models = [
                model_profile(name, entries, await client.configuration(name))
                for name, entries in versions.items()
            ]
            if sum(len(model.batch_times) for model in models) > MOST_BATCH_SIZES * len(models):
                raise ValueError(f"more than {MOST_BATCH_SIZES} sizes of batches")
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            # Another server may listen there, and one pod's answer must not end the round of all.
            raise SourceInvalid(f"{client.address}: not Triton's own form ({error})") from error
        finally:
            await client.close()
        return ServerProfile(
            pod=endpoint.pod,
            template_hash=endpoint.template_hash,
            sampled_at_s=self._clock.now_s(),
            models=tuple(models),
        )


def model_profile(
    name: str, versions: Sequence[Mapping[str, Any]], config: Mapping[str, Any]
) -> ModelProfile:
    """One model's batch times over the versions that are loaded: an instance is taken for input, inference and output
    of a batch."""
    batching = config.get("dynamic_batching") or {}
    groups = config.get("instance_group") or []
    times: dict[int, BatchTime] = {}
    for entry in (entry for version in versions for entry in version.get("batch_stats") or []):
        size = int(entry.get("batch_size", 0))
        infer = entry.get("compute_infer") or {}
        total_ns = sum(
            float((entry.get(stage) or {}).get("ns", 0))
            for stage in ("compute_input", "compute_infer", "compute_output")
        )
        other = times.get(size, BatchTime(batch_size=size, count=0, total_s=0.0))
        times[size] = BatchTime(
            batch_size=size,
            count=other.count + int(infer.get("count", 0)),
            total_s=other.total_s + total_ns / 1e9,
        )
    return ModelProfile(
        model=name,
        version=",".join(sorted(str(v["version"]) for v in versions if v.get("version"))),
        max_batch_size=max(1, int(config.get("max_batch_size") or 0)),
        instances=max(1, sum(_instances(group) for group in groups)),
        max_queue_delay_s=float(batching.get("max_queue_delay_microseconds") or 0) / 1e6,
        batch_times=tuple(times[size] for size in sorted(times) if size > 0),
    )


def _instances(group: Mapping[str, Any]) -> int:
    """`count` is for each GPU that the group names; one on the processor names none."""
    return int(group.get("count") or 1) * max(1, len(group.get("gpus") or ()))
