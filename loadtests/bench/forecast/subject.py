"""The forecaster that is judged, made in this one place."""

from __future__ import annotations

from forecasting import EnsembleForecaster
from forecasting.base import Forecaster

NAME = "forecasting"


def subject() -> Forecaster:
    """A new one, the same for every series; refits keep what the issued forecasts taught."""
    return EnsembleForecaster(warm_start=True)
