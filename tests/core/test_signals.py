"""What a pod's counters say of it between scrapes, and of what they say nothing."""

from __future__ import annotations

import pytest

from tests.core.story import Pod, Story


class FullQueue(Story):
    """From when it says so, clients keep 1,000 requests waiting at each replica, which answers 25 a second."""

    full: bool = False

    def serve(self, pod: Pod, rate: float, seconds: float) -> None:
        if not self.full:
            super().serve(pod, rate, seconds)
            return
        pod.pending = 1000.0
        requests = 25.0 * seconds
        pod.requests += requests
        pod.executions += requests / 2.0
        pod.compute_s += requests * 0.064
        pod.queue_s += requests * 40.0


def test_a_queue_that_clients_keep_full_is_no_burstiness() -> None:
    """Behind 1,000 requests each waits for 40 s, whatever comes; at 80 % of 31.25 a second that passed for a burstiness
    of 16, and a replica for one that carries 3.4 requests a second in place of 21.5."""
    story = FullQueue(replicas=2)
    before = story.run(600, rate_rps=30).facts.capacity_rps
    assert before == pytest.approx(21.5, abs=0.1)
    story.full = True
    assert story.run(60).facts.capacity_rps == before
