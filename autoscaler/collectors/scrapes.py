"""Whether pods answered their last scrape, by what Prometheus notes of every target: `up`, `scrape_duration_seconds`.

Only what failed is asked for, which is mostly nothing. Where something did, so is what else was answered: a fault of
Prometheus' own looks the same from a single pod.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.clients.prometheus import PrometheusClient, Series
from autoscaler.collectors.exposition import PodKey
from autoscaler.collectors.presets import NAMESPACE_LABELS, POD_LABELS
from autoscaler.core.types import Scrape, Targets
from autoscaler.errors import SourceError

# A pod may be several targets, such as a sidecar's: it is silent if none of them answers. Labels that a target does not
# have are empty on both sides and match.
_OF_SILENT = f"unless on ({', '.join((*NAMESPACE_LABELS, *POD_LABELS))}) (up == 1)"
# timestamp() of a plain selector is the time of the scrape, of any other expression that of the query.
FAILED = f"timestamp(up) {_OF_SILENT}"
TOOK = f"scrape_duration_seconds {_OF_SILENT}"
KNOWN, ANSWERING = "count(up)", "count(up == 1)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scraped:
    """Last scrapes by (namespace, pod), in namespaces in which one failed, and all targets beside."""

    scrapes: Mapping[PodKey, Scrape] = field(default_factory=dict)
    targets: Targets | None = None


async def look(client: PrometheusClient, at_s: float, namespaces: frozenset[str]) -> Scraped:
    """Of pods in `namespaces`. Empty where nothing failed, or where Prometheus does not say: then nothing is known."""
    try:
        failed = _by_pod(await client.query(FAILED, at_s), namespaces)
        if not failed:
            return Scraped()
        within = frozenset(namespace for namespace, _ in failed)
        questions = (TOOK, KNOWN, ANSWERING, *(_answered(n, within) for n in NAMESPACE_LABELS))
        durations, known, answering, *answered = await asyncio.gather(
            *(client.query(promql, at_s) for promql in questions)
        )
    except SourceError:
        return Scraped()
    took = _by_pod(durations, within)
    scrapes = {
        key: Scrape(pod=key[1], at_s=scraped_s, answered=True)
        for key, scraped_s in _by_pod(
            [entry for series in answered for entry in series], within
        ).items()
    }
    scrapes |= {
        key: Scrape(pod=key[1], at_s=scraped_s, answered=False, took_s=took.get(key))
        for key, scraped_s in failed.items()
    }
    # A count of nothing is no series.
    return Scraped(
        scrapes=scrapes, targets=Targets(known=_count(known), answering=_count(answering))
    )


def _answered(label: str, namespaces: frozenset[str]) -> str:
    return f'timestamp(up{{{label}=~"{"|".join(sorted(namespaces))}"}}) and (up == 1)'


def _by_pod(series: Sequence[Series], namespaces: frozenset[str]) -> dict[PodKey, float]:
    """The highest value of each pod: its newest scrape, its longest one."""
    found: dict[PodKey, float] = {}
    for entry in series:
        namespace = next((entry.labels[n] for n in NAMESPACE_LABELS if n in entry.labels), "")
        pod = next((entry.labels[n] for n in POD_LABELS if n in entry.labels), "")
        if pod and namespace in namespaces and entry.value is not None:
            key = (namespace, pod)
            found[key] = max(entry.value, found.get(key, entry.value))
    return found


def _count(series: Sequence[Series]) -> int:
    return int(series[0].value or 0.0) if series else 0
