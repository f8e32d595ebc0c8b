"""Reads an SLO as people write it: `p95 < 200ms`, `99% < 200ms`, `p99 ttft < 2s, p95 tpot < 50ms for 99.5% over 7d`."""

from __future__ import annotations

import re
from functools import lru_cache

from autoscaler.core.slo_words import NUMBER, reworded
from autoscaler.core.types import LatencyObjective, Slo, SloForm
from autoscaler.errors import Problem

ALLOWED = "write for example `p95 < 200ms`, `99% < 200ms` or `p99 ttft < 2s, p95 tpot < 50ms for 99.5% over 7d`"
# The micro sign, and the Greek letter that looks the same.
SECONDS = {"us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
DAYS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}

_OBJECTIVE = re.compile(
    rf"^(?:p{NUMBER}|{NUMBER}\s*%)\s*(?:(latency|ttft|tpot)\s*)?<=?\s*{NUMBER}\s*({'|'.join(SECONDS)})$"
)
_TARGET = re.compile(rf"^(.*?)\s+for\s+{NUMBER}\s*%(?:\s+over\s+{NUMBER}\s*([hdw]))?$")
_WINDOW = re.compile(rf"^(.*?)\s+over\s+{NUMBER}\s*([hdw])$")


def parse_slo(text: str, where: str) -> Slo | tuple[Problem, ...]:
    """The SLO, or everything that is wrong with it; in other words than those that are allowed, what was meant."""
    found = _parsed(text, where)
    if isinstance(found, Slo):
        return found
    meant = reworded(text)
    if meant != text.strip().lower() and isinstance(_parsed(meant, where), Slo):
        return (Problem(where, f"{text.strip()!r} is no objective", f"did you mean `{meant}`?"),)
    return found


def _parsed(text: str, where: str) -> Slo | tuple[Problem, ...]:
    """The SLO, or everything that is wrong with it.

    `for` sets the share of requests in good minutes, of `pN < T` alone; `over` the window; `<=` means the same as `<`.
    """
    rest, compliance, window_s = text.strip().lower(), 0.99, 28 * 86400.0
    target = _TARGET.match(rest)
    if target:
        rest, compliance = target[1], float(target[2]) / 100.0
        if target[3]:
            window_s = float(target[3]) * DAYS[target[4]]
    elif window := _WINDOW.match(rest):
        rest, window_s = window[1], float(window[2]) * DAYS[window[3]]
    problems: list[Problem] = []
    objectives: dict[str, LatencyObjective] = {}
    for part in rest.split(","):
        found = _objective(part.strip(), where)
        if isinstance(found, Problem):
            problems.append(found)
        elif objective_text(found) in objectives:
            # They are accounted by this text: two of one would count every request twice.
            given = f"{part.strip()!r} says {objective_text(found)} again"
            problems.append(Problem(where, given, "each objective once is allowed"))
        else:
            objectives[objective_text(found)] = found
    if not 0.0 < compliance < 1.0:
        problems.append(
            Problem(
                where,
                f"for {compliance * 100:g}%",
                "more than 0 and less than 100 % can be asked for",
            )
        )
    if target and objectives and all(o.form is SloForm.REQUESTS for o in objectives.values()):
        # It would be overlooked, and mean another target than whoever wrote it has in mind.
        given = f"'for {target[2]}%' beside {', '.join(objectives)}"
        allowed = "it goes with `pN < T`, whose minutes are judged: leave it out"
        problems.append(Problem(where, given, allowed))
    if not 3600.0 <= window_s <= 90 * 86400.0:
        problems.append(
            Problem(where, f"over {window_s / 86400.0:g} d", "1 hour to 90 days are allowed")
        )
    if problems:
        return tuple(problems)
    return Slo(
        objectives=tuple(objectives.values()),
        compliance_ratio=compliance,
        window_s=window_s,
        text=text.strip(),
    )


def _objective(part: str, where: str) -> LatencyObjective | Problem:
    match = _OBJECTIVE.match(part)
    if match is None:
        meant = _units(part)
        return Problem(
            where, f"{part!r} is no objective", f"did you mean {meant}?" if meant else ALLOWED
        )
    percentile, share, signal, threshold, unit = match.groups()
    ratio = float(percentile or share) / 100.0
    threshold_s = round(float(threshold) * SECONDS[unit], 9)
    if not 0.5 <= ratio <= 0.9999:
        return Problem(where, f"{part!r} asks for {ratio * 100:g} %", "50 to 99.99 % are allowed")
    if not 0.0001 <= threshold_s <= 3600.0:
        return Problem(where, f"{part!r} has {threshold_s:g} s", "0.1 ms to 1 hour are allowed")
    return LatencyObjective(
        form=SloForm.MINUTES if percentile else SloForm.REQUESTS,
        ratio=ratio,
        threshold_s=threshold_s,
        signal=signal or "latency",
    )


def _units(part: str) -> str | None:
    """Which units a threshold without one may have; None: that is not what is wrong."""
    return f"`{part}ms` or `{part}s`" if _OBJECTIVE.match(f"{part}ms") else None


@lru_cache(maxsize=1024)
def objective_text(objective: LatencyObjective) -> str:
    """One objective in one spelling, whatever the user's: `p95 < 200ms`, `99% < 0.3s` as `99% < 300ms`."""
    share = f"{round(objective.ratio * 100.0, 6):g}"
    level = f"p{share}" if objective.form is SloForm.MINUTES else f"{share}%"
    signal = "" if objective.signal == "latency" else f" {objective.signal}"
    threshold_s = objective.threshold_s
    told = f"{threshold_s:g}s" if threshold_s >= 1.0 else f"{round(threshold_s * 1000.0, 6):g}ms"
    return f"{level}{signal} < {told}"


def window_text(window_s: float) -> str:
    """A window as Prometheus writes durations: whole days, else hours, else minutes. A day is `24h`."""
    if window_s % 86400.0 == 0.0 and window_s > 86400.0:
        return f"{window_s / 86400.0:.0f}d"
    if window_s % 3600.0 == 0.0:
        return f"{window_s / 3600.0:.0f}h"
    return f"{round(window_s / 60.0)}m"
