"""Collectors, actuator and commands against the real parts, from a pod's birth to its end."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tritonclient.http import InferInput, aio

from autoscaler.actuators.events import EventWriter
from autoscaler.actuators.scale import ScaleActuator
from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.clients.prometheus import PrometheusClient
from autoscaler.clock import SystemClock
from autoscaler.collectors.kubernetes import KubernetesCollector
from autoscaler.collectors.prometheus import PrometheusCollector
from autoscaler.collectors.seen import Seen
from autoscaler.collectors.triton import TritonCollector
from autoscaler.core.annotations import Defaults
from autoscaler.core.reasons import Reason
from autoscaler.core.types import Outcome, SetReplicas, Severity, WorkloadId
from loadtests.stack import processes
from loadtests.stack.stack import ROOT, Stack
from tests.cluster import waiting

BERT = WorkloadId(namespace="team", name="bert")
DEADLINE_S = 90.0
wait_for = partial(waiting.wait_for, within_s=DEADLINE_S)


@dataclass
class World:
    """The stack with bert running on it."""

    stack: Stack

    async def client(self) -> KubernetesClient:
        return await KubernetesClient.connect(
            kubeconfig=str(self.stack.kubeconfig), context=None, timeout_s=5.0
        )

    async def seen(self) -> tuple[Seen, KubernetesCollector, KubernetesClient]:
        client = await self.client()
        collector = KubernetesCollector(client, SystemClock(), defaults=lambda _: Defaults())
        await collector.read_once()
        (seen,) = collector.observe()
        return seen, collector, client

    def prometheus(self, promql: str) -> list[dict[str, dict[str, str]]]:
        from urllib.parse import urlencode
        from urllib.request import urlopen

        url = f"{self.stack.prometheus_url}/api/v1/query?{urlencode({'query': promql})}"
        with urlopen(url, timeout=5.0) as answer:
            result: list[dict[str, dict[str, str]]] = json.load(answer)["data"]["result"]
            return result


@pytest.fixture(scope="module")
def world(real_stack: Stack) -> World:
    real_stack.kubectl("apply", "-f", str(ROOT / "loadtests" / "stack" / "manifests" / "bert.yaml"))
    real_stack.kubectl(
        *("annotate", "deployment", "bert", "-n", "team"), "forescale.io/slo=99% < 300ms"
    )
    real_stack.kubectl("rollout", "status", "deployment/bert", "--namespace=team", "--timeout=90s")
    return World(stack=real_stack)


def scale(observed: int, replicas: int) -> SetReplicas:
    """Of `bert`, from what was seen."""
    return SetReplicas(
        workload=BERT,
        api_version="apps/v1",
        observed=observed,
        replicas=replicas,
        reason=Reason.DEMAND_RISING,
        message="",
    )


async def test_kubernetes_shows_the_workload_with_its_pods(world: World) -> None:
    seen, collector, client = await world.seen()
    await client.close()
    assert seen.spec is not None
    assert (seen.id, seen.spec.slo.text, seen.spec.gpus_per_replica) == (BERT, "99% < 300ms", 1.0)
    assert (seen.replicas.desired, seen.replicas.rollout, seen.replicas.held_by) == (2, False, None)
    assert len(seen.pods) == 2
    assert all(pod.template_hash == seen.replicas.template_hash for pod in seen.pods)
    # The manifest delays the start by ten seconds.
    starts = [(pod.first_ready_s or 0.0) - pod.created_s for pod in seen.pods]
    assert min(starts) >= 10.0
    assert len(collector.endpoints()) == 2
    assert collector.uid(BERT) == seen.uid


async def test_who_changed_the_replicas_is_known(world: World) -> None:
    """The API server takes a number that is there already for no change, so it is 3 and back to 2."""
    client = await world.client()
    collector = KubernetesCollector(
        client, SystemClock(), defaults=lambda _: Defaults(), writes_as="forescale:team/test"
    )
    told = []
    for observed, replicas in ((2, 3), (3, 2)):
        action = scale(observed, replicas)
        result = await ScaleActuator(client, written_as="forescale:team/test").apply(action)
        assert result.outcome is Outcome.APPLIED
        await collector.read_once()
        (seen,) = collector.observe()
        told.append((seen.replicas.desired, seen.replicas.set_by, seen.replicas.set_by_itself))
    world.stack.kubectl("scale", "deployment", "bert", "-n", "team", "--replicas=3")
    world.stack.kubectl("scale", "deployment", "bert", "-n", "team", "--replicas=2")
    await collector.read_once()
    (seen,) = collector.observe()
    await client.close()
    ours = "forescale:team/test"
    assert told == [(3, ours, True), (2, ours, True)]
    assert (seen.replicas.set_by, seen.replicas.set_by_itself) == ("kubectl", False)
    names = ("get", "pods", "-n", "team", "-l", "app=bert", "-o", "name")
    wait_for(lambda: len(world.stack.kubectl(*names).split()) == 2, "the third pod is gone")


async def test_inferences_are_seen_by_triton_prometheus_and_dcgm(world: World) -> None:
    _, collector, client = await world.seen()
    values = InferInput("IN", [1, 1], "FP32")
    values.set_data_from_numpy(np.ones((1, 1), dtype=np.float32))
    for endpoint in collector.endpoints():
        server = aio.InferenceServerClient(f"{endpoint.ip}:8000")
        for _ in range(6):
            answer = await server.infer("bert", [values])
            assert answer.as_numpy("OUT")[0, 0] == 1.0
        await server.close()
    triton = TritonCollector(collector.endpoints, SystemClock())
    await triton.read_once()
    (profile,) = triton.take()[BERT]
    (model,) = profile.models
    assert (model.model, model.max_batch_size, model.instances) == ("bert", 2, 1)
    single = next(entry for entry in model.batch_times if entry.batch_size == 1)
    # The model sleeps 52 ms: never shorter, and on a busy machine somewhat longer; seconds, not another unit.
    assert 0.052 <= single.total_s / single.count < 0.52
    wait_for(
        lambda: len(world.prometheus("nv_inference_request_success >= 6")) == 2, "both pods scraped"
    )
    wait_for(
        lambda: world.prometheus('DCGM_FI_PROF_GR_ENGINE_ACTIVE{exported_namespace="team"}'),
        "GPU metrics with the workload's labels",
    )
    prometheus = PrometheusClient(world.stack.prometheus_url, timeout_s=5.0)
    seen = collector.observe()[0]
    assert seen.spec is not None
    collected = await PrometheusCollector(prometheus).collect(time.time(), (seen.spec,))
    prometheus.close()
    await client.close()
    assert collected.error is None
    assert sorted(collected.samples) == sorted(("team", pod.name) for pod in seen.pods)
    for sample in collected.samples.values():
        assert 0.0 <= time.time() - sample.sampled_at_s < 15.0
        assert (sample.models[0].success or 0.0) >= 6.0
        assert sample.models[0].latency_quantiles


def test_plan_and_explain_as_a_user_runs_them(world: World) -> None:
    common = [
        f"--kubeconfig={world.stack.kubeconfig}",
        f"--prometheus-url={world.stack.prometheus_url}",
        "--wait=12",
        "--json",
    ]
    forescale = str(Path(sys.executable).with_name("forescale"))
    plan = subprocess.run(
        [forescale, "plan", *common], capture_output=True, text=True, check=False, timeout=60.0
    )
    assert plan.returncode == 0, plan.stderr
    assert "team" in plan.stdout
    assert json.loads(plan.stdout)
    unknown = subprocess.run(
        [forescale, "explain", "team/brt", *common],
        capture_output=True,
        text=True,
        check=False,
        timeout=60.0,
    )
    assert unknown.returncode in (1, 2)
    assert "team/bert" in unknown.stderr


async def test_the_migration_pages_lines_hand_a_workload_over_from_an_hpa(world: World) -> None:
    page = (ROOT / "docs" / "migration.md").read_text()
    bounds = ("--min=2", "--max=2", "--cpu-percent=80")
    world.stack.kubectl("autoscale", "deployment", "bert", "--namespace=team", *bounds)

    async def held_by() -> str | None:
        seen, _, client = await world.seen()
        await client.close()
        return seen.replicas.held_by

    assert await held_by() == "HorizontalPodAutoscaler team/bert"
    for line in (
        "kubectl annotate deployment bert -n team forescale.io/slo='99% < 300ms' forescale.io/mode=recommend",
        "kubectl delete hpa bert -n team",
        "kubectl annotate deployment bert -n team forescale.io/mode-",
    ):
        assert f"\n{line}\n" in page
        overwrite = ["--overwrite"] if "slo=" in line else []
        world.stack.kubectl(*shlex.split(line)[1:], *overwrite)
    assert await held_by() is None


async def test_a_deployment_that_sleeps_is_woken(world: World) -> None:
    """A Scale of 0 has no replicas in the API server's JSON."""
    where = ("asleep", "--namespace=team")
    world.stack.kubectl("create", "deployment", *where, "--image=none:1", "--replicas=0")
    _, _, client = await world.seen()
    woken = SetReplicas(
        workload=WorkloadId(namespace="team", name="asleep"),
        api_version="apps/v1",
        observed=0,
        replicas=1,
        reason=Reason.DEMAND_RISING,
        message="",
    )
    actuator = ScaleActuator(client)
    outcomes = [(await actuator.apply(woken)).outcome for _ in range(2)]
    await client.close()
    world.stack.kubectl("delete", "deployment", *where)
    assert outcomes == [Outcome.APPLIED, Outcome.CONFLICT]


async def test_a_scale_only_from_what_was_seen_and_an_event_that_says_so(world: World) -> None:
    seen, collector, client = await world.seen()
    running = {entry.pid for entry in processes.load(world.stack.folder / "servers.json")}
    actuator = ScaleActuator(client)

    assert (await actuator.apply(scale(7, 1))).outcome is Outcome.CONFLICT
    assert (await actuator.apply(scale(2, 1))).outcome is Outcome.APPLIED
    await EventWriter(client, collector.uid, instance="test").write(
        BERT,
        api_version="apps/v1",
        reason="DemandFalling",
        message="2 -> 1",
        severity=Severity.NORMAL,
        now_s=time.time(),
    )
    await client.close()
    told = world.stack.kubectl("describe", "deployment", "bert", "--namespace=team")
    assert "DemandFalling" in told
    wait_for(
        lambda: len(processes.load(world.stack.folder / "servers.json")) == 1, "one server is left"
    )
    left = {entry.pid for entry in processes.load(world.stack.folder / "servers.json")}
    assert left < running
    assert seen.replicas.desired == 2
