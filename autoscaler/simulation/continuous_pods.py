"""How collectors tell of engines with continuous batching: vLLM's metrics, as `collectors/presets.py` reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.types import ModelCounters, PodSample
from autoscaler.simulation.continuous_model import REQUEST_S, TOKEN_S, TTFT_S, TokenScrape
from autoscaler.simulation.pods import EPOCH_S, MODEL, Pod

# How collectors write +Inf as a bound.
BEYOND_S = 1e308


def token_samples(pods: Sequence[Pod], scrape: TokenScrape, at_s: float) -> tuple[PodSample, ...]:
    """What each pod exported at `at_s`; the arrays have a place for each."""
    return tuple(
        PodSample(
            pod=pod.name,
            sampled_at_s=EPOCH_S + at_s,
            models=(_counters(scrape, place),),
        )
        for place, pod in enumerate(pods)
    )


def _counters(scrape: TokenScrape, place: int) -> ModelCounters:
    return ModelCounters(
        model=MODEL,
        success=float(scrape.success[place]),
        failure=float(scrape.failure[place]),
        inferences=float(scrape.tokens[place]),
        pending=float(scrape.waiting[place]),
        request_s=float(scrape.ttft_s[place]),
        queue_s=float(scrape.queue_s[place]),
        latency_buckets=_cumulative(REQUEST_S, scrape.request[place]),
        ttft_buckets=_cumulative(TTFT_S, scrape.ttft[place]),
        tpot_buckets=_cumulative(TOKEN_S, scrape.tpot[place]),
        token_s=float(scrape.token_s[place]),
        running=float(scrape.running[place]),
        cache_ratio=float(scrape.cache_ratio[place]),
    )


def _cumulative(
    bounds_s: tuple[float, ...], counts: NDArray[np.int64]
) -> tuple[tuple[float, float], ...]:
    totals = np.cumsum(counts).astype(np.float64).tolist()
    return tuple(zip((*bounds_s, BEYOND_S), totals, strict=True))
