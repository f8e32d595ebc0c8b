"""Which serving engine a pod template holds, and what says so. Pure. Where it says nothing, what is scraped tells.

In the order of how sure they are: the command, the image, a KServe runtime's or Helm chart's label, the ports.

vLLM's metrics do not tell how many sequences it runs at most; its arguments do, where somebody set it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """An engine and what it is known by, in words for `plan`."""

    engine: str
    by: str
    max_sequences: int | None = None
    """How many a replica runs at most, of all its data-parallel engines. None: its arguments do not tell."""


_COMMANDS = (
    ("triton", re.compile(r"(^|[\s/])tritonserver(\s|$)")),
    ("vllm", re.compile(r"(^|[\s/])vllm(\s+serve|\.entrypoints)(\s|\.|$)")),
    ("kserve", re.compile(r"(^|\s)-m\s+(sklearn|xgb|lgb|paddle|pmml|huggingface)server(\s|$)")),
)
_IMAGES = (
    ("triton", re.compile(r"(^|/)(tritonserver|triton-?inference-?server)([:@-]|$)")),
    ("vllm", re.compile(r"(^|/)vllm([-/][\w.-]+)*([:@]|$)")),
    ("kserve", re.compile(r"(^|/)(sklearn|xgb|lgb|paddle|pmml|huggingface)server([:@-]|$)")),
)
# Labels whose value may name the engine: `kserve-tritonserver`, `vllm`.
_LABELS = (
    "serving.kserve.io/servingruntime",
    "app.kubernetes.io/name",
    "app.kubernetes.io/component",
)
_NAMES = (("triton", "triton"), ("vllm", "vllm"), ("kserve", "sklearnserver"))
# vLLM takes an option with dashes or underscores, and its value behind a space or `=`.
_MAX_SEQUENCES = re.compile(r"(?:^|\s)--max[-_]num[-_]seqs[=\s]+(\d+)(?=\s|$)")
_DATA_PARALLEL = re.compile(r"(?:^|\s)(?:--data[-_]parallel[-_]size|-dp)[=\s]+(\d+)(?=\s|$)")
# HTTP, gRPC and metrics: no other server has all three.
_TRITON_PORTS = frozenset({8000, 8001, 8002})


def detect(template: Object) -> Detected | None:
    """From a pod template or a pod. None: nothing in it tells."""
    containers = (template.get("spec") or {}).get("containers") or ()
    found = _engine(template, containers)
    if found is None or found.engine != "vllm":
        return found
    told = [_most(_words(container)) for container in containers]
    return replace(found, max_sequences=next((most for most in told if most is not None), None))


def _engine(template: Object, containers: Sequence[Object]) -> Detected | None:
    for container in containers:
        words = _words(container)
        for engine, pattern in _COMMANDS:
            if pattern.search(words):
                return Detected(engine=engine, by="command")
    for container in containers:
        image = str(container.get("image") or "")
        for engine, pattern in _IMAGES:
            if pattern.search(image):
                return Detected(engine=engine, by=f"image {image}")
    for label, value in _labels(template):
        for engine, name in _NAMES:
            if name in value:
                return Detected(engine=engine, by=f"label {label}={value}")
    ports = {port.get("containerPort") for c in containers for port in c.get("ports") or ()}
    if ports >= _TRITON_PORTS:
        return Detected(engine="triton", by="ports 8000, 8001, 8002")
    return None


def _words(container: Object) -> str:
    return " ".join(str(w) for key in ("command", "args") for w in container.get(key) or ())


def _most(words: str) -> int | None:
    given = _MAX_SEQUENCES.findall(words)
    if not given or int(given[-1]) < 1:
        return None
    engines = _DATA_PARALLEL.findall(words)
    return int(given[-1]) * max(1, int(engines[-1]) if engines else 1)


def _labels(template: Object) -> Iterator[tuple[str, str]]:
    labels = (template.get("metadata") or {}).get("labels") or {}
    for label in _LABELS:
        if label in labels:
            yield label, str(labels[label])
