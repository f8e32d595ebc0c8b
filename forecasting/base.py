"""What every forecaster is: scikit-learn's contract on one series, or many on one clock.

Hyper-parameters in `__init__` and stored unchanged, `fit` learns and returns self, learned names end in `_`, fitting
twice is fitting once. NaN is a gap and not a zero. A class says what it learns (`_learn`) and its quantiles at any
origin of a history (`_quantiles`); shapes, checks and the order of quantiles are seen to here.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecasting.checks import checked_quantiles, checked_series, checked_times
from forecasting.history import Event, History
from forecasting.types import Array, Forecast, Grid, NotFittedError

STATE_VERSION = 1


class Forecaster(Protocol):
    """Learns from a series and says what comes next."""

    def fit(self, y: ArrayLike, *, cutoff: float = 0.0) -> Self:
        """Learns from `y`, whose last value was observed at `cutoff`."""
        ...

    def update(self, y: ArrayLike) -> Self:
        """Appends new observations cheaply, without learning anew."""
        ...

    def predict(self, horizon: int, quantiles: Sequence[float]) -> Forecast:
        """The next `horizon` steps. Raises NotFittedError before `fit`."""
        ...


class BaseForecaster(ABC):
    """Parameters, checks, history and state; models derive from it."""

    step: float
    history_: History
    _single_: bool

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Hyper-parameters by name, as scikit-learn reads them."""
        names = [n for n in inspect.signature(type(self).__init__).parameters if n != "self"]
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Self:
        """Raises ValueError for a name that the model does not have."""
        allowed = self.get_params()
        for name, value in params.items():
            if name not in allowed:
                raise ValueError(
                    f"{type(self).__name__}: has no parameter {name!r}, has {', '.join(sorted(allowed))}"
                )
            setattr(self, name, value)
        return self

    def fit(
        self,
        y: ArrayLike,
        *,
        cutoff: float = 0.0,
        times: ArrayLike | None = None,
        events: Sequence[Event] = (),
    ) -> Self:
        """Learns from `y`, of shape (steps,) or (series, steps), whose last value was observed at `cutoff`.

        `times`, one for each step, is checked and stands in for `cutoff`. `events` are known ahead, such as
        schedules. Raises ValueError, and then nothing is learned.
        """
        series = checked_series(y)
        if times is not None:
            last = checked_times(times, series.shape[-1], step=self.step, after=None)[-1]
            cutoff = float(last)
        if not np.isfinite(cutoff):
            raise ValueError(f"cutoff: is {cutoff}, must be finite")
        history = History(np.atleast_2d(series), cutoff=cutoff, step=self.step, events=events)
        self._learn(history)
        self.history_ = history
        self._single_ = series.ndim == 1
        return self

    def update(self, y: ArrayLike, *, times: ArrayLike | None = None) -> Self:
        """Appends the next observations. Raises NotFittedError, or ValueError and then nothing is appended."""
        history = self._fitted()
        series = checked_series(y)
        expected = 1 if self._single_ else 2
        if series.ndim != expected or (expected == 2 and len(series) != history.series):
            shape = "(steps,)" if self._single_ else f"({history.series}, steps)"
            raise ValueError(f"y: has shape {series.shape}, must be {shape} as in fit")
        if times is not None:
            checked_times(times, series.shape[-1], step=self.step, after=history.cutoff)
        history.append(np.atleast_2d(series))
        history.keep(self._kept())
        self._observe(history)
        return self

    def predict(self, horizon: int, quantiles: Sequence[float]) -> Forecast:
        """The next `horizon` steps.

        Raises NotFittedError, or ValueError for a horizon below 1 or beyond what the model is for, or quantiles
        outside (0, 1).
        """
        history = self._fitted()
        if horizon < 1:
            raise ValueError(f"horizon: is {horizon}, must be 1 or more")
        levels = checked_quantiles(quantiles)
        origin = np.array([history.steps - 1])
        grid = ordered(self._quantiles(history, origin, tuple(range(1, horizon + 1)), levels))
        values, maximum = grid.values[:, 0], grid.maximum[:, 0]
        return Forecast(
            cutoff=history.cutoff,
            step=self.step,
            quantiles=levels,
            values=values[0] if self._single_ else values,
            maximum=maximum[0] if self._single_ else maximum,
        )

    def state(self) -> dict[str, Any]:
        """What a restart needs beside the history: plain numbers and text, nothing executable."""
        history = self._fitted()
        return {
            "version": STATE_VERSION,
            "model": type(self).__name__,
            "params": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in self.get_params().items()
            },
            "series": history.series,
            "steps": history.steps,
            "cutoff": history.cutoff,
            "digest": history.digest(),
        }

    def restore(self, state: dict[str, Any], y: ArrayLike, *, events: Sequence[Event] = ()) -> Self:
        """Learns anew from the history that `state` was saved with, and takes over what it had been taught since.

        Raises ValueError: another model's state, another version's, or another history's.
        """
        for name, allowed in (("version", STATE_VERSION), ("model", type(self).__name__)):
            if state.get(name) != allowed:
                raise ValueError(f"state: {name} is {state.get(name)!r}, must be {allowed!r}")
        params = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in state["params"].items()
        }
        self.set_params(**params)
        self.fit(y, cutoff=float(state["cutoff"]), events=events)
        if self.history_.digest() != state["digest"]:
            del self.history_
            raise ValueError(
                f"state: was saved with another history ({state['steps']} steps); fit anew instead"
            )
        return self

    def _fitted(self) -> History:
        if not hasattr(self, "history_"):
            raise NotFittedError(f"{type(self).__name__}: is not fitted; call fit first")
        return self.history_

    @abstractmethod
    def _learn(self, history: History) -> None:
        """Sets the learned attributes."""

    @abstractmethod
    def _quantiles(
        self,
        history: History,
        origins: NDArray[np.int64],
        steps: Sequence[int],
        levels: Sequence[float],
    ) -> Grid:
        """Quantiles as seen from each of `origins`, which are places in `history`; nothing after an origin counts."""

    def _observe(self, history: History) -> None:  # noqa: B027 - most models have nothing to do here
        """Called after each update; models that follow their own errors override it."""

    def _kept(self) -> int:
        """Steps of the past that are kept when more is appended: five weeks of minutes unless a model says else."""
        return 5 * 7 * 1440


def ordered(grid: Grid) -> Grid:
    """Never negative, never falling with the level; the maximum never below a value, nor falling with the step."""
    values = np.maximum.accumulate(np.maximum(grid.values, 0.0), axis=3)
    maximum = np.maximum.accumulate(np.maximum(grid.maximum, 0.0), axis=3)
    return Grid(values=values, maximum=np.maximum.accumulate(np.maximum(maximum, values), axis=2))


def log_offset(history: History) -> Array:
    """(series,) what is added before a logarithm: a part of each series' mean, so that forecasts scale with demand.

    A series of zeros gets 1, which then does not matter.
    """
    counted = np.maximum(history.known.sum(axis=1), 1)
    # One pass: a product of both would be as large as the history of a fleet.
    mean = np.einsum("ij,ij->i", history.values, history.known) / counted
    return np.where(mean > 0.0, LOG_OFFSET_RATIO * mean, 1.0)


# Below this part of its mean a series' ups and downs decide nothing: with it a fall from a tenth of the mean to zero is
# as large as a rise from the mean to 1.4 times the mean. 0.1 and 0.3 differ by a hundredth in loss.
LOG_OFFSET_RATIO = 0.3
