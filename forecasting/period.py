"""Finds what repeats: the periods of a series, by autocorrelation checked against the series' own later part.

A day and a week are not assumed. A surge a few minutes past every half hour shows as peaks of the autocorrelation at
30, 60, 90 ...; the shortest that explains as much as the others is the period.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecasting.types import Array

# A period counts if folding at it explains this share of the variance of cycles that the fold has not seen.
MIN_EXPLAINED = 0.1
CANDIDATES = 12
PARTS = 12
GOOD_AS_BEST = 0.95
SEEN_CYCLES = 3


def find_periods(y: Array, *, longest: int, most: int = 2) -> tuple[int, ...]:
    """Periods in steps of one series (steps,), 2 to `longest`, what explains most first; () where none does.

    At least three cycles must be there. Each later period must explain something that those before it leave.
    """
    found: list[int] = []
    rest = y - y.mean()
    for _ in range(most):
        best = _best(rest, min(longest, y.size // SEEN_CYCLES))
        if best is None:
            break
        found.append(best)
        rest = rest - fold(rest, best, phase_of=np.arange(rest.size))
    return tuple(found)


def fold(y: Array, period: int, *, phase_of: NDArray[np.int64]) -> Array:
    """Mean of `y` at each phase of `period`, read at the steps `phase_of`."""
    phases = np.arange(y.size) % period
    sums = np.bincount(phases, weights=y, minlength=period)
    counts = np.bincount(phases, minlength=period)
    profile = sums / np.maximum(counts, 1)
    return np.asarray(profile[phase_of % period])


def _best(y: Array, longest: int) -> int | None:
    if longest < 2 or not np.any(y):
        return None
    scored = [(explained(y, period), period) for period in _candidates(y, longest)]
    scored = [item for item in scored if item[0] >= MIN_EXPLAINED]
    if not scored:
        return None
    top, best = max(scored)
    # A multiple of the period explains as much by chance: the shortest part of the best that is about as good.
    return min(p for share, p in scored if best % p == 0 and share >= GOOD_AS_BEST * top)


def _candidates(y: Array, longest: int) -> list[int]:
    """Lags at which the autocorrelation has its highest peaks, and the periodogram's strongest periods."""
    centred = y - y.mean()
    size = 1 << (2 * y.size - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(centred, size)) ** 2
    correlation = np.fft.irfft(spectrum)[: longest + 2]
    # Fewer pairs at longer lags: what counts is their mean.
    correlation = correlation / (y.size - np.arange(correlation.size))
    inner = correlation[1:-1]
    peaks = np.flatnonzero((inner >= correlation[:-2]) & (inner > correlation[2:])) + 1
    peaks = peaks[peaks >= 2]
    by_lag = peaks[np.argsort(-correlation[peaks], kind="stable")][:CANDIDATES]
    strongest = np.argsort(-spectrum[1:], kind="stable")[:CANDIDATES] + 1
    by_frequency = np.round(size / strongest).astype(np.int64)
    found = {int(p) for p in (*by_lag, *by_frequency)}
    # The highest peak may be a multiple of the period: a surge each half hour correlates as well at three hours.
    found |= {p // part for p in found for part in range(2, PARTS + 1) if p % part == 0}
    return sorted(p for p in found if 2 <= p <= longest)


def explained(y: Array, period: int) -> float:
    """Share of the variance of the last third that the fold of the first two thirds explains; below 0 if it harms."""
    split = y.size - max(period, y.size // 3)
    if split < period:
        return -1.0
    later = y[split:]
    total = float(((later - y[:split].mean()) ** 2).sum())
    if total <= 0.0:
        return -1.0
    told = fold(y[:split], period, phase_of=np.arange(split, y.size))
    return 1.0 - float(((later - told) ** 2).sum()) / total
