"""What is promised against each peer on each series, beside the GPU-hours of the means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import fmean, geometric_mean

from autoscaler.simulation.peers.catalog import RULES
from loadtests.bench.policies import series
from loadtests.bench.policies.choose import Outcome
from loadtests.bench.policies.results import Results
from loadtests.bench.policies.servers import peak_rps
from loadtests.bench.report import Figure

MOST_CHANGES = 1.5
MOST_ABOVE = 3.0
SAVED_ON_SPIKES = 20.0
# Highest over mean demand of a series that is spiky: a fleet for its peak would be idle for two thirds of the time.
SPIKY_RATIO = 3.0

Pairs = dict[str, tuple[Outcome, Outcome]]
"""By series: forescale's outcome and a peer's."""


def promises_of(results: Results) -> Iterator[Figure]:
    """Over the counted series, start-up by start-up."""
    for startup_s in results.protocol.startups_s:
        tuned = _pairs(results, "tuned", startup_s)
        if tuned:
            yield from _no_worse(tuned, f"start-up {startup_s:g} s")
            yield _changes(tuned, f"start-up {startup_s:g} s")
        default = _pairs(results, "default", startup_s)
        if default:
            yield _against_defaults(default, f"start-up {startup_s:g} s")
        best = _pairs(results, "hindsight", startup_s)
        if best:
            yield _most_above(best, f"start-up {startup_s:g} s")
            yield from _saved_on_spikes(results, best, f"start-up {startup_s:g} s")


def _pairs(results: Results, kind: str, startup_s: float) -> dict[str, Pairs]:
    """By peer; only series on which there is a setting of this kind."""
    found: dict[str, Pairs] = {}
    for name in RULES:
        pairs = {
            one: (results.ours(one, startup_s), theirs)
            for one in results.counted
            if (theirs := results.peer(name, kind, one, startup_s, confirmed=True)) is not None
        }
        if pairs:
            found[name] = pairs
    return found


def _no_worse(peers: dict[str, Pairs], where: str) -> Iterator[Figure]:
    """Whom forescale is at least as good as, in three ways: means over the series, and the longest of all."""
    measures: dict[str, Callable[[list[Outcome]], float]] = {
        "attain no more": lambda found: fmean(item.attainment_ratio for item in found),
        "have no more good 5 minutes": lambda found: fmean(i.good_windows_ratio for i in found),
        "have no shorter worst run": lambda found: -max(item.longest_bad_s for item in found),
    }
    for text, measure in measures.items():
        better = [
            f"{RULES[name].name} ({_more_gpu_hours(pairs):+.0%} GPU-hours)"
            for name, pairs in peers.items()
            if measure([theirs for _, theirs in pairs.values()])
            > measure([ours for ours, _ in pairs.values()])
        ]
        yield Figure(
            name=f"tuned peers that {text}, {where}",
            value=float(len(peers) - len(better)),
            unit=f"of {len(peers)}",
            target=float(len(peers)),
            better="higher",
            note=f"better: {', '.join(better)}" if better else "",
        )


def _more_gpu_hours(pairs: Pairs) -> float:
    """What a peer takes above forescale."""
    return (
        geometric_mean(theirs.gpu_hours / ours.gpu_hours for ours, theirs in pairs.values()) - 1.0
    )


def _changes(peers: dict[str, Pairs], where: str) -> Figure:
    """Beside the peer that comes nearest in GPU-hours."""
    name = min(peers, key=lambda peer: _more_gpu_hours(peers[peer]))
    ratio = geometric_mean(
        max(ours.changes, 1.0) / max(theirs.changes, 1.0) for ours, theirs in peers[name].values()
    )
    return Figure(
        name=f"replica changes over the compared peer's, tuned, {where}",
        value=ratio,
        unit="x",
        target=MOST_CHANGES,
        note=RULES[name].name,
    )


def _against_defaults(peers: dict[str, Pairs], where: str) -> Figure:
    pairs = [pair for found in peers.values() for pair in found.values()]
    ahead = [
        ours.attainment_ratio > theirs.attainment_ratio
        or (ours.attainment_ratio == theirs.attainment_ratio and ours.gpu_hours < theirs.gpu_hours)
        for ours, theirs in pairs
    ]
    beaten = sum(
        theirs.attainment_ratio >= ours.attainment_ratio and theirs.gpu_hours <= ours.gpu_hours
        for ours, theirs in pairs
    )
    return Figure(
        name=f"more in time than peers at their defaults, or as much for less, series by series, {where}",
        value=float(sum(ahead)),
        unit=f"of {len(pairs)}",
        target=float(len(pairs)),
        better="higher",
        note=f"of the others {beaten} have it for no more GPU-hours",
    )


def _most_above(peers: dict[str, Pairs], where: str) -> Figure:
    """Where a peer that holds takes least in comparison."""
    above, name, one = max(
        (ours.gpu_hours / theirs.gpu_hours - 1.0, RULES[name].name, one)
        for name, pairs in peers.items()
        for one, (ours, theirs) in pairs.items()
    )
    return Figure(
        name=f"most GPU-hours above a peer in hindsight, one series, {where}",
        value=100.0 * above,
        unit="%",
        target=MOST_ABOVE,
        note=f"{one}, {name}",
    )


def _saved_on_spikes(results: Results, peers: dict[str, Pairs], where: str) -> Iterator[Figure]:
    """Against the peer against which least is saved, of those that hold on all spiky series."""
    spiky = [one for one in results.counted if _is_spiky(results, one)]
    saved = {
        name: 1.0
        - geometric_mean(pairs[one][0].gpu_hours / pairs[one][1].gpu_hours for one in spiky)
        for name, pairs in peers.items()
        if spiky and set(spiky) <= set(pairs)
    }
    if saved:
        name = min(saved, key=lambda peer: saved[peer])
        yield Figure(
            name=f"GPU-hours saved on spiky series, hindsight, {where}",
            value=100.0 * saved[name],
            unit="%",
            target=SAVED_ON_SPIKES,
            better="higher",
            note=f"{', '.join(spiky)}; {RULES[name].name}",
        )


def _is_spiky(results: Results, name: str) -> bool:
    protocol = results.protocol
    rates = series.demand(
        name, days=protocol.days, part="test", peak_rps=peak_rps(protocol.server)
    ).rates_rps
    return float(rates.max()) >= SPIKY_RATIO * float(rates.mean())
