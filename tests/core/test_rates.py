"""A rate as a person reads it: three digits, and the unit of what is counted."""

from __future__ import annotations

import pytest

from autoscaler.core.rates import rate_text


@pytest.mark.parametrize(
    ("rps", "tokens", "text"),
    [
        (0.0, False, "0 rps"),
        (24.53, False, "24.5 rps"),
        (999.6, False, "1,000 rps"),
        (1071.2, True, "1,071 tokens/s"),
        (409.4, True, "409 tokens/s"),
        (123456.0, False, "123,456 rps"),
    ],
)
def test_rates(rps: float, tokens: bool, text: str) -> None:
    assert rate_text(rps, tokens=tokens) == text
