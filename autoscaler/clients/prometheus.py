"""Prometheus' HTTP API through prometheus-api-client: explicit times, off the event loop, errors of our own.

The client is synchronous and its helpers take their times from import, so only its two plain query calls are used, in a
thread each, at times that the caller gives.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NameResolutionError
from urllib3.util.retry import Retry

from autoscaler.errors import SourceDenied, SourceError, SourceInvalid, SourceUnavailable

T = TypeVar("T")
# Within the answer's bytes as the library shows them.
_OF_SYSTEM = re.compile(r"\[Errno -?[0-9]+\] ([A-Za-z ]+)")
_OWN_WORDS = re.compile(r'"error":"((?:[^"\\]|\\.)*)"')
LONGEST_WORDS = 200
_TLS = re.compile(r"\[SSL[^\]]*\]\s*(.*?)(?: \(_ssl|\)|$)")
_WARNINGS = re.compile(rb'"warnings":\s*(?=\[)')
# As the engine begins what it says of an expression, such as that a metric's name is not a counter's.
_OF_EXPRESSION = ("PromQL info", "PromQL warning")
# Nothing was ever counted so far, in microseconds neither; sums and products of such numbers leave the floats.
LARGEST = 1e18
CLOCK = "vector(time())"


@dataclass(frozen=True, slots=True)
class Series:
    """One labelled value, or the values of one range. None: NaN, infinite or absurd, which is unknown."""

    labels: dict[str, str]
    points: tuple[tuple[float, float | None], ...]

    @property
    def value(self) -> float | None:
        return self.points[-1][1] if self.points else None


@dataclass(frozen=True, slots=True)
class Answer:
    """The series that were found."""

    series: tuple[Series, ...]
    incomplete: str | None = None
    """Why the source itself says that some may be missing, as Thanos does while a store of it is down."""


class _QuerySession(requests.Session):
    """Sends as a form what the library puts into the URL: proxies take 8 KB of that, and the names of a thousand
    workloads are more. Keeps the warnings of an answer, which the library drops."""

    def __init__(self) -> None:
        super().__init__()
        self._told = threading.local()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of the last answer in this thread."""
        found: tuple[str, ...] = getattr(self._told, "warnings", ())
        return found

    def request(  # type: ignore[override]
        self, method: str, url: str, *, params: Any = None, **rest: Any
    ) -> requests.Response:
        if method != "POST":
            return super().request(method, url, params=params, **rest)
        answer = super().request(method, url, data=params, **rest)
        if answer.request.method != method:
            # 301 and 302, as from http to https, turn a POST into a GET that has lost its form.
            raise SourceInvalid(
                f"{_bare(url)}: is redirected to {_bare(answer.url)}, where the query does not arrive; "
                "give prometheus.url as it is after the redirect"
            )
        self._told.warnings = _warnings(answer.content)
        return answer


class PrometheusClient:
    """One Prometheus."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        max_concurrent: int = 8,
        bearer_token_file: str | None = None,
        username: str | None = None,
        password_file: str | None = None,
        headers: Mapping[str, str] | None = None,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        insecure_skip_verify: bool = False,
    ) -> None:
        self.url = url.rstrip("/")
        # The library types it as whole seconds and hands it to requests, which takes fractions.
        self._timeout_s: Any = timeout_s
        self._token_file = bearer_token_file
        self._username, self._password_file = username, password_file
        session = _QuerySession()
        session.headers.update(headers or {})
        session.verify = False if insecure_skip_verify else (ca_file or True)
        session.cert = (cert_file, key_file) if cert_file and key_file else cert_file
        adapter = HTTPAdapter(pool_maxsize=max_concurrent, max_retries=0)
        # No retries inside a tick: the next one asks again anyway.
        self._api = PrometheusConnect(
            self.url, session=session, retry=Retry(total=0), method="POST"
        )
        session.mount(self.url, adapter)
        self._session = session
        self._threads = ThreadPoolExecutor(max_concurrent, thread_name_prefix="prometheus")

    def close(self) -> None:
        """Ends the session; queries that run are abandoned."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    async def query(self, promql: str, at_s: float) -> tuple[Series, ...]:
        """The instant vector at `at_s`, whole or not. Raises as `answer`."""
        return (await self.answer(promql, at_s)).series

    async def answer(self, promql: str, at_s: float) -> Answer:
        """The instant vector at `at_s`, and whether it is whole.

        Raises:
            SourceUnavailable, SourceDenied or SourceInvalid, naming the query.
        """
        return await self._ask(
            promql,
            lambda: self._api.custom_query(
                promql, params={"time": f"{at_s:.3f}"}, timeout=self._timeout_s
            ),
            _instant,
        )

    async def clock_s(self) -> float | None:
        """What time it is there: a query without a time is of that moment. None: not told. Raises as `answer`.

        The time of the answer, not what time() says: a store that keeps its queries 30 s behind what is written to it
        answers as of now with a time() of 30 s ago.
        """
        told = await self._ask(
            CLOCK, lambda: self._api.custom_query(CLOCK, timeout=self._timeout_s), _instant
        )
        return told.series[0].points[-1][0] if told.series else None

    async def query_range(
        self, promql: str, *, start_s: float, end_s: float, step_s: float
    ) -> tuple[Series, ...]:
        """Values from `start_s` to `end_s`, one each `step_s`. Raises as `answer`; SourceUnavailable where some may be
        missing, too: of a past that is not whole nothing shows what it lacks."""
        start, end = datetime.fromtimestamp(start_s, tz=UTC), datetime.fromtimestamp(end_s, tz=UTC)
        told = await self._ask(
            promql,
            lambda: self._api.custom_query_range(
                promql, start, end, f"{step_s:g}", timeout=5 * self._timeout_s
            ),
            _range,
        )
        if told.incomplete is not None:
            raise SourceUnavailable(f"{promql}: {told.incomplete}")
        return told.series

    async def _ask(
        self, promql: str, call: Callable[[], Any], taken: Callable[[Any, str], Series]
    ) -> Answer:
        self._authenticate()

        def asked() -> Answer:
            # Here and not in the event loop: 20,000 pods with ten buckets each take half a second.
            result = call()
            if not isinstance(result, list):
                raise SourceInvalid(f"{promql}: the answer holds no list of series")
            series = tuple([taken(entry, promql) for entry in result])
            warnings = self._session.warnings
            return Answer(
                series, f"the answer is not whole, {'; '.join(warnings)}" if warnings else None
            )

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, asked)
        except PrometheusApiClientException as error:
            raise _refused(str(error), promql) from error
        except (requests.exceptions.JSONDecodeError, KeyError, TypeError) as error:
            raise SourceInvalid(
                f"{promql}: the answer is not Prometheus' JSON ({error})"
            ) from error
        except (requests.exceptions.RequestException, OSError) as error:
            raise SourceUnavailable(f"{self.url}: {_words(error)}") from error

    def _authenticate(self) -> None:
        """Read anew each time: mounted tokens are rotated."""
        if self._token_file is not None:
            self._session.headers["Authorization"] = f"Bearer {_secret(self._token_file)}"
        elif self._username is not None and self._password_file is not None:
            login = f"{self._username}:{_secret(self._password_file)}".encode()
            self._session.headers["Authorization"] = f"Basic {b64encode(login).decode()}"


def _secret(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise SourceDenied(f"{path}: {error.strerror}") from error


def _warnings(body: bytes) -> tuple[str, ...]:
    """Those of an answer that are about its source: what the engine says of the expression changes no series.

    Looked for as text, so that 10 MB are not read as JSON twice: within a label's value the quotes are escaped.
    """
    place = _WARNINGS.search(body)
    if place is None:
        return ()
    try:
        found, _ = json.JSONDecoder().raw_decode(body[place.end() :].decode())
    except ValueError:
        return ()
    told = (str(text) for text in found)
    return tuple(text[:LONGEST_WORDS] for text in told if not text.startswith(_OF_EXPRESSION))


def _bare(url: str) -> str:
    """Without who asks and with what: a login's address is full of secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _refused(message: str, promql: str) -> SourceError:
    """The library says `HTTP Status Code 503 (b'...')` and no more; of the answer Prometheus' own words are told."""
    status = next((int(word) for word in message.split() if word.isdigit() and len(word) == 3), 0)
    words = _OWN_WORDS.search(message)
    told = f"{promql}: status {status}" + (f", {words[1][:LONGEST_WORDS]}" if words else "")
    if status in (401, 403):
        return SourceDenied(told)
    if status == 429 or status >= 500:
        return SourceUnavailable(told)
    return SourceInvalid(told)


def _words(error: Exception) -> str:
    """Each has another remedy: a network policy, a name, a port, a certificate."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection in time, look whether the network lets it through"
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return f"no connection, {_of_tls(str(error))}"
    if isinstance(error, requests.exceptions.ConnectionError):
        reason = getattr(error.args[0], "reason", None) if error.args else None
        if isinstance(reason, NameResolutionError):
            return "no connection, its name is not known here"
        # `[Errno 24] Too many open files` is this process' own trouble, `No route to host` the network's.
        told = _OF_SYSTEM.search(str(reason))
        words = "refused" if "refused" in str(reason) else told and told[1].lower()
        return f"no connection, {words}" if words else "no connection"
    if type(error) is OSError:
        # Of the library's own, before anything is sent: a file of certificates that is not there.
        return str(error)
    return type(error).__name__


def _of_tls(text: str) -> str:
    """OpenSSL's own words, such as `certificate verify failed: unable to get local issuer certificate`."""
    told = _TLS.search(text)
    return f"TLS: {told[1]} (prometheus.ca_file)" if told else "TLS failed"


def _number(text: object) -> float | None:
    value = float(str(text))
    return value if abs(value) <= LARGEST else None


def _instant(entry: Any, promql: str) -> Series:
    try:
        at_s, text = entry["value"]
        return Series(labels=dict(entry["metric"]), points=((float(at_s), _number(text)),))
    except (KeyError, TypeError, ValueError) as error:
        raise SourceInvalid(f"{promql}: a series without labels or value ({error})") from error


def _range(entry: Any, promql: str) -> Series:
    try:
        points = tuple((float(at_s), _number(text)) for at_s, text in entry["values"])
        return Series(labels=dict(entry["metric"]), points=points)
    except (KeyError, TypeError, ValueError) as error:
        raise SourceInvalid(f"{promql}: a series without labels or values ({error})") from error
