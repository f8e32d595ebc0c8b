"""What `make e2e-nodes` must show, each a pure function of what was recorded."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from autoscaler.core.nodes.observed import Backend
from autoscaler.core.types import Outcome, TickRecord
from loadtests.e2e.checks import Check, attainment
from loadtests.e2e.node_recorder import NodeRecorder
from loadtests.load.request_log import OK, Request

BIND_S = 10.0
"""Longer than a pod takes from its creation to its binding where there is room."""
STOCK_OUT_S = 120.0


def nobody_waited(recorder: NodeRecorder, *, since_s: float, until_s: float) -> Check:
    """No pod that was made for the rise was pending for want of a node."""
    pods = [pod for pod in recorder.pods.values() if since_s <= pod.created_s < until_s]
    slow = [
        pod for pod in pods if pod.scheduled_s is None or pod.scheduled_s - pod.created_s > BIND_S
    ]
    waited = [pod for pod in pods if pod.waited or pod in slow]
    return Check(
        name="pods that waited for a node",
        passed=bool(pods) and not waited,
        figure=f"{len(waited)} of {len(pods)}",
        limit="none",
    )


def node_before_pod(recorder: NodeRecorder, *, since_s: float, pool: str) -> Check:
    """Every node that came and got a pod was of use before that pod was made."""
    leads = []
    for node in recorder.nodes.values():
        pods = [p.created_s for p in recorder.pods.values() if p.node == node.name]
        if node.pool == pool and node.created_s >= since_s and pods and node.usable_s is not None:
            leads.append(min(pods) - node.usable_s)
    return Check(
        name=f"nodes of {pool} of use before their first pod was made",
        passed=bool(leads) and min(leads) >= 0.0,
        figure=f"{len(leads)} nodes, {min(leads):.0f} s before" if leads else "no such node",
        limit="each",
    )


def expected_before_the_rise(
    records: Sequence[TickRecord], *, rise_s: float, within_s: float, least: int
) -> Check:
    """More was expected than what demand itself, at its old level, would ever have asked for."""
    first = next(
        (
            record.result.now_s
            for record in records
            if record.result.now_s >= rise_s - within_s
            and any((pool.facts.demand or 0) >= least for pool in record.result.pools)
        ),
        None,
    )
    return Check(
        name=f"{least} GPUs or more expected before the rise",
        passed=first is not None and first < rise_s,
        figure="never" if first is None else f"{rise_s - first:.0f} s before",
        limit="before",
    )


def stock_out_noticed(records: Sequence[TickRecord], *, pool: str) -> Check:
    """From the first time that the pool was asked for more than its nodes had free, until it was left alone."""
    asked = _asked_for_a_node(records, pool)
    noticed = next(
        (
            record.result.now_s
            for record in records
            for item in record.result.pools
            if item.pool == pool and not item.available
        ),
        None,
    )
    took_s = noticed - asked if asked is not None and noticed is not None else None
    return Check(
        name=f"{pool} was asked while sold out, and that was noticed",
        passed=took_s is not None and took_s <= STOCK_OUT_S,
        figure="never" if took_s is None else f"after {took_s:.0f} s",
        limit=f"within {STOCK_OUT_S:.0f} s",
    )


def moved(records: Sequence[TickRecord], *, away_from: str, to: str) -> Check:
    """While the first pool can't be had, the other one is asked for everything."""
    taken, left = 0, 0
    for record in records:
        pools = {item.pool: item for item in record.result.pools}
        if away_from in pools and to in pools and not pools[away_from].available:
            taken = max(taken, pools[to].headroom or 0)
            left = max(left, pools[away_from].headroom or 0)
    return Check(
        name=f"meanwhile headroom is asked of {to}",
        passed=taken > 0 and left == 0,
        figure=f"up to {taken} GPUs there, {left} of {away_from}",
        limit=f"some there, none of {away_from}",
    )


def back_ends(records: Sequence[TickRecord]) -> Check:
    """Both interfaces were written."""
    used = {
        result.action.backend
        for record in records
        for result in record.headroom
        if result.outcome is Outcome.APPLIED and result.action.units > 0
    }
    return Check(
        name="interfaces that headroom went through",
        passed=used == set(Backend),
        figure=", ".join(sorted(used)) or "none",
        limit=", ".join(sorted(Backend)),
    )


def attained(requests: Sequence[Request], *, threshold_s: float, step_s: float) -> Check:
    """Within the SLO but for half a minute after the step, which a start-up takes."""
    ratio = attainment(requests, threshold_s, [(step_s, step_s + 30.0)])
    return Check(
        name="attainment outside half a minute after the step",
        passed=ratio is not None and ratio >= 0.99,
        figure="no request" if ratio is None else f"{ratio:.2%}",
        limit="at least 99%",
    )


def nodes_went(recorder: NodeRecorder, *, pools: Sequence[str], since_s: float, most: int) -> Check:
    """After demand fell, nodes of these pools went until few were left."""
    before = [m.of(pools) for m in recorder.moments if m.at_s < since_s]
    left = recorder.moments[-1].of(pools) if recorder.moments else -1
    reached = next(
        (m.at_s - since_s for m in recorder.moments if m.at_s > since_s and m.of(pools) <= most),
        None,
    )
    return Check(
        name="nodes after demand fell",
        passed=reached is not None and max(before, default=0) > most,
        figure=f"{max(before, default=0)} -> {left}"
        + ("" if reached is None else f", after {reached:.0f} s"),
        limit=f"at most {most}",
    )


def budget_kept(recorder: NodeRecorder) -> Check:
    """The PodDisruptionBudget held at every look."""
    return Check(
        name="PodDisruptionBudget broken",
        passed=bool(recorder.moments) and not recorder.pdb_broken,
        figure=f"{len(recorder.pdb_broken)} of {len(recorder.moments)} looks",
        limit="never",
    )


def no_errors(requests: Sequence[Request]) -> Check:
    """Every request was answered."""
    failed = [r for r in requests if r.outcome != OK]
    return Check(
        name="failed requests",
        passed=bool(requests) and not failed,
        figure=f"{len(failed)} of {len(requests)}",
        limit="none",
    )


def timeline(records: Sequence[TickRecord], recorder: NodeRecorder, start_s: float) -> Table:
    """Whenever a pool's headroom or its nodes changed."""
    table = Table(title="what the journal says of pools", show_edge=False, pad_edge=False)
    for name in ("t", "pool", "headroom", "nodes", "reason", "why"):
        table.add_column(name, no_wrap=name != "why")
    last: dict[str, tuple[object, ...]] = {}
    for record in records:
        now_s = record.result.now_s
        moment = min(recorder.moments, key=lambda m: abs(m.at_s - now_s), default=None)
        for pool in record.result.pools:
            nodes = moment.usable.get(pool.pool, 0) if moment else 0
            key = (pool.headroom, nodes, pool.reason, pool.available)
            if last.get(pool.pool) != key:
                last[pool.pool] = key
                why = "; ".join([pool.message, *(text for _, text in pool.findings)])
                cells = (f"{now_s - start_s:.0f} s", pool.pool, str(pool.headroom), str(nodes))
                table.add_row(*cells, pool.reason.value, why)
    return table


def _asked_for_a_node(records: Sequence[TickRecord], pool: str) -> float | None:
    return next(
        (
            record.result.now_s
            for record in records
            for result in record.headroom
            if result.outcome is Outcome.APPLIED
            and result.action.pool == pool
            and result.action.units > _free_units(record, pool)
        ),
        None,
    )


def _free_units(record: TickRecord, pool: str) -> int:
    """Of the pool's nodes, less what the pods will take that this tick starts."""
    nodes = next((item.nodes for item in record.input.pools if item.pool == pool), ())
    free = sum(max(0, (node.units or 0) - node.used_units) for node in nodes)
    return free - sum(max(0, made.target - made.current) for made in record.result.decisions)
