"""A server on loopback for the time of a measurement, in a process of its own, so that its work does not count."""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"
START_S = 30.0


@contextmanager
def beside(serve: Callable[[int], None]) -> Iterator[int]:
    """The port that `serve`, a function of a module, was given and listens at.

    Raises RuntimeError where it does not within 30 s.
    """
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(port,), daemon=True)
    server.start()
    try:
        _wait(port)
        yield port
    finally:
        server.terminate()
        server.join()


def _wait(port: int) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the server of this bench did not start within {START_S:g} s")
