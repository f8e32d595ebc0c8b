"""Which burn rates page, and over which windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.rules.burn import burn_alerts

DAY_S = 86400.0


@pytest.mark.parametrize(
    ("days", "target", "alerts"),
    [
        pytest.param(
            30, 0.99, ["page 14.4 1h/5m", "page 6 6h/30m", "ticket 1 3d/6h"],
            id="the SRE Workbook's own",
        ),
        pytest.param(
            7, 0.99, ["page 14.4 14m/2m", "page 6 84m/7m", "ticket 1 1008m/84m"],
            id="a week: the same shares of its budget",
        ),
        pytest.param(
            30, 0.9, ["page 9 1h/5m", "page 6 6h/30m", "ticket 1 3d/6h"],
            id="90 %: a total outage burns at 10, so 14.4 would never fire",
        ),
        pytest.param(30, 0.8, ["page 4.5 1h/5m", "ticket 1 3d/6h"], id="80 %: the same alert once"),
        pytest.param(
            1 / 24, 0.99, ["page 6 5m/2m", "ticket 1 6m/2m"],
            id="an hour: two windows as short as can be are one",
        ),
    ],
)  # fmt: skip
def test_alerts_of_an_slo(days: float, target: float, alerts: list[str]) -> None:
    told = burn_alerts(days * DAY_S, target)
    assert [f"{a.severity} {a.rate:g} {a.long}/{a.short}" for a in told] == alerts


@given(window_s=st.floats(3600.0, 90 * DAY_S), target=st.floats(0.5, 0.9999))
def test_an_outage_always_pages_and_keeping_the_slo_never_does(
    window_s: float, target: float
) -> None:
    alerts = burn_alerts(window_s, target)
    outage = 1.0 / (1.0 - target)
    assert any(alert.severity == "page" and alert.rate < outage for alert in alerts)
    assert all(alert.rate >= 1.0 for alert in alerts)
    assert all(alert.short_s <= alert.long_s for alert in alerts)
    rates = [alert.rate for alert in alerts]
    assert rates == sorted(rates, reverse=True)
