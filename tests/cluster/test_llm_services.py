"""LLMInferenceServices on the real API server, with a stand-in for KServe's controller and one for vLLM as pods."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from autoscaler.actuators.kserve import KServeActuator
from autoscaler.actuators.scale import ScaleActuator
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clients.prometheus import PrometheusClient
from autoscaler.clock import SystemClock
from autoscaler.collectors.kserve import LLM_INFERENCE_SERVICE
from autoscaler.collectors.kubernetes import KubernetesCollector
from autoscaler.collectors.prometheus import PrometheusCollector
from autoscaler.collectors.seen import Seen
from autoscaler.core.annotations import Defaults
from autoscaler.core.reasons import Reason
from autoscaler.core.types import ActionResult, Outcome, WorkloadId
from loadtests.e2e import controllers
from loadtests.kserve.llm import MANAGER
from loadtests.stack.errors import StackError
from loadtests.stack.stack import ROOT, Stack
from tests.cluster.services import (
    NAMESPACE,
    WRITES_AS,
    KServe,
    llm_service,
    ready_pods,
    seen_until,
    to,
    until,
)

CRD = ROOT / "loadtests" / "stack" / "manifests" / "llminferenceservice-crd.yaml"
LOOKS_S = 2.0
"""Several of the stand-in's."""
POD = llm_service("any")["spec"]["template"]


def made(kserve: KServe, name: str) -> dict[str, Any]:
    return kserve.get("deployment", f"{name}-kserve")


async def written(
    client: KubernetesClient, collector: KubernetesCollector, seen: Seen, replicas: int
) -> ActionResult:
    """By the actuator that the controller has."""
    actuator = KServeActuator(
        client, ScaleActuator(client), collector.write_of, written_as=WRITES_AS
    )
    return await actuator.apply(to(seen, replicas))


async def test_with_neither_field_the_deployment_is_scaled_and_stays_so(kserve: KServe) -> None:
    """It is one workload; its pods are vLLM's, not the scheduler's; the service itself is not touched."""
    kserve.apply(llm_service("chat"))
    async with kserve.running() as (client, collector):
        seen = await seen_until(collector, "chat", lambda s: ready_pods(s) == 1)
        assert [item.id for item in collector.observe() if item.id.namespace == NAMESPACE] == [
            WorkloadId(namespace=NAMESPACE, name="chat", kind=LLM_INFERENCE_SERVICE)
        ]
        assert seen.spec is not None
        assert (seen.spec.engine, seen.spec.engine_from) == ("vllm", "command")
        assert (seen.spec.max_sequences, seen.spec.pods_of) == (8, "chat-kserve")
        first = {pod.name for pod in seen.pods}
        before = kserve.get("llmisvc", "chat")
        assert (await written(client, collector, seen, 2)).outcome is Outcome.APPLIED
        seen = await seen_until(collector, "chat", lambda s: ready_pods(s) == 2)
        await asyncio.sleep(LOOKS_S)
        assert made(kserve, "chat")["spec"]["replicas"] == 2
        assert first <= {pod.name for pod in seen.pods}
        assert (seen.replicas.set_by, seen.replicas.set_by_itself) == (WRITES_AS, True)
        after = kserve.get("llmisvc", "chat")
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        scheduler = kserve.get("deployment", "chat-kserve-router-scheduler")
        assert (scheduler["spec"]["replicas"], scheduler["metadata"]["generation"]) == (1, 1)
        old = to(seen, 3)
        kserve.stack.kubectl("scale", "deployment/chat-kserve", "--replicas=1", f"-n{NAMESPACE}")
        actuator = KServeActuator(client, ScaleActuator(client), collector.write_of)
        assert (await actuator.apply(old)).outcome is Outcome.CONFLICT
        seen = await seen_until(collector, "chat", lambda s: s.replicas.desired == 1)
        assert seen.replicas.set_by == "kubectl"


async def test_with_replicas_the_field_is_written_and_the_deployment_follows(
    kserve: KServe,
) -> None:
    """KServe sets its Deployment back to the field, so a scale would not last; and no pod is started anew by it."""
    kserve.apply(llm_service("fixed", replicas=1))
    async with kserve.running() as (client, collector):
        seen = await seen_until(collector, "fixed", lambda s: ready_pods(s) == 1)
        first = {pod.name for pod in seen.pods}
        kserve.stack.kubectl("scale", "deployment/fixed-kserve", "--replicas=2", f"-n{NAMESPACE}")

        async def undone() -> bool:
            return bool(made(kserve, "fixed")["spec"]["replicas"] == 1)

        await until(undone, "the stand-in undoes a scale")
        seen = await seen_until(collector, "fixed", lambda s: s.replicas.desired == 1)
        assert (await written(client, collector, seen, 2)).outcome is Outcome.APPLIED
        assert kserve.get("llmisvc", "fixed")["spec"]["replicas"] == 2
        seen = await seen_until(collector, "fixed", lambda s: ready_pods(s) == 2)
        assert first <= {pod.name for pod in seen.pods}
        assert (seen.replicas.set_by, seen.replicas.set_by_itself) == (WRITES_AS, True)
        # A status that KServe writes is no edit; a number that somebody else writes is.
        status = '{"status": {"url": "https://chat"}}'
        patched = ("patch", "llmisvc/fixed", f"-n{NAMESPACE}", "--type=merge")
        kserve.stack.kubectl(*patched, "--subresource=status", "-p", status)
        assert (await written(client, collector, seen, 3)).outcome is Outcome.APPLIED
        seen = await seen_until(collector, "fixed", lambda s: s.replicas.desired == 3)
        kserve.stack.kubectl(*patched, "--field-manager=helm", "-p", '{"spec": {"replicas": 1}}')
        assert (await written(client, collector, seen, 4)).outcome is Outcome.CONFLICT
        seen = await seen_until(collector, "fixed", lambda s: s.replicas.desired == 1)
        assert seen.replicas.set_by == "helm"


async def test_with_scaling_nothing_is_written(kserve: KServe) -> None:
    kserve.apply(llm_service("own", scaling={"maxReplicas": 3, "keda": {}}))
    async with kserve.running() as (client, collector):
        seen = await seen_until(collector, "own", lambda s: bool(s.pods))
        assert seen.replicas.held_by == "KServe's own autoscaler (spec.scaling: keda)"
        assert seen.replicas.hand_over == "take spec.scaling out"
        assert seen.spec is not None
        assert seen.spec.max_replicas == 3
        assert (await written(client, collector, seen, 2)).outcome is Outcome.CONFLICT
        assert made(kserve, "own")["spec"]["replicas"] == 1


async def test_what_a_base_brings_is_seen_by_what_comes_of_it(kserve: KServe) -> None:
    """An HPA at the Deployment, pods that decode alone, or a Deployment that is set back by KServe."""
    bases: dict[str, dict[str, Any]] = {
        "scaled": {"scaling": {"maxReplicas": 3}},
        "apart": {"prefill": {"template": POD}},
        "counted": {"replicas": 1},
    }
    kserve.apply(*(llm_service(name, baseRefs=[{"name": name}]) for name in bases))
    async with kserve.running(bases=bases) as (client, collector):
        seen = await seen_until(collector, "scaled", lambda s: s.replicas.held_by is not None)
        hpa = f"HorizontalPodAutoscaler {NAMESPACE}/scaled-kserve-hpa"
        assert seen.replicas.held_by == hpa
        assert seen.replicas.hand_over == (
            "delete it, or spec.scaling out of the base that brings it"
        )
        seen = await seen_until(collector, "apart", lambda s: "prefill" in str(s.problems))
        assert "spec.prefill: is set by one of spec.baseRefs" in str(seen.problems[0])
        seen = await seen_until(collector, "counted", lambda s: bool(s.pods))
        assert (await written(client, collector, seen, 2)).outcome is Outcome.APPLIED
        seen = await seen_until(
            collector, "counted", lambda s: s.replicas.desired == 1 and s.replicas.set_by == MANAGER
        )


async def test_before_0_17_a_number_is_asked_for(kserve: KServe) -> None:
    """Such a KServe serves v1alpha1 alone, and sets a Deployment back to 1."""
    serve = partial(kserve.stack.kubectl, "patch", "crd/llminferenceservices.serving.kserve.io")
    kserve.apply(llm_service("old"))
    async with kserve.running(keeps_scale=False) as (client, collector):
        await seen_until(collector, "old", lambda s: s.spec is not None)
        older = KubernetesCollector(client, SystemClock(), defaults=lambda _: Defaults())
        try:
            serve("--type=json", "-p", json.dumps([served(0, False)]))
            seen = await seen_until(older, "old", lambda s: bool(s.problems))
            assert seen.api_version == "serving.kserve.io/v1alpha1"
            assert "spec.replicas: is not set, a number is needed" in str(seen.problems[0])
            older_patch = (
                "patch",
                f"-n{NAMESPACE}",
                "--type=merge",
                "-p",
                '{"spec":{"replicas":1}}',
            )
            kserve.stack.kubectl(
                *older_patch, "llminferenceservices.v1alpha1.serving.kserve.io/old"
            )
            seen = await seen_until(older, "old", lambda s: s.spec is not None)
            assert (await written(client, older, seen, 2)).outcome is Outcome.APPLIED
        finally:
            serve("--type=json", "-p", json.dumps([served(0, True)]))
        seen = await seen_until(collector, "old", lambda s: s.replicas.desired == 2)
        assert seen.api_version == "serving.kserve.io/v1alpha2"


def served(version: int, yes: bool) -> dict[str, Any]:
    return {"op": "replace", "path": f"/spec/versions/{version}/served", "value": yes}


async def test_a_service_that_is_stopped_is_at_zero(kserve: KServe) -> None:
    kserve.apply(llm_service("still"))
    async with kserve.running() as (_, collector):
        await seen_until(collector, "still", lambda s: s.replicas.desired == 1)
        stop = "serving.kserve.io/stop"
        kserve.stack.kubectl("annotate", "llmisvc/still", f"{stop}=true", f"-n{NAMESPACE}")
        seen = await seen_until(collector, "still", lambda s: s.replicas.desired == 0)
        assert (seen.problems, seen.replicas.held_by) == ((), f"KServe ({stop}: true)")
        kserve.stack.kubectl("annotate", "llmisvc/still", f"{stop}-", f"-n{NAMESPACE}")
        await seen_until(collector, "still", lambda s: s.replicas.held_by is None and bool(s.pods))


async def test_one_that_is_deleted_and_made_again_is_another(kserve: KServe) -> None:
    """What `--cascade=orphan` left behind is not this one's; KServe does not touch it either."""
    kserve.apply(llm_service("again"))
    async with kserve.running() as (_, collector):
        before = await seen_until(collector, "again", lambda s: ready_pods(s) == 1)
        kserve.stack.kubectl("delete", "llmisvc/again", "--cascade=orphan", f"-n{NAMESPACE}")
        kserve.apply(llm_service("again"))
        seen = await seen_until(collector, "again", lambda s: s.uid != before.uid)
        assert (seen.pods, seen.reason) == ((), Reason.UNSUPPORTED)
        assert "Deployment of the model: is not there" in str(seen.problems[0])
        kserve.stack.kubectl("delete", "deployment/again-kserve", f"-n{NAMESPACE}")
        seen = await seen_until(collector, "again", lambda s: ready_pods(s) == 1)
        assert {pod.name for pod in seen.pods}.isdisjoint(pod.name for pod in before.pods)
        kserve.stack.kubectl("delete", "deployment/again-kserve-router-scheduler", f"-n{NAMESPACE}")


async def test_vllms_metrics_are_the_services(kserve: KServe) -> None:
    kserve.apply(llm_service("told"))
    async with kserve.running() as (_, collector):
        seen = await seen_until(collector, "told", lambda s: ready_pods(s) == 1)
        assert seen.spec is not None
        pod = seen.pods[0].name
        address = kserve.get("pod", pod)["status"]["podIP"]
        async with aiohttp.ClientSession(f"http://{address}:8000") as session:
            body = {"prompt": "a b c", "max_tokens": 20}
            async with session.post("/v1/completions", json=body) as answer:
                assert answer.status == 200
        prometheus = PrometheusClient(kserve.stack.prometheus_url, timeout_s=5.0, max_concurrent=4)
        clock, spec = SystemClock(), seen.spec
        measures = PrometheusCollector(prometheus)

        async def counted() -> bool:
            found = await measures.collect(clock.now_s(), (spec,))
            sample = found.samples.get((NAMESPACE, pod))
            return sample is not None and [m.inferences for m in sample.models] == [20.0]

        try:
            await until(counted, "20 tokens of that pod")
        finally:
            prometheus.close()


# ---------------------------------------------------------------- the definition comes and goes


async def test_the_definition_comes_and_goes_under_a_collector_that_watches(
    kserve: KServe,
) -> None:
    """Seen within seconds where it was known before; by a look at any time."""
    stack = kserve.stack
    kserve.apply(llm_service("gone"))
    async with kserve.running() as (_, collector):
        watching = asyncio.create_task(collector.run())

        async def services() -> list[str]:
            return [i.id.name for i in collector.observe() if i.id.namespace == NAMESPACE]

        async def there() -> bool:
            return collector.synced and await services() == ["gone"]

        async def away() -> bool:
            return await services() == []

        try:
            await until(there, "the service")
            stack.kubectl("delete", "-f", str(CRD))
            await until(away, "nothing of it")
            stack.kubectl("apply", "-f", str(CRD))
            stack.wait_for_crds("-f", str(CRD))
            kserve.apply(llm_service("gone"))
            await until(there, "the service again")
            assert collector.error is None
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


# ---------------------------------------------------------------- a whole controller

POLICY = """
engine: {tick_s: 1}
namespaces:
  "*": {allow: false}
  kserve-test: {allow: true}
"""


@pytest.fixture
def rights(real_stack: Stack) -> Iterator[Stack]:
    """The base's and the component kserve's."""
    role = str(ROOT / "deploy" / "kustomize" / "components" / "kserve" / "rbac.yaml")
    controllers.install(real_stack)
    real_stack.kubectl("apply", "-f", role)
    yield real_stack
    real_stack.kubectl("delete", "-f", role)
    real_stack.kubectl("delete", "namespace", controllers.NAMESPACE, "--wait=true")


def forescale(*argv: str) -> str:
    """What a command says, in whatever it ends."""
    done = subprocess.run(
        [sys.executable, "-m", "autoscaler", *argv],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    return done.stdout + done.stderr


def events(stack: Stack, name: str) -> str:
    """Of an LLMInferenceService."""
    about = f"involvedObject.kind={LLM_INFERENCE_SERVICE},involvedObject.name={name}"
    selector = (f"-n{NAMESPACE}", f"--field-selector={about}")
    shown = "jsonpath={range .items[*]}{.reason}: {.message}{end}"
    return stack.kubectl("get", "events", *selector, "-o", shown)


async def test_a_controller_writes_where_it_may_and_says_why_it_may_not(
    kserve: KServe, rights: Stack, tmp_path: Path
) -> None:
    """With the rights of deploy/: two services go to their floors, three are left as they are, each with its Event."""
    floor = {"forescale.io/min-replicas": "2"}
    wanted = [llm_service("chat"), llm_service("fixed", replicas=1)]
    for service in wanted:
        service["metadata"]["annotations"] |= floor
    refused = [
        llm_service("wide", worker={"containers": []}),
        llm_service("apart", replicas=0, prefill={"replicas": 0, "template": POD}),
    ]
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    kserve.apply(*wanted, *refused)
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)

    async def told() -> bool:
        scaled = all("Scaled from 1 to 2" in events(rights, name) for name in ("chat", "fixed"))
        return scaled and all("Unsupported: " in events(rights, name) for name in ("wide", "apart"))

    async with kserve.running() as (_, collector):
        controller = controllers.start(rights, "llm", port=18081, policy=policy, folder=tmp_path)
        try:
            seen = [
                await seen_until(collector, name, lambda s: ready_pods(s) == 2)
                for name in ("chat", "fixed")
            ]
            await until(told, "their Events")
            reached = (
                f"--config={policy}",
                f"--kubeconfig={rights.kubeconfig}",
                f"--prometheus-url={rights.prometheus_url}",
            )
            plan = await asyncio.to_thread(forescale, "plan", *reached)
            account = "--service-account=forescale/forescale"
            doctor = await asyncio.to_thread(forescale, "doctor", *reached, account)
        finally:
            controller.stop()
        for name in ("chat", "fixed"):
            workload = f"{NAMESPACE}/llminferenceservice/{name}"
            assert workload in plan
            # Of the last tick alone it tells nothing, once both are there.
            about = ("explain", workload, f"--journal={controller.journal}", f"--since={began}")
            assert "min-replicas" in forescale(*about)
        assert "spec.worker: is set" in plan
        assert "spec.worker: is set" in doctor
        assert "rights: component kserve" in doctor
        assert "may not" not in doctor
        assert [item.replicas.set_by for item in seen] == [WRITES_AS, WRITES_AS]
        assert "replicas" not in kserve.get("llmisvc", "chat")["spec"]
        assert kserve.get("llmisvc", "fixed")["spec"]["replicas"] == 2
        with pytest.raises(StackError):
            made(kserve, "wide")
        decided = {str(d.workload) for r in controller.records() for d in r.result.decisions}
        assert decided == {f"{NAMESPACE}/llminferenceservice/{name}" for name in ("chat", "fixed")}


async def test_a_number_in_a_base_is_told_as_somebodys_edit(
    kserve: KServe, rights: Stack, tmp_path: Path
) -> None:
    """At the service it is not seen; that KServe sets the Deployment back is, and who does."""
    service = llm_service("counted", baseRefs=[{"name": "one"}])
    service["metadata"]["annotations"]["forescale.io/min-replicas"] = "2"
    kserve.apply(service)
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)

    async def told() -> bool:
        return f"lowered from 2 to 1 by {MANAGER}" in events(rights, "counted")

    async with kserve.running(bases={"one": {"replicas": 1}}):
        controller = controllers.start(rights, "base", port=18081, policy=policy, folder=tmp_path)
        try:
            await until(told, "the edit")
        finally:
            controller.stop()
    changes = [
        (action.action.observed, action.action.replicas)
        for record in controller.records()
        for action in record.actions
    ]
    assert set(changes) == {(1, 2)}
