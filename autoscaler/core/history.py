"""The demand of the past, minute by minute: what forecasters are fitted on."""

from __future__ import annotations

from array import array

MINUTE_S = 60.0
ENOUGH_MINUTES = 60


class DemandHistory:
    """Demand of one workload, minute by minute: a ring of 4-byte floats, NaN where nothing is known.

    Seven days are 10,080 minutes or 40 KB; a thousand workloads 40 MB.
    """

    __slots__ = ("_start_s", "_values")

    def __init__(self, days: float) -> None:
        self._values = array("f", [float("nan")]) * max(1, round(days * 1440))
        self._start_s: float | None = None
        """The newest minute that was written."""

    def put(self, minute_s: float, rps: float) -> None:
        """Writes one minute; minutes skipped since the last one become unknown. Minutes from before the ring are
        ignored."""
        size = len(self._values)
        index = int(minute_s // MINUTE_S)
        newest = None if self._start_s is None else int(self._start_s // MINUTE_S)
        if newest is None or index > newest:
            if newest is not None:
                for skipped in range(max(newest + 1, index - size), index):
                    self._values[skipped % size] = float("nan")
            self._start_s = minute_s
        elif index <= newest - size:
            return
        self._values[index % size] = rps

    def series(self) -> tuple[float, array[float]]:
        """(the first minute's start, one value a minute in inferences a second), oldest first, NaN for unknown."""
        size = len(self._values)
        if self._start_s is None:
            return 0.0, array("f")
        head = int(self._start_s // MINUTE_S) % size + 1
        first_s = (self._start_s // MINUTE_S - size + 1) * MINUTE_S
        return first_s, self._values[head:] + self._values[:head]

    def mean_rps(self, minutes: int) -> float | None:
        """Mean of the known among the newest `minutes`; None: less than an hour of them is known."""
        if self._start_s is None:
            return None
        size = len(self._values)
        newest = int(self._start_s // MINUTE_S)
        total, known = 0.0, 0
        for index in range(newest - min(minutes, size) + 1, newest + 1):
            value = self._values[index % size]
            if value == value:
                total += value
                known += 1
        return total / known if known >= ENOUGH_MINUTES else None
