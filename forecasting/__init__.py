"""Forecasting of demand: a library of its own that knows nothing of Kubernetes or GPUs.

    from forecasting import EnsembleForecaster

    forecast = EnsembleForecaster().fit(per_minute).predict(10, (0.5, 0.95))
    forecast.maximum[-1]  # median and 0.95 quantile of the highest of the next ten minutes

Names are loaded when they are first used: importing the package loads neither numpy nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

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

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return [*__all__]
