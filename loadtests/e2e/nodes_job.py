"""Nodes ahead of demand: Prometheus knows two weeks of a daily schedule; before a rise comes its nodes are there.

Real Karpenter makes the nodes. The cheaper pool is sold out when it is asked, and the dearer one takes over. Demand
falls, and the nodes go. A second workload holds MIG slices, of which only a NodeOverlay tells Karpenter; its floor
rises by the clock. The schedule has two rises a day, far apart: the first one that comes well after the forecast's
model was learned is judged - the first, unless the machine is very busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import urllib.request
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from autoscaler.clients.kubernetes import KubernetesClient
from autoscaler.core.nodes.observed import PoolDecision
from autoscaler.core.types import TickRecord
from loadtests.e2e import controllers, node_checks, past, show
from loadtests.e2e.controllers import Controller
from loadtests.e2e.node_recorder import NodeRecorder
from loadtests.e2e.timeline import Timeline
from loadtests.load import request_log
from loadtests.load.driver import Driver
from loadtests.load.pods import PodWatch
from loadtests.load.profile import Step, arrivals
from loadtests.load.targets import ReadyPods
from loadtests.load.triton import Inferences
from loadtests.stack.errors import StackError
from loadtests.stack.karpenter import Pool
from loadtests.stack.plane import HOST
from loadtests.stack.stack import ROOT, Stack

FOLDER = ROOT / "build" / "e2e-nodes"
MANIFEST = ROOT / "loadtests" / "e2e" / "manifests" / "nodes.yaml"
COMPONENT = ROOT / "deploy" / "kustomize" / "components" / "nodes"
NAMESPACE, NAME, SLICED_NAME = "team", "bert", "distil"
PORT = 18090
THRESHOLD_S = 0.9

CHEAP = Pool(name="cheap", price_per_hour=1.0, weight=10)
DEAR = Pool(name="dear", price_per_hour=2.0)
SLICES = Pool(name="slices", resource="nvidia.com/mig-1g.10gb", sliced=True)
GPU_POOLS = (CHEAP.name, DEAR.name)
SCHEDULED = 3
"""Slices from the rise on, two to a node; one before."""
BOOT_S = 20
# The daily demand: what one server carries, and twice a day for two minutes what three do.
LOW_RPS, HIGH_RPS = 6.0, 36.0
# A climb of a minute: the past is read as rates over two, in which a jump would be blurred.
# On a busy machine the model is learned after half a minute; with less than NOTICE_S left the second rise counts.
FIRST_RISE_S, CLIMB_S, HIGH_S, LOW_S = 150.0, 60.0, 60.0, 480.0
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
LEAD_S = 300.0
"""The forecast looks five minutes ahead here: what is asked for earlier is for another rise."""
PREPARED_S = 60.0
"""For the past to be read, and for what the first server carries to be learned."""
AFTER_S = 180.0
"""What nodes have to go in, after demand has fallen; the run ends when they have gone."""
LEFT = 1
"""Nodes that the low level needs."""
NOTICE_S = 100.0
"""Between a model that was learned and the rise that judges it: a node's lead time twice, for the first pool refuses,
and a pod's."""

POLICY = f"""
# Shorter than the defaults, so that everything happens within one run.
prometheus:
  backfill_s: {past.DAYS * 86400}
forecast:
  # The quick methods: they learn at once, while all methods take a core for two minutes.
  own_models: 0
engine:
  behavior:
    scale_down:
      stabilization_window_s: 20
      policies:
        - {{type: Percent, value: 50, period_s: 15}}
        - {{type: Pods, value: 2, period_s: 15}}
  nodes:
    patience_s: 20
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
      slices:
        labels: {{karpenter.sh/nodepool: slices}}
        resource: {SLICES.resource}
        units_per_node: {SLICES.units}
        max_headroom: 8
        lead_time_s: 30
"""


@dataclass(slots=True, kw_only=True)
class Marks(Timeline):
    """What was done, and when."""

    ready_s: float
    """The first server was ready."""
    rise_s: float = 0.0
    fall_s: float = 0.0


async def run(stack: Stack, console: Console) -> bool:
    """The whole run on a stack that is up; whether every check passed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    stack.add_karpenter((CHEAP, DEAR, SLICES), boot_s=BOOT_S)
    controllers.install(stack)
    for name in ("headroom", "rbac", "sweep"):
        stack.kubectl("apply", "-f", str(COMPONENT / f"{name}.yaml"))
    stack.kubectl("apply", "-f", str(MANIFEST))
    console.print("[dim]the first pods ask for the first nodes[/]")
    for name in (NAME, SLICED_NAME):
        rollout = ("rollout", "status", f"deployment/{name}", f"--namespace={NAMESPACE}")
        stack.kubectl(*rollout, "--timeout=180s")
    # A whole minute, for the past is told in minutes.
    start_s = math.ceil((time.time() + PREPARED_S) / 60.0) * 60.0
    _give_past(stack, start_s, console)
    _schedule(stack, start_s)
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


def _schedule(stack: Stack, start_s: float) -> None:
    """A floor for the slices from the minute on in which demand first rises."""
    at = datetime.fromtimestamp(start_s + FIRST_RISE_S, UTC)
    floor = f"{SCHEDULED} @ {at.minute} {at.hour} * * * for 1h in UTC"
    annotation = f"forescale.io/schedule={floor}"
    stack.kubectl("annotate", "deployment", SLICED_NAME, f"--namespace={NAMESPACE}", annotation)


async def _drive(
    stack: Stack, start_s: float, console: Console
) -> tuple[Marks, Driver, NodeRecorder]:
    client = await KubernetesClient.connect(
        kubeconfig=str(stack.kubeconfig), context=None, timeout_s=5.0
    )
    watch, recorder = PodWatch(client, NAMESPACE, NAME), NodeRecorder(client, NAMESPACE)
    background = [asyncio.create_task(work) for work in (watch.run(), recorder.run())]
    try:
        while not watch.ready():
            await asyncio.sleep(0.2)
        driver = Driver(ReadyPods(watch.ready, Inferences(NAME)))
        marks = Marks(start_s=start_s, ready_s=time.time())
        console.print(
            f"{LOW_RPS:g} rps; from {FIRST_RISE_S:.0f} s on it climbs to {HIGH_RPS:g} within {CLIMB_S:.0f} s"
        )
        # Until the schedule's first second it is as low as it was in the past.
        early_s = max(0.0, start_s - time.time())
        steps = (Step(duration_s=early_s, rate_rps=LOW_RPS), *STEPS)
        load = driver.run(arrivals(steps, seed=1), started_s=start_s - early_s)
        background.append(asyncio.create_task(load))
        await _events(stack, marks, recorder, console)
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await client.close()
    return marks, driver, recorder


async def _events(stack: Stack, marks: Marks, recorder: NodeRecorder, console: Console) -> None:
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
    while time.time() < marks.fall_s + AFTER_S and recorder.moments[-1].of(GPU_POOLS) > LEFT:
        await asyncio.sleep(1.0)
    marks.mark(f"{recorder.moments[-1].of(GPU_POOLS)} nodes are left", console)


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
    # The first server had to wait for its node.
    since_s = max(marks.ready_s, rise_s - LEAD_S)
    found = [
        node_checks.nobody_waited(recorder, since_s=since_s, until_s=fall_s),
        node_checks.node_before_pod(recorder, since_s=since_s, pool=DEAR.name),
        node_checks.node_before_pod(recorder, since_s=since_s, pool=SLICES.name),
        node_checks.expected_before_the_rise(
            records, rise_s=rise_s, within_s=LEAD_S, least=EXPECTED
        ),
        node_checks.stock_out_noticed(records, pool=CHEAP.name),
        node_checks.moved(records, away_from=CHEAP.name, to=DEAR.name),
        node_checks.back_ends(records),
        node_checks.attained(judged, threshold_s=THRESHOLD_S, step_s=rise_s),
        node_checks.nodes_went(recorder, pools=GPU_POOLS, since_s=fall_s, most=LEFT),
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
