"""`make bench-relist`: what reading 20,000 pods anew costs the event loop, on which the lease is renewed too."""

from __future__ import annotations

import asyncio
import json
import time

from aiohttp import web
from kubernetes_asyncio.client import ApiClient, Configuration

from autoscaler.clients.kubernetes import PAGE, KubernetesClient
from autoscaler.clock import SystemClock
from autoscaler.collectors import projection
from autoscaler.collectors.mirror import Mirror
from autoscaler.collectors.projection import PodView
from loadtests.bench.beside import beside
from loadtests.bench.report import Figure, report

PODS = 20_000
HEARTBEAT_S = 0.005
# A lease is renewed every 2 s and must be within 10 s.
TARGET_STALL_MS = 200.0


def pod(number: int) -> dict[str, object]:
    """About 4 KB, as real pods are."""
    return {
        "metadata": {
            "uid": f"uid-{number}",
            "name": f"model-{number}",
            "namespace": "team",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"pod-template-hash": "h"},
            "annotations": {"note": "x" * 1500},
            "ownerReferences": [{"kind": "ReplicaSet", "uid": "r", "controller": True}],
        },
        "spec": {
            "containers": [
                {
                    "name": "triton",
                    "image": "registry/tritonserver:1",
                    "env": [{"name": f"E{i}", "value": "v" * 40} for i in range(30)],
                }
            ]
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}
            ],
            "containerStatuses": [{"restartCount": 0}],
        },
    }


def pages() -> list[bytes]:
    """The list as the API server would send it."""
    count = PODS // PAGE
    return [
        json.dumps(
            {
                "metadata": {
                    "resourceVersion": "5",
                    **({"continue": str(number + 1)} if number + 1 < count else {}),
                },
                "items": [pod(i) for i in range(number * PAGE, (number + 1) * PAGE)],
            }
        ).encode()
        for number in range(count)
    ]


def serve(port: int) -> None:
    """In a process of its own, so that its work does not count."""
    answers = pages()

    async def answer(request: web.Request) -> web.Response:
        return web.Response(
            body=answers[int(request.query.get("continue", "0"))], content_type="application/json"
        )

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


async def measure(port: int) -> tuple[float, float, int]:
    """(seconds of the relist, longest time that the loop did nothing else in ms, pods read)."""
    client = KubernetesClient(
        ApiClient(Configuration(host=f"http://127.0.0.1:{port}")), timeout_s=10.0
    )
    mirror: Mirror[PodView] = Mirror(client, "/api/v1/pods", projection.pod, SystemClock())
    longest_s = 0.0

    async def heartbeat() -> None:
        nonlocal longest_s
        while True:
            before_s = time.perf_counter()
            await asyncio.sleep(HEARTBEAT_S)
            longest_s = max(longest_s, time.perf_counter() - before_s - HEARTBEAT_S)

    beating = asyncio.create_task(heartbeat())
    started_s = time.perf_counter()
    await mirror.relist()
    took_s = time.perf_counter() - started_s
    beating.cancel()
    await client.close()
    return took_s, longest_s * 1000.0, len(mirror.objects)


def main() -> None:
    """Measures and reports."""
    with beside(serve) as port:
        took_s, stall_ms, read = asyncio.run(measure(port))
    note = f"{read:,} pods in pages of {PAGE}"
    report(
        "relist",
        [
            Figure(
                name="longest stall", value=stall_ms, unit="ms", target=TARGET_STALL_MS, note=note
            ),
            Figure(name="relist", value=took_s, unit="s", note=note),
        ],
    )


if __name__ == "__main__":
    main()
