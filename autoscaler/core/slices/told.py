"""In which words a tick of one slice pool is told, and what of it a person should know."""

from __future__ import annotations

from autoscaler.core.reasons import Reason
from autoscaler.core.slices.begin import Kept
from autoscaler.core.slices.observed import CONFIG_LABEL, SlicePoolDecision
from autoscaler.core.slices.state import NodeChange, Phase, PoolMoves

UNFIT_AFTER_S = 600.0
"""A MIG manager may be at work for so long, and a device plugin start anew."""


def words(change: NodeChange) -> str:
    """Which node is cut how, and how far that has come."""
    way = f"{change.node} from {change.before} to {change.after}"
    return {
        Phase.EMPTYING: f"{way}: cordoned, to be confirmed as empty",
        Phase.APPLYING: f"{way}: the MIG manager is at work",
        Phase.RESTORING: f"{way}: back to {change.before}, because {change.failed}",
        Phase.RETURNING: f"{way}: {change.failed or 'done'}",
        Phase.STUCK: f"{way}: {change.failed}, and {change.before} did not come back either; it stays cordoned "
        f"until its MIG manager has done what {CONFIG_LABEL} says (see its log, then set another value), or somebody "
        "uncordons it",
    }[change.phase]


def decision(
    name: str, change: NodeChange, over: bool, configs: tuple[tuple[str, int], ...]
) -> SlicePoolDecision:
    """Of a pool of which one node is being cut, or was until this tick: `over`. `configs`: (config, its nodes)."""
    reason, message = Reason.MIG_CHANGING, words(change)
    findings: tuple[tuple[Reason, str, str], ...] = ()
    if change.phase is Phase.STUCK:
        reason = Reason.MIG_STUCK
        findings = ((reason, change.node, message),)
    elif change.phase is Phase.RETURNING and change.failed is None:
        reason = Reason.MIG_CHANGED
    elif change.failed is not None:
        reason = Reason.MIG_FAILED
        findings = ((reason, change.node, message),)
    return SlicePoolDecision(
        pool=name,
        reason=reason,
        message=message,
        node=None if over else change.node,
        configs=configs,
        findings=findings,
    )


def unfit(state: PoolMoves, now_s: float) -> tuple[tuple[Reason, str, str], ...]:
    """What a person should know of nodes that do not offer what they should; what passes within minutes is not told."""
    return tuple(
        (
            Reason.MIG_UNFIT,
            item.node,
            f"the slices of {item.node} can't be counted on, for {(now_s - item.since_s) / 60.0:.0f} minutes by now: "
            f"{item.why}",
        )
        for item in state.unfit
        if now_s - item.since_s >= UNFIT_AFTER_S
    )


def held(
    name: str, change: NodeChange | None, hold: str, configs: tuple[tuple[str, int], ...]
) -> SlicePoolDecision:
    """Of a pool that is left as it is, and a node that is in the middle of its change with it. `hold`: why."""
    message = f"held: {hold}"
    findings: tuple[tuple[Reason, str, str], ...] = ()
    if change is not None:
        # Its slices are nobody's until it goes on.
        findings = ((Reason.MIG_HELD, change.node, f"{words(change)}; {message}"),)
    return SlicePoolDecision(
        pool=name,
        reason=Reason.MIG_HELD,
        message=message,
        node=change.node if change else None,
        configs=configs,
        findings=findings,
    )


def at_rest(
    name: str,
    state: PoolMoves,
    kept: tuple[Kept, ...],
    configs: tuple[tuple[str, int], ...],
    unplanned: str | None,
    alone: tuple[str, ...] = (),
) -> SlicePoolDecision:
    """Of a pool of which no node is being cut: why none is wanted, or what those that are `wanted` wait for.

    `unplanned`: why nothing is known to be wanted; None: it is known. `alone`: nodes that are left so after a failure.
    """
    if not state.wanted and unplanned is not None:
        return SlicePoolDecision(
            pool=name,
            reason=Reason.MIG_HELD,
            message=f"nothing is known to be wanted: {unplanned}",
            configs=configs,
        )
    if not state.wanted:
        message = "its nodes are cut as they are needed"
        if alone:
            message += f", and {', '.join(alone[:3])} kept so for a while after a failure"
        return SlicePoolDecision(
            pool=name, reason=Reason.MIG_STEADY, message=message, configs=configs
        )
    if kept:
        message = "; ".join(f"{_wish(k.node, k.config)}: {k.why}" for k in kept[:3])
    else:
        message = ", ".join(_wish(item.node, item.config) for item in state.wanted[:3])
        message += "; engine.slices.mode is recommend, so nothing is written"
    return SlicePoolDecision(
        pool=name,
        reason=Reason.MIG_WANTED,
        message=message,
        configs=configs,
        findings=tuple(
            (Reason.MIG_HELD, k.node, f"{_wish(k.node, k.config)}, and not touched: {k.why}")
            for k in kept
            if k.person
        ),
    )


def _wish(node: str, config: str) -> str:
    return f"{node} is wanted as {config}"
