"""Whether a server can answer at all, asked before the load is sent: a wrong port is no measurement."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

import aiohttp
import msgspec

from autoscaler.core.listed import listed
from autoscaler.errors import SourceDenied, SourceInvalid, SourceMissing, SourceUnavailable
from loadtests.load.completions import PATH, Completions
from loadtests.load.triton import Inferences

T = TypeVar("T")

TIMEOUT_S = 10.0
NOT_ANSWERED = (404, 405, 501)


class Card(msgspec.Struct):
    """A model that an OpenAI API lists; vLLM and SGLang say how long prompt and answer may be together."""

    id: str
    max_model_len: int | None = None


class Cards(msgspec.Struct):
    """The list."""

    data: list[Card]


class Entry(msgspec.Struct):
    """A model of Triton's, in its repository's index or by itself; or the server's own page."""

    name: str
    state: str = ""


async def check(address: str, protocol: Inferences | Completions) -> None:
    """Raises SourceError where no request could succeed, with what is wrong. A server that is merely ill passes."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    url = f"http://{address}"
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            if isinstance(protocol, Completions):
                await _check_completions(session, url, protocol)
            else:
                await _check_inferences(session, url, protocol.model)
    except TimeoutError as error:
        raise SourceUnavailable(f"{address} did not answer within {TIMEOUT_S:g} s") from error
    except aiohttp.ClientResponseError as error:
        told = "does not answer in HTTP; is it a port of gRPC or TLS?"
        raise SourceInvalid(f"{address} {told}") from error
    except (aiohttp.ClientError, OSError) as error:
        # aiohttp's own words name the address twice, and TLS, which is not spoken.
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        code = getattr(cause, "errno", None) or 0
        told = os.strerror(code) if code > 0 else getattr(cause, "strerror", None) or str(error)
        raise SourceUnavailable(f"{address}: {told}; does the server listen there?") from error


async def _check_completions(session: aiohttp.ClientSession, url: str, asks: Completions) -> None:
    status, body = await _get(session, f"{url}/v1/models", asks.headers)
    if status in (401, 403):
        told = "wants a key: set" if asks.key is None else "does not take the key in"
        raise SourceDenied(f"{url} {told} OPENAI_API_KEY")
    cards = _told(body, Cards) if status == 200 else None
    if cards is not None:
        _check_card(url, cards.data, asks)
    elif status in NOT_ANSWERED or status == 200:
        # A gateway may pass on completions alone: it then says what is wrong with a request for nothing.
        async with session.post(f"{url}{PATH}", json={}, headers=asks.headers) as response:
            if response.status not in NOT_ANSWERED:
                return
        triton = await _speaks_triton(session, url)
        hint = "; it speaks Triton's: --protocol triton" if triton else ""
        raise SourceInvalid(f"{url} does not speak the protocol openai: no {PATH}{hint}")


def _check_card(url: str, cards: list[Card], asks: Completions) -> None:
    found = next((card for card in cards if card.id == asks.model), None)
    if found is None:
        there = _all_of(card.id for card in cards)
        raise SourceMissing(f"{url} serves no model {asks.model}; it serves {there}")
    longest = max(
        prompt + answer
        for prompt, answer in zip(asks.prompt_tokens, asks.answer_tokens, strict=True)
    )
    if found.max_model_len is not None and longest > found.max_model_len:
        raise SourceInvalid(
            f"prompt and answer have up to {longest} tokens, and {asks.model} takes {found.max_model_len}: "
            f"give --max-model-tokens {found.max_model_len}"
        )


async def _check_inferences(session: aiohttp.ClientSession, url: str, model: str) -> None:
    status, body = await _get(session, f"{url}/v2/models/{model}")
    # By what it says and not by its status: the port of its metrics answers everything with 200, and nothing.
    if status >= 500 or (status == 200 and _told(body, Entry) is not None):
        return
    if not await _speaks_triton(session, url):
        _, body = await _get(session, f"{url}/v1/models")
        hint = "; it speaks OpenAI's: --protocol openai" if _told(body, Cards) else ""
        raise SourceInvalid(f"{url} does not speak the protocol triton: no /v2/models{hint}")
    async with session.post(f"{url}/v2/repository/index", json={}) as response:
        entries = _told(await response.read(), list[Entry])
    if entries is None:
        raise SourceMissing(f"{url} has no model {model} that is ready")
    there = _all_of(f"{one.name} ({one.state.lower() or 'not loaded'})" for one in entries)
    raise SourceMissing(f"{url} has no model {model} that is ready; it has {there}")


async def _speaks_triton(session: aiohttp.ClientSession, url: str) -> bool:
    _, body = await _get(session, f"{url}/v2")
    return _told(body, Entry) is not None


def _told(body: bytes, kind: type[T]) -> T | None:
    """None: it says something else."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError:
        return None


def _all_of(names: Iterable[str]) -> str:
    return listed(sorted(names), most=5) or "none"


async def _get(
    session: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    async with session.get(url, headers=headers) as response:
        return response.status, await response.read()
