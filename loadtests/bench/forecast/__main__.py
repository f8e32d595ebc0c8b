"""`make bench-forecast`: the forecasts beside naive and the field's methods; the rules are in `protocol`.

Flags: --quick (three series, no peers), --series and --methods (names, by comma), --fresh (ignores what is cached).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from loadtests.bench.forecast import subject
from loadtests.bench.forecast.figures import figures
from loadtests.bench.forecast.peers import PEERS
from loadtests.bench.forecast.run import issue_all
from loadtests.bench.forecast.scoring import score
from loadtests.bench.forecast.series import QUICK, Series, load, traces_present
from loadtests.bench.forecast.table import show
from loadtests.bench.report import report

QUICK_GENERATED = 3


def main() -> None:
    """Compute what is not cached, show the tables, write the report."""
    given = _arguments()
    series = _chosen(load(), given.series, quick=given.quick)
    methods = [subject.NAME] if given.quick else [subject.NAME, *PEERS]
    if given.methods:
        methods = _named("method", given.methods, methods)
    issues = issue_all(series, methods, fresh=given.fresh)
    values = {one.name: one.values for one in series}
    scores = {key: score(issued, values[key[1]]) for key, issued in issues.items()}
    source = "public traces" if traces_present() else "generated series, no public traces at hand"
    show(series, methods, issues, scores, title=f"bench-forecast, {source}")
    # Figures of a part would overwrite those of the whole.
    partly = given.quick or given.series or given.methods
    report("forecast-part" if partly else "forecast", figures(series, methods, scores, source))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="loadtests.bench.forecast", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three series, no peers")
    parser.add_argument("--series", default="", help="names, by comma")
    parser.add_argument("--methods", default="", help="names, by comma")
    parser.add_argument("--fresh", action="store_true", help="ignore what is cached")
    return parser.parse_args()


def _chosen(series: Sequence[Series], names: str, *, quick: bool) -> list[Series]:
    by_name = {one.name: one for one in series}
    if names:
        return [by_name[name] for name in _named("series", names, list(by_name))]
    if quick:
        known = [name for name in QUICK if name in by_name]
        return [by_name[name] for name in known or list(by_name)[:QUICK_GENERATED]]
    return list(series)


def _named(what: str, given: str, known: Sequence[str]) -> list[str]:
    names = [name.strip() for name in given.split(",")]
    for name in names:
        if name not in known:
            raise SystemExit(f"--{what}: {name} is unknown, known are {', '.join(known)}")
    return names


if __name__ == "__main__":
    main()
