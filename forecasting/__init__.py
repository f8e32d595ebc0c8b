"""Forecasting of demand: a library of its own that knows nothing of Kubernetes or GPUs.

    from forecasting import EnsembleForecaster

    forecast = EnsembleForecaster().fit(per_minute).predict(10, (0.5, 0.95))
    forecast.maximum[-1]  # median and 0.95 quantile of the highest of the next ten minutes

Names are loaded when they are first used: importing the package loads neither numpy nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forecasting.base import Forecaster
    from forecasting.boosted import BoostedForecaster
    from forecasting.calibration import Skill, pinball
    from forecasting.ensemble import EnsembleForecaster
    from forecasting.history import Event
    from forecasting.holt import DampedHoltForecaster
    from forecasting.naive import NaiveForecaster
    from forecasting.period import find_periods
    from forecasting.pooled import PooledForecaster
    from forecasting.seasonal import SeasonalNaiveForecaster
    from forecasting.spikes import SpikeForecaster
    from forecasting.types import Forecast, NotFittedError

_HOMES = {
    "BoostedForecaster": "boosted",
    "DampedHoltForecaster": "holt",
    "EnsembleForecaster": "ensemble",
    "Event": "history",
    "Forecast": "types",
    "Forecaster": "base",
    "NaiveForecaster": "naive",
    "NotFittedError": "types",
    "PooledForecaster": "pooled",
    "SeasonalNaiveForecaster": "seasonal",
    "Skill": "calibration",
    "SpikeForecaster": "spikes",
    "find_periods": "period",
    "pinball": "calibration",
}

__all__ = [
    "BoostedForecaster",
    "DampedHoltForecaster",
    "EnsembleForecaster",
    "Event",
    "Forecast",
    "Forecaster",
    "NaiveForecaster",
    "NotFittedError",
    "PooledForecaster",
    "SeasonalNaiveForecaster",
    "Skill",
    "SpikeForecaster",
    "find_periods",
    "pinball",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return [*__all__]
