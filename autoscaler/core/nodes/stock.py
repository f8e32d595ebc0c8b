"""Stock-outs: a pool that can't be had is left alone for a while, asked again with one unit, and taken back when a node
comes.

The waiting times are the cluster-autoscaler's own: five minutes, doubling to half an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoscaler.core.backoff import doubled_s
from autoscaler.core.nodes.observed import NodeStatus, StockOut
from autoscaler.core.nodes.settings import NodeSettings
from autoscaler.core.nodes.state import StockState


def judge(
    state: StockState,
    evidence: StockOut | None,
    nodes: Sequence[NodeStatus],
    *,
    now_s: float,
    settings: NodeSettings,
) -> StockState:
    """The pool's state after this tick's evidence, each piece of which counts once."""
    if evidence is not None and now_s - evidence.at_s > settings.stock_out_backoff_s:
        evidence = None  # from before this process: its time would be over
    newest_s = max((n.registered_s for n in nodes if n.registered_s is not None), default=0.0)
    if evidence is not None and evidence.at_s > state.seen_s:
        # A refusal of the second node says as much as that of the first; one that a node has outlived says nothing.
        if newest_s <= evidence.at_s:
            return _refused(state, evidence, now_s=now_s, settings=settings)
        state = replace(state, seen_s=evidence.at_s)
    # A node that came after the last refusal proves that there are some again.
    if state.failures and newest_s > state.seen_s:
        return StockState(seen_s=state.seen_s)
    longest_s = settings.stock_out_max_backoff_s
    if state.until_s is not None and not 0.0 < state.until_s - now_s <= longest_s:
        # Over; or farther off than it was ever set: the clock was set back, and the pool is not left alone for as long.
        return replace(state, until_s=None, probing=True)
    return state


def _refused(
    state: StockState, evidence: StockOut, *, now_s: float, settings: NodeSettings
) -> StockState:
    state = replace(state, seen_s=evidence.at_s, message=f"{evidence.source}: {evidence.message}")
    if state.until_s is not None:
        return state  # one and the same stock-out, told again
    wait_s = doubled_s(
        settings.stock_out_backoff_s, state.failures, settings.stock_out_max_backoff_s
    )
    return replace(state, failures=state.failures + 1, until_s=now_s + wait_s, probing=False)


def told(state: StockState, now_s: float) -> str:
    """Why the pool can't be had, and when it is asked again."""
    left_s = (state.until_s or now_s) - now_s
    if left_s <= 0.0:
        return f"{state.message}; asked again once that is told no more"
    return f"{state.message}; asked again in {left_s:.0f} s"
