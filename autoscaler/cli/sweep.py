"""`forescale sweep`: removes headroom that no controller looks after. For a CronJob; does nothing while one leads."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from autoscaler.errors import ConfigError, Problem

if TYPE_CHECKING:
    from autoscaler.clients.kubernetes import KubernetesClient
    from autoscaler.clock import Clock


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--kubeconfig", metavar="FILE", help="else the pod's, else KUBECONFIG")
    parser.add_argument("--context", help="of the kubeconfig; else its current one")
    parser.add_argument("--lease", required=True, metavar="NAMESPACE/NAME", help="the controller's")
    parser.add_argument("--namespace", required=True, help="of the headroom")
    parser.add_argument(
        "--silent-for",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="since the Lease was last renewed (%(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Says what it did."""
    import asyncio

    from autoscaler.clients.kubernetes import KubernetesClient
    from autoscaler.clock import SystemClock

    namespace, _, name = args.lease.partition("/")
    if not namespace or not name:
        raise ConfigError((Problem("--lease", repr(args.lease), "must be NAMESPACE/NAME"),))

    # NaN, too: nothing is less than it, and the headroom of a controller that leads would go.
    if not args.silent_for >= 0.0:
        raise ConfigError((Problem("--silent-for", f"{args.silent_for:g}", "must be 0 s or more"),))

    async def swept() -> str:
        client = await KubernetesClient.connect(
            kubeconfig=args.kubeconfig, context=args.context, timeout_s=10.0
        )
        try:
            return await sweep_if_silent(
                client,
                SystemClock(),
                lease=(namespace, name),
                namespace=args.namespace,
                silent_for_s=args.silent_for,
            )
        finally:
            await client.close()

    print(asyncio.run(swept()))
    return 0


async def sweep_if_silent(
    client: KubernetesClient,
    clock: Clock,
    *,
    lease: tuple[str, str],
    namespace: str,
    silent_for_s: float,
) -> str:
    """What was done, in words. Raises SourceError, ActuationError: nothing is known to be gone then."""
    from autoscaler.actuators.headroom import sweep
    from autoscaler.collectors.projection import seconds
    from autoscaler.errors import SourceMissing

    path = f"/apis/coordination.k8s.io/v1/namespaces/{lease[0]}/leases/{lease[1]}"
    try:
        renewed = (await client.read(path)).get("spec", {}).get("renewTime")
    except SourceMissing:
        renewed = None
        why = "there is no such Lease"
    else:
        renewed_s = seconds(renewed)
        silent_s = float("inf") if renewed_s is None else clock.now_s() - renewed_s
        if silent_s < silent_for_s:
            return f"{'/'.join(lease)} was renewed {silent_s:.0f} s ago: headroom is looked after"
        why = f"the Lease was last renewed {silent_s:.0f} s ago"
    await sweep(client, namespace)
    return f"{'/'.join(lease)}: {why}; headroom in {namespace} is removed"
