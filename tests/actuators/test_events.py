"""Events about objects whose names are as long as Kubernetes allows."""

from __future__ import annotations

import re

import pytest

from autoscaler.actuators.events import event
from autoscaler.core.types import Severity, WorkloadId


@pytest.mark.parametrize("name", ["n1", "n" * 253, "n" * 239 + ".-" + "n" * 12])
def test_an_event_has_a_name_that_is_allowed(name: str) -> None:
    about = WorkloadId(namespace="default", name=name, kind="Node")
    made = event(
        about,
        api_version="v1",
        uid=None,
        reason="MigStuck",
        message="it stays cordoned",
        severity=Severity.WARNING,
        now_s=1_700_000_000.0,
        instance="a",
    )
    own = made["metadata"]["name"]
    assert len(own) <= 253
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", own)
    assert made["involvedObject"]["name"] == name
