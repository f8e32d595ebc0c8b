"""`make bench-odd-fleets`: small fleets of what is not even, request by request, beside KEDA on one shape.

A few models that may each run on a seventh, on two and on half of a GPU, some of which stop, grow fourfold, are late on
a seventh, meet nodes that are not to be had, or get slices that never ran; six hours each. forescale has its defaults
and no past. KEDA is told what a replica carries, and of whole GPUs and each profile at two targets the cheapest is
taken that attains 99 % of every model's requests, or, if none does, the one that attains most.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from autoscaler.core.mig.choice import WHOLE_GPU
from autoscaler.simulation.fleet.file import read_fleet
from autoscaler.simulation.fleet.scenario import FleetScenario
from loadtests.bench.fleets import CUTS, PARTS, Outcome, Run, played
from loadtests.bench.report import Figure, report
from loadtests.bench.workers import computed

SEED, HOURS, HOUR_S = 1, 6.0, 3600.0
TARGETS = (0.7, 0.9)
ATTAINED = 0.99
WORKERS = 2
Section = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One of them on one fleet."""

    fleet: str
    run: Run


def _model(
    name: str, shape: str, *, first: int = 2, slower: Mapping[str, float] | None = None
) -> Section:
    """One that may run on each profile; `slower`: by how much, in place of the compute's share to the 0.7th power."""
    usual = {profile: (1.0 / part) ** 0.7 for profile, part in PARTS.items()}
    ratios = {**usual, **(slower or {})}
    shapes: list[Section] = [
        {
            "profile": profile,
            "slowdown_ratio": round(ratio, 3),
            "first_replicas": first if profile == "1g.10gb" else 1,
            "min_replicas": 1 if profile == "1g.10gb" else 0,
        }
        for profile, ratio in ratios.items()
    ]
    return {
        "workload": {"name": name, "slo": "95% < 1.1s"},
        "demand": {"shape": shape, "hours": HOURS},
        "server": {"batch_service_s": [0.04], "service_cv": 0.3},
        "startup": {"median_s": 60},
        "shapes": shapes,
    }


def _never_ran(name: str, shape: str) -> Section:
    """One that has run on whole GPUs so far, and got a Deployment for each profile beside; all of them may sleep."""
    section = _model(name, shape)
    section["shapes"] = [
        {**one, "first_replicas": 0, "min_replicas": 0} for one in section["shapes"]
    ]
    whole = {"profile": WHOLE_GPU, "slowdown_ratio": 1.0, "first_replicas": 1, "min_replicas": 0}
    section["shapes"].append(whole)
    return section


def _swells(low_rps: float, high_rps: float, *, at_h: float, hours: float = 1.4) -> str:
    """Up to `high_rps` at `at_h` and back, along lines of so many hours."""
    begins_s, peak_s, ends_s = (
        round(HOUR_S * hour) for hour in (max(0.01, at_h - hours), at_h, at_h + hours)
    )
    low, high = f"{low_rps:g}", f"{high_rps:g}"
    return f"ramp((0, {low}), ({begins_s}, {low}), ({peak_s}, {high}), ({ends_s}, {low}))"


def _pools(*, fixed: int = 1, sold_out: Sequence[Section] = (), boot_s: float = 300.0) -> Any:
    """Nodes of four GPUs: some that are there and may be cut anew, and one pool that grows for each cut."""
    there: list[Section] = [
        {"name": "cut", "gpus": 4, "layouts": dict(CUTS), "nodes": {"1g.10gb": fixed}}
    ]
    grown: list[Section] = [
        {"name": f"only-{profile}", "gpus": 4, "layout": cut, "boot_s": boot_s}
        for profile, cut in CUTS.items()
    ]
    if sold_out:
        grown[0]["stock_outs"] = list(sold_out)
    return (there if fixed else []) + grown + [{"name": "whole", "gpus": 4, "boot_s": boot_s}]


def _four(at_h: Callable[[int], float]) -> list[Section]:
    return [_model(f"m{i}", _swells(5, 70, at_h=at_h(i))) for i in range(4)]


FLEETS: Mapping[str, tuple[list[Section], Any]] = {
    "no fixed node": (_four(lambda i: 2.0 + 0.6 * i), _pools(fixed=0)),
    "peaks opposed": (_four(lambda i: 1.5 if i % 2 else 4.5), _pools()),
    "peaks at once": (_four(lambda _: 3.0), _pools()),
    "nodes take ten minutes": (_four(lambda i: 2.0 + 0.6 * i), _pools(fixed=2, boot_s=600.0)),
    "stops, fades, stays": (
        [
            _model("stops", "steps((0, 120), (7200, 0))", first=30),
            _model("fades", "ramp((0, 80), (7200, 80), (9000, 3))", first=20),
            _model("stays", "constant(20)", first=5),
        ],
        _pools(),
    ),
    "four times as much": (
        [
            _model("step", "steps((0, 25), (7200, 100))", first=7),
            _model("other", "constant(30)", first=8),
        ],
        _pools(),
    ),
    "sevenths sold out": (
        [_model(f"m{i}", _swells(5, 70, at_h=2.4 + 0.4 * i)) for i in range(3)],
        _pools(sold_out=[{"start_s": 4000, "end_s": 12000}]),
    ),
    "late on a seventh": (
        [
            _model(f"m{i}", _swells(5, 60, at_h=2.0 + i), first=1, slower={"1g.10gb": 40.0})
            for i in range(3)
        ],
        _pools(),
    ),
    "one large, eight tiny": (
        [
            _model("large", _swells(30, 200, at_h=3.0, hours=2.5), first=8),
            *(_model(f"tiny-{i}", f"constant({0.3 + 0.3 * i:g})", first=1) for i in range(8)),
        ],
        _pools(),
    ),
    "slices that never ran": (
        [_never_ran(f"m{i}", _swells(5, 70, at_h=2.0 + 0.6 * i)) for i in range(4)],
        _pools(),
    ),
    "next to nothing": (
        [_model(f"m{i}", f"constant({0.2 + 0.2 * i:g})", first=1) for i in range(5)],
        _pools(),
    ),
}


def main() -> None:
    """Runs every fleet under every policy and reports."""
    parser = argparse.ArgumentParser(prog="loadtests.bench.odd_fleets", description=__doc__)
    parser.add_argument("--fleet", action="append", choices=sorted(FLEETS), help="only this one")
    names = parser.parse_args().fleet or list(FLEETS)
    peers = [Run(shape=s, target=t) for s in (WHOLE_GPU, *CUTS) for t in TARGETS]
    works = [Work(fleet=name, run=run) for name in names for run in (Run(), *peers)]
    found = computed(
        works,
        outcome,
        lambda work: f"{work.fleet}, {work.run.name}",
        workers=WORKERS,
        width=40,
    )
    report("odd-fleets", figures(found))


def outcome(work: Work) -> Outcome:
    """Of one policy on one fleet."""
    return played(work.run, scenario(work.fleet), SEED)


def scenario(name: str) -> FleetScenario:
    """One of `FLEETS`, read as a file of a user's is."""
    workloads, pools = FLEETS[name]
    told = {"name": "odd", "gpu": "A100-80GB", "workloads": workloads, "pools": pools}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fleet.yaml"
        path.write_text(yaml.safe_dump(told, sort_keys=False))
        return read_fleet(path)


def figures(found: Mapping[Work, Outcome]) -> list[Figure]:
    """Of each fleet what forescale's nodes come to, and KEDA's at its best."""
    told = []
    for name in dict.fromkeys(work.fleet for work in found):
        of = {work.run: outcome for work, outcome in found.items() if work.fleet == name}
        ours = of.pop(Run())
        best = min(of, key=partial(_worse, of))
        theirs = of[best]
        told.append(
            Figure(
                name=name,
                value=ours.node_gpu_hours,
                unit="GPU-h",
                note=f"{100.0 * ours.attained_ratio:.2f} %, {ours.changes} changes; {best.name}: "
                f"{theirs.node_gpu_hours:.1f}, {100.0 * theirs.attained_ratio:.2f} %",
            )
        )
    return told


def _worse(of: Mapping[Run, Outcome], run: Run) -> tuple[float, float]:
    """Less is better: first what is missing to the goal, then what it costs."""
    told = of[run]
    return max(0.0, ATTAINED - told.attained_ratio), told.node_gpu_hours


if __name__ == "__main__":
    main()
