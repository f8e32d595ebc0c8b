"""Troubles that last: a line of the log when one begins, when it becomes another, each hour, and when it is over."""

from __future__ import annotations

import logging
import re

from autoscaler.clock import Clock

REPEAT_S = 3600.0
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


class Lasting:
    """What is wrong with one thing, asked about again and again."""

    def __init__(self, log: logging.Logger, clock: Clock, *, over: str) -> None:
        """`over` is said when it is over."""
        self._log, self._clock, self._over = log, clock, over
        self._told: tuple[str, ...] | None = None
        """As it was told last, less its numbers: how long something took is no news."""
        self._told_s = float("-inf")

    def tell(self, event: str, **extra: str) -> None:
        """It is so now."""
        now_s = self._clock.monotonic_s()
        kind = (event, *(_NUMBER.sub("0", text) for text in extra.values()))
        if kind == self._told and now_s - self._told_s < REPEAT_S:
            return
        self._told, self._told_s = kind, now_s
        self._log.warning(event, extra=extra)

    def end(self) -> None:
        """All is well now."""
        if self._told is not None:
            self._log.info(self._over)
        self._told = None


class LastingOfEach:
    """The same of several things, each known by what it is about."""

    def __init__(self, log: logging.Logger, clock: Clock, *, over: str) -> None:
        """As of `Lasting`."""
        self._log, self._clock, self._over = log, clock, over
        self._known: dict[str, Lasting] = {}

    def tell(self, about: str, event: str, **extra: str) -> None:
        """It is so now."""
        if about not in self._known:
            over = f"{about}: {self._over}"
            self._known[about] = Lasting(self._log, self._clock, over=over)
        self._known[about].tell(event, about=about, **extra)

    def end(self, about: str) -> None:
        """All is well with it now."""
        if about in self._known:
            self._known.pop(about).end()
