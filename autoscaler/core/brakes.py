"""The fleet's brakes: however good each reason is, the fleet as a whole moves only so far in ten minutes.

Many workloads losing half their demand at once is far more often a broken ingress, exporter or relabelling than a
saving, so it is a hold. Moves up are braked far later than moves down.
"""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.core.reasons import Reason
from autoscaler.core.settings import FleetBrakes
from autoscaler.core.state import FleetMove, FleetState
from autoscaler.core.types import Finding, WorkloadId


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A change that one workload's decision asks for."""

    workload: WorkloadId
    priority: int
    current: int
    target: int
    gpus_per_replica: float

    @property
    def gpus(self) -> float:
        return (self.target - self.current) * self.gpus_per_replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Braked:
    """Which wishes are cut, to which number and why; what the fleet remembers."""

    cuts: dict[WorkloadId, tuple[int, Reason, str]]
    state: FleetState
    findings: tuple[Finding, ...]


def correlated_drop(changes: list[tuple[float, float]], settings: FleetBrakes) -> str | None:
    """A sentence if so many workloads dropped together that it can't be demand; `changes` holds (before, now) in rps.

    Workloads without traffic before can't drop and do not count.
    """
    judged = [(before, now) for before, now in changes if before > 0.0]
    if len(judged) < settings.correlated_workloads:
        return None
    dropped = sum(
        1 for before, now in judged if now <= (1.0 - settings.correlated_drop_ratio) * before
    )
    if dropped < settings.correlated_share_ratio * len(judged):
        return None
    return (
        f"{dropped} of {len(judged)} workloads lost {settings.correlated_drop_ratio:.0%} of their demand within "
        f"{settings.correlated_window_s:.0f} s: taken for a fault of the measurement, nothing is scaled down"
    )


def apply(
    wishes: list[Wish],
    state: FleetState,
    *,
    fleet_gpus: float,
    now_s: float,
    settings: FleetBrakes,
    drop: str | None,
) -> Braked:
    """Grants wishes by priority, then by name, while the window's allowance lasts."""
    moves = tuple(m for m in state.moves if now_s - settings.window_s < m.at_s <= now_s)
    hold_until_s = state.hold_down_until_s
    if drop is not None:
        hold_until_s = now_s + settings.correlated_window_s
    held = hold_until_s is not None and now_s < hold_until_s
    went = -sum(m.gpus for m in moves if m.gpus < 0.0)
    came = sum(m.gpus for m in moves if m.gpus > 0.0)
    left_down = (
        max(settings.min_allowance_gpus, settings.max_down_ratio * (fleet_gpus + went)) - went
    )
    left_up = (
        max(settings.min_up_allowance_gpus, settings.max_up_ratio * max(0.0, fleet_gpus - came))
        - came
    )
    cuts: dict[WorkloadId, tuple[int, Reason, str]] = {}
    granted_up = granted_down = 0.0
    for wish in sorted(wishes, key=lambda w: (-w.priority, w.workload)):
        if wish.gpus < 0.0 and held:
            cuts[wish.workload] = (
                wish.current,
                Reason.CORRELATED_DROP,
                drop or "demand of many workloads fell together",
            )
        elif wish.gpus < 0.0:
            given = _part(wish, left_down - granted_down)
            granted_down += given * wish.gpus_per_replica
            if given < wish.current - wish.target:
                cuts[wish.workload] = (
                    wish.current - given,
                    Reason.FLEET_BRAKE,
                    _words("down", settings.max_down_ratio, settings),
                )
        elif wish.gpus > 0.0:
            given = _part(wish, left_up - granted_up)
            granted_up += given * wish.gpus_per_replica
            if given < wish.target - wish.current:
                cuts[wish.workload] = (
                    wish.current + given,
                    Reason.FLEET_BRAKE,
                    _words("up", settings.max_up_ratio, settings),
                )
    for change in (granted_up, -granted_down):
        if change:
            moves = (*moves, FleetMove(at_s=now_s, gpus=change))
    findings = [Finding(reason=Reason.CORRELATED_DROP, message=drop)] if drop else []
    braked = sum(1 for _, reason, _ in cuts.values() if reason is Reason.FLEET_BRAKE)
    if braked:
        findings.append(
            Finding(
                reason=Reason.FLEET_BRAKE,
                message=f"{braked} workloads wait: {_words('down or up', 0, settings)}",
            )
        )
    return Braked(
        cuts=cuts,
        state=FleetState(moves=moves, hold_down_until_s=hold_until_s if held else None),
        findings=tuple(findings),
    )


def _part(wish: Wish, left_gpus: float) -> int:
    """How many replicas of the wish the allowance covers."""
    size = abs(wish.target - wish.current)
    if wish.gpus_per_replica <= 0.0:
        return size
    return max(0, min(size, int(left_gpus / wish.gpus_per_replica + 1e-9)))


def _words(direction: str, ratio: float, settings: FleetBrakes) -> str:
    share = f" ({ratio:.0%} of the fleet)" if ratio else ""
    return f"the fleet's brake for moves {direction}{share} in {settings.window_s / 60:.0f} minutes is reached"
