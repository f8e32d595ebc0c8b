"""`make bench-fleets`: a fleet of six models on MIG slices and nodes, request by request, beside KEDA on one shape.

Generated models and demand. Each may run on a seventh, on two and on half of a GPU, the smaller the slower, by how much
is drawn; nodes of four GPUs come in five minutes, each pool cut in one way, and one node may be cut anew. forescale has
its defaults and no past, so no forecasts, and learns what each slice carries. KEDA is told what one carries, and each
shape - whole GPUs, or one profile for all - is tried at several targets: at its default, and in hindsight at the
cheapest one that attains 99 % of every model's requests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autoscaler.core.mig.choice import WHOLE_GPU
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slo import parse_slo
from autoscaler.core.types import Slo, WorkloadId, WorkloadSpec
from autoscaler.simulation.fleet.cluster import FleetCluster
from autoscaler.simulation.fleet.forescale import FleetForescale
from autoscaler.simulation.fleet.peers import FleetPeer, on_one_shape
from autoscaler.simulation.fleet.run import run_fleet
from autoscaler.simulation.fleet.scenario import FleetPool, FleetScenario, FleetWorkload, Shape
from autoscaler.simulation.nodes import NodeSettings
from autoscaler.simulation.peers.catalog import RULES
from autoscaler.simulation.scenario import Demand, Scenario
from autoscaler.simulation.serving import ServingModel
from autoscaler.simulation.startup import Startup
from loadtests.bench.report import Figure, report
from loadtests.bench.workers import computed

SEED, MODELS, HOURS = 5, 6, 3.0
PARTS = {"1g.10gb": 1 / 7, "2g.20gb": 2 / 7, "3g.40gb": 1 / 2}
"""Of a GPU's compute."""
CUTS = {"1g.10gb": "7x1g.10gb", "2g.20gb": "3x2g.20gb", "3g.40gb": "2x3g.40gb"}
WHOLE_S = 0.04
GPUS, BOOT_S, START_S = 4, 300.0, 60.0
PEER, TARGETS, DEFAULT = "keda", (0.6, 0.7, 0.8, 0.9), 0.7
ATTAINED = 0.99
WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One policy over the whole time. `shape` None: forescale."""

    shape: str | None = None
    target: float = DEFAULT

    @property
    def name(self) -> str:
        return "forescale" if self.shape is None else f"{PEER}@{self.shape}={self.target:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What it came to; the attainment is that of the model that fared worst."""

    attained_ratio: float
    gpu_hours: float
    node_gpu_hours: float
    changes: int


def main() -> None:
    """Runs every policy and reports."""
    runs = [Run(), *(Run(shape=s, target=t) for s in (WHOLE_GPU, *CUTS) for t in TARGETS)]
    found = computed(runs, outcome, lambda run: run.name, workers=WORKERS, width=24)
    report("fleets", figures(found), unshown=_peers(found))


def outcome(run: Run, *, hours: float = HOURS, models: int = MODELS) -> Outcome:
    """Of one run."""
    return played(run, fleet(SEED, hours=hours, models=models), SEED)


def played(run: Run, scenario: FleetScenario, seed: int) -> Outcome:
    """What one policy comes to on a fleet."""
    policy: FleetForescale | FleetPeer
    if run.shape is None:
        policy = FleetForescale(scenario, EngineConfig())
    else:
        scenario = on_one_shape(scenario, run.shape)
        policy = FleetPeer(scenario, RULES[PEER], run.target, shape=run.shape)
    score = run_fleet(policy, FleetCluster(scenario, seed))
    return Outcome(
        attained_ratio=min(one.attainment_ratio for _, one in score.workloads),
        gpu_hours=sum(one.gpu_hours for _, one in score.workloads),
        node_gpu_hours=score.node_gpu_hours,
        changes=sum(one.changes for _, one in score.workloads),
    )


def fleet(seed: int, *, hours: float, models: int) -> FleetScenario:
    """Models whose demand swells and falls between a fifth of its peak and the peak, each at another time."""
    draws = np.random.default_rng(seed)
    fixed = FleetPool(
        name="cut",
        settings=NodeSettings(gpus=GPUS),
        layouts=CUTS,
        begins={"1g.10gb": 1},
    )
    grown = [
        FleetPool(
            name=f"only-{profile}",
            settings=NodeSettings(gpus=GPUS, boot_s=BOOT_S),
            layouts={cut: cut},
            max_headroom=2 * GPUS,
        )
        for profile, cut in CUTS.items()
    ]
    return FleetScenario(
        name="generated",
        gpu="A100-80GB",
        workloads=tuple(_workload(f"model-{place}", draws, hours) for place in range(models)),
        pools=(fixed, *grown),
    )


def _workload(name: str, draws: np.random.Generator, hours: float) -> FleetWorkload:
    share = np.arange(hours * 3600.0) / (hours * 3600.0)
    peak_rps = draws.uniform(100.0, 300.0)
    rates = peak_rps * (0.2 + 0.8 * np.sin(math.pi * (share + draws.uniform(-0.3, 0.3))) ** 2)
    # Half the compute takes 1.4 to 1.9 times as long: a small slice of it wastes less.
    power = draws.uniform(0.5, 0.9)
    slower = {profile: (1.0 / part) ** power for profile, part in PARTS.items()}
    first = math.ceil(rates[0] * WHOLE_S * slower["1g.10gb"] / 0.6)
    slo = parse_slo("95% < 1.1s", name)
    assert isinstance(slo, Slo)
    alone = Scenario(
        name=name,
        spec=WorkloadSpec(
            id=WorkloadId(namespace="generated", name=name), slo=slo, max_replicas=200
        ),
        server=ServingModel(max_batch_size=1, batch_service_s=(WHOLE_S,), service_cv=0.3),
        demand=Demand(name=name, rates_rps=rates),
        startup=Startup(median_s=START_S),
        goal_ratio=ATTAINED,
    )
    shapes = tuple(
        Shape(
            name=profile,
            slowdown_ratios=(ratio,),
            first_replicas=first if profile == "1g.10gb" else 1,
        )
        for profile, ratio in slower.items()
    )
    return FleetWorkload(alone=alone, shapes=shapes)


def figures(found: Mapping[Run, Outcome]) -> list[Figure]:
    """Of forescale beside KEDA at its default and in hindsight."""
    ours = found[Run()]
    note = f"{ours.gpu_hours:.0f} of replicas, {ours.changes} changes"
    told = [
        Figure(
            name="forescale, node GPU-hours", value=ours.node_gpu_hours, unit="GPU-h", note=note
        ),
        Figure(
            name="forescale, lowest attainment",
            value=100.0 * ours.attained_ratio,
            unit="%",
            target=100.0 * ATTAINED,
            better="higher",
        ),
    ]
    for shapes, text, target in (
        ((WHOLE_GPU,), "whole GPUs", 40.0),
        (tuple(CUTS), "its best profile", 10.0),
    ):
        for hindsight in (False, True):
            best = _best(found, shapes, hindsight=hindsight)
            when = "in hindsight" if hindsight else "at its default"
            name = f"node GPU-hours saved against {PEER} on {text} {when}"
            if best is None:
                continue
            theirs = found[best]
            told.append(
                Figure(
                    name=name,
                    value=100.0 * (1.0 - ours.node_gpu_hours / theirs.node_gpu_hours),
                    unit="%",
                    target=target,
                    better="higher",
                    note=f"{best.name}, {theirs.node_gpu_hours:.0f}, {theirs.attained_ratio:.2%}",
                )
            )
    return told


def _best(found: Mapping[Run, Outcome], shapes: Sequence[str], *, hindsight: bool) -> Run | None:
    """The cheapest of KEDA's that attains enough; None: none does."""
    able = [
        run
        for run, one in found.items()
        if run.shape in shapes
        and one.attained_ratio >= ATTAINED
        and (hindsight or run.target == DEFAULT)
    ]
    return min(able, key=lambda run: found[run].node_gpu_hours, default=None)


def _peers(found: Mapping[Run, Outcome]) -> list[Figure]:
    return [
        Figure(
            name=run.name,
            value=one.node_gpu_hours,
            unit="GPU-h",
            note=f"{one.attained_ratio:.2%} in time, {one.changes} changes",
        )
        for run, one in sorted(found.items(), key=lambda pair: pair[0].name)
        if run.shape is not None
    ]


if __name__ == "__main__":
    main()
