"""What a pool of servers is given, checked once and copied, and its arrays as others may see them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoscaler.simulation.serving_model import require


def or_never(where: str, duration_s: float | None) -> float:
    """A duration, or infinity for None."""
    if duration_s is None:
        return math.inf
    require(duration_s > 0.0, where, duration_s, "more than 0, or None")
    return float(duration_s)


def read_only(values: NDArray[Any]) -> NDArray[Any]:
    """A view that can't be written."""
    view = values.view()
    view.flags.writeable = False
    return view


def checked_arrivals(arrivals_s: ArrayLike) -> NDArray[np.float64]:
    """The arrivals as an array of our own; a caller's later change must not reach a run."""
    arrivals = np.array(arrivals_s, dtype=np.float64)
    require(arrivals.ndim == 1, "arrivals_s", f"{arrivals.ndim} dimensions", "one")
    require(arrivals.size < 2**31, "arrivals_s", f"{arrivals.size} requests", "fewer than 2**31")
    if arrivals.size:
        require(bool(np.isfinite(arrivals).all()), "arrivals_s", "NaN or infinity", "finite times")
        require(arrivals[0] >= 0.0, "arrivals_s", f"first at {arrivals[0]} s", "0 s or later")
        require(
            bool((np.diff(arrivals) >= 0.0).all()), "arrivals_s", "a step back", "ascending times"
        )
    return arrivals


def checked_items(
    request_items: ArrayLike | None, requests: int, max_batch_size: int
) -> NDArray[np.uint8] | None:
    """How large each request is; None: all are one."""
    if request_items is None:
        return None
    items = np.asarray(request_items)
    require(items.shape == (requests,), "request_items", f"shape {items.shape}", f"({requests},)")
    fits = items.size == 0 or bool(items.min() >= 1 and items.max() <= max_batch_size)
    require(fits, "request_items", "a request that fits no batch", f"1 to {max_batch_size} items")
    return items.astype(np.uint8)


def checked_connections(connection_of: ArrayLike | None, requests: int) -> NDArray[np.int32] | None:
    """By which connection each request comes; None: drawn."""
    if connection_of is None:
        return None
    pins = np.asarray(connection_of)
    require(pins.shape == (requests,), "connection_of", f"shape {pins.shape}", f"({requests},)")
    if pins.size:
        require(pins.min() >= 0, "connection_of", pins.min(), "0 or more")
        require(pins.max() < 2**20, "connection_of", pins.max(), "fewer than 2**20 connections")
    return pins.astype(np.int32)
