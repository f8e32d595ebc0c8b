"""What is measured of real servers before they are compared: their service times, and the way to them and back."""

from __future__ import annotations

import statistics
from typing import Protocol

from autoscaler.core.service_readings import take_profile
from autoscaler.core.service_time import ServiceEvidence, ServiceTimes, service_times
from autoscaler.core.types import ModelProfile
from loadtests.load.targets import ReadyPods
from loadtests.stack.errors import StackError
from loadtests.validate.closed_loop import run_closed_loop

IDLE_REQUESTS = 100


class Measurable(Protocol):
    """Servers that are up."""

    def targets(self) -> ReadyPods: ...

    async def profile(self) -> ModelProfile: ...


def times_between(now: ModelProfile, before: ModelProfile) -> ServiceTimes:
    """As Triton told them of what was executed in between, by the engine's own reading."""
    times = service_times(take_profile(ServiceEvidence(), now, before.batch_times))
    if times is None:
        raise StackError("Triton's statistics show no execution; were the requests answered?")
    return times


async def idle_overhead_s(servers: Measurable) -> float:
    """Median latency at an idle server, less what Triton says that the batch took."""
    before = await servers.profile()
    latencies = await run_closed_loop(servers.targets(), under_way=1, requests=IDLE_REQUESTS)
    executed = times_between(await servers.profile(), before)
    return max(0.0, statistics.median(latencies) - executed.batch_s[0])
