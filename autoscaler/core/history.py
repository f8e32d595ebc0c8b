"""The demand of the past, minute by minute: what forecasters are fitted on."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from autoscaler.core.types import HistoryPoint, WorkloadId

MINUTE_S = 60.0
ENOUGH_MINUTES = 60
DAY_MINUTES = 1440


class DemandHistory:
    """Demand of one workload, minute by minute: a ring of 4-byte floats, NaN where nothing is known.

    Seven days are 10,080 minutes or 40 KB; a thousand workloads 40 MB.
    """

    __slots__ = ("_start_s", "_values")

    def __init__(self, days: float) -> None:
        self._values = array("f", [float("nan")]) * max(1, round(days * DAY_MINUTES))
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
        elif index <= newest - size:
            return
        self._values[index % size] = rps
        if newest is None or index > newest:
            # Last: who reads meanwhile must not take what stood there a ring ago for the newest.
            self._start_s = minute_s

    def set_back(self, now_s: float) -> None:
        """After a clock that was ahead: what has not come yet is not known, and the next minute is the newest."""
        if self._start_s is None or self._start_s <= now_s:
            return
        size, now = len(self._values), int(now_s // MINUTE_S)
        newest = int(self._start_s // MINUTE_S)
        for ahead in range(max(now, newest - size) + 1, newest + 1):
            self._values[ahead % size] = float("nan")
        self._start_s = now * MINUTE_S

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
        head = int(self._start_s // MINUTE_S) % size + 1
        first = head - min(minutes, size)
        newest = self._values[max(first, 0) : head]
        if first < 0:
            newest = self._values[first:] + newest
        known = [rps for rps in newest if rps == rps]
        return sum(known) / len(known) if len(known) >= ENOUGH_MINUTES else None


class Histories:
    """The past of every workload, and what its usual demand is: the mean of the last day."""

    def __init__(self, days: float) -> None:
        self._days = days
        self._kept: dict[WorkloadId, DemandHistory] = {}
        self._usual_rps: dict[WorkloadId, float | None] = {}

    def series(self, workload: WorkloadId) -> tuple[float, array[float]]:
        """As of DemandHistory; empty where nothing is known."""
        history = self._kept.get(workload)
        return history.series() if history else (0.0, array("f"))

    def usual_rps(self, workload: WorkloadId) -> float | None:
        """None: less than an hour of the last day is known."""
        return self._usual_rps.get(workload)

    def put(self, workload: WorkloadId, minute_s: float, rps: float) -> None:
        """One more minute."""
        history = self._kept.get(workload)
        if history is None:
            history = self._kept[workload] = DemandHistory(self._days)
        history.put(minute_s, rps)
        self._usual_rps[workload] = history.mean_rps(DAY_MINUTES)

    def set_back(self, now_s: float) -> None:
        """After a clock that was ahead."""
        for history in self._kept.values():
            history.set_back(now_s)

    def begin(self, workload: WorkloadId, points: Iterable[HistoryPoint]) -> None:
        """The past as it was told, in place of what was known. A rate below 0 is none."""
        history = self._kept[workload] = DemandHistory(self._days)
        for point in sorted(points, key=lambda item: item.minute_s):
            if point.offered_rps >= 0.0:
                history.put(point.minute_s, point.offered_rps)
        self._usual_rps[workload] = history.mean_rps(DAY_MINUTES)

    def forget(self, workload: WorkloadId) -> None:
        """The workload is gone."""
        self._kept.pop(workload, None)
        self._usual_rps.pop(workload, None)
