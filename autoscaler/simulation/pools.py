"""The pool of servers that a scenario asks for, and what a scrape of its pods shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.types import BatchTime, ModelProfile, PodSample
from autoscaler.simulation.continuous import SIGNALS, ContinuousPool
from autoscaler.simulation.continuous_model import ContinuousModel
from autoscaler.simulation.continuous_pods import token_samples
from autoscaler.simulation.pods import MODEL, Pod, samples
from autoscaler.simulation.scenario import Scenario
from autoscaler.simulation.serving import ServingPool

Pool = ServingPool | ContinuousPool


def pool_of(scenario: Scenario, arrivals_s: NDArray[np.float64], seed: int) -> Pool:
    """Servers as the scenario describes them, none there yet."""
    # Twice what may be asked for: those that drain are still there.
    most = 2 * scenario.most_replicas + 64
    if isinstance(scenario.server, ContinuousModel):
        signal = scenario.spec.slo.objectives[0].signal
        return ContinuousPool(
            scenario.server,
            arrivals_s,
            seed,
            most,
            signal=signal if signal in SIGNALS else "latency",
        )
    return ServingPool(
        scenario.server,
        arrivals_s,
        scenario.routing,
        seed,
        max_servers=most,
        connections=scenario.connections,
        connection_life_s=scenario.connection_life_s,
        clients=scenario.clients,
        users=scenario.users,
    )


def samples_of(
    pool: Pool, pods: Sequence[Pod], servers: Sequence[int], at_s: float
) -> tuple[PodSample, ...]:
    """What each pod's server exports, as the collectors deliver it."""
    if isinstance(pool, ContinuousPool):
        return token_samples(pods, pool.token_scrape(servers), at_s)
    return samples(pods, pool.scrape(servers), pool.summaries_s(servers), at_s)


def profiles_of(pool: Pool, server: int) -> tuple[ModelProfile, ...]:
    """What Triton's own API tells of one server; empty: it has none."""
    if isinstance(pool, ContinuousPool):
        return ()
    return (
        ModelProfile(
            model=MODEL,
            max_batch_size=pool.model.max_batch_size,
            instances=pool.model.instances,
            max_queue_delay_s=pool.model.max_queue_delay_s,
            batch_times=tuple(
                BatchTime(batch_size=b.batch_size, count=b.exec_count, total_s=b.compute_infer_s)
                for b in pool.batch_statistics(server)
            ),
        ),
    )
