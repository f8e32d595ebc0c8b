"""A pod's model repository: written from the MODELS of its container, each model a sleep of a measured GPU time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from loadtests.stack.agent.api import Object

SLOW_RATIO = "slow-ratio"
"""A file beside the models: so many times as long takes every batch from now on, as on a GPU that throttles."""
MODEL_PY = Path(__file__).with_name("model.py.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model: a batch of b items takes base + b x per item, on each of its instances."""

    name: str
    max_batch_size: int = 8
    instances: int = 1
    service_base_ms: float = 20.0
    service_per_item_ms: float = 4.0
    max_queue_delay_us: int = 0


def of_pod(pod: Object) -> tuple[Model, ...]:
    """The models that the pod's first container names in its environment. Raises ValueError saying what is wrong."""
    for variable in pod["spec"]["containers"][0].get("env", []):
        if variable["name"] == "MODELS":
            try:
                entries = json.loads(variable["value"])
                return tuple(Model(**entry) for entry in entries)
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(
                    f"env MODELS: {error}; a JSON list of models is expected"
                ) from error
    raise ValueError("env MODELS: missing; a JSON list of models is expected")


def only_holds(pod: Object) -> bool:
    """It runs nothing and holds its resources: a `pause` container, as placeholders do."""
    return "/pause:" in str(pod["spec"]["containers"][0].get("image", ""))


def is_kserve(pod: Object) -> bool:
    """It runs KServe's Python model server; an image that is none of those named here is taken for Triton."""
    return "kserve" in str(pod["spec"]["containers"][0].get("image", ""))


def is_vllm(pod: Object) -> bool:
    """It runs the stand-in for vLLM."""
    return "vllm" in str(pod["spec"]["containers"][0].get("image", ""))


def write_repository(folder: Path, models: tuple[Model, ...]) -> None:
    """Triton's layout: NAME/config.pbtxt and NAME/1/model.py."""
    for model in models:
        version = folder / model.name / "1"
        version.mkdir(parents=True, exist_ok=True)
        (version / "model.py").write_text(MODEL_PY.read_text())
        (folder / model.name / "config.pbtxt").write_text(config(model))


def config(model: Model) -> str:
    """config.pbtxt with dynamic batching."""
    return f"""name: "{model.name}"
backend: "python"
max_batch_size: {model.max_batch_size}
input [{{ name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }}]
output [{{ name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }}]
instance_group [{{ count: {model.instances} kind: KIND_CPU }}]
dynamic_batching {{ max_queue_delay_microseconds: {model.max_queue_delay_us} }}
parameters [
  {{ key: "base_ms" value: {{ string_value: "{model.service_base_ms}" }} }},
  {{ key: "per_item_ms" value: {{ string_value: "{model.service_per_item_ms}" }} }}
]
"""
