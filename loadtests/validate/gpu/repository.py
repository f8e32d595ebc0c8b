"""The network that is served, and Triton's repository of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from loadtests.validate.servers import Setting

MODEL_PY = Path(__file__).with_name("model.py.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A transformer encoder with random weights."""

    device: str
    layers: int
    width: int
    heads: int
    tokens: int
    """Of each request's text."""
    dtype: str


NETWORKS = {
    # BERT-large's size.
    "cuda": Network(device="cuda", layers=24, width=1024, heads=16, tokens=512, dtype="bfloat16"),
    "cpu": Network(device="cpu", layers=4, width=128, heads=4, tokens=64, dtype="float32"),
}


def write_network(folder: Path, setting: Setting, network: Network) -> None:
    """Triton's layout: NAME/config.pbtxt and NAME/1/model.py."""
    place = folder / setting.model.name
    (place / "1").mkdir(parents=True, exist_ok=True)
    (place / "1" / "model.py").write_text(MODEL_PY.read_text())
    (place / "config.pbtxt").write_text(config(setting, network))


def config(setting: Setting, network: Network) -> str:
    """config.pbtxt: as a team would have it, with the network as a parameter."""
    model = setting.model
    kind = "KIND_GPU" if network.device == "cuda" else "KIND_CPU"
    # Twice: the parameter is JSON, and a protobuf text's string is quoted as JSON's is.
    given = json.dumps(json.dumps(asdict(network)))
    return f"""name: "{model.name}"
backend: "python"
max_batch_size: {model.max_batch_size}
input [{{ name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }}]
output [{{ name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }}]
instance_group [{{ count: {model.instances} kind: {kind} }}]
dynamic_batching {{ max_queue_delay_microseconds: {model.max_queue_delay_us} }}
parameters [{{ key: "network" value: {{ string_value: {given} }} }}]
"""
