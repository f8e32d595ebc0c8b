"""A Prometheus over what it has scraped."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiohttp import web

from loadtests.engines.scraped import Scraped, answer, scrape
from tests.fakes.prometheus_api import PrometheusApi


@dataclass
class ScrapedPrometheus(PrometheusApi):
    """Scrapes texts as if they were pods'."""

    samples: dict[str, list[Scraped]] = field(default_factory=dict)
    now_s: float = 0.0
    """Of the newest scrape; 0: nothing was scraped, and it does not say what time it is."""

    def __post_init__(self) -> None:
        PrometheusApi.__init__(self)

    def scrape(self, pod: str, exposition: str, at_s: float, namespace: str = "team") -> None:
        """Replaces what was known of the pod."""
        self.now_s = at_s
        self.samples[pod] = scrape(exposition, at_s, namespace=namespace, pod=pod)

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        query = str(form.get("query") or request.query.get("query"))
        self.asked.append(query)
        if query == "vector(time())" and not self.now_s:
            return web.json_response({"status": "success", "data": {"result": []}})
        known = [sample for pod in self.samples.values() for sample in pod]
        result = [
            {"metric": found.labels, "value": [self.now_s, str(found.value)]}
            for found in answer(query.strip(), known, self.now_s)
        ]
        return web.json_response(
            {"status": "success", "data": {"resultType": "vector", "result": result}}
        )
