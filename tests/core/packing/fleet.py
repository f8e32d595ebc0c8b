"""Small fleets for tests: an A100's geometries, models that scale in known ways, and what Kubernetes might do."""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.core.mig.catalogue import find_gpu
from autoscaler.core.mig.geometry import Geometry, geometries
from autoscaler.core.packing.problem import Cell, Domain, Spread, Variant, Workload

A100 = find_gpu("A100-80GB")
SHAPES = {"1g": "1g.10gb", "2g": "2g.20gb", "3g": "3g.40gb", "4g": "4g.40gb", "7g": "7g.80gb"}
EVERY = geometries(A100, SHAPES.values())


def cut(**counts: int) -> Geometry:
    """`cut(g1=4, g3=1)`."""
    return Geometry.of({SHAPES[f"{name[1:]}g"]: n for name, n in counts.items()})


def cell(
    name: str = "a",
    gpus: int = 10,
    *,
    only: Geometry | None = None,
    price: int = 1,
    zone: str | None = None,
    node: str | None = None,
) -> Cell:
    return Cell(
        name=name,
        gpus=gpus,
        geometries=EVERY if only is None else (only,),
        price=price,
        zone=zone,
        node=node,
    )


def workload(
    name: str,
    demand_rps: float,
    capacities_rps: Mapping[str, float],
    *,
    cells: frozenset[str] = frozenset({"a"}),
    spread: Spread | None = None,
    survive: Domain | None = None,
) -> Workload:
    """Variants are called `name-1g` and so on."""
    return Workload(
        name=name,
        demand_mrps=round(demand_rps * 1000),
        variants=tuple(
            Variant(
                name=f"{name}-{size}",
                shape=SHAPES[size],
                capacity_mrps=round(rps * 1000),
                cells=cells,
                spread=spread,
            )
            for size, rps in capacities_rps.items()
        ),
        survive=survive,
    )
