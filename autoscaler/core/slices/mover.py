"""How one node of a pool gets another geometry, and that no slice in use is ever touched.

    wanted for long enough -> cordon -> empty by both sources, for a while -> write the label -> success -> uncordon
                                                                      failed, or too long -> the label from before

The MIG manager rebuilds every slice of a GPU that changes, evicts nobody and does not try again. So the label is
written on a node that takes no new pods and holds none: as the API server shows, as the node's own GPU exporter shows,
and as the actuator reads once more before it writes. One node at a time for each pool. What a person does to the node
meanwhile is left as they did it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.core.backoff import doubled_s
from autoscaler.core.reasons import Reason
from autoscaler.core.slices.begin import (
    Kept,
    empty,
    first,
    left_alone,
    noted,
    noted_unfit,
    shows,
)
from autoscaler.core.slices.observed import (
    MigAction,
    MigState,
    MigStep,
    SliceNode,
    SlicePoolDecision,
)
from autoscaler.core.slices.settings import SlicePoolSettings, SliceSettings, SlicesMode
from autoscaler.core.slices.state import Backoff, NodeChange, Phase, PoolMoves
from autoscaler.core.slices.told import at_rest, decision, held, unfit, words

EMPTY_WITHIN_S = 300.0
"""A node that is not confirmed to be empty by then goes back: it holds capacity that nobody can use."""
SEEN_WITHIN_S = 60.0
"""A cordon that was written shows by then. One that does not show yet is no proof that there is none."""
HEARSAY_S = 60.0
"""Until the MIG manager was seen at work, what its label says may be about the change before."""
LONGEST_BACKOFF_S = 86400.0
AT_WORK = (MigState.PENDING, MigState.REBOOTING)
AT_REST = (MigState.SUCCESS, MigState.UNTOLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a tick does about one pool, and the memory that it leaves."""

    decision: SlicePoolDecision
    state: PoolMoves
    action: MigAction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Next:
    """A change after this tick; None: it is over."""

    change: NodeChange | None
    step: MigStep | None = None
    config: str = ""


def move(
    name: str,
    nodes: Sequence[SliceNode],
    wanted: Mapping[str, str],
    state: PoolMoves,
    *,
    settings: SliceSettings,
    now_s: float,
    hold: str | None = None,
    unplanned: str | None = None,
) -> Moved:
    """One pool, one tick. `wanted` names the nodes that are to be cut otherwise; `hold` is why nothing may be done, and
    `unplanned` why it is not known what is wanted."""
    pool = settings.pools[name]
    configs = tuple(sorted(Counter(node.config for node in nodes).items()))
    known = {node.name: node for node in nodes}
    state = noted_unfit(noted(state, wanted, known, now_s), nodes, pool, now_s)
    state = replace(state, backoffs=tuple(b for b in state.backoffs if _lasts(b, now_s)))
    if hold is not None:
        return _moved(held(name, state.change, hold, configs), state, now_s)
    change, kept = state.change or _found(nodes, now_s), tuple[Kept, ...]()
    if change is None and settings.mode is SlicesMode.AUTO:
        change, kept = first(known, state, pool, settings, now_s)
    if change is None:
        alone = left_alone(state, now_s)
        rest = at_rest(name, state, kept, configs, unplanned, alone)
        return _moved(rest, state, now_s)
    node = known.get(change.node)
    if node is None:
        gone = SlicePoolDecision(
            pool=name,
            reason=Reason.MIG_STEADY,
            message=f"{change.node} is gone",
            configs=configs,
        )
        return _moved(gone, replace(state, change=None), now_s)
    change = _reconsidered(change, wanted, settings, now_s)
    after = _advanced(change, node, pool, settings, now_s)
    if after.change is None and change.failed is not None:
        state = _backed_off(state, change.node, settings, now_s)
    shown = after.change or change
    told = decision(name, shown, after.change is None, configs)
    action = _action(name, node, after, words(shown))
    return _moved(told, replace(state, change=after.change), now_s, action)


def _action(pool: str, node: SliceNode, after: _Next, message: str) -> MigAction | None:
    """What is to be written at the node, on condition that it still has the config that was seen."""
    if after.step is None:
        return None
    return MigAction(
        pool=pool,
        node=node.name,
        step=after.step,
        expected=node.config,
        config=after.config,
        reason=Reason.MIG_CHANGING,
        message=message,
    )


def _moved(
    told: SlicePoolDecision, state: PoolMoves, now_s: float, action: MigAction | None = None
) -> Moved:
    """With the nodes that are left alone from here on, and those on which nothing is planned."""
    findings = (*told.findings, *unfit(state, now_s))
    told = replace(told, left_alone=left_alone(state, now_s), findings=findings)
    return Moved(decision=told, state=state, action=action)


# ---------------------------------------------------------------- what was begun before


def _found(nodes: Iterable[SliceNode], now_s: float) -> NodeChange | None:
    """A change that somebody before us began and that nobody remembers: it is ended, never gone on with."""
    for node in sorted(nodes, key=lambda n: n.name):
        if node.mark is None:
            continue
        phase = Phase.RETURNING if node.state in AT_REST else Phase.RESTORING
        if node.config == node.mark.after:
            phase = Phase.APPLYING
        return NodeChange(
            node=node.name,
            before=node.mark.before,
            after=node.mark.after,
            phase=phase,
            since_s=now_s,
            cordon_seen=node.cordoned,
            failed=None if phase is Phase.APPLYING else "whoever began it did not end it",
        )
    return None


def _reconsidered(
    change: NodeChange, wanted: Mapping[str, str], settings: SliceSettings, now_s: float
) -> NodeChange:
    """A node whose label is not written yet goes back where it is not to be cut any more."""
    # Where the clock was set back, no phase began after now: it would last as much longer.
    change = replace(change, since_s=min(change.since_s, now_s))
    if change.empty_since_s is not None:
        change = replace(change, empty_since_s=min(change.empty_since_s, now_s))
    if change.phase is not Phase.EMPTYING:
        return change
    if settings.mode is not SlicesMode.AUTO:
        return _back(change, now_s, f"engine.slices.mode is {settings.mode.value} by now")
    # The plan counts it as what it will be: only one that changed its mind names it.
    if wanted.get(change.node) == change.before:
        return _back(change, now_s, "it is needed as it is by now")
    return change


# ---------------------------------------------------------------- how it goes on


def _advanced(
    change: NodeChange,
    node: SliceNode,
    pool: SlicePoolSettings,
    settings: SliceSettings,
    now_s: float,
) -> _Next:
    if change.phase is Phase.RETURNING:
        if not change.relabelled and node.config not in (change.before, change.after):
            change = replace(change, since_s=now_s, relabelled=True, pending_seen=False)
        return _returned(change, node, settings, now_s)
    change = replace(change, cordon_seen=change.cordon_seen or node.cordoned)
    if change.cordon_seen and not node.cordoned:
        return _returned(_back(change, now_s, "somebody uncordoned it"), node, settings, now_s)
    if node.config not in (change.before, change.after):
        why = f"somebody set {node.config or 'no config'} by hand"
        return _returned(_relabelled(change, now_s, why), node, settings, now_s)
    change = replace(change, pending_seen=change.pending_seen or node.state in AT_WORK)
    if change.phase is Phase.EMPTYING:
        return _emptied(change, node, settings, now_s)
    if change.phase is Phase.APPLYING:
        return _applied(change, node, pool, settings, now_s)
    if change.phase is Phase.RESTORING:
        return _restored(change, node, pool, settings, now_s)
    # Stuck: somebody has repaired it, or not yet.
    if node.mark is None or shows(node, node.config, pool):
        why = change.failed or "it was stuck"
        return _returned(_back(change, now_s, why), node, settings, now_s)
    return _Next(change=change)


def _emptied(change: NodeChange, node: SliceNode, settings: SliceSettings, now_s: float) -> _Next:
    if node.config == change.after:
        begun = replace(change, phase=Phase.APPLYING, since_s=now_s, pending_seen=False)
        return _Next(change=replace(begun, pending_seen=node.state in AT_WORK))
    free = empty(node)
    if free is False:
        return _returned(_back(change, now_s, "a pod came to it"), node, settings, now_s)
    if node.leaving:
        return _returned(_back(change, now_s, "it is being removed"), node, settings, now_s)
    if node.cordoned and node.mark is None:
        # Both are written at once.
        return _returned(_back(change, now_s, "somebody else cordoned it"), node, settings, now_s)
    if now_s - change.since_s >= EMPTY_WITHIN_S:
        return _returned(_back(change, now_s, _not_in_time(node, free)), node, settings, now_s)
    if not node.cordoned or node.mark is None:
        return _Next(change=change, step=MigStep.CORDON, config=change.after)
    if free is None or not node.ready or node.state is not MigState.SUCCESS:
        return _Next(change=replace(change, empty_since_s=None))
    since_s = now_s if change.empty_since_s is None else change.empty_since_s
    change = replace(change, empty_since_s=since_s)
    if now_s - since_s < settings.settle_s:
        return _Next(change=change)
    return _Next(change=change, step=MigStep.APPLY, config=change.after)


def _applied(
    change: NodeChange,
    node: SliceNode,
    pool: SlicePoolSettings,
    settings: SliceSettings,
    now_s: float,
) -> _Next:
    if node.config == change.before:
        why = f"somebody set {change.before} again"
        return _returned(_relabelled(change, now_s, why), node, settings, now_s)
    if shows(node, change.after, pool):
        return _returned(_back(change, now_s, change.failed), node, settings, now_s)
    waited_s = now_s - change.since_s
    if _failed(change, node, now_s):
        why = f"the MIG manager could not apply {change.after}"
    elif waited_s >= settings.watchdog_s:
        why = f"{change.after} was not there after {waited_s:.0f} s{_instead(change, node, pool)}"
    else:
        return _Next(change=change)
    change = replace(change, phase=Phase.RESTORING, since_s=now_s, pending_seen=False, failed=why)
    return _restored(change, node, pool, settings, now_s)


def _instead(change: NodeChange, node: SliceNode, pool: SlicePoolSettings) -> str:
    """What came in its place: the ConfigMap may say otherwise than the policy, or have changed since."""
    if node.state is not MigState.SUCCESS or change.after not in pool.configs:
        return ""
    return (
        f": the MIG manager says success and the node offers {node.slices}, the policy says "
        f"{pool.slices_of(change.after)}; compare configs with its ConfigMap"
    )


def _restored(
    change: NodeChange,
    node: SliceNode,
    pool: SlicePoolSettings,
    settings: SliceSettings,
    now_s: float,
) -> _Next:
    stuck = replace(change, phase=Phase.STUCK, since_s=now_s)
    if now_s - change.since_s >= settings.watchdog_s:
        return _Next(change=stuck)
    if node.config == change.after:
        # Its exporter may be paused by the very change that failed; the node was empty before, and takes no pods.
        if node.mark is None or node.holders != () or node.devices:
            return _Next(change=change)
        return _Next(change=change, step=MigStep.APPLY, config=change.before)
    if shows(node, change.before, pool):
        return _returned(_back(change, now_s, change.failed), node, settings, now_s)
    return _Next(change=stuck if _failed(change, node, now_s) else change)


def _returned(change: NodeChange, node: SliceNode, settings: SliceSettings, now_s: float) -> _Next:
    if node.mark is not None:
        at_work = node.state in AT_WORK
        seen = replace(change, cordon_seen=True, pending_seen=change.pending_seen or at_work)
        if node.cordoned and _unsettled(seen, at_work, settings, now_s):
            return _Next(change=seen)
        return _Next(change=seen, step=MigStep.UNCORDON, config=node.config)
    if not change.cordon_seen and now_s - change.since_s < SEEN_WITHIN_S:
        return _Next(change=change)
    return _Next(change=None)


def _unsettled(change: NodeChange, at_work: bool, settings: SliceSettings, now_s: float) -> bool:
    """Whether the slices of a pod that came now might be rebuilt under it."""
    waited_s = now_s - change.since_s
    if at_work:
        return waited_s < settings.watchdog_s
    # What its label says may be about the config before, until the MIG manager was seen at work.
    return change.relabelled and not change.pending_seen and waited_s < HEARSAY_S


def _back(change: NodeChange, now_s: float, failed: str | None) -> NodeChange:
    return replace(change, phase=Phase.RETURNING, since_s=now_s, failed=failed)


def _relabelled(change: NodeChange, now_s: float, failed: str) -> NodeChange:
    return replace(_back(change, now_s, failed), relabelled=True, pending_seen=False)


def _not_in_time(node: SliceNode, free: bool | None) -> str:
    if not node.cordoned or node.mark is None:
        return "it could not be cordoned, see MigRefused"
    if not node.ready:
        return "it is not ready"
    if node.state is not MigState.SUCCESS:
        return f"its MIG manager says {node.state or 'nothing'} before its label was written"
    if free is None:
        return "two sources did not confirm that it is empty"
    return "its label could not be written, see MigRefused"


def _failed(change: NodeChange, node: SliceNode, now_s: float) -> bool:
    told = change.pending_seen or now_s - change.since_s >= HEARSAY_S
    return node.state is MigState.FAILED and told


# ---------------------------------------------------------------- what is left alone


def _lasts(backoff: Backoff, now_s: float) -> bool:
    """Failures are remembered for a day after the time is over, so that the next one waits longer.

    One that is to last longer than any does was written before the clock was set back.
    """
    return -LONGEST_BACKOFF_S <= now_s - backoff.until_s < LONGEST_BACKOFF_S


def _backed_off(state: PoolMoves, node: str, settings: SliceSettings, now_s: float) -> PoolMoves:
    failures = next((b.failures for b in state.backoffs if b.node == node), 0)
    wait_s = doubled_s(settings.backoff_s, failures, LONGEST_BACKOFF_S)
    others = tuple(b for b in state.backoffs if b.node != node)
    new = Backoff(node=node, until_s=now_s + wait_s, failures=failures + 1)
    return replace(state, backoffs=(*others, new))
