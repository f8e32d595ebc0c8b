"""What the policy says of a namespace reaches the annotations that are read there."""

from __future__ import annotations

from autoscaler.collectors.namespace_policy import defaults_for
from autoscaler.collectors.presets import BUILT_IN
from autoscaler.config import NamespacePolicy, QuerySet, Settings
from autoscaler.core.annotations import Defaults
from autoscaler.core.types import Mode


def test_every_key_of_a_namespace_reaches_its_workloads() -> None:
    team = NamespacePolicy(
        slo="p95 < 200ms",
        mode=Mode.RECOMMEND,
        max_mode=Mode.RECOMMEND,
        max_priority=3,
        max_replicas=9,
        steer_victims=True,
    )
    settings = Settings(namespaces={"team": team}, queries={"ours": QuerySet(success="up")})
    assert defaults_for(settings)("team") == Defaults(
        slo="p95 < 200ms",
        mode=Mode.RECOMMEND,
        max_mode=Mode.RECOMMEND,
        max_priority=3,
        max_replicas=9,
        steer_victims=True,
        engines=tuple(sorted({"ours", *BUILT_IN})),
    )
    nothing_said = defaults_for(settings)("other")
    assert nothing_said is not None
    assert (nothing_said.mode, nothing_said.slo) == (Mode.AUTO, None)


def test_a_namespace_that_is_not_allowed_has_none() -> None:
    settings = Settings(namespaces={"*": NamespacePolicy(allow=False)})
    assert defaults_for(settings)("team") is None
