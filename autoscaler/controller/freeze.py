"""The switch that stops all scaling: `freeze` in the policy file takes effect at the next tick, without a restart.

Nothing else of the file is taken over while running. A file that has become invalid changes nothing, but for this: it
may stop scaling, since whoever edits it in an incident means that, whatever else is wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from autoscaler.config import Settings, freeze_in
from autoscaler.errors import ConfigError

log = logging.getLogger(__name__)


class FreezeSwitch:
    """Looks at the file before every tick."""

    def __init__(
        self, settings: Settings, path: Path | None, reload: Callable[[], Settings]
    ) -> None:
        self._settings, self._path, self._reload = settings, path, reload
        self._frozen = settings.freeze
        self.outdated = False
        """The file says something else than this process was started with, apart from `freeze`, or can't be used."""
        self._stamp = self._stamped()

    def __call__(self) -> str | None:
        """Why all is stopped; None: it is not."""
        stamp = self._stamped()
        # A ConfigMap's file vanishes for a moment while it is exchanged.
        if stamp is not None and stamp != self._stamp:
            self._stamp = stamp
            self._take()
        return self._frozen

    def _take(self) -> None:
        try:
            fresh = self._reload()
        except ConfigError as error:
            self.outdated = True
            log.warning("policy file ignored: it has become invalid", extra={"error": str(error)})
            why = None if self._path is None else freeze_in(self._path)
            if why is not None and why != self._frozen:
                log.warning("freeze taken over from it all the same", extra={"freeze": why})
                self._frozen = why
            return
        if fresh.freeze != self._frozen:
            log.warning("freeze changed", extra={"freeze": fresh.freeze})
        self._frozen = fresh.freeze
        self.outdated = replace(fresh, freeze=None) != replace(self._settings, freeze=None)
        if self.outdated:
            log.warning("policy file changed: only freeze is taken over, restart for the rest")

    def _stamped(self) -> tuple[int, int, int] | None:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
