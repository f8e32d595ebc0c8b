"""The tables of `make bench-forecast`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from loadtests.bench.forecast import subject
from loadtests.bench.forecast.figures import (
    COVERAGE_RANGE,
    RELATIVE_ERROR_TARGETS,
    ScoresOf,
    mean_of_maxima,
    mean_targets,
)
from loadtests.bench.forecast.protocol import HORIZONS, WINDOWS
from loadtests.bench.forecast.run import Issues
from loadtests.bench.forecast.scoring import MAXIMUM_QUANTILES, Scores, geometric_mean
from loadtests.bench.forecast.series import Series

WIDTH = 130


def show(
    series: Sequence[Series],
    methods: Sequence[str],
    issues: Issues,
    scores: ScoresOf,
    *,
    title: str,
) -> None:
    """Prints them: means by horizon, means of the highest value, each series, coverage, the near-zero columns."""
    judged = [one.name for one in series if one.judged]
    # Piped into a file it would be 80 wide, too narrow for these.
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    tables: list[Table] = []
    if judged:
        tables += [
            _means(judged, methods, scores, title),
            _maxima(judged, methods, scores),
            _by_series(judged, methods, scores),
            _coverage(judged, methods, scores),
        ]
    apart = [one.name for one in series if not one.judged]
    if apart and subject.NAME in methods:
        tables.append(_near_zero(apart, scores))
    for table in tables:
        console.print(table, "", sep="\n")
    for line in _failures(methods, issues):
        console.print(line)


def _table(title: str, first: str, columns: Iterable[str]) -> Table:
    table = Table(title=title, show_edge=False, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _means(judged: Sequence[str], methods: Sequence[str], scores: ScoresOf, title: str) -> Table:
    table = _table(
        f"{title}\ngeometric means over {len(judged)} series, relative to naive",
        "minutes ahead",
        [f"{ahead}" for ahead in HORIZONS],
    )
    mae_targets, pinball_targets = mean_targets(judged)
    for label, targets, of in (
        ("MAE", mae_targets, _mae),
        ("pinball 0.95", pinball_targets, _pinball_95),
    ):
        for method in methods:
            own = [scores[method, name] for name in judged]
            means = {ahead: geometric_mean(of(one)[ahead] for one in own) for ahead in HORIZONS}
            judge = targets if method == subject.NAME else {}
            table.add_row(
                f"{label}, {method}",
                *(_judged(means[ahead], judge.get(ahead)) for ahead in HORIZONS),
            )
        if targets:
            table.add_row(
                f"{label}, to reach", *(_target(targets.get(ahead)) for ahead in HORIZONS)
            )
        table.add_section()
    return table


def _mae(scores: Scores) -> dict[int, float]:
    return scores.mae


def _pinball_95(scores: Scores) -> dict[int, float]:
    return scores.pinball_95


def _maxima(judged: Sequence[str], methods: Sequence[str], scores: ScoresOf) -> Table:
    cells = [(quantile, window) for quantile in MAXIMUM_QUANTILES for window in WINDOWS]
    table = _table(
        "highest value of the next minutes: pinball relative to naive",
        "quantile, minutes",
        [f"{quantile}, {window}" for quantile, window in cells],
    )
    means = {
        (method, cell): mean_of_maxima(method, judged, scores, *cell)
        for method in methods
        for cell in cells
    }
    for method in methods:
        rivals = [other for other in methods if other not in (method, subject.NAME)]
        row = []
        for cell in cells:
            best = min([1.0, *(means[other, cell] for other in rivals)])
            row.append(_judged(means[method, cell], best if method == subject.NAME else None))
        table.add_row(method, *row)
    return table


def _by_series(judged: Sequence[str], methods: Sequence[str], scores: ScoresOf) -> Table:
    table = _table(
        "each series: MAE, pinball 0.95 and pinball 0.95 of the highest value, relative to naive, 10 minutes",
        "series",
        methods,
    )
    for name in judged:
        row = []
        for method in methods:
            one = scores[method, name]
            row.append(
                f"{one.mae[10]:.2f} {one.pinball_95[10]:.2f} {one.max_pinball[0.95, 10]:.2f}"
            )
        table.add_row(name, *row)
    return table


def _coverage(judged: Sequence[str], methods: Sequence[str], scores: ScoresOf) -> Table:
    first = subject.NAME if subject.NAME in methods else methods[0]
    others = [method for method in methods if method != first]
    table = _table(
        f"coverage of the 0.95 quantile: {first} by minutes ahead, the others at 10",
        "series",
        [*(f"{ahead}" for ahead in HORIZONS), *others],
    )
    for name in judged:
        table.add_row(
            name,
            *(_covered(scores[first, name], ahead) for ahead in HORIZONS),
            *(_covered(scores[method, name], 10) for method in others),
        )
    return table


def _near_zero(names: Sequence[str], scores: ScoresOf) -> Table:
    table = _table(
        f"nearly all zeros: relative error of the median, {subject.NAME}",
        "minutes ahead",
        [*(f"{ahead}" for ahead in HORIZONS), "to reach"],
    )
    for name in names:
        errors = scores[subject.NAME, name].relative_error
        target = RELATIVE_ERROR_TARGETS.get(name)
        table.add_row(
            name, *(_judged(errors[ahead], target) for ahead in HORIZONS), _target(target)
        )
    return table


def _failures(methods: Sequence[str], issues: Issues) -> Iterable[str]:
    for method in methods:
        own = {name: one for (of, name), one in issues.items() if of == method}
        fits = sum(one.failed_fits for one in own.values())
        unanswered = {name: one.unanswered for name, one in own.items() if one.unanswered}
        if fits or unanswered:
            yield f"{method}: {fits} fits failed; naive answered for it at {unanswered or 'no'} origins"


def _judged(value: float, target: float | None) -> str:
    if target is None:
        return f"{value:.3f}"
    return f"[{'green' if value <= target else 'red'}]{value:.3f}[/]"


def _target(target: float | None) -> str:
    return "" if target is None else f"{target:.2f}"


def _covered(scores: Scores, ahead: int) -> str:
    value = scores.coverage_95[ahead]
    low, high = COVERAGE_RANGE
    return f"[{'green' if low <= value <= high else 'red'}]{value:.3f}[/]"
