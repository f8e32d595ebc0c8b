"""What the curves lead to: which points and which request-level runs are still to be made."""

from __future__ import annotations

from autoscaler.simulation.peers.catalog import RULES
from loadtests.bench.policies.choose import KINDS
from loadtests.bench.policies.protocol import Cell
from loadtests.bench.policies.results import Results


def tuned_points(results: Results) -> list[Cell]:
    """Each peer on the days of the test, at the setting that the days before gave."""
    protocol = results.protocol
    return [
        results.cell(
            "point",
            s.name,
            seed,
            startup_s=startup_s,
            policy=name,
            headroom=results.tuned_headroom(name, s.name, startup_s),
        )
        for s in protocol.series
        for seed in protocol.seeds
        for startup_s in protocol.startups_s
        for name in RULES
    ]


def confirmations(results: Results) -> list[Cell]:
    """For every series and start-up, the best peer at each kind of setting, request by request."""
    planned = []
    for s in results.protocol.series:
        for startup_s in results.protocol.startups_s:
            for kind in KINDS:
                best = results.best_peer(kind, s.name, startup_s)
                if best is not None:
                    name, found = best
                    planned.append(results.run_cell(s.name, startup_s, name, found.headroom))
    return planned
