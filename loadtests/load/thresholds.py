"""Limits that a run must keep, in k6's words: `latency: p(95) < 200ms`, `failed: rate < 1%`, `requests: count >= 100`.

Times have the names of an SLO's objectives: `latency`, and `ttft` and `tpot` of answers that stream. All are parsed
before anything is sent. A request that failed has infinite ones: a server that refuses work is not a fast one. A metric
that nothing was measured for misses its limit.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autoscaler.core.slo_words import OTHER_WORDS
from loadtests.load.driver import lateness_s
from loadtests.load.request_log import OK, Request

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
TRENDS = ("avg", "min", "med", "max", "p(N)")
# What may be asked of each metric.
METRICS = {
    "latency": TRENDS,
    "ttft": TRENDS,
    "tpot": TRENDS,
    "lateness": TRENDS,
    "failed": ("rate", "count"),
    "requests": ("count",),
}
STREAMED = ("ttft", "tpot")
UNITS = {"ms": 0.001, "s": 1.0, "%": 0.01, "": 1.0}
EXPRESSION = re.compile(
    r"\s*(?P<metric>\w+)\s*:\s*(?P<aggregation>[a-z]+)\s*(?:\(\s*(?P<percent>[0-9.]+)\s*\))?"
    r"\s*(?P<sign><=|>=|<|>)\s*(?P<limit>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>ms|s|%|)\s*"
)


class ThresholdInvalid(ValueError):
    """Every malformed threshold of a list, one line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One limit. `limit` is in seconds for a time, a share for a rate, else a number."""

    text: str
    metric: str
    aggregation: str
    percent: float | None
    sign: str
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a threshold found; `figure` None: there was nothing to measure."""

    threshold: Threshold
    figure: float | None
    passed: bool


def parse(texts: Sequence[str], *, streamed: bool = False) -> tuple[Threshold, ...]:
    """`streamed`: answers come token by token. Raises ThresholdInvalid with every problem at once."""
    parsed: list[Threshold] = []
    problems: list[str] = []
    for text in texts:
        try:
            parsed.append(_parse(text, streamed))
        except ValueError as error:
            problems.append(f"threshold {text!r}: {error}")
    if problems:
        raise ThresholdInvalid("\n".join(problems))
    return tuple(parsed)


def _parse(text: str, streamed: bool) -> Threshold:
    match = EXPRESSION.fullmatch(text)
    if match is None:
        raise ValueError("must be `METRIC: AGGREGATION < LIMIT`, such as `latency: p(95) < 200ms`")
    metric, percent = match["metric"], match["percent"]
    aggregation = match["aggregation"] + ("(N)" if percent else "")
    allowed = METRICS.get(metric)
    there = ", ".join(name for name in METRICS if streamed or name not in STREAMED)
    if allowed is None:
        meant = OTHER_WORDS.get(metric)
        hint = f"did you mean {meant}?" if meant else f"there are {there}"
        raise ValueError(f"metric {metric} is not known; {hint}")
    if metric in STREAMED and not streamed:
        raise ValueError(
            f"{metric} is of answers that stream, with --protocol openai; without there are {there}"
        )
    if aggregation not in allowed:
        raise ValueError(f"{metric} has no {match['aggregation']}; it has {', '.join(allowed)}")
    units = _units(metric, aggregation)
    if match["unit"] not in units:
        raise ValueError(f"the limit's unit must be {' or '.join(u or 'none' for u in units)}")
    if percent is not None and not (percent.count(".") <= 1 and 0.0 < float(percent) < 100.0):
        raise ValueError(f"p({percent}) must be between p(0) and p(100)")
    return Threshold(
        text=text.strip(),
        metric=metric,
        aggregation=aggregation,
        percent=None if percent is None else float(percent),
        sign=match["sign"],
        limit=float(match["limit"]) * UNITS[match["unit"]],
    )


def _units(metric: str, aggregation: str) -> tuple[str, ...]:
    if METRICS[metric] is TRENDS:
        return ("ms", "s")
    return ("%", "") if aggregation == "rate" else ("",)


def judge(thresholds: Sequence[Threshold], requests: Sequence[Request]) -> tuple[Verdict, ...]:
    """Each threshold's figure over the whole run."""
    return tuple(_judge(threshold, requests) for threshold in thresholds)


def _judge(threshold: Threshold, requests: Sequence[Request]) -> Verdict:
    figure = _figure(threshold, requests)
    passed = figure is not None and OPERATORS[threshold.sign](figure, threshold.limit)
    return Verdict(threshold=threshold, figure=figure, passed=passed)


def _figure(threshold: Threshold, requests: Sequence[Request]) -> float | None:
    if threshold.metric == "requests":
        return float(len(requests))
    if threshold.metric == "failed":
        failed = sum(1 for request in requests if request.outcome != OK)
        if threshold.aggregation == "count":
            return float(failed)
        return failed / len(requests) if requests else None
    if threshold.metric == "lateness":
        return _trend(threshold, lateness_s(requests))
    return _trend(threshold, _times_s(threshold.metric, requests))


def _trend(threshold: Threshold, values: Sequence[float]) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    if threshold.aggregation == "avg":
        return math.fsum(ordered) / len(ordered)
    if threshold.aggregation == "min":
        return ordered[0]
    if threshold.aggregation == "max":
        return ordered[-1]
    return _nearest_rank(ordered, 50.0 if threshold.percent is None else threshold.percent)


def _times_s(metric: str, requests: Sequence[Request]) -> list[float]:
    """Of each request that has such a time; infinite where it failed."""
    if metric == "tpot":
        return [r.tpot_s for r in requests if r.tpot_s is not None]
    if metric == "ttft":
        return [math.inf if r.ttft_s is None else r.ttft_s for r in requests]
    return [math.inf if r.latency_s is None else r.latency_s for r in requests]


def _nearest_rank(ordered: Sequence[float], percent: float) -> float:
    """Interpolating with an infinite neighbour would make a number of nothing."""
    # 0.55 * 100 is 55.00000000000001 in floats; the subtraction keeps it at rank 55.
    return ordered[max(1, math.ceil(percent / 100.0 * len(ordered) - 1e-9)) - 1]


def as_json(requests: Sequence[Request], verdicts: Sequence[Verdict]) -> dict[str, object]:
    """The summary's figures and what became of each threshold; null for what is not a finite number."""
    streamed = streams(requests)
    figures: dict[str, float | None] = {}
    for metric in ("latency", *STREAMED):
        ordered = sorted(_times_s(metric, requests)) if metric == "latency" or streamed else []
        for percent in (50.0, 99.0):
            figure = _nearest_rank(ordered, percent) if ordered else None
            figures[f"{metric}_p{percent:g}_s"] = _finite(figure)
    return {
        "requests": len(requests),
        "failed": sum(1 for one in requests if one.outcome != OK),
        **figures,
        "tokens": sum(one.tokens or 0 for one in requests) if streamed else None,
        "thresholds": [
            {"text": one.threshold.text, "figure": _finite(one.figure), "passed": one.passed}
            for one in verdicts
        ],
    }


def _finite(figure: float | None) -> float | None:
    return figure if figure is not None and math.isfinite(figure) else None


def streams(requests: Sequence[Request]) -> bool:
    """Whether any answer came token by token."""
    return any(one.first_token_s is not None for one in requests)


def summary(requests: Sequence[Request]) -> str:
    """What a run was, in one line: `6000 requests, 2 failed; latency p50 64 ms, p99 210 ms`."""
    if not requests:
        return "no request was sent"
    failed = sum(1 for r in requests if r.outcome != OK)
    told = [f"{len(requests)} requests, {failed} failed", _both("latency", requests)]
    if streams(requests):
        told += [_both(metric, requests) for metric in STREAMED]
    return "; ".join(told)


def _both(metric: str, requests: Sequence[Request]) -> str:
    ordered, told = sorted(_times_s(metric, requests)), []
    for percent in (50.0, 99.0):
        figure = _nearest_rank(ordered, percent) if ordered else math.inf
        # The time of a token is a few milliseconds, of which the first digit alone would tell little.
        digits = 1 if metric == "tpot" else 0
        known = "none" if math.isinf(figure) else f"{figure * 1000:.{digits}f} ms"
        told.append(f"p{percent:g} {known}")
    return f"{metric} {', '.join(told)}"
