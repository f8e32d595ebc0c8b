"""How many replicas a demand and what waits ask for together."""

from __future__ import annotations

import pytest

from autoscaler.core.need import Need, Offer
from autoscaler.core.observe import View
from autoscaler.core.outlook import Outlook, Row
from autoscaler.core.service_time import ServiceTimes
from autoscaler.core.signals import ModelLoad, PodLoad
from autoscaler.core.size import Capacity
from tests.core.story import slo

CARRIED = Capacity(
    utilization_limit_ratio=0.8,
    work_s_per_inference=0.04,
    attainable=True,
    service_s=0.04,
    variability=1.0,
    known_from="h1",
    dominant=ServiceTimes(batch_s=(0.04,)),
)
"""20 a second, and six at once are no backlog."""


def load(pod: str, pending: float) -> PodLoad:
    model = ModelLoad(
        model="m",
        offered_rps=14.0,
        fast_rps=14.0,
        fast_span_s=10.0,
        completed_rps=14.0,
        requests=420.0,
        failures=0.0,
        items_per_request=1.0,
        mean_batch=1.0,
        queue_s=0.1,
        compute_s=0.04,
        overhead_s=0.0,
        pending=pending,
        misses=None,
        steady=True,
        draining=False,
    )
    return PodLoad(pod=pod, models=(model,))


def wanted(*pending: float, level_rps: float, price: float = 1.0) -> int:
    """Of replicas at each of which so many wait, under a demand that is known to stay as it is."""
    view = View(
        ready=len(pending),
        starting=0,
        covered=len(pending),
        tracks=(),
        loads=tuple(load(f"bert-{index}", n) for index, n in enumerate(pending)),
        pending=sum(pending),
    )
    certain = Row(levels=(0.5, 0.9, 0.99), values_rps=(level_rps, level_rps, level_rps))
    offer = Offer(
        carried=CARRIED,
        view=view,
        objective=slo().objectives[0],
        outlook=Outlook(level_rps=level_rps, rows=((1.0, certain),)),
        replica_rps=CARRIED.rps,
    )
    present = Need(
        level_rps=level_rps,
        upper_rps=level_rps,
        fast_rps=level_rps,
        carried=CARRIED,
        wanted=None,
        suffering=False,
    )
    found = offer.at_price(price, offer.choices, present).wanted
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("pending", "level_rps", "replicas"),
    [
        pytest.param((0.0, 0.0, 0.0), 42.0, 3, id="nothing waits: 2.1 are three"),
        pytest.param((9.0, 9.0, 6.0), 42.0, 3, id="six too many: what is idle of three works them off"),
        pytest.param((340.0, 340.0, 340.0), 42.0, 3, id="16.7 a second for a minute: three have 17.5 left"),
        pytest.param((480.0, 480.0, 480.0), 42.0, 4, id="23.7 a second are more"),
        pytest.param((9.0, 9.0, 9.0), 59.9, 4, id="of a full replica nothing is left"),
        pytest.param((0.0, 60_000.0, 0.0), 42.0, 4, id="one more at most for one that holds them"),
    ],
)  # fmt: skip
def test_what_waits_asks_for_a_replica_where_rounding_up_left_none(
    pending: tuple[float, ...], level_rps: float, replicas: int
) -> None:
    assert wanted(*pending, level_rps=level_rps) == replicas
