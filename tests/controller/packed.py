"""One slice pool, its nodes and workloads, and the plan that is solved of them."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.core.nodes.observed import NodeNeeds
from autoscaler.core.reasons import Reason
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import Holder, MigState, SliceNode, SlicePlan
from autoscaler.core.slices.question import question
from autoscaler.core.slices.settings import SlicePoolSettings, SliceSettings, SlicesMode
from autoscaler.core.types import (
    Decision,
    PodStatus,
    ReplicaStatus,
    TickRecord,
    WorkloadInput,
)
from autoscaler.solver.slices import solve
from tests.core.story import START_S, spec

ONES, THREES = "all-1g.10gb", "all-3g.40gb"
POOL = SlicePoolSettings(
    labels={"pool": "mig"},
    gpu="A100-80GB",
    configs={ONES: "7x1g.10gb", THREES: "2x3g.40gb"},
    gpus_per_node=2,
)
CONFIG = EngineConfig(slices=SliceSettings(mode=SlicesMode.AUTO, pools={"mig": POOL}))


def node(name: str, *pods: str, config: str = ONES, **changes: object) -> SliceNode:
    """Two GPUs; each pod is `name:shape`."""
    holders = tuple(Holder(pod=p.split(":")[0], shape=p.split(":")[1]) for p in pods)
    base = SliceNode(
        name=name,
        pool="mig",
        config=config,
        state=MigState.SUCCESS,
        slices=POOL.slices_of(config if config in POOL.configs else ONES),
        holders=holders,
        devices=len(holders),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def workload(
    name: str, shape: str, target: int, pods: int = 0, **changes: object
) -> tuple[WorkloadInput, Decision]:
    resource = "nvidia.com/gpu" if shape == "gpu" else f"nvidia.com/mig-{shape}"
    needs = NodeNeeds(resource=resource, count=1)
    own = spec(name, **({"node_needs": needs} | changes))
    given = WorkloadInput(
        spec=own,
        replicas=ReplicaStatus(desired=max(1, pods)),
        pods=tuple(PodStatus(name=f"{name}-{i}", created_s=START_S) for i in range(pods)),
    )
    decision = Decision(
        workload=own.id,
        current=pods,
        target=target,
        reason=Reason.STEADY,
        message="",
        mode=own.mode,
    )
    return given, decision


def planned(tick: TickRecord, config: EngineConfig = CONFIG) -> SlicePlan:
    asked = question(tick, config)
    assert asked is not None
    return solve(asked, START_S)
