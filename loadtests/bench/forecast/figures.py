"""The figures of the report, each beside what the project promises of it."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.bench.forecast import subject
from loadtests.bench.forecast.protocol import HORIZONS, WINDOWS
from loadtests.bench.forecast.scoring import (
    MAXIMUM_QUANTILES,
    Scores,
    geometric_mean,
    worse_than_naive,
)
from loadtests.bench.forecast.series import PROMISED, Series
from loadtests.bench.report import Figure

ScoresOf = dict[tuple[str, str], Scores]
"""By method and name of the series."""

MAE_TARGETS = {3: 0.79, 5: 0.80, 10: 0.76}
PINBALL_TARGETS = {3: 0.55, 5: 0.55, 10: 0.49}
COVERAGE_RANGE = (0.93, 0.97)
RELATIVE_ERROR_TARGETS = {"f_d213": 0.05, "f_a4cd": 0.20}


def mean_targets(judged: Sequence[str]) -> tuple[dict[int, float], dict[int, float]]:
    """Of MAE and pinball 0.95, by horizon. None are promised of other series, or of a part."""
    return (MAE_TARGETS, PINBALL_TARGETS) if set(judged) == PROMISED else ({}, {})


def figures(
    series: Sequence[Series], methods: Sequence[str], scores: ScoresOf, note: str
) -> list[Figure]:
    """All of a run. A name that ends in no method is of our own forecaster."""
    judged = [one.name for one in series if one.judged]
    rows: list[Figure] = []
    if judged:
        for method in methods:
            targets = mean_targets(judged if method == subject.NAME else ())
            rows += _means(method, [scores[method, name] for name in judged], targets, note)
        rows += _maxima(methods, judged, scores, note)
    if subject.NAME in methods:
        own = {name: scores[subject.NAME, name] for name in judged}
        if own:
            rows += _promises(own)
            rows += _coverages(own)
        rows += _relative_errors([one for one in series if not one.judged], scores)
    return rows


def mean_of_maxima(
    method: str, judged: Sequence[str], scores: ScoresOf, quantile: float, window: int
) -> float:
    """Geometric mean over the judged series."""
    return geometric_mean(scores[method, name].max_pinball[quantile, window] for name in judged)


def _means(
    method: str,
    scores: Sequence[Scores],
    targets: tuple[dict[int, float], dict[int, float]],
    note: str,
) -> list[Figure]:
    mae_targets, pinball_targets = targets
    rows = []
    for ahead in HORIZONS:
        rows.append(
            Figure(
                name=_name(f"MAE/naive {ahead} min", method),
                value=geometric_mean(one.mae[ahead] for one in scores),
                unit="",
                target=mae_targets.get(ahead),
                note=note,
            )
        )
        rows.append(
            Figure(
                name=_name(f"pinball 0.95/naive {ahead} min", method),
                value=geometric_mean(one.pinball_95[ahead] for one in scores),
                unit="",
                target=pinball_targets.get(ahead),
                note=note,
            )
        )
    return rows


def _maxima(
    methods: Sequence[str], judged: Sequence[str], scores: ScoresOf, note: str
) -> list[Figure]:
    """Ours is to be below the best of the others, which is its target; naive is 1."""
    rows = []
    for quantile in MAXIMUM_QUANTILES:
        for window in WINDOWS:
            found = {
                method: mean_of_maxima(method, judged, scores, quantile, window)
                for method in methods
            }
            others = [1.0, *(value for method, value in found.items() if method != subject.NAME)]
            for method, value in found.items():
                ours = method == subject.NAME
                rows.append(
                    Figure(
                        name=_name(f"max pinball {quantile}/naive {window} min", method),
                        value=value,
                        unit="",
                        target=min(others) if ours else None,
                        note=f"{note}; target: the best of those compared" if ours else note,
                    )
                )
    return rows


def _promises(own: dict[str, Scores]) -> list[Figure]:
    covered = {
        f"{name} {ahead} min": one.coverage_95[ahead]
        for name, one in own.items()
        for ahead in HORIZONS
    }
    least, most = min(covered, key=lambda at: covered[at]), max(covered, key=lambda at: covered[at])
    return [
        Figure(
            name="series worse than naive",
            value=worse_than_naive(list(own.values())),
            unit="",
            target=0.0,
            note=f"of {len(own)}, at 3 minutes or more in MAE or pinball 0.95",
        ),
        Figure(
            name="lowest coverage",
            value=covered[least],
            unit="",
            target=COVERAGE_RANGE[0],
            better="higher",
            note=least,
        ),
        Figure(
            name="highest coverage",
            value=covered[most],
            unit="",
            target=COVERAGE_RANGE[1],
            note=most,
        ),
    ]


def _coverages(own: dict[str, Scores]) -> list[Figure]:
    low, high = COVERAGE_RANGE
    return [
        Figure(
            name=f"coverage {name} {ahead} min",
            value=value,
            unit="",
            note="" if low <= value <= high else f"outside {low} to {high}",
        )
        for name, one in own.items()
        for ahead, value in one.coverage_95.items()
    ]


def _relative_errors(series: Sequence[Series], scores: ScoresOf) -> list[Figure]:
    """Of the columns that are nearly all zeros; a target for the two whose spikes repeat."""
    return [
        Figure(
            name=f"relative error {one.name} {ahead} min",
            value=value,
            unit="",
            target=RELATIVE_ERROR_TARGETS.get(one.name),
            note="sum|y - median| / sum|y|",
        )
        for one in series
        for ahead, value in scores[subject.NAME, one.name].relative_error.items()
    ]


def _name(figure: str, method: str) -> str:
    return figure if method == subject.NAME else f"{figure} {method}"
