"""Rates in words, in the unit of what is counted: inferences, or the tokens of an engine that generates them."""

from __future__ import annotations


def number_text(rps: float) -> str:
    """Three digits, and no powers of ten."""
    return f"{rps:,.0f}" if rps >= 999.5 else f"{rps:.3g}"


def rate_text(rps: float, *, tokens: bool) -> str:
    """`24.5 rps`, `1,071 tokens/s`."""
    return f"{number_text(rps)} {'tokens/s' if tokens else 'rps'}"
