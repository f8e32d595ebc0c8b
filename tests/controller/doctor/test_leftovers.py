"""Headroom and cordons that nobody looks after any more are found, with the command that ends them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.config import Settings
from autoscaler.config.settings import LeaderSettings
from autoscaler.controller.doctor import leftovers
from autoscaler.controller.doctor.cluster import Cluster
from autoscaler.core.nodes.settings import HeadroomMode, NodeSettings, PoolSettings
from autoscaler.core.settings import EngineConfig
from autoscaler.core.slices.observed import CHANGE_ANNOTATION
from autoscaler.core.slices.settings import SlicePoolSettings, SliceSettings, SlicesMode
from tests.controller.doctor.test_checks import worst

COMPONENT = Path(__file__).parents[3] / "deploy" / "kustomize" / "components" / "nodes"
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


def sweep(lease: str = "forescale/forescale", namespace: str = "forescale-headroom") -> Any:
    (document,) = (
        item
        for item in yaml.safe_load_all((COMPONENT / "sweep.yaml").read_text())
        if item["kind"] == "CronJob"
    )
    args = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"]
    args[args.index("--lease") + 1], args[args.index("--namespace") + 1] = lease, namespace
    return document


@pytest.mark.parametrize(
    ("jobs", "leader", "wrong"),
    [
        ((sweep(),), LeaderSettings(), []),
        ((sweep("gpus/forescale"),), LeaderSettings(), []),
        (
            (sweep(namespace="other"),),
            LeaderSettings(),
            [("warning", "no CronJob takes away what is in forescale-headroom when the controller is dead")],
        ),
        (
            (sweep(),),
            LeaderSettings(lease_name="gpus"),
            [
                (
                    "error",
                    "CronJob forescale/forescale-sweep looks at the Lease forescale/forescale, "
                    "and leader.lease_name is gpus",
                )
            ],
        ),
        (
            (sweep() | {"spec": sweep()["spec"] | {"suspend": True}},),
            LeaderSettings(),
            [
                (
                    "warning",
                    "CronJob forescale/forescale-sweep is suspended: headroom outlives a controller that is dead",
                )
            ],
        ),
    ],
)  # fmt: skip
def test_the_cron_job_takes_the_headroom_of_this_controller_when_it_is_dead(
    jobs: tuple[Any, ...], leader: LeaderSettings, wrong: list[tuple[str, str]]
) -> None:
    """With another name of the Lease it took the headroom of one that lives, every five minutes."""
    cluster = Cluster(found={"cron jobs": jobs})
    assert worst(leftovers.check(cluster, replace(policy(), leader=leader))) == wrong
