"""Whether a node that is wanted cut otherwise may be touched now, or why not, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from autoscaler.core.listed import listed
from autoscaler.core.slices.observed import CONFIG_LABEL, STATE_LABEL, MigState, SliceNode
from autoscaler.core.slices.settings import SlicePoolSettings, SliceSettings
from autoscaler.core.slices.state import NodeChange, Phase, PoolMoves, Unfit, WantedConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A node that is left as it is, and why."""

    node: str
    config: str
    """As which it is wanted."""
    why: str
    person: bool = False
    """It stays so until a person does something."""


def noted(
    state: PoolMoves, wanted: Mapping[str, str], nodes: Mapping[str, SliceNode], now_s: float
) -> PoolMoves:
    """With what is wanted now, and since when."""
    # Never after now: the clock may have been set back.
    since = {(item.node, item.config): min(item.since_s, now_s) for item in state.wanted}
    return replace(
        state,
        wanted=tuple(
            WantedConfig(node=node, config=config, since_s=since.get((node, config), now_s))
            for node, config in sorted(wanted.items())
            if node in nodes and nodes[node].config != config
        ),
    )


def noted_unfit(
    state: PoolMoves, nodes: Iterable[SliceNode], pool: SlicePoolSettings, now_s: float
) -> PoolMoves:
    """With the nodes whose slices nobody can count on, and since when; those that somebody works on are none."""
    since = {item.node: min(item.since_s, now_s) for item in state.unfit}
    found = []
    for node in sorted(nodes, key=lambda node: node.name):
        if node.mark is not None or node.cordoned or node.leaving or not node.ready:
            continue
        why = _not_as_told(node, node.config, pool)
        untold = node.state is MigState.UNTOLD
        if why is not None and not (untold and offers(node, node.config, pool)):
            since_s = since.get(node.name, now_s)
            found.append(Unfit(node=node.name, why=why.text, since_s=since_s))
    return replace(state, unfit=tuple(found))


def left_alone(state: PoolMoves, now_s: float) -> tuple[str, ...]:
    """Nodes of which a change failed a short while ago."""
    return tuple(sorted(one.node for one in state.backoffs if one.until_s > now_s))


def first(
    nodes: Mapping[str, SliceNode],
    state: PoolMoves,
    pool: SlicePoolSettings,
    settings: SliceSettings,
    now_s: float,
) -> tuple[NodeChange | None, tuple[Kept, ...]]:
    """The change of the first node that has been wanted otherwise for long enough and may be touched, and of those
    before it why they may not."""
    kept: list[Kept] = []
    for item in state.wanted:
        node, waited_s = nodes[item.node], now_s - item.since_s
        left_alone_s = max(
            (b.until_s - now_s for b in state.backoffs if b.node == item.node), default=0.0
        )
        if waited_s < settings.patience_s:
            why: _Why | None = _Why(
                f"it has been for {waited_s:.0f} of {settings.patience_s:.0f} s"
            )
        elif left_alone_s > 0.0:
            why = _Why(f"after a failure it is left alone for {left_alone_s:.0f} s more")
        else:
            why = _refusal(node, item.config, pool)
        if why is None:
            change = NodeChange(
                node=node.name,
                before=node.config,
                after=item.config,
                phase=Phase.EMPTYING,
                since_s=now_s,
            )
            return change, tuple(kept)
        kept.append(Kept(node=node.name, config=item.config, why=why.text, person=why.person))
    return None, tuple(kept)


def shows(node: SliceNode, config: str, pool: SlicePoolSettings) -> bool:
    """Whether the MIG manager is done with it and the device plugin offers its slices."""
    return node.config == config and node.state is MigState.SUCCESS and offers(node, config, pool)


def offers(node: SliceNode, config: str, pool: SlicePoolSettings) -> bool:
    """Whether its slices are those of a config, as the policy says it."""
    return config in pool.configs and node.slices == pool.slices_of(config)


def empty(node: SliceNode) -> bool | None:
    """Whether both sources say that no pod holds any of it; None: one of them does not tell."""
    if node.holders or node.devices:
        return False
    return True if node.holders is not None and node.devices is not None else None


@dataclass(frozen=True, slots=True)
class _Why:
    text: str
    person: bool = False


def _refusal(node: SliceNode, config: str, pool: SlicePoolSettings) -> _Why | None:
    return _not_as_told(node, config, pool) or _not_free(node)


def _not_as_told(node: SliceNode, config: str, pool: SlicePoolSettings) -> _Why | None:
    """What its labels and slices speak against. Without a geometry to go back to, no node is touched."""
    if node.config not in pool.configs:
        text = (
            f"its {CONFIG_LABEL} is {node.config or 'not set'}, which the policy's configs do not name: add it there, "
            "or set one of them"
        )
        return _Why(text, person=True)
    if config not in pool.configs:
        return _Why("the policy's configs do not name that any more")
    if node.leaving:
        return _Why("it is being removed")
    if not node.ready:
        return _Why("it is not ready")
    if node.cordoned:
        return _Why("somebody has cordoned it")
    if node.state is MigState.UNTOLD:
        return _Why(f"no MIG manager tells of it ({STATE_LABEL})", person=True)
    if node.state is MigState.FAILED:
        text = f"its MIG manager could not apply {node.config}: see its log, and set {CONFIG_LABEL} to another and back"
        return _Why(text, person=True)
    if node.state is not MigState.SUCCESS:
        return _Why(f"its MIG manager is at work ({node.state})")
    if not shows(node, node.config, pool):
        text = (
            f"it offers {node.slices}, and as {node.config} it is to have {pool.slices_of(node.config)}: correct "
            "configs or gpus_per_node, or look at its device plugin"
        )
        return _Why(text, person=True)
    return None


def _not_free(node: SliceNode) -> _Why | None:
    if node.holders is None:
        return _Why("its pods are not known")
    if node.holders:
        pods = sorted({holder.pod for holder in node.holders})
        return _Why(f"{listed(pods)} hold slices of it")
    if node.devices is None:
        text = (
            "no GPU exporter tells which of its devices are held: DCGM_FI_DEV_FB_USED, with the node's name as "
            "Hostname and the pod that holds it"
        )
        return _Why(text, person=True)
    if node.devices:
        return _Why(f"its GPU exporter shows {node.devices} devices as held")
    return None
