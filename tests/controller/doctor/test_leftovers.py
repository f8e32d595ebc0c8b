"""Headroom and cordons that nobody looks after any more are found, with the command that ends them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from autoscaler.config import Settings
from autoscaler.config.settings import LeaderSettings
from autoscaler.controller.doctor import leftovers
from autoscaler.controller.doctor.cluster import Cluster
from autoscaler.core.nodes.settings import HeadroomMode, NodeSettings, PoolSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import CHANGE_ANNOTATION
from autoscaler.core.slices.settings import SlicePoolSettings, SliceSettings, SlicesMode
from tests.controller.doctor.test_checks import worst

POOLS = {"h100": PoolSettings(labels={"pool": "h100"}, max_headroom=8)}
MIG = {"mig": SlicePoolSettings(labels={"pool": "mig"}, gpu="A100-80GB", configs={})}


def policy(mode: HeadroomMode = HeadroomMode.AUTO, slices: SlicesMode = SlicesMode.OFF) -> Settings:
    return Settings(
        engine=EngineConfig(
            nodes=NodeSettings(mode=mode, pools=POOLS),
            slices=SliceSettings(mode=slices, pools=MIG),
        )
    )


def made(pool: str, replicas: int = 3) -> dict[str, Any]:
    labels = {"forescale.io/headroom": pool}
    metadata = {"name": pool, "namespace": "forescale-headroom", "labels": labels}
    return {"metadata": metadata, "spec": {"replicas": replicas}}


def node(text: str | None) -> dict[str, Any]:
    notes = {} if text is None else {CHANGE_ANNOTATION: text}
    return {"metadata": {"name": "n1", "labels": {"pool": "mig"}, "annotations": notes}}


@pytest.mark.parametrize(
    ("kind", "raw", "settings", "said"),
    [
        ("deployments", made("h100"), policy(), None),
        ("deployments", made("gone", replicas=0), policy(), None),
        ("deployments", {"metadata": {"name": "web"}}, policy(), None),
        ("deployments", made("gone"), policy(), "deployment gone asks for 3 placeholders, and engine.nodes.pools"),
        ("capacity buffers", made("gone"), Settings(), "capacitybuffer gone asks for 3"),
        ("deployments", made("h100"), policy(HeadroomMode.RECOMMEND), "engine.nodes.mode is recommend"),
    ],
)  # fmt: skip
def test_headroom_that_nobody_lowers(
    kind: str, raw: dict[str, Any], settings: Settings, said: str | None
) -> None:
    found = leftovers.check(Cluster(found={kind: (raw,)}), settings)
    assert len(found) == (said is not None)
    for item in found:
        assert said is not None
        assert said in item.found
        assert item.remedy.startswith("kubectl delete ")
        assert "-n forescale-headroom" in item.remedy


@pytest.mark.parametrize(
    ("text", "settings", "told"),
    [
        (None, policy(), False),
        (json.dumps({"before": "ones", "after": "threes"}), policy(), True),
        (json.dumps({"before": "ones", "after": "threes"}), policy(slices=SlicesMode.AUTO), False),
        ("not json", Settings(), True),
    ],
)
def test_a_node_that_stays_cordoned(text: str | None, settings: Settings, told: bool) -> None:
    found = worst(leftovers.check(Cluster(found={"nodes": (node(text),)}), settings))
    assert bool(found) == told


def test_headroom_without_a_lease_is_swept_away() -> None:
    alone = replace(policy(), leader=LeaderSettings(enabled=False))
    ((level, said),) = worst(leftovers.check(Cluster(), alone))
    assert (level, "while no Lease is renewed" in said) == ("warning", True)
    assert leftovers.check(Cluster(), replace(Settings(), leader=alone.leader)) == []
