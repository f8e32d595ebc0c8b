"""Errors that a border inside the engine caught: logged when they begin and when they change, not in each tick."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from autoscaler.core.reasons import Reason
from autoscaler.core.types import TickRecord

log = logging.getLogger(__name__)

FAULTS = frozenset({Reason.INTERNAL_ERROR, Reason.MEMORY_SET_ASIDE})
FLEET = "fleet"


class FaultLog:
    """Remembers what the last tick told."""

    def __init__(self) -> None:
        self._told: frozenset[tuple[str, str, str]] = frozenset()

    def take(self, record: TickRecord) -> None:
        """After every tick."""
        now = frozenset(_faults(record))
        for about, reason, why in sorted(now - self._told):
            log.error("engine failed", extra={"about": about, "reason": reason, "why": why})
        self._told = now


def _faults(record: TickRecord) -> Iterator[tuple[str, str, str]]:
    """(about whom, reason, in words)."""
    told = [(FLEET, found) for found in record.result.fleet]
    told += [(str(d.workload), found) for d in record.result.decisions for found in d.findings]
    for about, found in told:
        if found.reason in FAULTS:
            yield about, found.reason.value, found.message
