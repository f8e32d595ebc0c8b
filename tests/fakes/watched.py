"""A controller in `recommend` mode beside an HPA that keeps a fixed number of replicas: its journal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from autoscaler.core.settings import EngineConfig
from autoscaler.core.types import Mode, TickRecord
from autoscaler.engine import DecisionEngine
from autoscaler.simulation import shapes
from autoscaler.simulation.cluster import ModelledCluster
from autoscaler.simulation.journal_file import JournalHeader, header_line, record_line
from autoscaler.simulation.nodes import Span
from autoscaler.simulation.scenario import Demand
from autoscaler.simulation.startup import Startup
from tests.simulation.worlds import scenario, spec

HPA = "HorizontalPodAutoscaler team/model"


def watched_journal(
    path: Path, *, hours: float, replicas: int, high_rps: float = 60.0, outage: Span | None = None
) -> Path:
    """An hour's hump of demand from 15 to `high_rps`, and so many replicas all the time."""
    demand = shapes.ramp((0.0, 15.0), (900.0, high_rps), (2700.0, 15.0))
    rates = demand.sample(hours * 3600.0)
    told = scenario(
        spec=replace(spec(), mode=Mode.RECOMMEND),
        demand=Demand(name="hump", rates_rps=rates),
        startup=Startup(median_s=40.0),
        first_replicas=replicas,
        outages=() if outage is None else (outage,),
    )
    cluster = ModelledCluster(told, told.demand.arrivals(3))
    engine = DecisionEngine(EngineConfig())
    lines = [header_line(JournalHeader(config=engine.config))]
    for now_s in np.arange(10.0, hours * 3600.0, 10.0):
        cluster.advance(float(now_s))
        given = cluster.tick_input()
        (item,) = given.workloads
        held = replace(item, replicas=replace(item.replicas, held_by=HPA))
        given = replace(given, workloads=(held,))
        lines.append(record_line(TickRecord(input=given, result=engine.tick(given))))
    path.write_bytes(b"".join(lines))
    return path
