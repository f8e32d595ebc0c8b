"""Nodes ahead of demand: Prometheus knows two weeks of a daily schedule; before a rise comes its nodes are there.

Real Karpenter makes the nodes. The cheaper pool is sold out when it is asked, and the dearer one takes over. Demand
falls, and the nodes go. The schedule has several rises: the first one that comes well after the forecast's model was
learned is judged - the first of all where the machine is idle, a later one where it is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.core.nodes.observed import PoolDecision
from autoscaler.core.types import TickRecord
from loadtests.e2e import controllers, node_checks, past, show
from loadtests.e2e.controllers import Controller
from loadtests.e2e.node_recorder import NodeRecorder
from loadtests.load import request_log
from loadtests.load.driver import Driver
from loadtests.load.pods import PodWatch
from loadtests.load.profile import Step, arrivals
from loadtests.load.targets import ReadyPods
from loadtests.stack.errors import StackError
from loadtests.stack.karpenter import Pool
from loadtests.stack.plane import HOST
from loadtests.stack.stack import ROOT, Stack

FOLDER = ROOT / "build" / "e2e-nodes"
MANIFEST = ROOT / "loadtests" / "e2e" / "manifests" / "nodes.yaml"
COMPONENT = ROOT / "deploy" / "kustomize" / "components" / "nodes"
NAMESPACE, NAME = "team", "bert"
PORT = 18090
THRESHOLD_S = 0.9

CHEAP = Pool(name="cheap", price_per_hour=1.0, weight=10)
DEAR = Pool(name="dear", price_per_hour=2.0)
BOOT_S = 20
# The daily demand: low, and now and then a rise to four servers' worth.
LOW_RPS, HIGH_RPS = 4.0, 16.0
# A climb of two and a half minutes: the past is read as rates over two, in which a jump would be blurred.
FIRST_RISE_S, CLIMB_S, HIGH_S, LOW_S = 200.0, 150.0, 90.0, 600.0
PARTS = 5
EXPECTED = 3
"""GPUs for the rise; at the low level one carries all, and two allow for chance."""
WAVES = 2
STEPS = (
    Step(duration_s=FIRST_RISE_S, rate_rps=LOW_RPS),
    *(
        Step(duration_s=seconds, rate_rps=rate_rps)
        for _ in range(WAVES)
        for seconds, rate_rps in (
            *(
                (CLIMB_S / PARTS, LOW_RPS + part / PARTS * (HIGH_RPS - LOW_RPS))
                for part in range(1, PARTS + 1)
            ),
            (HIGH_S, HIGH_RPS),
            (LOW_S, LOW_RPS),
        )
    ),
)
LEAD_S = 200.0
"""The forecast looks three minutes ahead here: what is asked for earlier is for another rise."""
AFTER_S = 250.0
"""What nodes have to go in, after demand has fallen."""
NOTICE_S = 90.0
"""Between a model that was learned and the rise that judges it: a minute until it forecasts, and a node's boot."""

POLICY = f"""
# Shorter than the defaults, so that everything happens within one run.
prometheus:
  backfill_s: {past.DAYS * 86400}
forecast:
  # The shared model alone: it is learned in seconds, a workload's own one takes a core for a minute.
  own_models: 0
engine:
  behavior:
    scale_down:
      stabilization_window_s: 30
      policies:
        - {{type: Percent, value: 50, period_s: 15}}
        - {{type: Pods, value: 2, period_s: 15}}
  nodes:
    patience_s: 30
    stock_out_backoff_s: 60
    pools:
      cheap:
        labels: {{karpenter.sh/nodepool: cheap}}
        units_per_node: {CHEAP.units}
        max_headroom: 8
        price_per_hour: {CHEAP.price_per_hour}
        lead_time_s: 30
      dear:
        labels: {{karpenter.sh/nodepool: dear}}
        units_per_node: {DEAR.units}
        max_headroom: 8
        price_per_hour: {DEAR.price_per_hour}
        lead_time_s: 30
        # Both interfaces are proven in one run.
        backend: placeholder
"""


@dataclass(slots=True)
class Marks:
    """What was done, and when."""

    start_s: float
    rise_s: float = 0.0
    fall_s: float = 0.0
    marks: list[tuple[float, str]] = field(default_factory=list)

    def mark(self, text: str, console: Console) -> float:
        """Writes it down with the time, which is returned."""
        now_s = time.time()
        self.marks.append((now_s, text))
        console.print(f"[dim]{now_s - self.start_s:5.0f} s[/] {text}")
        return now_s


async def run(stack: Stack, console: Console) -> bool:
    """The whole run on a stack that is up; whether every check passed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    stack.add_karpenter((CHEAP, DEAR), boot_s=BOOT_S)
    controllers.install(stack)
    for name in ("headroom", "rbac", "sweep"):
        stack.kubectl("apply", "-f", str(COMPONENT / f"{name}.yaml"))
    stack.kubectl("apply", "-f", str(MANIFEST))
    console.print("[dim]the first pod asks for the first node[/]")
    stack.kubectl(
        "rollout", "status", f"deployment/{NAME}", f"--namespace={NAMESPACE}", "--timeout=120s"
    )
    # A whole minute, for the past is told in minutes; with time for Prometheus to take it in.
    start_s = math.ceil((time.time() + 20.0) / 60.0) * 60.0
    _give_past(stack, start_s, console)
    policy = FOLDER / "policy.yaml"
    policy.write_text(POLICY)
    controller = controllers.start(stack, "one", port=PORT, policy=policy, folder=FOLDER)
    try:
        marks, driver, recorder = await _drive(stack, start_s, console)
    finally:
        controller.stop()
    return _judge(controller, marks, driver, recorder, console)


def _give_past(stack: Stack, start_s: float, console: Console) -> None:
    file = FOLDER / "past.txt"
    samples = past.write(
        file,
        namespace=NAMESPACE,
        pod=f"{NAME}-5c9f7d8b6d-past0",
        model=NAME,
        steps=STEPS,
        starts_s=start_s,
        until_s=time.time() - 120.0,
    )
    stack.give_past(file)
    console.print(f"[dim]Prometheus knows {past.DAYS} days: {samples} samples[/]")


async def _drive(
    stack: Stack, start_s: float, console: Console
) -> tuple[Marks, Driver, NodeRecorder]:
    client = await KubernetesClient.connect(
        kubeconfig=str(stack.kubeconfig), context=None, timeout_s=5.0
    )
    watch, recorder = PodWatch(client, NAMESPACE, f"{NAME}-"), NodeRecorder(client, NAMESPACE)
    background = [asyncio.create_task(work) for work in (watch.run(), recorder.run())]
    try:
        while not watch.ready() or time.time() < start_s:
            await asyncio.sleep(0.2)
        driver, marks = Driver(ReadyPods(watch.ready), model=NAME), Marks(start_s=start_s)
        console.print(
            f"{LOW_RPS:g} rps; from {FIRST_RISE_S:.0f} s on it climbs to {HIGH_RPS:g} within {CLIMB_S:.0f} s"
        )
        load = asyncio.create_task(driver.run(arrivals(STEPS, seed=1), started_s=start_s))
        background.append(load)
        await _events(stack, marks, console)
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await client.close()
    return marks, driver, recorder


async def _events(stack: Stack, marks: Marks, console: Console) -> None:
    async def until(at_s: float) -> None:
        await asyncio.sleep(max(0.0, marks.start_s + at_s - time.time()))

    stack.sell_out(CHEAP.name)
    marks.mark("the cheap pool is sold out", console)
    while not await asyncio.to_thread(_learned):
        await asyncio.sleep(2.0)
    learned_s = marks.mark("the forecast's model is learned", console) - marks.start_s
    rises = [FIRST_RISE_S + wave * (CLIMB_S + HIGH_S + LOW_S) for wave in range(WAVES)]
    rise_s = next((at_s for at_s in rises if at_s >= learned_s + NOTICE_S), None)
    if rise_s is None:
        raise StackError(
            f"no model was learned within {rises[-1] - NOTICE_S:.0f} s; is the machine idle?"
        )
    fall_s = rise_s + CLIMB_S + HIGH_S
    marks.rise_s, marks.fall_s = marks.start_s + rise_s, marks.start_s + fall_s
    await until(rise_s)
    marks.mark("demand rises", console)
    await until(fall_s)
    marks.mark("demand falls", console)
    await until(fall_s + AFTER_S)


def _learned() -> bool:
    """The workload is forecast, as the controller's metrics tell. A model of one is counted as its own."""
    url = f"http://{HOST}:{PORT}/metrics"
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2.0) as answer:
        return b'forescale_forecast_workloads{model="own"} 1.0' in answer.read()
    return False


def _judge(
    controller: Controller,
    marks: Marks,
    driver: Driver,
    recorder: NodeRecorder,
    console: Console,
) -> bool:
    records = controller.records()
    request_log.write(FOLDER / "requests.csv.gz", driver.requests)
    rise_s, fall_s = marks.rise_s, marks.fall_s
    judged = [r for r in driver.requests if rise_s - 60.0 <= r.due_s < fall_s]
    found = [
        node_checks.nobody_waited(recorder, since_s=rise_s - LEAD_S, until_s=fall_s),
        node_checks.node_before_pod(recorder, since_s=rise_s - LEAD_S, pool=DEAR.name),
        node_checks.expected_before_the_rise(
            records, rise_s=rise_s, within_s=LEAD_S, least=EXPECTED
        ),
        node_checks.stock_out_noticed(records, pool=CHEAP.name),
        node_checks.moved(records, away_from=CHEAP.name, to=DEAR.name),
        node_checks.back_ends(records),
        node_checks.attained(judged, threshold_s=THRESHOLD_S, step_s=rise_s),
        node_checks.nodes_went(recorder, since_s=fall_s, most=1),
        node_checks.budget_kept(recorder),
        node_checks.no_errors(driver.requests),
    ]
    console.print(node_checks.timeline(records, recorder, marks.start_s))
    (FOLDER / "nodes.json").write_text(_as_json(records, recorder, marks))
    show.save(FOLDER / "result.json", found, [])
    return show.verdict(found, console)


def _as_json(records: list[TickRecord], recorder: NodeRecorder, marks: Marks) -> str:
    import json

    pools: list[tuple[float, PoolDecision]] = [
        (record.result.now_s - marks.start_s, pool)
        for record in records
        for pool in record.result.pools
    ]
    return json.dumps(
        {
            "pods": [asdict(pod) for pod in recorder.pods.values()],
            "nodes": [asdict(node) for node in recorder.nodes.values()],
            "pools": [(at_s, asdict(pool)) for at_s, pool in pools],
        },
        indent=1,
        default=str,
    )


def folder() -> Path:
    """Where the logs of the last run are."""
    return FOLDER
