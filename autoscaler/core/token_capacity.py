"""Step 3 for engines that generate tokens with continuous batching: how many sequences may run at once on one replica.

A step gives each of the B running sequences one token and takes the longer the more there are: B / step(B) tokens a
second. step(B) is learned from the tokens themselves - the mean time between tokens, and by Little's law the mean count
of sequences that ran - and is continued as a straight line, no further than to twice what was seen.

What limits B is the first of: the step that the objective on the time per token allows, the key-value cache, the
batch that the engine's arguments allow, or else that it was seen to fill while others waited, and what was learned.
How many sequences run varies by chance, and a mean of m with m + z sqrt(v m) = B keeps below B for the objective's
share of the time. The sequences of all n replicas together are a Poisson number (M/G/infinity), each has its n-th part,
and beyond that the balancer spreads them with u times the variance that chance would: v = 1/n + u (1 - 1/n). One that
sends by chance has u = 1 and so v = 1; behind one that sends each request to where the fewest run, ten replicas of 40
run 36 each in place of 31.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

from autoscaler.core import first_token
from autoscaler.core.first_token import FirstToken
from autoscaler.core.latency import main_objective
from autoscaler.core.observe import View
from autoscaler.core.sequences import Sequences
from autoscaler.core.service_time import ServiceTimes, service_times
from autoscaler.core.state import ModelKnowledge
from autoscaler.core.types import LatencyObjective, Slo

# vLLM preempts sequences when its cache is full; below that, long answers still grow.
FULL_CACHE_RATIO = 0.9
TRUST_RATIO = 2.0
# A server that has just begun to be seen may run this many, whatever was learned.
FEWEST_TRUSTED = 8
MOST_SEQUENCES = 1024
# A step reads the model's weights once for all, which takes at least as long as what so many sequences add: measured
# on an H200, 5.9 ms beside 13 us of a sequence, or 0.5 ms where each brings 2,000 tokens for 100 of its answer.
# Where only steps of one sequence were seen, of 20 ms, eight are taken to need 48 and not 160: with 160 a replica would
# carry 50 tokens a second, ever more of them would run one sequence each, and none would see a step of two.
WEIGHTS_READ = 4
# Of a step, where none of fewer sequences was seen: that much of it is taken to be there for one alone. At first sight
# of an overloaded engine, 64 at 70 ms, 27 are taken to need 50: three times as many replicas are asked for, not fifty.
FIXED_RATIO = 0.5
# On such a guess a replica's sequences are spread over four at most; then steps of fewer have been seen.
LEAST_RATIO = 0.25
# From steps of so few sequences it is known what one alone takes.
FEW = 4
# Mean square of an answer's length over the square of its mean, where they differ by as much as they are long.
ANSWER_SCATTER = 2.0
# What whole answers allow a token is known to a tenth: 20.6 ms today for two sequences, and 19.9 tomorrow for none. One
# would be run on each replica, 50 tokens a second where 1,600 are to be had, for a tenth of the time at best.
ANSWER_ROOM = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Something that no more than so many sequences of a replica get by with."""

    name: str
    sequences: int
    uneven_ratio: float
    """Variance between replicas over that of chance, in what runs out."""

    def mean(self, ratio: float, replicas: int) -> float:
        """The mean that stays below it for a share `ratio` of the time, where `replicas` share the demand.

        64 leave a mean of 48 to one replica and 99 %.
        """
        if self.sequences <= 1:
            return 1.0
        z = NormalDist().inv_cdf(min(max(ratio, 0.5), 0.9999))
        pooled = 1.0 / max(1, replicas)
        z *= math.sqrt(pooled + self.uneven_ratio * (1.0 - pooled))
        root = (math.sqrt(z * z + 4.0 * self.sequences) - z) / 2.0
        return max(1.0, root * root)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCapacity:
    """What one replica carries."""

    limits: tuple[Limit, ...]
    """The one that leaves the least comes first."""
    first_token: FirstToken | None
    """None: no objective is on it, or nothing is known of it yet."""
    limited_by: str
    ratio: float
    """Share of the time that it keeps below them."""
    attainable: bool
    tokens_each: float | None
    """Of an answer; None: none was counted yet,"""
    spread: float
    """and how many times as long those are of which no more may miss."""
    steps: ServiceTimes
    """Time of a step by the number of sequences, up to the first limit."""

    @property
    def most_rps(self) -> float:
        """Tokens a second at the first limit itself."""
        return len(self.steps.batch_s) / self.steps.batch_s[-1]

    def variability(self, window_s: float) -> float:
        """Scatter of the token rate over a window, as a multiple of Poisson's: sequences come by chance, each with all
        its tokens, or as many as it gains in that time."""
        gained = window_s / self.steps.batch_s[-1]
        if self.tokens_each is not None:
            gained = min(gained, ANSWER_SCATTER * self.tokens_each)
        return max(1.0, gained)

    def tokens_rps(self, replicas: int) -> float:
        """Tokens a second that leave room for the scatter of what runs and waits, where `replicas` share the demand."""
        mean = min(limit.mean(self.ratio, replicas) for limit in self.limits)
        running_rps = mean / _between(self.steps.batch_s, mean)
        if self.first_token is None:
            return running_rps
        return min(running_rps, self.first_token.tokens_rps(replicas))


def token_capacity(model: ModelKnowledge, view: View) -> TokenCapacity | None:
    """None: no step was timed yet."""
    known, shown = model.service, model.sequences
    seen = [item.batch_size for item in (*known.evidence, *known.prior)]
    if not seen or view.slo is None:
        return None
    fewest = min(seen)
    trusted = min(MOST_SEQUENCES, max(FEWEST_TRUSTED, math.ceil(TRUST_RATIO * max(seen))))
    steps = service_times(
        replace(known, max_batch_size=trusted),
        fixed_items=WEIGHTS_READ,
        least_reach=FEWEST_TRUSTED,
    )
    if steps is None:
        return None
    steps = _with_fewer(steps, fewest)
    of_steps, attainable = _step_limits(view.slo, shown, steps, fewest)
    limits = [
        Limit(name="what was seen so far", sequences=trusted, uneven_ratio=shown.uneven_ratio),
        *_own_limits(shown, max_sequences=view.max_sequences),
        *of_steps,
    ]
    ratio = main_objective(view.slo).ratio
    limits.sort(key=lambda limit: limit.mean(ratio, view.carrying))
    told = TokenCapacity(
        limits=tuple(limits),
        first_token=None,
        limited_by=limits[0].name,
        ratio=ratio,
        attainable=attainable,
        tokens_each=shown.tokens_each,
        spread=shown.lengths.spread(ratio),
        steps=replace(steps, batch_s=steps.batch_s[: limits[0].sequences]),
    )
    return _with_first_token(told, model, view)


def _with_fewer(steps: ServiceTimes, fewest: int) -> ServiceTimes:
    """With a guess for fewer sequences than were ever seen."""
    top_s = steps.batch_s[fewest - 1]
    guessed = [
        top_s * (FIXED_RATIO + (1.0 - FIXED_RATIO) * size / fewest) for size in range(1, fewest)
    ]
    return replace(steps, batch_s=(*guessed, *steps.batch_s[fewest - 1 :]))


def _with_first_token(told: TokenCapacity, model: ModelKnowledge, view: View) -> TokenCapacity:
    """Where an objective is on it and leaves less."""
    first = None if view.slo is None else first_token.known_of(model, told.most_rps, view.slo)
    if first is None:
        return told
    both = replace(told, first_token=first)
    if both.tokens_rps(view.carrying) < told.tokens_rps(view.carrying):
        threshold_s = first.objective.threshold_s
        both = replace(both, limited_by=f"{threshold_s:.3g} s to the first token")
    return both


def _step_limits(
    slo: Slo, shown: Sequences, steps: ServiceTimes, fewest: int
) -> tuple[list[Limit], bool]:
    """(what the objectives on a token's time allow, whether each can be met); `fewest`: sequences of a step seen."""
    limits: list[Limit] = []
    attainable = True
    for objective in slo.objectives:
        allowed_s = _allowed_step_s(objective, shown)
        if allowed_s is None:
            continue
        alone_s = steps.batch_s[0]
        sought_s, least_s = allowed_s, alone_s
        if objective.signal == "latency":
            sought_s, least_s = max(allowed_s, ANSWER_ROOM * alone_s), alone_s / ANSWER_ROOM
        within = sum(1 for seconds in steps.batch_s if seconds <= sought_s)
        if allowed_s < least_s and fewest <= FEW:
            # No number of replicas helps: they are not multiplied until each runs one sequence, and misses too.
            attainable = False
        elif within < len(steps.batch_s):
            most = max(within, math.ceil(LEAST_RATIO * fewest))
            name = f"{sought_s * 1000:.3g} ms a token"
            limits.append(Limit(name=name, sequences=most, uneven_ratio=shown.uneven_ratio))
    return limits, attainable


def _own_limits(shown: Sequences, *, max_sequences: int | None) -> list[Limit]:
    """What the replicas have shown of their own limits, and what their arguments say of them."""
    limits: list[Limit] = []
    if shown.cache_ratio_each is not None:
        most = max(1, math.floor(FULL_CACHE_RATIO / shown.cache_ratio_each))
        # As many sequences on each are not as much of the cache on each: they differ in length.
        limits.append(Limit(name="the key-value cache", sequences=most, uneven_ratio=1.0))
    if max_sequences is not None:
        # Told exactly; what was seen full is a mean just below it.
        name, most = "the batch of its arguments", max_sequences
        limits.append(Limit(name=name, sequences=most, uneven_ratio=shown.uneven_ratio))
    elif shown.full_at is not None:
        name, most = "the engine's batch", max(1, shown.full_at)
        limits.append(Limit(name=name, sequences=most, uneven_ratio=shown.uneven_ratio))
    return limits


def _allowed_step_s(objective: LatencyObjective, shown: Sequences) -> float | None:
    """How long a step may take. None: this objective does not say."""
    if objective.signal == "tpot":
        return objective.threshold_s
    if objective.signal == "latency" and shown.tokens_each is not None:
        return objective.threshold_s / (shown.lengths.spread(objective.ratio) * shown.tokens_each)
    return None


def _between(steps: tuple[float, ...], sequences: float) -> float:
    """The time of a step with a fractional mean number of sequences."""
    below = min(max(1, math.floor(sequences)), len(steps))
    above = min(below + 1, len(steps))
    share = min(max(sequences - below, 0.0), 1.0)
    return steps[below - 1] + share * (steps[above - 1] - steps[below - 1])
