"""Nodes under the modelled pods: asked for when a pod finds no GPU, booted, paid for, removed when long empty.

As a node autoscaler does it, in its simplest form: a pod goes to the fullest node that has what it needs free; a node
that has been empty for `unneeded_s` goes. Pods are never moved, so a node with one pod stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from autoscaler.core.mig.choice import WHOLE_GPU


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From `start_s` until `end_s`, exclusive. Raises ValueError where it ends before it starts."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.start_s < self.end_s:
            raise ValueError(
                f"start_s {self.start_s} to end_s {self.end_s}: 0 or later, and ascending"
            )

    def holds(self, now_s: float) -> bool:
        """Whether `now_s` lies in it."""
        return self.start_s <= now_s < self.end_s


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """One pool of equal nodes. Raises ValueError where the numbers can't be."""

    gpus: int = 8
    boot_s: float = 0.0
    """From the request for a node until pods run on it. 0: the start-up of a replica includes it."""
    unneeded_s: float = 600.0
    """The node autoscaler's default: how long a node must be empty before it goes."""
    most: int | None = None
    """Nodes that may be had; None: no limit."""
    stock_outs: tuple[Span, ...] = ()
    """When no node is given out."""

    def __post_init__(self) -> None:
        if self.gpus < 1:
            raise ValueError(f"gpus: {self.gpus}, at least 1")
        for name in ("boot_s", "unneeded_s"):
            value = getattr(self, name)
            if not 0.0 <= value < math.inf:
                raise ValueError(f"{name}: {value}, 0 or more")
        if self.most is not None and self.most < 1:
            raise ValueError(f"most: {self.most}, at least 1, or none")


@dataclass(slots=True)
class Node:
    """One node; `empty_s` since when no pod is on it."""

    number: int
    requested_s: float
    ready_s: float
    pods: int = 0
    held_gpus: float = 0.0
    empty_s: float | None = None
    pool: str = "node"
    slices: dict[str, int] = field(default_factory=dict)
    """By profile, those that can be allocated; empty: its GPUs are whole."""
    held: dict[str, int] = field(default_factory=dict)
    """By profile, those that pods hold."""
    cordoned: bool = False

    @property
    def name(self) -> str:
        return f"{self.pool}-{self.number}"


class NodePool:
    """The nodes of one run, or one pool of them. Its calls come in the order of their times.

    `slices` are those of a new node; without any its GPUs are given whole.
    """

    def __init__(
        self, settings: NodeSettings, *, name: str = "node", slices: dict[str, int] | None = None
    ) -> None:
        self.settings, self.name = settings, name
        self._slices = dict(slices or {})
        self._nodes: list[Node] = []
        self._asked = 0
        self._paid_s = 0.0
        self.buffer = 0
        """Places that are to be free beyond what pods hold, as a CapacityBuffer asks for them."""
        self.refused_s: float | None = None
        """When a node last could not be had for a stock-out."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Those that are there as of the last call."""
        return tuple(self._nodes)

    def place(self, now_s: float, gpus: float = 1.0, shape: str = WHOLE_GPU) -> Node | None:
        """A place for a pod, on a node that may still boot; None: none is there or can be had.

        A slice's pod takes one of that profile, and `gpus` is the part of a GPU that it counts as.
        """
        node = self.fullest(now_s, gpus, shape)
        if node is None and self.offers(shape):
            node = self._ask(now_s)
        if node is not None:
            self.take(node, gpus, shape)
        return node

    def fullest(self, now_s: float, gpus: float = 1.0, shape: str = WHOLE_GPU) -> Node | None:
        """The one with room that is fullest, ready ones first; None: no node has room."""
        self._expire(now_s)
        free = [node for node in self._nodes if self._has_room(node, gpus, shape)]
        return max(
            free,
            key=lambda item: (item.ready_s <= now_s, item.held_gpus, -item.number),
            default=None,
        )

    def take(self, node: Node, gpus: float = 1.0, shape: str = WHOLE_GPU) -> None:
        """A pod is put onto a node with room."""
        node.pods += 1
        node.held_gpus += gpus
        node.empty_s = None
        if shape != WHOLE_GPU:
            node.held[shape] = node.held.get(shape, 0) + 1

    def release(self, node: Node, now_s: float, gpus: float = 1.0, shape: str = WHOLE_GPU) -> None:
        """A pod of so many GPUs on it is gone."""
        node.pods -= 1
        node.held_gpus -= gpus
        if shape != WHOLE_GPU:
            node.held[shape] -= 1
        if node.pods == 0:
            node.empty_s = now_s

    def lose(self, node: Node, now_s: float) -> None:
        """The node is gone at once, with what was on it."""
        self._nodes.remove(node)
        self._paid_s += now_s - node.requested_s

    def keep_buffer(self, now_s: float) -> None:
        """Asks for nodes until so many places are free, on those that still boot too."""
        self._expire(now_s)
        while self._free() < self.buffer and (node := self._ask(now_s)) is not None:
            node.empty_s = node.ready_s

    def places(self, node: Node) -> int:
        """GPUs of a node, or its slices of all profiles."""
        return sum(node.slices.values()) if node.slices else self.settings.gpus

    def gpu_hours(self, now_s: float) -> float:
        """Of all its GPUs, from the request for each node until it was gone."""
        self._expire(now_s)
        open_s = sum(now_s - node.requested_s for node in self._nodes)
        return (self._paid_s + open_s) * self.settings.gpus / 3600.0

    def offers(self, shape: str) -> bool:
        """Whether a new node has such a place."""
        return shape in self._slices if self._slices else shape == WHOLE_GPU

    def _has_room(self, node: Node, gpus: float, shape: str) -> bool:
        if node.cordoned:
            return False
        if shape != WHOLE_GPU:
            return node.slices.get(shape, 0) > node.held.get(shape, 0)
        # 1e-9: seven slices of a seventh are 0.9999999999999998.
        return not node.slices and node.held_gpus <= self.settings.gpus - gpus + 1e-9

    def _ask(self, now_s: float) -> Node | None:
        settings = self.settings
        if settings.most is not None and len(self._nodes) >= settings.most:
            return None
        if any(span.holds(now_s) for span in settings.stock_outs):
            self.refused_s = now_s
            return None
        return self._add(now_s)

    def _add(self, now_s: float) -> Node:
        node = Node(
            number=self._asked,
            requested_s=now_s,
            ready_s=now_s + self.settings.boot_s,
            pool=self.name,
            slices=dict(self._slices),
        )
        self._asked += 1
        self._nodes.append(node)
        return node

    def _free(self) -> int:
        return sum(self.places(node) - node.pods for node in self._nodes if not node.cordoned)

    def _expire(self, now_s: float) -> None:
        kept = []
        for node in self._nodes:
            gone_s = math.inf if node.empty_s is None else node.empty_s + self.settings.unneeded_s
            if gone_s > now_s:
                kept.append(node)
            elif self.buffer and self._free() - self.places(node) < self.buffer:
                # It is needed, so that the time for which it is not begins anew.
                node.empty_s = now_s
                kept.append(node)
            else:
                self._paid_s += gone_s - node.requested_s
        self._nodes = kept
