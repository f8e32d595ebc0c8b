"""Nothing that a killed process began goes on."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

LONGEST_S = 60.0
# A worker that would run for ever, begun by a process that waits for it.
BEGUN = """
import os, subprocess, sys
work = "import os, threading; from autoscaler.parent import end_with; end_with(os.getppid(), poll_s=0.01); "
work += "print(os.getpid(), flush=True); threading.Event().wait()"
subprocess.run([sys.executable, "-c", work])
"""


def test_a_worker_ends_with_a_parent_that_was_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", BEGUN], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    ended = os.pidfd_open(worker)
    try:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        seen, _, _ = select.select([ended], [], [], LONGEST_S)
    finally:
        parent.stdout.close()
        os.close(ended)
    assert seen
