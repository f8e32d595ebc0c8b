"""Growth because of latency: only misses from after the last replica came and what waited for it was gone."""

from __future__ import annotations

import pytest

from autoscaler.core import relief, sick
from autoscaler.core.need import Need
from autoscaler.core.observe import View
from autoscaler.core.sickness import Ailment, SickReplica
from autoscaler.core.size import Capacity
from autoscaler.core.state import ReliefAttempt
from autoscaler.core.types import PodStatus
from autoscaler.core.violations import MissShare
from tests.core.story import TWO_AT_ONCE, spec

NOW_S = 1000.0
HEALTHY = sick.Judged()


def need(*, sick_replicas: int = 0) -> Need:
    """70 a second, for which four replicas are enough."""
    carried = Capacity(
        utilization_limit_ratio=0.7,
        work_s_per_inference=0.032,
        attainable=True,
        service_s=0.052,
        variability=1.0,
        known_from="h1",
        dominant=TWO_AT_ONCE,
    )
    return Need(
        level_rps=70.0,
        upper_rps=70.0,
        fast_rps=70.0,
        carried=carried,
        wanted=4 + sick_replicas,
        suffering=True,
        sick=sick_replicas,
    )


def view(
    *,
    ready_s: float = NOW_S - 600.0,
    ready: int = 4,
    queue_ratio: float = 0.3,
    judged: sick.Judged = HEALTHY,
) -> View:
    return View(
        ready=ready,
        starting=0,
        covered=ready,
        tracks=(),
        curable=MissShare(low=0.043, estimate=0.043, high=0.043),
        queue_ratio=queue_ratio,
        ready_pods=(PodStatus(name="a", created_s=ready_s - 10.0, ready_s=ready_s),),
        judged=judged,
    )


@pytest.mark.parametrize(
    ("ready_ago_s", "backlog_ago_s", "grows"),
    [
        pytest.param(
            75.0, None, True, id="requests miss and wait, a summary's window after all are ready"
        ),
        pytest.param(
            74.0, None, False, id="the summary still shows the time before the last was ready"
        ),
        pytest.param(
            75.0, 55.0, False, id="the backlog took 20 s more, and the summary shows it still"
        ),
        pytest.param(95.0, 75.0, True, id="neither is in the window any more"),
    ],
)
def test_misses_count_from_after_what_was_done_about_them(
    ready_ago_s: float, backlog_ago_s: float | None, grows: bool
) -> None:
    cause = relief.cause(
        view(ready_s=NOW_S - ready_ago_s),
        need(),
        spec().slo.objectives[0],
        now_s=NOW_S,
        backlog_at_s=None if backlog_ago_s is None else NOW_S - backlog_ago_s,
    )
    assert (cause is not None) is grows


def test_misses_without_waits_ask_for_nothing() -> None:
    calm = view(queue_ratio=0.05)
    assert relief.cause(calm, need(), spec().slo.objectives[0], now_s=NOW_S) is None


@pytest.mark.parametrize(
    ("suspects", "left_out", "ready", "grows"),
    [
        pytest.param(0, 0, 4, True, id="requests miss and wait"),
        pytest.param(1, 0, 4, False, id="a replica may be sick: the verdict comes first"),
        pytest.param(0, 1, 4, False, id="what stands in for it is not ready"),
        pytest.param(0, 1, 5, True, id="it is, and requests still miss"),
    ],
)
def test_growth_for_latency_waits_for_the_verdict_and_for_what_follows(
    suspects: int, left_out: int, ready: int, grows: bool
) -> None:
    ill = SickReplica(pod="a", node=None, ailment=Ailment.SLOW, since_s=0.0, left_out=True)
    judged = sick.Judged(sick=(ill,) * left_out, suspects=suspects)
    cause = relief.cause(
        view(ready=ready, judged=judged),
        need(sick_replicas=left_out),
        spec().slo.objectives[0],
        now_s=NOW_S,
    )
    assert (cause is not None) is grows


@pytest.mark.parametrize(
    ("ready_for_s", "backlog_for_s", "miss_ratio", "told"),
    [
        pytest.param(60.0, None, 0.04, "open", id="the summaries still show the time before"),
        pytest.param(80.0, None, 0.04, "useless", id="as many miss as before"),
        pytest.param(80.0, None, 0.03, "helped", id="a fifth fewer"),
        pytest.param(80.0, 40.0, 0.04, "open", id="they show what was worked off 40 s ago"),
        pytest.param(120.0, 80.0, 0.04, "useless", id="and 80 s ago no more"),
        pytest.param(140.0, 0.0, 0.04, "useless", id="a backlog that does not go is no excuse"),
    ],
)
def test_an_attempt_is_judged_by_what_came_after_its_backlog(
    ready_for_s: float, backlog_for_s: float | None, miss_ratio: float, told: str
) -> None:
    attempt = ReliefAttempt(
        asked_at_s=NOW_S - 300.0,
        replicas=5,
        miss_ratio=0.04,
        ready_since_s=NOW_S - ready_for_s,
    )
    found = relief.judge(
        attempt,
        None,
        now_s=NOW_S,
        ready=5,
        miss_ratio=miss_ratio,
        backlog_at_s=None if backlog_for_s is None else NOW_S - backlog_for_s,
    )
    helped = "open" if found.attempt else "helped"
    assert ("useless" if found.judged_useless else helped) == told
