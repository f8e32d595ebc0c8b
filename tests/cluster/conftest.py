"""One real stack for all tests of this folder: a control plane, Prometheus and Triton servers as pods."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from loadtests.stack.errors import ToolMissing
from loadtests.stack.stack import ROOT, Stack
from loadtests.stack.toolbox import find_or_make
from tests.cluster.services import NAMESPACE, KServe


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


@pytest.fixture(scope="module")
def kserve(real_stack: Stack) -> Iterator[KServe]:
    """The definitions of KServe and Knative installed, and a namespace for services."""
    manifests = ROOT / "loadtests" / "stack" / "manifests"
    names = ("inferenceservice-crd.yaml", "llminferenceservice-crd.yaml", "knative-crds.yaml")
    crds = [manifests / name for name in names]
    for crd in crds:
        real_stack.kubectl("apply", "-f", str(crd))
        real_stack.wait_for_crds("-f", str(crd))
    real_stack.kubectl("create", "namespace", NAMESPACE)
    yield KServe(real_stack)
    real_stack.kubectl("delete", "namespace", NAMESPACE, "--wait=true")
    for crd in crds:
        real_stack.kubectl("delete", "-f", str(crd))
