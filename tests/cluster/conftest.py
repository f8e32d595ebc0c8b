"""One real stack for all tests of this folder: a control plane, Prometheus and Triton servers as pods."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from loadtests.stack.errors import ToolMissing
from loadtests.stack.stack import Stack
from loadtests.stack.toolbox import find_or_make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/cluster" in str(item.path):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def real_stack() -> Iterator[Stack]:
    """Up for the session. Skips with one line where a program can't be had; in CI that is a failure."""
    try:
        find_or_make(lambda _: None)
    except ToolMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    stack = Stack()
    stack.up(nodes=1, gpus_per_node=4)
    try:
        yield stack
    finally:
        stack.down()
