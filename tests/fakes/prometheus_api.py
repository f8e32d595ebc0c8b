"""A Prometheus over real HTTP that answers every query with what the test has put there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.fakes.http import listening


class PrometheusApi:
    """Instant vectors by the text of the query; an empty one for all others."""

    def __init__(self) -> None:
        self.vectors: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[str] = []
        self.times_s: list[float] = []
        """Of which moment, where a query names one."""
        self.url = ""

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        query = str(form.get("query") or request.query.get("query"))
        self.asked.append(query)
        time_s = form.get("time") or request.query.get("time")
        if time_s is not None:
            self.times_s.append(float(str(time_s)))
        data = {"resultType": "vector", "result": self.vectors.get(query, [])}
        return web.json_response({"status": "success", "data": data})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answers on loopback."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        async with listening(app) as port:
            self.url = f"http://127.0.0.1:{port}"
            yield
