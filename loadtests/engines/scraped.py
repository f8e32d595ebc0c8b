"""What a Prometheus that has scraped texts answers: instant queries of selectors, `or`, `group()` and `timestamp()`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

_SELECTOR = re.compile(r"^([a-zA-Z_:][\w:]*)?(?:\{(.*)\})?$")
_MATCHER = re.compile(r'\s*(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*,?')


@dataclass(frozen=True)
class Scraped:
    """One sample."""

    labels: dict[str, str]
    value: float
    at_s: float


def scrape(exposition: str, at_s: float, **labels: str) -> list[Scraped]:
    """A pod's text, with the labels of where it was found."""
    return [
        Scraped(labels={**s.labels, "__name__": s.name, **labels}, value=s.value, at_s=at_s)
        for family in text_string_to_metric_families(exposition)
        for s in family.samples
    ]


def answer(query: str, samples: Iterable[Scraped], now_s: float) -> Iterator[Scraped]:
    """The samples that it selects, with the value that it asks for."""
    known = list(samples)
    if " unless " in query:
        return  # what did not answer: every text is one that did
    if query.startswith("timestamp(") and query.endswith(")"):
        inner = query.removeprefix("timestamp(").removesuffix(")")
        plain = " or " not in inner
        for found in _select(inner, known):
            # As Prometheus: the sample's time of a plain selector, the query's time of anything else.
            yield Scraped(found.labels, found.at_s if plain else now_s, found.at_s)
    elif query.startswith("group("):
        for found in list(_select(query.removeprefix("group(").removesuffix(")"), known))[:1]:
            yield Scraped({}, 1.0, found.at_s)
    else:
        yield from _select(query, known)


def _select(query: str, samples: list[Scraped]) -> Iterator[Scraped]:
    told: set[tuple[tuple[str, str], ...]] = set()
    for part in query.split(" or "):
        here = [s for s in samples if _matches(part.strip(), s)]
        keys = [tuple(sorted((k, v) for k, v in s.labels.items() if k != "__name__")) for s in here]
        yield from (s for s, key in zip(here, keys, strict=True) if key not in told)
        told.update(keys)


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
