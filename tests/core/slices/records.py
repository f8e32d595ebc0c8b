"""A tick as the packing's question reads it: nodes with slices, workloads with what was decided for them."""

from __future__ import annotations

from autoscaler.core.nodes.observed import PoolInput
from autoscaler.core.slices.observed import (
    GroupDecision,
    KeptDemand,
    SliceNode,
    SlicesDecision,
    SlicesInput,
)
from autoscaler.core.types import (
    Decision,
    ScalingPlan,
    TickInput,
    TickRecord,
    TickResult,
    WorkloadInput,
)
from tests.core.story import START_S


def record(
    nodes: list[SliceNode],
    *workloads: tuple[WorkloadInput, Decision],
    groups: tuple[GroupDecision, ...] = (),
    pools: tuple[PoolInput, ...] = (),
    kept: dict[str, int] | None = None,
) -> TickRecord:
    return TickRecord(
        input=TickInput(
            now_s=START_S,
            workloads=tuple(given for given, _ in workloads),
            slices=SlicesInput(nodes=tuple(nodes), fronts=()),
            pools=pools,
        ),
        result=TickResult(
            now_s=START_S,
            decisions=tuple(decision for _, decision in workloads),
            plan=ScalingPlan(),
            slices=SlicesDecision(
                groups=groups,
                kept=tuple(
                    KeptDemand(name=name, amount=amount, at_s=START_S - 300.0)
                    for name, amount in (kept or {}).items()
                ),
            ),
        ),
    )
