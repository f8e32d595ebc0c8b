"""Pods of the modelled cluster, and how collectors would tell of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.types import ModelCounters, PodSample, PodStatus
from autoscaler.simulation.nodes import Node
from autoscaler.simulation.serving import SUMMARY_QUANTILES, Scrape

EPOCH_S = 1_767_225_600.0  # a Thursday's midnight, UTC
MODEL = "model"


@dataclass(slots=True)
class Pod:
    """One replica. It has a node and a server from when there is a place for it."""

    number: int
    created_s: float
    owner: str = "pod"
    """How its name begins."""
    ready_s: float = np.inf
    node: Node | None = None
    placed_s: float = np.inf
    """When it was given its node, which may still boot."""
    server: int | None = None
    deleted_s: float | None = None
    fails_s: float = np.inf
    took_s: float = 0.0
    """What its start-up had taken, of one that was there before the run began; such a one is held from 0 on."""
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"{self.owner}-{self.number}"

    def serves(self, now_s: float) -> bool:
        """Whether it takes traffic."""
        return self.ready_s <= now_s and self.deleted_s is None

    def status(self, now_s: float, *, names_node: bool = False) -> PodStatus:
        """As the API server shows it; with the name of its node, where nodes are looked at."""
        ready_s = EPOCH_S + self.ready_s if self.ready_s <= now_s else None
        placed = self.node is not None and self.node.ready_s <= now_s
        return PodStatus(
            name=self.name,
            template_hash="v1",
            created_s=EPOCH_S + self.created_s - self.took_s,
            ready_s=ready_s,
            first_ready_s=ready_s,
            scheduled_s=(
                EPOCH_S + max(self.placed_s, self.node.ready_s) - self.took_s
                if self.node is not None and placed
                else None
            ),
            deleted_s=None if self.deleted_s is None else EPOCH_S + self.deleted_s,
            unschedulable=not placed,
            node=self.node.name if names_node and self.node is not None and placed else None,
        )


def samples(
    pods: Sequence[Pod], scrape: Scrape, summaries_s: NDArray[np.float64], at_s: float
) -> tuple[PodSample, ...]:
    """What each pod's server exported at `at_s`; the arrays have a place for each pod."""
    counts = (scrape.success, scrape.failure, scrape.inferences, scrape.executions, scrape.pending)
    seconds = (scrape.request_s, scrape.queue_s, scrape.compute_s)
    columns = [values.astype(np.float64).tolist() for values in counts]
    columns += [_counted_s(values).tolist() for values in seconds]
    rows = zip(pods, summaries_s.tolist(), *columns, strict=True)
    return tuple(
        PodSample(
            pod=pod.name,
            sampled_at_s=EPOCH_S + at_s,
            models=(
                ModelCounters(
                    model=MODEL,
                    success=success,
                    failure=failure,
                    inferences=inferences,
                    executions=executions,
                    pending=pending,
                    request_s=request_s,
                    queue_s=queue_s,
                    compute_s=compute_s,
                    latency_quantiles=()
                    if latency_s[0] != latency_s[0]
                    else tuple(zip(SUMMARY_QUANTILES, latency_s, strict=True)),
                ),
            ),
        )
        for (
            pod,
            latency_s,
            success,
            failure,
            inferences,
            executions,
            pending,
            request_s,
            queue_s,
            compute_s,
        ) in rows
    )


def _counted_s(values_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Triton counts whole microseconds."""
    return np.rint(values_s * 1e6) / 1e6
