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
