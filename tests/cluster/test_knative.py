"""Services in Knative mode on the real API server: their live Revision is written, and no new one is ever made."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from autoscaler.actuators.kserve import KServeActuator
from autoscaler.actuators.scale import ScaleActuator
from autoscaler.core.types import Outcome
from tests.cluster.services import NAMESPACE, KServe, ready_pods, seen_until, service, to, until

SCALING = "autoscaling.knative.dev/"


def made(kserve: KServe, what: str, name: str) -> list[dict[str, Any]]:
    """The objects of one kind that were made for a service."""
    label = f"serving.kserve.io/inferenceservice={name}"
    text = kserve.stack.kubectl("get", what, "-l", label, f"-n{NAMESPACE}", "-o", "json")
    found: list[dict[str, Any]] = json.loads(text)["items"]
    return found


async def test_the_live_revision_is_patched_and_its_pods_stay(kserve: KServe) -> None:
    """Knative 1.21 or newer: its autoscaler takes the Revision's annotations over."""
    kserve.apply(service("kn", None, mode="Knative"))
    async with kserve.running(patch_revisions=True) as (client, collector):
        seen = await seen_until(collector, "kn", lambda s: ready_pods(s) == 1)
        assert seen.replicas.held_by is None
        first, before = {pod.name for pod in seen.pods}, kserve.get("isvc", "kn")
        actuator = KServeActuator(client, ScaleActuator(client), collector.write_of)
        assert (await actuator.apply(to(seen, 2))).outcome is Outcome.APPLIED
        seen = await seen_until(collector, "kn", lambda s: ready_pods(s) == 2)
        await asyncio.sleep(2.0)  # several looks of the stand-ins
        (revision,) = made(kserve, "revisions", "kn")
        (autoscaler,) = made(kserve, "podautoscalers", "kn")
        for item in (revision, autoscaler):
            annotations = item["metadata"]["annotations"]
            assert annotations[f"{SCALING}min-scale"] == "2"
            assert annotations[f"{SCALING}max-scale"] == "2"
        assert first <= {pod.name for pod in seen.pods}
        assert kserve.get("isvc", "kn")["metadata"] == before["metadata"]
        assert (await actuator.apply(to(seen, 1))).outcome is Outcome.APPLIED
        await seen_until(collector, "kn", lambda s: s.replicas.desired == 1)
        assert len(made(kserve, "revisions", "kn")) == 1


async def test_a_change_of_min_replicas_would_start_all_pods_anew(kserve: KServe) -> None:
    """What is avoided: it is a part of the Revision's template."""
    kserve.apply(service("turn", None, mode="Knative"))
    async with kserve.running(patch_revisions=True) as (_, collector):
        seen = await seen_until(collector, "turn", lambda s: ready_pods(s) == 1)
        first = {pod.name for pod in seen.pods}
        change = json.dumps({"spec": {"predictor": {"minReplicas": 2}}})
        kserve.stack.kubectl(
            "patch", "isvc", "turn", "--type=merge", "-p", change, f"-n{NAMESPACE}"
        )

        async def replaced() -> bool:
            await collector.read_once()
            (now,) = [item for item in collector.observe() if item.id.name == "turn"]
            names = {p.name for p in now.pods if p.ready_s is not None and p.deleted_s is None}
            return len(names) == 2 and not names & first

        await until(replaced, "two pods of a new Revision, and none of the first")
        assert len(made(kserve, "revisions", "turn")) == 2


async def test_an_older_knative_is_only_recommended_to(kserve: KServe) -> None:
    """The policy does not say that Knative follows: nothing is written, and the hand-over is told."""
    kserve.apply(service("old", None, mode="Knative"))
    async with kserve.running(knative_syncs=False) as (client, collector):
        seen = await seen_until(collector, "old", lambda s: ready_pods(s) == 1)
        assert seen.replicas.held_by == "Knative's autoscaler (Revision old-predictor-00001)"
        assert seen.replicas.hand_over.endswith("set kserve.patch_revisions in the policy")
        before = made(kserve, "revisions", "old")
        actuator = KServeActuator(client, ScaleActuator(client), collector.write_of)
        assert (await actuator.apply(to(seen, 2))).outcome is Outcome.CONFLICT
        assert made(kserve, "revisions", "old") == before


async def test_a_policy_that_takes_an_older_knative_for_a_newer_one_does_no_harm(
    kserve: KServe,
) -> None:
    """The write has no effect: no pod comes or goes."""
    kserve.apply(service("wrong", None, mode="Knative"))
    async with kserve.running(knative_syncs=False, patch_revisions=True) as (client, collector):
        seen = await seen_until(collector, "wrong", lambda s: ready_pods(s) == 1)
        first = {pod.name for pod in seen.pods}
        actuator = KServeActuator(client, ScaleActuator(client), collector.write_of)
        assert (await actuator.apply(to(seen, 2))).outcome is Outcome.APPLIED
        await asyncio.sleep(2.0)
        (autoscaler,) = made(kserve, "podautoscalers", "wrong")
        assert autoscaler["metadata"]["annotations"][f"{SCALING}min-scale"] == "1"
        seen = await seen_until(collector, "wrong", lambda s: s.replicas.desired == 1)
        assert {pod.name for pod in seen.pods} == first
        assert len(made(kserve, "revisions", "wrong")) == 1
