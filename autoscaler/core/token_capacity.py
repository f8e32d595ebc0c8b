"""Step 3 for engines that generate tokens with continuous batching: how many sequences may run at once on one replica.

A step gives each of the B running sequences one token and takes the longer the more there are: B / step(B) tokens a
second. step(B) is learned from the tokens themselves - the mean time between tokens, and by Little's law the mean count
of sequences that ran - and is continued as a straight line, no further than to twice what was seen.

What limits B is the first of: the step that the objective on the time per token allows, the key-value cache, the
batch that the engine's arguments allow, or else that it was seen to fill while others waited, and what was learned.
How many sequences run varies as a Poisson number, so that a mean of B - z sqrt(B) keeps below B for the objective's
share of the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

from autoscaler.core.latency import main_objective
from autoscaler.core.observe import View
from autoscaler.core.sequences import Sequences
from autoscaler.core.service_time import ServiceTimes, service_times
from autoscaler.core.state import ModelKnowledge
from autoscaler.core.types import LatencyObjective

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
# A whole answer of mean length must fit into an objective on whole requests this many times: answers differ in length.
ANSWER_SPREAD = 2.0
# Of the fast rate, whose scatter level_rps() weighs.
FAST_WINDOW_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCapacity:
    """What one replica carries."""

    tokens_rps: float
    """Tokens a second that leave room for the scatter of arrivals."""
    most_rps: float
    """Tokens a second at the limit itself."""
    sequences: float
    """Mean number of sequences at `tokens_rps`."""
    limited_by: str
    attainable: bool
    steps: ServiceTimes
    """Time of a step by the number of sequences, up to the limit."""
    variability: float
    """Scatter of the token rate over a fast window, as a multiple of Poisson's: it is sequences that come by chance."""


def token_capacity(model: ModelKnowledge, view: View) -> TokenCapacity | None:
    """None: no step was timed yet."""
    known = model.service
    seen = [item.batch_size for item in (*known.evidence, *known.prior)]
    if not seen or view.slo is None:
        return None
    trusted = min(MOST_SEQUENCES, max(FEWEST_TRUSTED, math.ceil(TRUST_RATIO * max(seen))))
    fewest = min(seen)
    steps = service_times(
        replace(known, max_batch_size=trusted),
        fixed_items=WEIGHTS_READ,
        least_reach=FEWEST_TRUSTED,
    )
    if steps is None:
        return None
    steps = _with_fewer(steps, fewest)
    limits = {
        "what was seen so far": trusted,
        **_limits(model.sequences, max_sequences=view.max_sequences),
    }
    attainable = True
    for objective in view.slo.objectives:
        allowed_s = _allowed_step_s(objective, model.sequences)
        if allowed_s is None:
            continue
        within = sum(1 for seconds in steps.batch_s if seconds <= allowed_s)
        if within == 0 and fewest <= FEW:
            # No number of replicas helps: they are not multiplied until each runs one sequence, and misses too.
            attainable = False
        elif within < trusted:
            most = max(within, math.ceil(LEAST_RATIO * fewest))
            limits[f"{allowed_s * 1000:.3g} ms a token"] = most
    name = min(limits, key=lambda key: limits[key])
    limit = max(1, limits[name])
    mean = _with_room(limit, main_objective(view.slo).ratio)
    at_limit = steps.batch_s[limit - 1]
    return TokenCapacity(
        tokens_rps=mean / _between(steps.batch_s, mean),
        most_rps=limit / at_limit,
        sequences=mean,
        limited_by=name,
        attainable=attainable,
        steps=replace(steps, batch_s=steps.batch_s[:limit]),
        variability=max(1.0, FAST_WINDOW_S / at_limit),
    )


def _with_fewer(steps: ServiceTimes, fewest: int) -> ServiceTimes:
    """With a guess for fewer sequences than were ever seen."""
    top_s = steps.batch_s[fewest - 1]
    guessed = [
        top_s * (FIXED_RATIO + (1.0 - FIXED_RATIO) * size / fewest) for size in range(1, fewest)
    ]
    return replace(steps, batch_s=(*guessed, *steps.batch_s[fewest - 1 :]))


def _limits(shown: Sequences, *, max_sequences: int | None) -> dict[str, int]:
    """What the replicas have shown of their own limits, and what their arguments say of them."""
    limits: dict[str, int] = {}
    if shown.cache_ratio_each is not None:
        limits["the key-value cache"] = max(
            1, math.floor(FULL_CACHE_RATIO / shown.cache_ratio_each)
        )
    if max_sequences is not None:
        # Told exactly; what was seen full is a mean just below it.
        limits["the batch of its arguments"] = max_sequences
    elif shown.full_at is not None:
        limits["the engine's batch"] = shown.full_at
    return limits


def _allowed_step_s(objective: LatencyObjective, shown: Sequences) -> float | None:
    """How long a step may take. None: this objective does not say."""
    if objective.signal == "tpot":
        return objective.threshold_s
    if objective.signal == "latency" and shown.tokens_each is not None:
        return objective.threshold_s / (ANSWER_SPREAD * shown.tokens_each)
    return None


def _with_room(limit: int, ratio: float) -> float:
    """The mean m with m + z sqrt(m) = limit: 64 slots and 99 % leave a mean of 48."""
    z = NormalDist().inv_cdf(min(max(ratio, 0.5), 0.9999))
    root = (math.sqrt(z * z + 4.0 * limit) - z) / 2.0
    return max(1.0, root * root) if limit > 1 else 1.0


def _between(steps: tuple[float, ...], sequences: float) -> float:
    """The time of a step with a fractional mean number of sequences."""
    below = min(max(1, math.floor(sequences)), len(steps))
    above = min(below + 1, len(steps))
    share = min(max(sequences - below, 0.0), 1.0)
    return steps[below - 1] + share * (steps[above - 1] - steps[below - 1])
