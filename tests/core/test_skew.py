"""Uneven load is what chance doesn't make of even load."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core import skew
from autoscaler.core.observe import View
from autoscaler.core.signals import PodLoad
from autoscaler.core.types import PodStatus
from tests.core.test_sequences import load

NOW_S = 1000.0


def view(*rates: float) -> View:
    """One pod for each rate, all of them long there."""
    names = [f"pod-{index}" for index in range(len(rates))]
    return View(
        ready=len(rates),
        starting=0,
        covered=len(rates),
        tracks=(),
        ready_pods=tuple(PodStatus(name=name, created_s=0.0, ready_s=100.0) for name in names),
        loads=tuple(
            PodLoad(pod=name, models=(replace(load(), offered_rps=rate),))
            for name, rate in zip(names, rates, strict=True)
        ),
    )


@pytest.mark.parametrize(
    ("rates", "scatter", "notable"),
    [
        pytest.param((40.0, 20.0, 20.0, 20.0), 1.0, True, id="twice as much: 800 requests for 400"),
        pytest.param((0.4, 0.2, 0.2, 0.2), 1.0, False, id="twelve for six are chance"),
        pytest.param((40.0, 20.0, 20.0, 20.0), 400.0, False, id="and so are three answers for two"),
        pytest.param((4000.0, 1000.0, 1000.0, 1000.0), 400.0, True, id="300 for 75 are not"),
        pytest.param((24.0, 20.0, 20.0), 1.0, False, id="a fifth more is borne"),
        pytest.param(
            (1 / 30, *[0.0] * 19), 1.0, False, id="one request says nothing of twenty pods"
        ),
        pytest.param((3 / 30, *[1 / 30] * 19), 1.0, False, id="nor do three, where each has one"),
        pytest.param((12 / 30, *[1 / 30] * 19), 1.0, True, id="twelve do"),
    ],
)
def test_what_the_busiest_pod_gets(rates: tuple[float, ...], scatter: float, notable: bool) -> None:
    found = skew.measure(view(*rates), now_s=NOW_S, window_s=30.0, scatter=scatter)
    assert found is not None
    assert (found.busiest, found.notable) == ("pod-0", notable)
