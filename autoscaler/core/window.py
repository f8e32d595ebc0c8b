"""What one pod showed lately of how long requests wait, from which variability and pooling are learned."""

from __future__ import annotations

from autoscaler.core.computed import computed

# Above this load the queue is not stationary.
MAX_LOAD = 0.93
# Requests that are remembered, by a short and a long memory: the one that asks for more replicas counts, so that it
# takes a third of the time to learn that they must be less busy than that they may be more.
MEMORIES_REQUESTS = (2000.0, 6000.0)


@computed
class Window:
    """What one pod showed lately."""

    rate: float
    """Inferences a second."""
    requests: float
    queue_s: float
    """Their mean wait."""
    miss_ratio: float | None = None
    """Which share of them was over the threshold; None: not told."""
