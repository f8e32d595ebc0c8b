"""A pool of engines with continuous batching under given arrivals, request by request, in virtual time.

The counterpart of `serving.ServingPool` for token workloads, with the same calls as far as the modelled cluster makes
them. What a request's latency is, follows from the objective: the time to its first token, the mean time of each
further one, or the whole answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoscaler.simulation.continuous_model import ContinuousModel, TokenScrape
from autoscaler.simulation.continuous_state import (
    HELD_COUNT,
    NEXT_ARRIVAL,
    SERVER_COUNT,
    empty_token_state,
    server_arrays,
    setup_of,
)
from autoscaler.simulation.places import Places
from autoscaler.simulation.serving import (
    SUMMARY_QUANTILES,
    SUMMARY_WINDOW_S,
    compiled_module,
)
from autoscaler.simulation.serving_input import checked_arrivals, read_only
from autoscaler.simulation.serving_model import Scrape, require, require_time

SIGNALS = ("latency", "ttft", "tpot")
# A request that came so long ago is in no summary of the last minute.
OLDEST_S = 900.0


class ContinuousPool:
    """Engines of one model under one stream of requests. Raises ValueError for what can't be."""

    def __init__(
        self,
        model: ContinuousModel,
        arrivals_s: ArrayLike,
        seed: int = 0,
        max_servers: int = 256,
        *,
        signal: str = "latency",
    ) -> None:
        require(max_servers >= 1, "max_servers", max_servers, "at least 1")
        require(signal in SIGNALS, "signal", signal, f"one of {', '.join(SIGNALS)}")
        self.model, self.signal = model, signal
        self.arrivals_s = checked_arrivals(arrivals_s)
        prompts, answers = model.lengths.draw(self.arrivals_s.size, seed, model.longest_tokens)
        self._kernel = compiled_module("continuous_kernel")
        self._setup = setup_of(model)
        self._state = empty_token_state(
            self.arrivals_s, prompts, answers, model=model, servers=max_servers
        )
        self._places = Places(max_servers)
        self._now_s = 0.0

    @property
    def now_s(self) -> float:
        """The time up to which everything has happened."""
        return self._now_s

    @property
    def arrived(self) -> int:
        """Requests that have arrived so far."""
        return int(self._state.cursor[NEXT_ARRIVAL])

    @property
    def held(self) -> int:
        """Requests that wait for the first server."""
        return int(self._state.cursor[HELD_COUNT])

    @property
    def servers(self) -> int:
        """Places of servers that were given out."""
        return self._places.given

    @property
    def status(self) -> NDArray[np.uint8]:
        """`Status` of each request."""
        return read_only(self._state.status)

    @property
    def latencies_s(self) -> NDArray[np.float64]:
        """Of each request, as `signal` says; NaN where it has not finished or never will. Of one token, tpot is 0."""
        return self.latencies_between(0, self.arrivals_s.size)

    def latencies_between(self, first: int, end: int) -> NDArray[np.float64]:
        """Of the requests from `first` to `end`, exclusive."""
        state, part = self._state, slice(first, end)
        done_s, first_s = state.done_s[part], state.first_s[part]
        if self.signal == "tpot":
            further = np.maximum(state.answer[part] - 1, 1)
            return np.asarray((done_s - first_s) / further, dtype=np.float64)
        until_s = np.where(np.isnan(done_s), np.nan, first_s if self.signal == "ttft" else done_s)
        return np.asarray(until_s - self.arrivals_s[part], dtype=np.float64)

    @property
    def wanted_s(self) -> NDArray[np.float64]:
        """When each request arrives: nobody asks again, so that it is all that is wanted."""
        return self.arrivals_s

    @property
    def answers_s(self) -> NDArray[np.float64]:
        """As `latencies_s`."""
        return self.latencies_s

    @property
    def answer_tokens(self) -> NDArray[np.int64]:
        """Of each request."""
        return read_only(self._state.answer)

    def add_server(self, ready_s: float) -> int:
        """One that takes traffic from `ready_s` on; its index, which may be that of a retired one."""
        require_time("ready_s", ready_s, self._now_s)
        index = self._places.take()
        self._state.ready_s[index] = ready_s
        self._state.stop_s[index] = np.inf
        self._state.cursor[SERVER_COUNT] = self._places.given
        return index

    def stop_server(self, index: int, at_s: float) -> None:
        """Sends it nothing from `at_s` on; it finishes what it has."""
        require_time("at_s", at_s, self._now_s)
        self._state.stop_s[index] = at_s

    def fail_server(self, index: int) -> None:
        """Ends it now: what it has fails."""
        self._kernel.fail_server(self._setup, self._state, index, self._now_s)

    def retire_server(self, index: int) -> None:
        """Forgets one that has drained, so that its place is given to the next. Raises ValueError for another."""
        require(self.drained(index), "retire_server", f"server {index}", "one that has drained")
        self._places.give_back(index)
        for name, values in server_arrays(1, self.model).items():
            getattr(self._state, name)[index] = values[0]
        self._state.stop_s[index] = -np.inf

    def drained(self, index: int) -> bool:
        """Whether it has stopped and has nothing left."""
        state = self._state
        return bool(state.stop_s[index] <= self._now_s and state.outstanding[index] == 0)

    def run_until(self, t_s: float) -> None:
        """Processes everything up to and including `t_s`; ValueError for a time that has passed."""
        require_time("t_s", t_s, self._now_s)
        self._kernel.run(self._setup, self._state, self._now_s, float(t_s))
        self._now_s = float(t_s)

    def scrape(self, servers: Sequence[int]) -> Scrape:
        """As a pool without tokens shows it: steps are executions, tokens are inferences."""
        state, chosen = self._state, np.asarray(servers, dtype=np.int64)
        steps_s = np.where(
            state.step_end_s[chosen] < np.inf, self._now_s - state.step_start_s[chosen], 0.0
        )
        return Scrape(
            success=state.success[chosen],
            failure=state.failure[chosen],
            inferences=state.tokens[chosen],
            executions=state.steps[chosen],
            request_s=state.request_s[chosen],
            queue_s=state.queue_s[chosen],
            compute_s=np.maximum(state.request_s[chosen] - state.queue_s[chosen], 0.0),
            pending=state.waiting[chosen],
            outstanding=state.outstanding[chosen],
            ongoing_s=state.ongoing_s[chosen]
            + state.outstanding[chosen] * (self._now_s - state.ongoing_until_s[chosen]),
            busy_s=state.busy_s[chosen] + steps_s,
        )

    def token_scrape(self, servers: Sequence[int]) -> TokenScrape:
        """vLLM's metrics of several engines now, in the order in which they are named."""
        state, chosen = self._state, np.asarray(servers, dtype=np.int64)
        return TokenScrape(
            success=state.success[chosen],
            failure=state.failure[chosen],
            tokens=state.tokens[chosen],
            waiting=state.left_waiting[chosen],
            running=state.running_count[chosen],
            cache_ratio=1.0 - state.free_blocks[chosen] / self.model.blocks,
            queue_s=state.queue_s[chosen],
            ttft_s=state.ttft_s[chosen],
            token_s=state.token_s[chosen],
            preempted=state.preempted[chosen],
            ttft=state.ttft[chosen],
            tpot=state.tpot[chosen],
            request=state.request[chosen],
        )

    def summaries_s(
        self,
        servers: Sequence[int],
        quantiles: tuple[float, ...] = SUMMARY_QUANTILES,
        *,
        pooled: bool = False,
    ) -> NDArray[np.float64]:
        """Quantiles of the latencies of the last minute over all engines, one row; an engine by itself tells none."""
        require(pooled, "pooled", pooled, "True: vLLM has histograms and no summaries")
        state = self._state
        oldest_s = self._now_s - OLDEST_S
        first, end = np.searchsorted(self.arrivals_s, (oldest_s, self._now_s)).tolist()
        done = state.done_s[first:end] > self._now_s - SUMMARY_WINDOW_S
        found = self.latencies_between(first, end)[done]
        if not found.size:
            return np.full((1, len(quantiles)), np.nan)
        return np.quantile(found, quantiles)[None, :]
