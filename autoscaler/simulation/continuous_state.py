"""The arrays that the continuous-batching event loop works on, and the meaning of their places."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscaler.simulation.continuous_model import REQUEST_S, TOKEN_S, TTFT_S, ContinuousModel

# Places in `TokenState.cursor`.
NEXT_ARRIVAL, SERVER_COUNT, ROTATION, HELD_HEAD, HELD_TAIL, HELD_COUNT = range(6)
CURSOR_SIZE = 6
NONE = -1


class TokenSetup(NamedTuple):
    """What never changes in a run."""

    base_step_s: float
    sequence_s: float
    prompt_token_s: float
    context_token_s: float
    max_sequences: int
    step_tokens: int
    blocks: int
    block_tokens: int
    ttft_bounds_s: NDArray[np.float64]
    token_bounds_s: NDArray[np.float64]
    request_bounds_s: NDArray[np.float64]


class TokenState(NamedTuple):
    """The requests and everything that changes. Sizes: n requests, s servers, m sequences that run at most."""

    arrival_s: NDArray[np.float64]  # n
    prompt: NDArray[np.int64]  # n
    answer: NDArray[np.int64]  # n
    following: NDArray[np.int32]  # n: the next that waits at the same server
    made: NDArray[np.int64]  # n: tokens of the answer so far
    to_read: NDArray[np.int64]  # n: tokens that are to be taken in before the next is made
    held_blocks: NDArray[np.int64]  # n
    admitted: NDArray[np.bool_]  # n: has run before
    first_s: NDArray[np.float64]  # n: when its first token came
    last_s: NDArray[np.float64]  # n: when its last so far
    done_s: NDArray[np.float64]  # n
    status: NDArray[np.uint8]  # n
    cursor: NDArray[np.int64]
    ready_s: NDArray[np.float64]  # s
    stop_s: NDArray[np.float64]  # s
    step_end_s: NDArray[np.float64]  # s: infinite while it has nothing to do
    step_start_s: NDArray[np.float64]  # s
    running: NDArray[np.int32]  # s x m, in the order in which they were admitted
    chunk: NDArray[
        np.int64
    ]  # s x m: tokens of its prompt that this step takes in; 0: it makes a token
    running_count: NDArray[np.int64]  # s
    wait_head: NDArray[np.int32]  # s
    wait_tail: NDArray[np.int32]  # s
    waiting: NDArray[np.int64]  # s
    left_waiting: NDArray[
        np.int64
    ]  # s: those that the running step found no room for, which is what vLLM shows
    free_blocks: NDArray[np.int64]  # s
    outstanding: NDArray[np.int64]  # s
    ongoing_s: NDArray[np.float64]  # s: request-seconds until the time below
    ongoing_until_s: NDArray[np.float64]  # s
    success: NDArray[np.int64]  # s
    failure: NDArray[np.int64]  # s
    tokens: NDArray[np.int64]  # s
    steps: NDArray[np.int64]  # s
    preempted: NDArray[np.int64]  # s
    busy_s: NDArray[np.float64]  # s
    queue_s: NDArray[np.float64]  # s
    ttft_s: NDArray[np.float64]  # s
    token_s: NDArray[np.float64]  # s
    request_s: NDArray[np.float64]  # s
    ttft: NDArray[np.int64]  # s x bounds + 1
    tpot: NDArray[np.int64]
    request: NDArray[np.int64]


def setup_of(model: ContinuousModel) -> TokenSetup:
    """As the event loop takes it."""
    return TokenSetup(
        base_step_s=model.base_step_s,
        sequence_s=model.sequence_s,
        prompt_token_s=model.prompt_token_s,
        context_token_s=model.context_token_s,
        max_sequences=model.max_sequences,
        step_tokens=model.step_tokens,
        blocks=model.blocks,
        block_tokens=model.block_tokens,
        ttft_bounds_s=np.array(TTFT_S),
        token_bounds_s=np.array(TOKEN_S),
        request_bounds_s=np.array(REQUEST_S),
    )


def empty_token_state(
    arrival_s: NDArray[np.float64],
    prompt: NDArray[np.int64],
    answer: NDArray[np.int64],
    *,
    model: ContinuousModel,
    servers: int,
) -> TokenState:
    """Nothing has arrived, no server was added."""
    count = arrival_s.size
    cursor = np.zeros(CURSOR_SIZE, np.int64)
    return TokenState(
        arrival_s=arrival_s,
        prompt=prompt,
        answer=answer,
        following=np.full(count, NONE, np.int32),
        made=np.zeros(count, np.int64),
        to_read=prompt.copy(),
        held_blocks=np.zeros(count, np.int64),
        admitted=np.zeros(count, np.bool_),
        first_s=np.full(count, np.nan),
        last_s=np.full(count, np.nan),
        done_s=np.full(count, np.nan),
        status=np.zeros(count, np.uint8),
        cursor=cursor,
        **server_arrays(servers, model),
    )


def server_arrays(servers: int, model: ContinuousModel) -> dict[str, NDArray[Any]]:
    """The arrays with a place for each server that may ever be there."""

    def counts() -> NDArray[np.int64]:
        return np.zeros(servers, np.int64)

    def seconds() -> NDArray[np.float64]:
        return np.zeros(servers)

    most = model.max_sequences
    return {
        "ready_s": np.full(servers, np.inf),
        "stop_s": np.full(servers, np.inf),
        "step_end_s": np.full(servers, np.inf),
        "step_start_s": seconds(),
        "running": np.zeros((servers, most), np.int32),
        "chunk": np.zeros((servers, most), np.int64),
        "running_count": counts(),
        "wait_head": np.full(servers, NONE, np.int32),
        "wait_tail": np.full(servers, NONE, np.int32),
        "waiting": counts(),
        "left_waiting": counts(),
        "free_blocks": np.full(servers, model.blocks, np.int64),
        "outstanding": counts(),
        "ongoing_s": seconds(),
        "ongoing_until_s": seconds(),
        "success": counts(),
        "failure": counts(),
        "tokens": counts(),
        "steps": counts(),
        "preempted": counts(),
        "busy_s": seconds(),
        "queue_s": seconds(),
        "ttft_s": seconds(),
        "token_s": seconds(),
        "request_s": seconds(),
        "ttft": np.zeros((servers, len(TTFT_S) + 1), np.int64),
        "tpot": np.zeros((servers, len(TOKEN_S) + 1), np.int64),
        "request": np.zeros((servers, len(REQUEST_S) + 1), np.int64),
    }
