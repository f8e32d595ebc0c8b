"""What a ledger says to people: compliance, error budget and burn rate, with the bounds between which they lie.

With g of n known requests good and a target t, compliance is g/n, the burn rate (1 - g/n) / (1 - t), and what is left
of the budget 1 - burn rate: at 1 the budget is spent exactly when the window ends (Google's SRE Workbook, chapter 5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoscaler.core.latency import LatencySource
from autoscaler.core.ledger import DAY_S, HOUR_S, Account, Ledger, Step, target_ratio
from autoscaler.core.slo import window_text
from autoscaler.core.types import LatencyObjective, Slo, WorkloadId


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """low <= estimate <= high; an estimate of None: no known request."""

    low: float
    estimate: float | None
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCompliance:
    """One objective over one window that ends now."""

    window: str
    """`1h`, `24h`, or the SLO's own such as `28d`."""
    window_s: float
    requests: float
    """Known ones."""
    compliance: Bounds
    """Share of good requests. The bounds take in what the source can't tell exactly, and the unknown time at the known
    time's rate of requests, all of them bad or all good."""
    budget_left: Bounds
    """Share of the window's error budget, 1: untouched, 0: spent, negative: overspent."""
    burn_rate: Bounds
    """1 spends the budget exactly within the window."""
    known_ratio: float | None
    """Share of the time that was watched; None: none of the window was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveCompliance:
    """One objective over all its windows."""

    objective: str
    target_ratio: float
    source: LatencySource | None
    windows: tuple[WindowCompliance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadCompliance:
    """All objectives of one workload at one time."""

    workload: WorkloadId
    slo: str
    at_s: float
    objectives: tuple[ObjectiveCompliance, ...]


def compliance_of(account: Account) -> WorkloadCompliance:
    """Every objective over an hour, a day and the SLO's window."""
    slo = account.slo
    return WorkloadCompliance(
        workload=account.workload,
        slo=slo.text,
        at_s=account.at_s,
        objectives=tuple(
            _objective(ledger, objective, slo)
            for ledger, objective in zip(account.ledgers, slo.objectives, strict=True)
        ),
    )


def _objective(ledger: Ledger, objective: LatencyObjective, slo: Slo) -> ObjectiveCompliance:
    target = target_ratio(objective, slo)
    windows = {"1h": (HOUR_S, ledger.hour), "24h": (DAY_S, ledger.day)}
    # An SLO over a day has two windows, not the same one twice.
    windows.setdefault(window_text(slo.window_s), (slo.window_s, ledger.window))
    return ObjectiveCompliance(
        objective=ledger.objective,
        target_ratio=target,
        source=ledger.source,
        windows=tuple(
            of_step(span.total(), window=name, window_s=window_s, target=target)
            for name, (window_s, span) in windows.items()
        ),
    )


def of_step(step: Step, *, window: str, window_s: float, target: float) -> WindowCompliance:
    """From what a window adds up to."""
    watched_s = step.known_s + step.unknown_s
    # Without any known time nothing is known of the unknown one either.
    hidden = step.requests * step.unknown_s / step.known_s if step.known_s > 0.0 else 0.0
    all_requests = step.requests + hidden
    if all_requests > 0.0:
        low = max(0.0, step.requests - step.high) / all_requests
        high = (step.requests - step.low + hidden) / all_requests
        estimate: float | None = 1.0 - step.bad / step.requests
    else:
        # No request: nothing was missed where it was seen, and anything may have been where it was not.
        low, high, estimate = (0.0 if step.unknown_s > 0.0 else 1.0), 1.0, None
    if step.known_s <= 0.0:
        low, high, estimate = 0.0, 1.0, None
    compliance = Bounds(low=low, estimate=estimate, high=high)
    burn = _turned(compliance, lambda share: (1.0 - share) / (1.0 - target))
    return WindowCompliance(
        window=window,
        window_s=window_s,
        requests=step.requests,
        compliance=compliance,
        budget_left=_turned(burn, lambda rate: 1.0 - rate),
        burn_rate=burn,
        known_ratio=step.known_s / watched_s if watched_s > 0.0 else None,
    )


def _turned(bounds: Bounds, of: Callable[[float], float]) -> Bounds:
    """Through a falling function: the bounds change places."""
    estimate = None if bounds.estimate is None else of(bounds.estimate)
    return Bounds(low=of(bounds.high), estimate=estimate, high=of(bounds.low))
