"""`make bench-tick`: seconds and memory of a tick of 1,000 workloads, and what it costs to start.

A thousand workloads of four pods each with seven days of history; their demand wanders, so that decisions differ. The
process that decides has loaded all that the controller loads, and looks for garbage as it does. The fastest of the
ticks is no measure of a controller: the median is taken.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from autoscaler.core.types import (
    BatchTime,
    HistoryPoint,
    LatencyObjective,
    ModelCounters,
    ModelProfile,
    PodSample,
    PodStatus,
    ReplicaStatus,
    ServerProfile,
    Slo,
    SloForm,
    TickInput,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)
from loadtests.bench.report import Figure, report

WORKLOADS, PODS, DAYS = 1000, 4, 7
TICKS = 30
START_S = 1_767_225_600.0
# 52 ms for one inference, 64 ms for two.
BATCH_S = (0.052, 0.064)
IMPORTS, STARTS = 15, 9

_MEASURE = "--measure"


def rate_rps(workload: int, at_s: float) -> float:
    """Of one pod: 12 to 18 a second, each workload at a time of its own."""
    return 15.0 + 3.0 * math.sin(at_s / 600.0 + workload)


def inputs() -> Iterator[TickInput]:
    """A stream of ticks; each is made when it is asked for, as collectors make it."""
    specs = [
        WorkloadSpec(
            id=WorkloadId(namespace=f"team-{number % 20}", name=f"model-{number}"),
            slo=Slo(
                objectives=(LatencyObjective(form=SloForm.REQUESTS, ratio=0.99, threshold_s=0.3),),
            ),
        )
        for number in range(WORKLOADS)
    ]
    done = [0.0] * WORKLOADS
    for tick in range(TICKS + WORKLOADS // 50):
        now_s = START_S + 10.0 * tick
        for number in range(WORKLOADS):
            done[number] += 10.0 * rate_rps(number, now_s)
        yield TickInput(
            now_s=now_s,
            workloads=tuple(
                _workload(spec, number, now_s, done[number], profiled=tick % 3 == 0)
                for number, spec in enumerate(specs)
            ),
        )


def _workload(
    spec: WorkloadSpec, number: int, now_s: float, requests: float, *, profiled: bool
) -> WorkloadInput:
    batch = 1.5
    model = ModelCounters(
        model="m",
        success=requests,
        failure=0.0,
        inferences=requests,
        executions=requests / batch,
        pending=1.0,
        request_s=requests * 0.1,
        queue_s=requests * 0.03,
        compute_s=requests * 0.06,
        latency_quantiles=((0.5, 0.08), (0.9, 0.15), (0.95, 0.18), (0.99, 0.25), (0.999, 0.29)),
    )
    pods = tuple(f"{spec.id.name}-{index}" for index in range(PODS))
    times = tuple(
        BatchTime(batch_size=size, count=1000, total_s=1000 * seconds)
        for size, seconds in enumerate(BATCH_S, start=1)
    )
    profile = ServerProfile(
        pod=pods[0],
        template_hash="h",
        sampled_at_s=now_s,
        models=(ModelProfile(model="m", max_batch_size=2, batch_times=times),),
    )
    return WorkloadInput(
        spec=spec,
        replicas=ReplicaStatus(desired=PODS, template_hash="h"),
        pods=tuple(
            PodStatus(
                name=pod,
                template_hash="h",
                created_s=START_S - 3630.0,
                ready_s=START_S - 3600.0,
                first_ready_s=START_S - 3600.0,
            )
            for pod in pods
        ),
        samples=tuple(
            PodSample(pod=pod, sampled_at_s=now_s - 2.0, models=(model,)) for pod in pods
        ),
        profiles=(profile,) if profiled else (),
    )


def measure() -> dict[str, float]:
    """In a process of its own: median seconds of a tick, and its resident memory in MiB."""
    import autoscaler.controller.wiring  # noqa: F401 - all that the controller loads
    from autoscaler.controller import garbage
    from autoscaler.core.settings import EngineConfig
    from autoscaler.engine import DecisionEngine

    garbage.look_seldom()
    engine = DecisionEngine(EngineConfig(history_days=DAYS))
    took_s = []
    for number, given in enumerate(inputs()):
        if number < WORKLOADS // 50:
            given = _with_history(given, number)
        started_s = time.perf_counter()
        engine.tick(given)
        if number >= WORKLOADS // 50:
            took_s.append(time.perf_counter() - started_s)
    filled = sum(len(engine.history(w.spec.id)[1]) for w in given.workloads)
    return {
        "tick_s": statistics.median(took_s),
        "rss_mib": _rss_mib(),
        "minutes": filled / WORKLOADS,
    }


def _with_history(given: TickInput, batch: int) -> TickInput:
    """Fifty workloads at a time get their past, as a controller asks for it in batches."""
    from dataclasses import replace

    own = range(50 * batch, 50 * batch + 50)
    first_s = START_S - DAYS * 86400.0
    points = tuple(
        HistoryPoint(
            minute_s=first_s + 60.0 * minute, offered_rps=60.0 + 20.0 * math.sin(minute / 200.0)
        )
        for minute in range(DAYS * 1440)
    )
    return replace(
        given,
        workloads=tuple(
            replace(w, backfill=points) if number in own else w
            for number, w in enumerate(given.workloads)
        ),
    )


def _rss_mib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _fastest_ms(command: list[str], runs: int, baseline: list[str] | None = None) -> float:
    """Wall time of a process, less that of an empty interpreter where asked for; whatever else runs only adds."""
    times = [_process_s(command) for _ in range(runs)]
    base_s = min(_process_s(baseline) for _ in range(runs)) if baseline else 0.0
    return (min(times) - base_s) * 1000.0


def _process_s(command: list[str]) -> float:
    started_s = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started_s


def main() -> None:
    """Measures and reports."""
    if _MEASURE in sys.argv:
        print(json.dumps(measure()))
        return
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.bench.tick", _MEASURE],
        check=True,
        capture_output=True,
        text=True,
    )
    measured = json.loads(done.stdout)
    python = [sys.executable, "-c"]
    started = (
        f"{WORKLOADS} workloads, {PODS} pods each, {measured['minutes']:.0f} minutes of history"
    )
    report(
        "tick",
        [
            Figure(name="tick", value=measured["tick_s"], unit="s", target=1.0, note=started),
            Figure(
                name="resident memory",
                value=measured["rss_mib"],
                unit="MiB",
                target=300.0,
                note="with all that the controller loads",
            ),
            Figure(
                name="import autoscaler",
                value=_fastest_ms([*python, "import autoscaler"], IMPORTS, [*python, "pass"]),
                unit="ms",
                target=50.0,
                note=f"beyond an empty interpreter, fastest of {IMPORTS}",
            ),
            Figure(
                name="forescale --help",
                value=_fastest_ms([sys.executable, "-m", "autoscaler", "--help"], STARTS),
                unit="ms",
                target=300.0,
                note=f"the whole process, fastest of {STARTS}",
            ),
        ],
    )


if __name__ == "__main__":
    main()
