"""What SLO accounting costs: processor time of a tick of 1,000 workloads, and bytes of four weeks of their accounts."""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import replace

from autoscaler.controller.accounts import Accounts, pack
from autoscaler.core.ledger import Account, Ledger, Span, Step
from autoscaler.core.slo import parse_slo
from autoscaler.core.types import (
    ModelCounters,
    PodSample,
    PodStatus,
    ReplicaStatus,
    Slo,
    TickInput,
    WorkloadId,
    WorkloadInput,
    WorkloadSpec,
)
from loadtests.bench.report import Figure, report

WORKLOADS, PODS, TICKS = 1000, 5, 25
START_S = 1_000_000_020.0
# Half a second of a tick of 10 s is for everything; deciding takes most of it.
TARGET_TICK_MS = 150.0
# A ConfigMap holds 0.9 MiB of a checkpoint; five of them are little enough every ten minutes.
TARGET_STORE_MIB = 5.0
QUANTILES = ((0.5, 0.1), (0.9, 0.15), (0.95, 0.2), (0.99, 0.25), (0.999, 0.4))


def specs() -> list[WorkloadSpec]:
    """All with one objective."""
    slo = parse_slo("99% < 300ms", "bench")
    assert isinstance(slo, Slo)
    return [
        WorkloadSpec(id=WorkloadId(namespace="team", name=f"w{index}"), slo=slo)
        for index in range(WORKLOADS)
    ]


def given(spec: WorkloadSpec, tick: int) -> WorkloadInput:
    """Five pods of ten requests a second each, with summaries."""
    now_s = START_S + 10.0 * tick
    names = [f"{spec.id.name}-{index}" for index in range(PODS)]
    counters = ModelCounters(
        model="m",
        success=100.0 * tick,
        failure=0.0,
        pending=1.0,
        latency_quantiles=QUANTILES,
    )
    return WorkloadInput(
        spec=spec,
        replicas=ReplicaStatus(desired=PODS),
        pods=tuple(
            PodStatus(name=name, created_s=START_S - 99.0, ready_s=START_S - 90.0) for name in names
        ),
        samples=tuple(
            PodSample(pod=name, sampled_at_s=now_s, models=(counters,)) for name in names
        ),
    )


def tick_ms() -> float:
    """Median processor time of a tick."""
    accounts, all_specs, taken = Accounts(stale_after_s=30.0), specs(), []
    for tick in range(TICKS):
        seen = TickInput(
            now_s=START_S + 10.0 * tick, workloads=tuple(given(spec, tick) for spec in all_specs)
        )
        began_s = time.process_time()
        accounts.take(seen)
        taken.append(time.process_time() - began_s)
    return 1000.0 * statistics.median(taken[1:])


def store_mib() -> float:
    """Packed accounts of four weeks in which every step differs."""
    chance = random.Random(1)

    def full(span: Span, steps: int) -> Span:
        return replace(
            span,
            steps=tuple(
                Step(
                    start_s=START_S + span.step_s * index,
                    requests=chance.uniform(1e3, 1e5),
                    low=chance.uniform(0.0, 10.0),
                    bad=chance.uniform(10.0, 20.0),
                    high=chance.uniform(20.0, 30.0),
                    known_s=span.step_s,
                )
                for index in range(steps)
            ),
        )

    def account(spec: WorkloadSpec) -> Account:
        ledger = Ledger(
            objective=spec.slo.text,
            hour=full(Span(window_s=3600.0, step_s=60.0), 60),
            day=full(Span(window_s=86400.0, step_s=900.0), 96),
            window=full(Span(window_s=spec.slo.window_s, step_s=21600.0), 112),
        )
        return Account(workload=spec.id, slo=spec.slo, at_s=START_S, ledgers=(ledger,))

    return len(pack(tuple(account(spec) for spec in specs()))) / 2**20


def main() -> None:
    """Measures and reports."""
    note = f"{WORKLOADS:,} workloads of {PODS} pods, beside the event loop"
    report(
        "slo",
        [
            Figure(
                name="tick, processor time",
                value=round(tick_ms(), 1),
                unit="ms",
                target=TARGET_TICK_MS,
                note=note,
            ),
            Figure(
                name="stored accounts",
                value=round(store_mib(), 2),
                unit="MiB",
                target=TARGET_STORE_MIB,
                note=f"{WORKLOADS:,} objectives, four weeks, every ten minutes",
            ),
        ],
    )


if __name__ == "__main__":
    main()
