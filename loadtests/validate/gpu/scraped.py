"""One pod's /metrics, for forescale's own collector."""

from __future__ import annotations

from autoscaler.clients.prometheus import Series
from loadtests.engines.scraped import answer, scrape

POD, NAMESPACE = "server-0", "validate"


class ScrapedText:
    """Stands for a Prometheus that has scraped one text."""

    def __init__(self, text: str, at_s: float) -> None:
        self._samples = scrape(text, at_s, namespace=NAMESPACE, pod=POD)

    async def query(self, promql: str, at_s: float) -> tuple[Series, ...]:
        """As PrometheusClient's."""
        return tuple(
            Series(
                labels={k: v for k, v in found.labels.items() if k != "__name__"},
                points=((at_s, found.value),),
            )
            for found in answer(promql.strip(), self._samples, at_s)
        )
