"""A burst is answered at once, and chance is none: few requests vary by much."""

from __future__ import annotations

import pytest

from autoscaler.core.service_time import ServiceTimes
from tests.core.story import Story, slo, spec

# Ten seconds each, of which one minute may pass: 0.1 a second at most.
TEN_SECONDS = ServiceTimes(batch_s=(10.0,))
IN_A_MINUTE = spec(slo=slo(ratio=0.95, threshold_s=60.0))


@pytest.mark.parametrize(
    ("before_rps", "rate_rps", "panics"),
    [
        pytest.param(0.4, 1.3, False, id="thirteen in ten seconds, where five come, are chance"),
        pytest.param(0.4, 4.0, True, id="forty are not"),
    ],
)
def test_of_requests_that_take_seconds_a_few_more_are_no_burst(
    before_rps: float, rate_rps: float, panics: bool
) -> None:
    story = Story(times=TEN_SECONDS, replicas=6, startup_s=100.0, spec=IN_A_MINUTE)
    story.run(1800, rate_rps=before_rps)
    story.run(10, rate_rps=rate_rps)
    (memory,) = story.engine.snapshot().workloads
    assert (memory.panic_until_s is not None) == panics
