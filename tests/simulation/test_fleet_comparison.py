"""`forescale simulate` of several workloads: the tables, the JSON beside them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscaler.cli import main

SMALL = """\
name: two
gpu: A100-80GB
pools:
  - name: cut
    gpus: 1
    layouts: {small: 7x1g.10gb}
    nodes: {small: 1}
  - {name: whole, gpus: 2, boot_s: 60}
workloads:
  - workload: {name: embed, slo: "95% < 1s"}
    demand: {shape: "constant(2)", hours: 0.1}
    server: {batch_service_s: [0.04]}
    startup: {median_s: 20}
    shapes: [{profile: 1g.10gb, slowdown_ratio: 5}]
  - workload: {name: vision, slo: "95% < 1s"}
    demand: {shape: "constant(5)", hours: 0.1}
    server: {batch_service_s: [0.05]}
    startup: {median_s: 20}
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "fleet.yaml"
    file.write_text(SMALL)
    return str(file)


def test_every_workload_and_the_nodes_are_told(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", path, "--policies", "forescale-no-forecast,keda"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("two: 0.1 h, 2,")
    rows = [line.split() for line in lines if line.strip()]
    assert [row[1] for row in rows[1:5:2]] == ["embed", "requests/s"]
    assert rows[0][:3] == ["POLICY", "WORKLOAD", "GOAL"]
    assert rows[5] == ["POLICY", "NODES'", "GPU-H", "IN", "USE", "CUT", "ANEW", "FAILED"]
    # The fixed node and one of two GPUs that is in use; a peer has both workloads on one of two.
    assert rows[6][1:] == ["0.3", "0.3", "0", "0"]
    assert rows[7][-4:] == ["0.2", "0.2", "0", "0"]


def test_a_peer_may_have_all_its_pods_on_one_shape(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", path, "--policies", "keda@1g.10gb=0.6", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    embed, vision = told["rows"]
    assert embed["policy"] == "KEDA requests/s (0.6), 1g.10gb"
    assert (embed["gpu_hours"], vision["gpu_hours"]) == pytest.approx((0.2 / 7, 0.1), abs=0.001)
    # A node of seven slices, and for what has no such shape one of two whole GPUs.
    assert told["nodes"][0]["node_gpu_hours"] == pytest.approx(0.3)


def test_json_has_every_run(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--policies", "forescale-no-forecast", "--seeds", "2", "--json"]
    assert main(["simulate", path, *arguments]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["workload"] for row in told["rows"]] == ["embed", "vision"]
    assert [row["goal_ratio"] for row in told["rows"]] == pytest.approx([0.99, 0.99])
    assert [seed for seed, _ in told["scores"]] == [1, 2]
    # A seventh of a GPU, of which an eighth of the memory is less, for six minutes, and a second one for some seconds.
    assert told["rows"][0]["gpu_hours"] == pytest.approx(0.1 / 7 + 0.001, abs=2e-5)
    assert told["nodes"][0]["node_gpu_hours"] == pytest.approx(0.3)


def test_a_missed_goal_is_exit_code_99(path: str, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("forecast: {enabled: false}\n")
    Path(path).write_text(SMALL.replace("constant(5)", "constant(60)"))
    assert main(["simulate", path, "--policies", "forescale", "--config", str(policy)]) == 99


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--policies", "static"], "--policies: static, of one workload"),
        (["--policies", "keda@2g.20gb"], "a peer's with @ and one of 1g.10gb, gpu"),
        (["--policies", "keda,keda@gpu"], "--policies: keda,keda@gpu, each once"),
        (["--policies", "forescale@gpu"], "a peer's with @"),
        (["--startup", "60"], "--startup: 60, a fleet's file says it of each workload"),
        (["--seeds", "0"], "--seeds: 0, 1 to 100"),
        (["--hours", "1"], "--hours: given, a scenario file says it itself"),
    ],
)
def test_what_can_not_be_is_exit_code_2(
    path: str, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", path, *arguments]) == 2
    assert told in capsys.readouterr().err


def test_every_problem_of_a_file_is_told(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(path).write_text(SMALL.replace("profile: 1g.10gb", "profile: 1g.5gb"))
    assert main(["simulate", path]) == 2
    told = capsys.readouterr().err
    assert ":14: workloads.0.shapes.0.profile: '1g.5gb', what a pool has: 1g.10gb, gpu" in told
