"""Which engine a pod template holds: given, told, and by what."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.collectors.detect import Detected, detect


def template(labels: dict[str, str] | None = None, **container: Any) -> dict[str, Any]:
    return {"metadata": {"labels": labels or {}}, "spec": {"containers": [container]}}


def pod(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": list(containers)}}


def ports(*numbers: int) -> list[dict[str, int]]:
    return [{"containerPort": number} for number in numbers]


IMAGES = {
    "nvcr.io/nvidia/tritonserver:25.06-py3": "triton",
    "registry.local:5000/ml/triton-inference-server": "triton",
    "vllm/vllm-openai:v0.11.0": "vllm",
    "public.ecr.aws/x/vllm@sha256:aa": "vllm",
    "registry.corp:5000/mirror/vllm/vllm-openai:v0.11@sha256:aa": "vllm",
    "123.dkr.ecr.eu-west-1.amazonaws.com/ml-vllm-openai:7": "vllm",
    "ghcr.io/llm-d/llm-d-cuda:v0.4.0": "vllm",
    "ghcr.io/llm-d/llm-d:v0.2.0": "vllm",
    "nvcr.io/nvidia/ai-dynamo/sglang-runtime:0.5.0": "sglang",
    "lmsysorg/sglang:v0.5.3-cu129": "sglang",
    "kserve/sklearnserver:v0.15.0": "kserve",
    # No built-in queries read these: they are named so that it can be said.
    "ghcr.io/huggingface/text-generation-inference:3.3.5": "tgi",
    "nvcr.io/nvidia/tensorrt-llm/release:1.0.0": "tensorrt-llm",
    "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8": "nim",
    "openmmlab/lmdeploy:v0.10": "lmdeploy",
}


@pytest.mark.parametrize(("image", "engine"), IMAGES.items())
def test_by_the_image(image: str, engine: str) -> None:
    assert detect(template(image=image)) == Detected(engine=engine, by=f"image {image}")


API_SERVER = ["python3", "-m", "vllm.entrypoints.openai.api_server"]
LAUNCH = ["python3", "-m", "sglang.launch_server", "--model-path=m", "--enable-metrics"]
RUNTIME = {"serving.kserve.io/servingruntime": "kserve-tritonserver"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (template(image="a:1", command=["tritonserver", "--model-store=/m"]), "triton, command"),
        (template(image="a:1", args=["sh", "-c", "exec /opt/vllm serve llama"]), "vllm, command"),
        (template(image="a:1", command=API_SERVER), "vllm, command"),
        (
            template(image="a:1", command=["sh", "-c", "sleep 1;vllm serve m&&true"]),
            "vllm, command",
        ),
        (template(image="a:1", command=["sh", "-c", 'exec "vllm" serve \\\n m']), "vllm, command"),
        (template(image="a:1", command=["sh", "-c", "pip install vllm; serve m"]), None),
        (template(image="a:1", command=["python3", "-m", "dynamo.vllm"]), "vllm, command"),
        (template(image="a:1", command=LAUNCH), "sglang, command"),
        (template(image="a:1", command=["python", "-m", "dynamo.sglang"]), "sglang, command"),
        (template(image="a:1", command=["trtllm-serve", "m"]), "tensorrt-llm, command"),
        # Of KServe's servers this one runs vLLM for what vLLM knows: what is scraped tells.
        (template(image="kserve/huggingfaceserver:v0.15.0-gpu"), None),
        (template(image="ghcr.io/llm-d/llm-d-routing-sidecar:v0.4"), None),
        (template(image="lmcache/vllm-router:1"), None),
        # The server is the one that asks for a GPU.
        (
            pod(
                {"image": "a:1", "command": ["python3", "-m", "vllm.entrypoints.proxy"]},
                {"image": "lmsysorg/sglang:1", "resources": {"limits": {"nvidia.com/gpu": 8}}},
            ),
            "sglang, image lmsysorg/sglang:1",
        ),
        (
            pod(
                {"image": "mirror/sglang:1"},
                {"image": "a:1", "resources": {"claims": [{"name": "gpu"}]}},
            ),
            "sglang, image mirror/sglang:1",
        ),
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
        # Sixteen in two pods, eight of them here.
        (
            ["--max-num-seqs=64", "--data-parallel-size=16", "--data-parallel-size-local=8"],
            512,
        ),
        (["--max-num-seqs=$(MOST)"], None),
        (["--max-num-seqs=0"], None),
        (["--max-num-seqs-of-mine=3"], None),
    ],
)
def test_how_many_sequences_run_at_most(args: list[str], most: int | None) -> None:
    found = detect(template(image="vllm/vllm-openai:v0.11.0", args=args))
    assert found is not None
    assert found.max_sequences == most


@pytest.mark.parametrize(
    ("args", "most"),
    [
        (["--max-running-requests", "128"], 128),
        # Each of two replicas behind one port, and all ranks of data-parallel attention together.
        (["--max-running-requests=128", "--dp-size=2"], 256),
        (["--max-running-requests=128", "--dp-size=2", "--enable-dp-attention"], 128),
        (["--max-num-seqs=64"], None),
    ],
)
def test_how_many_sequences_sglang_runs_at_most(args: list[str], most: int | None) -> None:
    """In the scheduler's concurrency limits (sgl-project/sglang) the user's number is divided by the ranks of
    data-parallel attention, and by nothing else."""
    found = detect(template(image="lmsysorg/sglang:v0.5.3", args=args))
    assert found is not None
    assert found.max_sequences == most


@pytest.mark.parametrize(
    ("command", "silent"),
    [
        (LAUNCH, False),
        (LAUNCH[:-1], True),
        (["sh", "-c", " ".join(LAUNCH[:-1])], True),
        # The file may have it.
        ([*LAUNCH[:-1], "--config=/etc/sglang.yaml"], False),
        (["vllm", "serve", "m"], False),
    ],
)
def test_sglang_that_was_not_told_to_export_metrics(command: list[str], silent: bool) -> None:
    found = detect(template(image="a:1", command=command))
    assert found is not None
    assert (found.silent is not None) == silent


def test_another_engine_has_no_such_argument() -> None:
    given = template(image="nvcr.io/nvidia/tritonserver:1", args=["--max-num-seqs=64"])
    assert detect(given) == Detected(engine="triton", by="image nvcr.io/nvidia/tritonserver:1")
