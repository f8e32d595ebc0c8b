"""A Prometheus over what it has scraped: instant queries of selectors, `or`, `group()` and `timestamp()`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.prometheus_api import PrometheusApi

_SELECTOR = re.compile(r"^([a-zA-Z_:][\w:]*)?(?:\{(.*)\})?$")
_MATCHER = re.compile(r'\s*(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*,?')


@dataclass(frozen=True)
class Scraped:
    """One sample."""

    labels: dict[str, str]
    value: float
    at_s: float


@dataclass
class ScrapedPrometheus(PrometheusApi):
    """Scrapes texts as if they were pods'."""

    samples: dict[str, list[Scraped]] = field(default_factory=dict)
    now_s: float = 0.0

    def __post_init__(self) -> None:
        PrometheusApi.__init__(self)

    def scrape(self, pod: str, exposition: str, at_s: float, namespace: str = "team") -> None:
        """Replaces what was known of the pod."""
        self.now_s = at_s
        self.samples[pod] = [
            Scraped(
                labels={**s.labels, "__name__": s.name, "namespace": namespace, "pod": pod},
                value=s.value,
                at_s=at_s,
            )
            for family in text_string_to_metric_families(exposition)
            for s in family.samples
        ]

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        query = str(form.get("query") or request.query.get("query"))
        self.asked.append(query)
        result = list(self._eval(query.strip()))
        return web.json_response(
            {"status": "success", "data": {"resultType": "vector", "result": result}}
        )

    def _eval(self, query: str) -> Iterator[dict[str, Any]]:
        if " unless " in query:
            return  # what did not answer: every text is one that did
        if query.startswith("timestamp(") and query.endswith(")"):
            inner = query.removeprefix("timestamp(").removesuffix(")")
            plain = " or " not in inner
            for found in self._select(inner):
                # As Prometheus: the sample's time of a plain selector, the query's time of anything else.
                yield self._series(found, found.at_s if plain else self.now_s)
            return
        if query.startswith("group("):
            for found in list(self._select(query.removeprefix("group(").removesuffix(")")))[:1]:
                yield self._series(Scraped(labels={}, value=1.0, at_s=found.at_s), 1.0)
            return
        for found in self._select(query):
            yield self._series(found, found.value)

    def _select(self, query: str) -> Iterator[Scraped]:
        told: set[tuple[tuple[str, str], ...]] = set()
        for part in query.split(" or "):
            here = [s for pod in self.samples.values() for s in pod if _matches(part.strip(), s)]
            keys = [
                tuple(sorted((k, v) for k, v in s.labels.items() if k != "__name__")) for s in here
            ]
            yield from (s for s, key in zip(here, keys, strict=True) if key not in told)
            told.update(keys)

    def _series(self, found: Scraped, value: float) -> dict[str, Any]:
        return {"metric": found.labels, "value": [self.now_s, str(value)]}


def _matches(selector: str, sample: Scraped) -> bool:
    match = _SELECTOR.match(selector)
    assert match, selector
    if match[1] and sample.labels["__name__"] != match[1]:
        return False
    for label, operator, value in _MATCHER.findall(match[2] or ""):
        have = sample.labels.get(label, "")
        same = re.fullmatch(value, have) is not None if "~" in operator else have == value
        if same == operator.startswith("!"):
            return False
    return True
