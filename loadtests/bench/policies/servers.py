"""The servers that policies are compared on: one that takes a request at a time, and one that batches to 8."""

from __future__ import annotations

from autoscaler.simulation.serving import ServingModel

SINGLE, BATCHING = "single", "batching"
SERVERS = {
    # 10 requests a second.
    SINGLE: ServingModel(max_batch_size=1, batch_service_s=(0.1,), service_cv=0.3),
    # The same 100 ms for a request alone, and 8 in 296 ms: 27 a second.
    BATCHING: ServingModel(
        max_batch_size=8,
        batch_service_s=tuple(0.072 + 0.028 * size for size in range(1, 9)),
        service_cv=0.3,
    ),
}
PEAK_REPLICAS = 30


def peak_rps(server: str) -> float:
    """What the 99.9 % minute of each series is scaled to: 30 replicas, all batches full."""
    return PEAK_REPLICAS * SERVERS[server].capacity_rps
