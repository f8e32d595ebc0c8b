"""A worker process ends when the process that began it has ended, also where that was killed and could not end it."""

from __future__ import annotations

import os
import threading

POLL_S = 5.0


def end_with(parent: int, *, poll_s: float = POLL_S) -> None:
    """In the worker: from now on it ends within `poll_s` of `parent`, a pid, whatever it is doing."""
    threading.Thread(target=_watch, args=(parent, poll_s), daemon=True).start()


def _watch(parent: int, poll_s: float) -> None:
    while os.getppid() == parent:
        threading.Event().wait(poll_s)
    os._exit(0)
