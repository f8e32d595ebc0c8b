"""Policies side by side: every start-up, policy and seed, and what each comes to beside the clairvoyant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from autoscaler.config.settings import ForecastSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.simulation.forecasts import forecasts_of
from autoscaler.simulation.scenario import Scenario
from autoscaler.simulation.score import Score
from autoscaler.simulation.trial import Trial

Step = Callable[[str, float], None]
"""Called with what is being run and how far it has come, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy under one start-up: means over the seeds, but for the worst, which are the worst of all seeds."""

    startup_s: float
    """Median of the start-ups."""
    policy: str
    """As the table names it."""
    seeds: int
    requests: float
    """Each counted once, however often its client asked."""
    attempts_ratio: float | None
    """How often clients asked for each of them; None: they don't ask again."""
    attainment_ratio: float
    """Share of the requests within the threshold of their first attempt; failed, left and unfinished ones are not."""
    gpu_hours: float
    """Of replicas, from the request for one until it is gone."""
    node_gpu_hours: float | None
    """Of every GPU of every node. None: the model has no nodes."""
    clairvoyant_ratio: float | None
    """GPU-hours over the clairvoyant's; None: that can't attain the goal, or there is none."""
    changes: float
    """How often the number of replicas was changed."""
    good_windows_ratio: float
    """Share of 5-minute windows in which the goal held."""
    longest_bad_s: float
    """Longest unbroken run of minutes in which it did not, in the worst seed."""
    worst_window_ratio: float
    """Attainment in the worst five minutes of all seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What `forescale simulate` tells."""

    scenario: str
    requests: float | None
    """Mean of the seeds. None: how many users send depends on the policy, see the rows."""
    duration_s: float
    goal_ratio: float
    """Share in time at which policies are compared, and by which the exit code judges."""
    rows: tuple[Row, ...]
    scores: tuple[tuple[float, int, Score], ...]
    """(start-up, seed, score) of every run."""


def compare(
    scenario: Scenario,
    policies: Sequence[tuple[str, float | None]],
    *,
    startups_s: Sequence[float],
    seeds: Sequence[int],
    config: EngineConfig | None = None,
    forecast: ForecastSettings | None = None,
    step: Step = lambda _what, _share: None,
) -> Comparison:
    """Runs them one after the other. `policies` are (name, headroom), as `trial.parse_policy` gives them.

    `config` and `forecast` are forescale's; None: the defaults.
    """
    duration_s = scenario.demand.duration_s
    ratios: dict[tuple[float, int], list[float | None]] = {}
    scores: list[tuple[float, int, Score]] = []
    requests = 0
    for seed in seeds:
        arrivals_s = scenario.demand.arrivals(seed)
        requests += arrivals_s.size
        bound: Score | None = None
        forecasts = forecasts_of(forecast or ForecastSettings())
        for place, startup_s in enumerate(startups_s):
            told = replace(scenario, startup=replace(scenario.startup, median_s=startup_s))
            trial = Trial(told, seed, arrivals_s=arrivals_s, config=config, forecasts=forecasts)
            if place == 0:
                # Without a start-up of its own, the bound is the same for all of them.
                bound = trial.clairvoyant(progress=_told(step, "clairvoyant", duration_s))
            for number, (name, headroom) in enumerate(policies):
                what = f"{name}, start-up {startup_s:g} s, seed {seed}"
                found = trial.score(name, headroom, progress=_told(step, what, duration_s))
                scores.append((startup_s, seed, found))
                ratio = None if bound is None else found.gpu_hours / bound.gpu_hours
                ratios.setdefault((startup_s, number), []).append(ratio)
    rows = []
    for startup_s in startups_s:
        found_here = [score for at_s, _, score in scores if at_s == startup_s]
        for number in range(len(policies)):
            found_of = found_here[number :: len(policies)]
            rows.append(_row(startup_s, found_of, ratios[startup_s, number]))
    return Comparison(
        scenario=scenario.name,
        requests=None if scenario.users is not None else requests / len(seeds),
        duration_s=duration_s,
        goal_ratio=scenario.goal_ratio,
        rows=tuple(rows),
        scores=tuple(scores),
    )


def _told(step: Step, what: str, duration_s: float) -> Callable[[float], None]:
    return lambda now_s: step(what, now_s / duration_s)


def _row(startup_s: float, scores: Sequence[Score], ratios: Sequence[float | None]) -> Row:
    nodes = [score.node_gpu_hours for score in scores if score.node_gpu_hours is not None]
    known = [ratio for ratio in ratios if ratio is not None]
    asked = [score.attempts_ratio for score in scores if score.attempts_ratio is not None]
    return Row(
        startup_s=startup_s,
        policy=scores[0].policy,
        seeds=len(scores),
        requests=fmean(score.requests for score in scores),
        attempts_ratio=fmean(asked) if asked else None,
        attainment_ratio=fmean(score.attainment_ratio for score in scores),
        gpu_hours=fmean(score.gpu_hours for score in scores),
        node_gpu_hours=fmean(nodes) if nodes else None,
        clairvoyant_ratio=fmean(known) if len(known) == len(scores) else None,
        changes=fmean(score.changes for score in scores),
        good_windows_ratio=fmean(score.good_windows_ratio for score in scores),
        longest_bad_s=max(score.longest_bad_s for score in scores),
        worst_window_ratio=min(score.worst_window_ratio for score in scores),
    )
