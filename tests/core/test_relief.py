"""Growth because of latency: only for misses that are more than chance, from after the last replica came and what
waited for it was gone."""

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
# Of 100 a second, of which 1 % may miss.
MISSED = MissShare(low=0.043, estimate=0.043, high=0.043, requests=3000.0)


def need(*, sick_replicas: int = 0) -> Need:
    """70 a second, for which four replicas are enough."""
    carried = Capacity(
        utilization_limit_ratio=0.7,
        work_s_per_inference=0.032,
        attainable=True,
        service_s=0.052,
        variability=1.0,
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
    starting: int = 0,
    missed: MissShare | None = MISSED,
) -> View:
    return View(
        ready=ready,
        starting=starting,
        covered=ready,
        tracks=(),
        curable=missed,
        queue_ratio=queue_ratio,
        ready_pods=(PodStatus(name="a", created_s=ready_s - 10.0, ready_s=ready_s),),
        judged=judged,
    )


def share(missed: float, requests: float) -> MissShare:
    return MissShare(low=missed, estimate=missed, high=missed, requests=requests)


@pytest.mark.parametrize(
    ("ready_ago_s", "backlog_ago_s", "counts"),
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
    ready_ago_s: float, backlog_ago_s: float | None, counts: bool
) -> None:
    """A third of the window's 3,000 requests is new: 4.3 % of those missed, 1 % may."""
    spent = relief.overspent(
        50.0,
        view(ready_s=NOW_S - ready_ago_s),
        spec().slo.objectives[0],
        now_s=NOW_S,
        backlog_at_s=None if backlog_ago_s is None else NOW_S - backlog_ago_s,
    )
    assert spent == pytest.approx(50.0 + 33.0 if counts else 0.0)


@pytest.mark.parametrize(
    ("seen", "spent"),
    [
        pytest.param(
            view(missed=share(0.5, 9.0)), 7.0 + 1.5 - 0.03, id="three, one and a half missed"
        ),
        pytest.param(view(missed=share(0.0, 900.0)), 7.0 - 3.0, id="those in time pay for others"),
        pytest.param(view(missed=share(0.0, 9000.0)), 0.0, id="for none that come later"),
        pytest.param(view(queue_ratio=0.05), 0.0, id="late without waiting: 1,000 pay for 10"),
        pytest.param(view(missed=None), 7.0, id="unknown: neither"),
        pytest.param(view(starting=1), 0.0, id="a replica comes: begun anew"),
    ],
)
def test_the_misses_beyond_what_the_slo_allows_are_summed_up(seen: View, spent: float) -> None:
    found = relief.overspent(7.0, seen, spec().slo.objectives[0], now_s=NOW_S, backlog_at_s=None)
    assert found == pytest.approx(spent)


@pytest.mark.parametrize(
    ("a_minute", "missed", "minutes"),
    [
        pytest.param(6000.0, 0.15, 1 / 6, id="100 a second: at once"),
        pytest.param(600.0, 0.05, 1.0, id="10 a second"),
        pytest.param(18.0, 0.15, 8.0, id="18 a minute: it could have been chance"),
        pytest.param(18.0, 0.02, 111.5, id="next to nothing of few"),
    ],
)
def test_the_fewer_requests_the_longer_it_takes_to_tell_from_chance(
    a_minute: float, missed: float, minutes: float
) -> None:
    """Ticks of ten seconds, three to a window."""
    seen, spent, ticks = view(missed=share(missed, a_minute / 2.0)), 0.0, 0
    while spent < relief.EVIDENT_MISSES:
        spent = relief.overspent(
            spent, seen, spec().slo.objectives[0], now_s=NOW_S, backlog_at_s=None
        )
        ticks += 1
    assert ticks / 6.0 == pytest.approx(minutes, rel=0.02)


@pytest.mark.parametrize(("spent", "grows"), [(19.9, False), (20.0, True)])
def test_growth_waits_until_it_is_not_chance(spent: float, grows: bool) -> None:
    cause = relief.cause(view(), need(), spec().slo.objectives[0], now_s=NOW_S, spent=spent)
    assert (cause is not None) is grows


def test_misses_without_waits_ask_for_nothing() -> None:
    calm = view(queue_ratio=0.05)
    cause = relief.cause(calm, need(), spec().slo.objectives[0], now_s=NOW_S, spent=99.0)
    assert cause is None


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
        spent=99.0,
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


def minutes(*means: float) -> list[tuple[float, float, float]]:
    """(minute, mean, highest), the last of which ended 20 s ago."""
    end_s = NOW_S - 20.0
    return [(end_s - 60.0 * (len(means) - place), mean, mean) for place, mean in enumerate(means)]


@pytest.mark.parametrize(
    ("means", "settled_s", "before_rps"),
    [
        pytest.param((1.0, 10.0), 600.0, 10.0, id="one minute holds 600 requests, and says enough"),
        pytest.param((4.0, 10.0, 2.0), 600.0, 6.0, id="120 in one don't, with the one before"),
        pytest.param((9.0, 1.0, 0.6, 0.8, 1.0, 0.6), 600.0, 0.8, id="five minutes are looked at"),
        pytest.param((1.0, 0.6, 0.8, 1.0), 150.0, 0.9, id="none from before the last replica came"),
        pytest.param((1.0, 0.6), 30.0, 0.6, id="but for the last"),
        pytest.param((), 600.0, None, id="no minute is known"),
    ],
)
def test_how_busy_replicas_were_is_told_of_as_many_minutes_as_chance_asks_for(
    means: tuple[float, ...], settled_s: float, before_rps: float | None
) -> None:
    told = relief.demand_before_rps(minutes(*means), now_s=NOW_S, settled_s=settled_s, scatter=0.2)
    assert told == (None if before_rps is None else pytest.approx(before_rps))


def test_a_gap_ends_what_is_told_of_the_time_before() -> None:
    """The newest is from four minutes ago: what was then says nothing of now."""
    told = relief.demand_before_rps(minutes(1.0), now_s=NOW_S + 180.0, settled_s=600.0, scatter=1.0)
    assert told is None


def test_tokens_that_come_by_the_hundred_are_few_requests() -> None:
    """300 tokens a second in answers of 300 are one request a second."""
    told = relief.demand_before_rps(
        minutes(100.0, 200.0, 300.0), now_s=NOW_S, settled_s=600.0, scatter=300.0
    )
    assert told == pytest.approx(200.0)
