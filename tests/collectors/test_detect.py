"""Which engine a pod template holds: given, told, and by what."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.collectors.detect import Detected, detect


def template(labels: dict[str, str] | None = None, **container: Any) -> dict[str, Any]:
    return {"metadata": {"labels": labels or {}}, "spec": {"containers": [container]}}


def ports(*numbers: int) -> list[dict[str, int]]:
    return [{"containerPort": number} for number in numbers]


IMAGES = {
    "nvcr.io/nvidia/tritonserver:25.06-py3": "triton",
    "registry.local:5000/ml/triton-inference-server": "triton",
    "vllm/vllm-openai:v0.11.0": "vllm",
    "public.ecr.aws/x/vllm@sha256:aa": "vllm",
    "kserve/sklearnserver:v0.15.0": "kserve",
}


@pytest.mark.parametrize(("image", "engine"), IMAGES.items())
def test_by_the_image(image: str, engine: str) -> None:
    assert detect(template(image=image)) == Detected(engine=engine, by=f"image {image}")


API_SERVER = ["python3", "-m", "vllm.entrypoints.openai.api_server"]
RUNTIME = {"serving.kserve.io/servingruntime": "kserve-tritonserver"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (template(image="a:1", command=["tritonserver", "--model-store=/m"]), "triton, command"),
        (template(image="a:1", args=["sh", "-c", "exec /opt/vllm serve llama"]), "vllm, command"),
        (template(image="a:1", command=API_SERVER), "vllm, command"),
        (template(image="a:1", command=["python", "-m", "xgbserver"]), "kserve, command"),
        (template(image="x/tritonserver:1", command=["vllm", "serve", "x"]), "vllm, command"),
        (
            template(RUNTIME, image="a:1"),
            "triton, label serving.kserve.io/servingruntime=kserve-tritonserver",
        ),
        (
            template({"app.kubernetes.io/name": "vllm"}, image="a:1"),
            "vllm, label app.kubernetes.io/name=vllm",
        ),
        (template(image="a:1", ports=ports(8000, 8001, 8002)), "triton, ports 8000, 8001, 8002"),
        (template(image="a:1", ports=ports(8000)), None),
        (template(image="mine/not-a-vllmish-thing:1"), None),
        (template(image="a:1", args=["--model=vllm"]), None),
        ({"spec": {}}, None),
        ({}, None),
    ],
)
def test_by_everything_else(given: dict[str, Any], told: str | None) -> None:
    found = detect(given)
    assert (None if found is None else f"{found.engine}, {found.by}") == told


@pytest.mark.parametrize(
    ("args", "most"),
    [
        (["--model=llama"], None),
        (["--max-num-seqs", "64"], 64),
        (["--max-num-seqs=64", "--dtype=auto"], 64),
        (["--max_num_seqs=64"], 64),
        (["sh", "-c", "exec vllm serve llama --max-num-seqs 64"], 64),
        # The last one counts, as for vLLM's own parser.
        (["--max-num-seqs=64", "--max-num-seqs=32"], 32),
        # Each of four engines in one pod runs as many.
        (["--max-num-seqs=64", "--data-parallel-size=4"], 256),
        (["--max-num-seqs=$(MOST)"], None),
        (["--max-num-seqs=0"], None),
        (["--max-num-seqs-of-mine=3"], None),
    ],
)
def test_how_many_sequences_run_at_most(args: list[str], most: int | None) -> None:
    found = detect(template(image="vllm/vllm-openai:v0.11.0", args=args))
    assert found is not None
    assert found.max_sequences == most


def test_another_engine_has_no_such_argument() -> None:
    given = template(image="nvcr.io/nvidia/tritonserver:1", args=["--max-num-seqs=64"])
    assert detect(given) == Detected(engine="triton", by="image nvcr.io/nvidia/tritonserver:1")
