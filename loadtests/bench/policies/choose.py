"""Which setting each peer is compared at: its default, one for all, tuned on the days before, best in hindsight."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, geometric_mean
from typing import Any

KINDS = ("default", "one for all", "tuned", "hindsight")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a policy came to under one series and start-up: means over the seeds, but for the worst."""

    attainment_ratio: float
    gpu_hours: float
    good_windows_ratio: float
    worst_window_ratio: float
    longest_bad_s: float
    changes: float
    headroom: float | None = None
    source: str = "fluid"
    """`fluid` or `requests`."""

    def holds(self, goal: float) -> bool:
        """Whether it attains the goal."""
        return self.attainment_ratio >= goal


Found = Mapping[str, Any]
"""A point or a score, as its cell kept it."""


def outcome(found: Sequence[Found], *, headroom: float | None, source: str) -> Outcome:
    """Over the seeds."""
    return Outcome(
        attainment_ratio=fmean(item["attainment_ratio"] for item in found),
        gpu_hours=fmean(item["gpu_hours"] for item in found),
        good_windows_ratio=fmean(item["good_windows_ratio"] for item in found),
        worst_window_ratio=min(item["worst_window_ratio"] for item in found),
        longest_bad_s=max(item["longest_bad_s"] for item in found),
        changes=fmean(item["changes"] for item in found),
        headroom=headroom,
        source=source,
    )


def cheapest(points: Iterable[Found], goal: float) -> Found | None:
    """The cheapest that attains the goal; None: none does."""
    holding = [item for item in points if item["attainment_ratio"] >= goal]
    return min(holding, key=lambda item: float(item["gpu_hours"]), default=None)


def all_points(curve: Found) -> list[Found]:
    """Everything that was tried of a curve."""
    return [*curve["grid"], *curve["refined"]]


def tuned(train: Found, goal: float) -> float:
    """The setting that was cheapest on the days before; where none held, the one that attained the most."""
    best = cheapest(all_points(train), goal)
    if best is None:
        best = max(train["grid"], key=lambda item: float(item["attainment_ratio"]))
    return float(best["headroom"])


def in_hindsight(
    curves: Sequence[Found], goal: float, failed: Container[float] = ()
) -> Outcome | None:
    """Each seed at its own best, which is kinder than any one setting; None: a seed has none that holds.

    `failed` are settings that did not hold request by request.
    """
    best = [
        cheapest((item for item in all_points(curve) if item["headroom"] not in failed), goal)
        for curve in curves
    ]
    found = [item for item in best if item is not None]
    if len(found) < len(curves):
        return None
    headroom = float(found[0]["headroom"])
    return outcome(found, headroom=headroom, source="fluid")


def one_for_all(
    curves: Mapping[str, Sequence[Found]], goal: float, failed: Container[float] = ()
) -> tuple[float, dict[str, Outcome]] | None:
    """(setting, outcomes by series) of the cheapest setting that holds on every series; None: none does."""
    best: tuple[float, float, dict[str, Outcome]] | None = None
    count = len(next(iter(curves.values()))[0]["grid"])
    for place in range(count):
        headroom = float(next(iter(curves.values()))[0]["grid"][place]["headroom"])
        outcomes = {
            name: outcome(
                [curve["grid"][place] for curve in found], headroom=headroom, source="fluid"
            )
            for name, found in curves.items()
        }
        if headroom in failed or not all(item.holds(goal) for item in outcomes.values()):
            continue
        cost = geometric_mean(item.gpu_hours for item in outcomes.values())
        if best is None or cost < best[0]:
            best = (cost, headroom, outcomes)
    return None if best is None else best[1:]
