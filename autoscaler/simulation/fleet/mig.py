"""The GPU Operator's MIG manager and device plugin on the nodes of a fixed pool, as they are documented.

The label `nvidia.com/mig.config` changes -> state `pending`, the device plugin and the GPU exporter of the whole node
pause -> every slice is made anew -> `success`, or `failed` where a pod holds one or where it was drawn so. It evicts
nobody, does not try again, and looks at nothing but a change of the label's value. A change may also never end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autoscaler.core.mig.geometry import Geometry
from autoscaler.core.slices.observed import Holder, Mark, MigAction, MigState, MigStep, SliceNode
from autoscaler.core.types import MigResult, Outcome
from autoscaler.simulation.fleet.pools import FixedPool
from autoscaler.simulation.fleet.scenario import MigSettings
from autoscaler.simulation.nodes import Node
from autoscaler.simulation.startup import Startup

# Streams of random draws, apart from those of pods.
_CHANGES = 2


@dataclass(slots=True)
class CutNode:
    """What the API server has of one node, and what the MIG manager is doing to it."""

    node: Node
    config: str
    """Its label."""
    cut: str
    """The layout that its slices are of."""
    state: MigState = MigState.SUCCESS
    mark: Mark | None = None
    due_s: float | None = None
    """When the change is over; None: none is under way."""
    fails: bool = False


class MigManager:
    """All nodes of one fixed pool."""

    def __init__(self, pool: FixedPool, settings: MigSettings, seed: int) -> None:
        self._pool, self._settings, self._seed = pool, settings, seed
        self.nodes = {
            node.name: CutNode(node=node, config=pool.layout[node.name], cut=pool.layout[node.name])
            for node in pool.nodes
        }
        self.changes = self.failures = 0
        """That were begun, and of them those that did not succeed."""

    def write(self, action: MigAction, now_s: float) -> MigResult:
        """One of forescale's writes, refused where the API server or the last look at its pods would refuse it."""
        known = self.nodes.get(action.node)
        why = "it is gone" if known is None else _stale(action, known)
        if known is None or why is not None:
            return MigResult(action=action, outcome=Outcome.CONFLICT, message=why or "")
        if action.step is MigStep.CORDON:
            known.mark = Mark(before=action.expected, after=action.config)
            known.node.cordoned = True
        elif action.step is MigStep.UNCORDON:
            known.mark, known.node.cordoned = None, False
        else:
            self._begin(known, action.config, now_s)
        return MigResult(action=action, outcome=Outcome.APPLIED)

    def _begin(self, known: CutNode, config: str, now_s: float) -> None:
        if config == known.config:
            return
        settings = self._settings
        draws = np.random.default_rng((self._seed, self.changes, _CHANGES))
        fate = float(draws.random())
        took_s = Startup(
            median_s=settings.median_s, p99_ratio=settings.p99_ratio, seed=self._seed
        ).draw_s(self.changes)
        known.config, known.state = config, MigState.PENDING
        known.fails = fate < settings.failed_ratio
        hangs = not known.fails and fate < settings.failed_ratio + settings.hung_ratio
        known.due_s = math.inf if hangs else now_s + took_s
        known.node.slices = dict.fromkeys(known.node.slices, 0)
        self.changes += 1
        self.failures += known.fails or hangs

    def follow(self, now_s: float) -> None:
        """Ends the changes that are due."""
        for known in self.nodes.values():
            if known.due_s is None or known.due_s > now_s:
                continue
            good = not known.fails and not known.node.pods
            if good:
                known.cut = known.config
            known.state = MigState.SUCCESS if good else MigState.FAILED
            known.due_s = None
            none = dict.fromkeys(known.node.slices, 0)
            known.node.slices = none | self._pool.pool.slices(known.cut)

    def seen(
        self, holders: Callable[[Node], tuple[Holder, ...]], *, blind: bool
    ) -> tuple[SliceNode, ...]:
        """As collectors deliver them; `blind`: there are no metrics, so nobody tells of devices."""
        there = {node.name for node in self._pool.nodes}
        told = []
        for name, known in self.nodes.items():
            if name not in there:
                continue
            held = holders(known.node)
            told.append(
                SliceNode(
                    name=name,
                    pool=self._pool.name,
                    config=known.config,
                    state=known.state,
                    slices=Geometry.of(known.node.slices),
                    cordoned=known.node.cordoned,
                    labels=(),
                    mark=known.mark,
                    holders=held,
                    devices=None if blind or known.due_s is not None else len(held),
                )
            )
        return tuple(told)


def _stale(action: MigAction, known: CutNode) -> str | None:
    if action.expected != known.config:
        return f"its config is {known.config} by now"
    if action.step is not MigStep.APPLY:
        return None
    if not known.node.cordoned or known.mark is None:
        return "it is not cordoned by forescale any more"
    return "in use" if known.node.pods else None
