"""Which serving engine a pod template holds, and what says so. Pure. Where it says nothing, what is scraped tells.

In the order of how sure they are: the command, the image, a KServe runtime's or Helm chart's label, the ports; of the
containers that ask for a GPU before the others, for a router or an exporter beside a server is named after it.

The metrics of vLLM and SGLang do not tell how many sequences they run at most; their arguments do, where somebody set
it. Engines that have no queries of their own are named all the same: what to do about them can then be said.
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
    silent: str | None = None
    """What its arguments lack to export metrics; None: nothing that is known of."""


def _command(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|[\s/])(?:{words})(?=\s|$)")


def _image(words: str, *, before: str = "") -> re.Pattern[str]:
    """A whole part of the repository's path, or one that begins with it and a dash."""
    return re.compile(rf"(?:^|[/{before}])(?:{words})(?:[-/][\w.-]+)*(?=[:@]|$)")


# Shells and options are read as words: `sh -c "exec vllm serve m && true"`.
_COMMANDS = (
    ("triton", _command(r"tritonserver|launch_triton_server\.py")),
    ("vllm", _command(r"vllm\s+serve|vllm\.entrypoints[\w.]*|dynamo\.vllm")),
    ("sglang", _command(r"sglang\s+serve|sglang\.launch_server|dynamo\.sglang")),
    ("kserve", _command(r"-m\s+(?:sklearn|xgb|lgb|paddle|pmml)server")),
    ("tgi", _command(r"text-generation-launcher")),
    ("tensorrt-llm", _command(r"trtllm-serve|dynamo\.trtllm")),
    ("lmdeploy", _command(r"lmdeploy\s+serve")),
)
# Private mirrors flatten paths into one name: `ml-vllm`, `mirror_vllm-openai`.
IMAGES = (
    ("triton", _image("tritonserver|triton-?inference-?server")),
    ("vllm", _image("vllm", before="_-")),
    # What llm-d serves with; its router and scheduler have names of their own.
    ("vllm", re.compile(r"(?:^|/)llm-d(?:-(?:aws|cuda|dev|rocm|xpu|inference-sim))?(?=[:@]|$)")),
    ("sglang", _image("sglang", before="_-")),
    ("kserve", _image("(?:sklearn|xgb|lgb|paddle|pmml)server")),
    ("tgi", _image("text-generation-inference", before="_-")),
    ("tensorrt-llm", _image("tensorrt-?llm|tensorrtllm-runtime", before="_-")),
    ("lmdeploy", _image("lmdeploy", before="_-")),
    ("nim", re.compile(r"(?:^|/)nim/[\w./-]+(?=[:@]|$)")),
)
# Named after the server, and none.
_BESIDE = re.compile(r"router|routing|proxy|gateway|sidecar|exporter|bench|scheduler")
# Labels whose value may name the engine: `kserve-tritonserver`, `vllm`.
_LABELS = (
    "serving.kserve.io/servingruntime",
    "app.kubernetes.io/name",
    "app.kubernetes.io/component",
)
_NAMES = (
    ("triton", "triton"),
    ("vllm", "vllm"),
    ("sglang", "sglang"),
    ("kserve", "sklearnserver"),
)
# Quotes and line ends of a shell are no part of a word; what ends a command is one of its own.
_QUOTES = re.compile(r"\\\n|[\"']")
_ENDS = re.compile(r"&&|\|\||[;&|()]")
_GIVEN = r"[=\s]+(\d+)(?=\s|$)"
# An option with dashes or underscores, and its value behind a space or `=`.
_MAX_SEQUENCES = {
    "vllm": re.compile(rf"(?:^|\s)--max[-_]num[-_]seqs{_GIVEN}"),
    "sglang": re.compile(rf"(?:^|\s)--max-running-requests{_GIVEN}"),
}
_DATA_PARALLEL = {
    "vllm": re.compile(rf"(?:^|\s)(?:--data[-_]parallel[-_]size|-dp){_GIVEN}"),
    "sglang": re.compile(rf"(?:^|\s)(?:--dp-size|--data-parallel-size|--dp){_GIVEN}"),
}
# Of the engines of a server that spans several pods, those in this one.
_LOCAL = re.compile(rf"(?:^|\s)(?:--data[-_]parallel[-_]size[-_]local|-dpl){_GIVEN}")
# With it SGLang's limit is of all its data-parallel engines together, else of each.
_SHARED_LIMIT = re.compile(r"(?:^|\s)--enable-dp-attention(?=\s|$)")
# A file of options may hold it as well.
_METRICS = re.compile(r"(?:^|\s)--(?:enable-metrics|config)(?=[\s=]|$)")
_WITHOUT_METRICS = "SGLang exports no metrics unless its command has --enable-metrics"
# HTTP, gRPC and metrics: no other server has all three.
_TRITON_PORTS = frozenset({8000, 8001, 8002})


def detect(template: Object) -> Detected | None:
    """From a pod template or a pod. None: nothing in it tells."""
    containers = (template.get("spec") or {}).get("containers") or ()
    serving = [container for container in containers if _asks_for_device(container)]
    found = _engine(template, serving) or _engine(template, containers)
    if found is None or found.engine not in _MAX_SEQUENCES:
        return found
    words = [_words(container) for container in containers]
    told = [_most(found.engine, text) for text in words]
    lacks = found.engine == "sglang" and found.by == "command"
    return replace(
        found,
        max_sequences=next((most for most in told if most is not None), None),
        silent=_WITHOUT_METRICS if lacks and not any(map(_METRICS.search, words)) else None,
    )


def _engine(template: Object, containers: Sequence[Object]) -> Detected | None:
    for container in containers:
        words = _words(container)
        for engine, pattern in _COMMANDS:
            if pattern.search(words):
                return Detected(engine=engine, by="command")
    for container in containers:
        image = str(container.get("image") or "")
        name = image.rpartition("/")[2]
        for engine, pattern in IMAGES:
            if pattern.search(image) and not _BESIDE.search(name):
                return Detected(engine=engine, by=f"image {image}")
    for label, value in _labels(template):
        for engine, name in _NAMES:
            if name in value:
                return Detected(engine=engine, by=f"label {label}={value}")
    ports = {port.get("containerPort") for c in containers for port in c.get("ports") or ()}
    if ports >= _TRITON_PORTS:
        return Detected(engine="triton", by="ports 8000, 8001, 8002")
    return None


def _asks_for_device(container: Object) -> bool:
    resources = container.get("resources") or {}
    asked = (*(resources.get("limits") or ()), *(resources.get("requests") or ()))
    return bool(resources.get("claims")) or any("/" in str(name) for name in asked)


def _words(container: Object) -> str:
    text = " ".join(str(w) for key in ("command", "args") for w in container.get(key) or ())
    return _ENDS.sub(lambda found: f" {found[0]} ", _QUOTES.sub(" ", text))


def _most(engine: str, words: str) -> int | None:
    given = _MAX_SEQUENCES[engine].findall(words)
    if not given or int(given[-1]) < 1:
        return None
    engines = _LOCAL.findall(words) or _DATA_PARALLEL[engine].findall(words)
    if engine == "sglang" and _SHARED_LIMIT.search(words):
        return int(given[-1])
    return int(given[-1]) * max(1, int(engines[-1]) if engines else 1)


def _labels(template: Object) -> Iterator[tuple[str, str]]:
    labels = (template.get("metadata") or {}).get("labels") or {}
    for label in _LABELS:
        if label in labels:
            yield label, str(labels[label])
