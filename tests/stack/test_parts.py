"""The pure parts of the local stack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loadtests.stack import processes
from loadtests.stack.agent import exposition, models
from loadtests.stack.agent.__main__ import addresses
from loadtests.stack.agent.exposition import Device
from loadtests.stack.agent.kserve_server import predicted_s
from loadtests.stack.agent.pods import pre_stop_s
from loadtests.stack.agent.server import executed_s
from loadtests.stack.agent.status import Phase, pod_status
from loadtests.stack.agent.vllm_server import options
from loadtests.stack.errors import StackError, ToolMissing
from loadtests.stack.processes import Started
from loadtests.stack.stack import Stack
from loadtests.stack.toolbox import find_or_make

POD: dict[str, Any] = {
    "metadata": {"namespace": "team", "name": "bert-1", "labels": {"app": "bert"}},
    "spec": {"nodeName": "gpu-0", "containers": [{"name": "triton", "image": "tritonserver"}]},
}


def with_env(value: str | None) -> dict[str, object]:
    env = [] if value is None else [{"name": "MODELS", "value": value}]
    return {
        **POD,
        "spec": {**POD["spec"], "containers": [{"name": "triton", "image": "x", "env": env}]},
    }


def test_addresses_are_loopback_and_never_repeat() -> None:
    given = addresses()
    first = [next(given) for _ in range(1000)]
    assert len(set(first)) == 1000
    assert all(address.startswith("127.77.") for address in first)
    assert not any(address.endswith((".0", ".1", ".255")) for address in first)


def test_a_target_carries_the_pods_labels() -> None:
    assert exposition.server_target(POD, "127.77.0.4", 8002) == {
        "targets": ["127.77.0.4:8002"],
        "labels": {
            "namespace": "team",
            "pod": "bert-1",
            "node": "gpu-0",
            "container": "triton",
            "app": "bert",
        },
    }


def test_gpu_metrics_are_dcgm_exporters() -> None:
    text = exposition.dcgm_text(
        [Device(node="gpu-0", index=1, namespace="team", pod="bert-1", busy_ratio=0.5, xid=79)]
    )
    assert "# TYPE DCGM_FI_PROF_GR_ENGINE_ACTIVE gauge\n" in text
    line = next(x for x in text.splitlines() if x.startswith("DCGM_FI_DEV_GPU_UTIL{"))
    assert line.endswith("} 50")
    assert 'pod="bert-1"' in line
    assert 'UUID="GPU-gpu-0-1"' in line
    error = next(x for x in text.splitlines() if x.startswith("DCGM_FI_DEV_XID_ERRORS{"))
    assert error.endswith("} 79")


def test_a_model_repository_from_the_pods_environment(tmp_path: Path) -> None:
    pod = with_env('[{"name": "bert", "max_batch_size": 2, "service_base_ms": 40}]')
    (model,) = models.of_pod(pod)
    models.write_repository(tmp_path, (model,))
    config = (tmp_path / "bert" / "config.pbtxt").read_text()
    assert "max_batch_size: 2" in config
    assert 'string_value: "40"' in config
    assert (tmp_path / "bert" / "1" / "model.py").exists()


@pytest.mark.parametrize("value", [None, "{", '[{"nam": "x"}]', '{"name": "x"}', "[1]"])
def test_what_is_no_list_of_models_is_told(value: str | None) -> None:
    with pytest.raises(ValueError, match="a JSON list of models is expected"):
        models.of_pod(with_env(value))


def test_status_of_a_starting_and_of_a_ready_pod() -> None:
    starting = pod_status(POD, Phase(address="127.77.0.4", started="t0", changed="t0"))["status"]
    assert starting["phase"] == "Pending"
    assert starting["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    ready = pod_status(
        POD, Phase(address="127.77.0.4", started="t0", changed="t2", running_since="t1", ready=True)
    )["status"]
    assert ready["phase"] == "Running"
    conditions = {entry["type"]: entry for entry in ready["conditions"]}
    assert (conditions["Ready"]["status"], conditions["Ready"]["lastTransitionTime"]) == (
        "True",
        "t2",
    )


def test_the_pre_stop_sleep() -> None:
    assert pre_stop_s(POD) == 0.0
    hook = {"preStop": {"sleep": {"seconds": 3}}}
    pod = {"spec": {"containers": [{"lifecycle": hook}]}}
    assert pre_stop_s(pod) == 3.0


def test_execution_time_counts_each_batch_once() -> None:
    batch = {"batch_size": 2, "compute_infer": {"count": 3, "ns": 192_000_000}}
    assert executed_s({"model_stats": [{"batch_stats": [batch]}]}) == pytest.approx(0.192)
    assert executed_s({}) == 0.0


def test_the_image_says_which_server_a_pod_runs() -> None:
    assert not models.is_kserve(POD)
    container = {"name": "kserve-container", "image": "kserve/custom-predictor"}
    assert models.is_kserve({"spec": {"containers": [container]}})
    assert not models.is_vllm(POD)
    served = {
        "image": "vllm/vllm-openai:v0.11.0",
        "command": ["vllm", "serve", "/mnt/models"],
        "args": ["--max-num-seqs=8", "--gpu-memory-utilization=0.9"],
    }
    vllm = {"spec": {"containers": [served]}}
    assert models.is_vllm(vllm)
    assert options(vllm) == ("--max-num-seqs=8",)


def test_the_time_in_predict_is_that_of_all_models_together() -> None:
    text = """# TYPE request_predict_seconds histogram
request_predict_seconds_count{model_name="a"} 3.0
request_predict_seconds_sum{model_name="a"} 0.156
request_predict_seconds_sum{model_name="b"} 0.5
"""
    assert predicted_s(text) == pytest.approx(0.656)
    assert predicted_s("python_info 1.0\n") == 0.0


def test_a_recycled_pid_is_somebody_else(tmp_path: Path) -> None:
    own = processes.started_ticks(os.getpid())
    assert own is not None
    mine = Started(name="me", pid=os.getpid(), started_ticks=own, command=(), log="")
    other = Started(name="me", pid=os.getpid(), started_ticks=own - 1, command=(), log="")
    assert processes.is_running(mine)
    assert not processes.is_running(other)
    processes.stop(other)  # and so is not killed
    processes.save(tmp_path / "p.json", [mine])
    assert processes.load(tmp_path / "p.json") == [mine]
    assert processes.load(tmp_path / "none.json") == []


def test_a_process_is_started_found_and_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    started = processes.start("sleeper", command, log=tmp_path / "log")
    assert processes.is_running(started)
    processes.stop(started)
    assert not processes.is_running(started)


def test_parts_that_are_not_there_are_named(tmp_path: Path) -> None:
    stack = Stack(folder=tmp_path / "stack")
    assert stack.status() == ()
    stack.down()
    with pytest.raises(StackError, match="the stack is down"):
        stack.stop("prometheus")


def test_without_go_and_binaries_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("FORESCALE_CACHE", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    with pytest.raises(ToolMissing, match="install Go 1.25 or newer, or put the binary on PATH"):
        find_or_make(lambda _: None)


def test_the_command_says_what_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.stack", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"tools", "up", "status", "down"} <= set(
        done.stdout.replace("{", " ").replace("}", " ").replace(",", " ").split()
    )


class Hasty(Stack):
    """Its definitions have no status yet when they are first waited for."""

    asked = 0

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        self.asked += 1
        if self.asked == 1:
            raise StackError(".status.conditions accessor error: <nil> is of the type <nil>")
        return ""


def test_a_definition_without_a_status_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtests.stack.stack.time.sleep", lambda _: None)
    stack = Hasty(tmp_path)
    stack.wait_for_crds("crd", "nodepools.karpenter.sh")
    assert stack.asked == 2
