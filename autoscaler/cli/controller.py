"""Asks a running controller for one of its pages."""

from __future__ import annotations

from typing import TypeVar

from autoscaler.errors import AutoscalerError, ConfigError, Problem

T = TypeVar("T")


def ask(url: str, path: str, type_: type[T]) -> T:
    """As `fetch`, and says on a terminal that it waits."""
    from autoscaler.cli.render import waiting

    with waiting(f"asking {url}"):
        return fetch(url, path, type_)


def fetch(url: str, path: str, type_: type[T]) -> T:
    """The page at `path`, such as /debug/decisions.

    Raises:
        ConfigError: `url` is no address.
        AutoscalerError: no answer, or not this page's; the message says what to do.
    """
    import urllib.error
    import urllib.request

    from autoscaler.codec import decode

    address = url.rstrip("/") + path
    if not address.startswith(("http://", "https://")):
        raise ConfigError(
            (Problem("--controller", repr(url), "must be like http://127.0.0.1:8080"),)
        )
    try:
        with urllib.request.urlopen(address, timeout=10.0) as response:
            return decode(response.read(), type_)
    except urllib.error.HTTPError as error:
        raise AutoscalerError(f"{address}: {_refusal(error.code, error.read(300))}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise AutoscalerError(
            f"{address}: {reason}, name the address of a running controller "
            "(kubectl port-forward deploy/forescale 8080)"
        ) from error


def _refusal(code: int, body: bytes) -> str:
    """In the controller's own words, where it said any."""
    import json

    try:
        told = json.loads(body)
        said, leader = told["error"], told.get("leader")
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"HTTP {code}: {body.decode(errors='replace').strip()}"
    if not leader:
        return f"{said}, ask again in a while"
    # An identity is the pod's name and something of the process.
    pod = str(leader).rpartition("-")[0]
    return f"{said}, ask that one: kubectl port-forward pod/{pod or leader} 8080, in its namespace"
