"""Which burn rate over which windows is worth a page or a ticket.

Google's SRE Workbook, chapter 5 (multiwindow, multi-burn-rate alerts): for 30 days it pages when 2 % of the budget goes
in an hour or 5 % in six - burn rates of 14.4 and 6 - and opens a ticket when 10 % goes in three days, a rate of 1. A
short window, a twelfth of the long one, ends the alert soon after its cause has ended. Other SLO windows get the same
rates over windows of the same proportion, so that an alert means the same share of the budget: a week's fastest page
looks at 14 minutes instead of at an hour.
"""

from __future__ import annotations

from dataclasses import dataclass

from autoscaler.core.slo import window_text

MINUTE_S = 60.0
THIRTY_DAYS_S = 30 * 86400.0
# (severity, burn rate, long window of a 30-day SLO)
TIERS = (("page", 14.4, 3600.0), ("page", 6.0, 6 * 3600.0), ("ticket", 1.0, 3 * 86400.0))
# A rate over less than this is made of a handful of ticks.
SHORTEST_LONG_S, SHORTEST_SHORT_S = 300.0, 120.0
# `80% < T` can't burn faster than 5 times, and an alert at 14.4 would sleep through a total outage.
SHARE_OF_FASTEST = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnAlert:
    """Fires when the burn rate is above `rate` over both windows."""

    severity: str
    rate: float
    long_s: float
    short_s: float
    budget_share: float
    """Of the whole budget, spent when it fires after a long window at exactly `rate`."""

    @property
    def long(self) -> str:
        """As Prometheus writes it."""
        return window_text(self.long_s)

    @property
    def short(self) -> str:
        """As Prometheus writes it."""
        return window_text(self.short_s)


def burn_alerts(window_s: float, target_ratio: float) -> tuple[BurnAlert, ...]:
    """The alerts of an SLO that asks for `target_ratio` over `window_s`, the fastest first."""
    fastest = 1.0 / (1.0 - target_ratio)
    alerts: dict[float, BurnAlert] = {}
    for severity, rate, of_thirty_days_s in TIERS:
        long_s = max(SHORTEST_LONG_S, _minutes(of_thirty_days_s * window_s / THIRTY_DAYS_S))
        rate = round(min(rate, SHARE_OF_FASTEST * fastest), 2)
        if any(other.rate <= rate for other in alerts.values()):
            continue  # a faster alert of the same rate is there already
        # Of two tiers whose windows are both as short as can be, the more sensitive one stays.
        alerts[long_s] = BurnAlert(
            severity=severity,
            rate=rate,
            long_s=long_s,
            short_s=max(SHORTEST_SHORT_S, _minutes(long_s / 12.0)),
            budget_share=rate * long_s / window_s,
        )
    return tuple(alerts.values())


def _minutes(seconds: float) -> float:
    return max(MINUTE_S, seconds // MINUTE_S * MINUTE_S)
