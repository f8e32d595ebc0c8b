"""What a Prometheus that has scraped texts answers to instant queries.

Selectors, `or`, `+`, `sum` and `max` without some labels, `group()`, `timestamp()` and `vector(time())`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

_SELECTOR = re.compile(r"^([a-zA-Z_:][\w:]*)?(?:\{(.*)\})?$")
_MATCHER = re.compile(r'\s*(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*,?')
_WITHOUT = re.compile(r"^(sum|max) without \(([^)]*)\) \((.*)\)$")
Labels = tuple[tuple[str, str], ...]


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
    if query == "vector(time())":
        yield Scraped({}, now_s, now_s)
        return
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
    told: set[Labels] = set()
    for part in _split(query, " or "):
        here = list(_operand(part.strip(), samples))
        keys = [_unnamed(found) for found in here]
        yield from (s for s, key in zip(here, keys, strict=True) if key not in told)
        told.update(keys)


def _operand(query: str, samples: list[Scraped]) -> Iterator[Scraped]:
    terms = _split(query, " + ")
    if len(terms) > 1:
        left, right = (list(_operand(term.strip(), samples)) for term in terms)
        others = {_unnamed(found): found.value for found in right}
        for one in left:
            key = _unnamed(one)
            if key in others:
                yield Scraped(dict(key), one.value + others[key], one.at_s)
    elif aggregated := _WITHOUT.match(query):
        left_out = re.split(r",\s*", aggregated[2])
        groups: dict[Labels, list[Scraped]] = {}
        for found in _select(aggregated[3], samples):
            groups.setdefault(_unnamed(found, *left_out), []).append(found)
        whole = sum if aggregated[1] == "sum" else max
        for key, members in groups.items():
            yield Scraped(dict(key), whole(found.value for found in members), members[0].at_s)
    elif query.startswith("("):
        yield from _select(query[1:-1], samples)
    else:
        yield from (sample for sample in samples if _matches(query, sample))


def _split(query: str, operator: str) -> list[str]:
    """At the operators that stand in no parentheses."""
    parts, depth, begun = [], 0, 0
    for at, letter in enumerate(query):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0 and query.startswith(operator, at):
            parts.append(query[begun:at])
            begun = at + len(operator)
    return [*parts, query[begun:]]


def _unnamed(sample: Scraped, *left_out: str) -> Labels:
    """What Prometheus matches series by."""
    gone = {"__name__", *left_out}
    return tuple(sorted((k, v) for k, v in sample.labels.items() if k not in gone))


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
