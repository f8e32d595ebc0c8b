"""Profiles that the policy names: what is read, what is wrong, and that the engine is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoscaler.cli import main
from autoscaler.codec import decode, encode
from autoscaler.config import load
from autoscaler.core.profile import BatchPrior, ModelPrior, WorkloadPrior
from autoscaler.core.settings import EngineConfig
from autoscaler.errors import ConfigError
from tests.profiles.samples import PERF_ANALYZER

MODEL = {"model": "m", "batches": [{"batch_size": 1, "mean_s": 0.05}]}


def policy(folder: Path, **changes: object) -> Path:
    """A policy that names a profile; `changes` are of the profile's only model."""
    document = {"forescale_profile": 1, "models": [{**MODEL, **changes}]}
    (folder / "bert.json").write_text(json.dumps(document))
    path = folder / "policy.yaml"
    path.write_text("profiles: {team/bert: bert.json}\n")
    return path


def problems(folder: Path, path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_a_profile_is_looked_for_beside_the_policy(tmp_path: Path) -> None:
    expected = WorkloadPrior(
        workload="team/bert",
        models=(ModelPrior(model="m", batches=(BatchPrior(batch_size=1, mean_s=0.05),)),),
    )
    assert load(policy(tmp_path)).engine.priors == (expected,)


def test_a_profile_may_be_of_another_slice(tmp_path: Path) -> None:
    path = policy(tmp_path, memory_mib=6000)
    path.write_text("profiles: {team/bert: bert.json, team/bert@1g.10gb: bert.json}\n")
    own, there = load(path).engine.priors
    assert (own.workload, own.shape) == ("team/bert", "")
    assert (there.workload, there.shape, there.models[0].memory_mib) == (
        "team/bert",
        "1g.10gb",
        6000,
    )


def test_a_journal_carries_it(tmp_path: Path) -> None:
    config = load(policy(tmp_path)).engine
    assert decode(encode(config), EngineConfig) == config


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"batches": []}, "models.0.batches: batch sizes []", id="no batch"),
        pytest.param(
            {"batches": [{"batch_size": 2, "mean_s": 1}, {"batch_size": 1, "mean_s": 1}]},
            "models.0.batches: batch sizes [2, 1]", id="descending",
        ),
        pytest.param(
            {"batches": [{"batch_size": 1, "mean_s": 0}]}, "models.0.batches.0.mean_s: 0", id="no time"
        ),
        pytest.param({"max_batch_size": 0}, "models.0.max_batch_size: 0", id="no batch fits"),
        pytest.param({"instances": 0}, "models.0.instances: 0", id="no instance"),
        pytest.param({"max_queue_delay_s": -1}, "models.0.max_queue_delay_s: -1", id="delay"),
        pytest.param({"memory_mib": 0}, "models.0.memory_mib: 0", id="memory"),
        pytest.param({"variability": 0}, "models.0.variability: 0", id="variability"),
        pytest.param({"instances": "two"}, "models.0.instances: 'two'", id="a word"),
        pytest.param({"instanses": 2}, "models.0.instanses: 2", id="an unknown key"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_told(tmp_path: Path, changes: dict[str, object], expected: str) -> None:
    (said,) = problems(tmp_path, policy(tmp_path, **changes))
    assert said.startswith(f"bert.json: {expected}, ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("profiles: {team/bert: gone.json}", ["gone.json: No such file or directory, name a file that "]),
        ("profiles: {bert: bert.json}", ["policy.yaml: profiles.bert: 'bert', must be NAMESPACE/NAME"]),
        (
            "profiles: {team/bert@half: bert.json}",
            ["policy.yaml: profiles.team/bert@half: 'team/bert@half', must be NAMESPACE/NAME, with @1g.10gb"],
        ),
        ("profiles: {team/bert: policy.yaml}", ["policy.yaml:1: Expecting value, must be JSON"]),
        ("profiles: {team/bert: other.json}", ["other.json: forescale_profile is None, must be 1"]),
        ("engine: {priors: [{workload: a/b, models: []}]}", ["policy.yaml: engine.priors: is not a setting"]),
    ],
)  # fmt: skip
def test_problems_of_the_policy_come_with_all_others(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    path = policy(tmp_path)
    (tmp_path / "other.json").write_text("{}")
    path.write_text(f"{text}\nprometheus: {{timeout_s: -1}}\n")
    said = problems(tmp_path, path)
    assert [f"{s}"[: len(e)] for s, e in zip(said[1:], expected, strict=True)] == expected
    assert "timeout_s" in said[0]


# ---------------------------------------------------------------- the command


def test_import_show_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured, profile = tmp_path / "perf.csv", tmp_path / "bert.json"
    measured.write_text(PERF_ANALYZER)
    assert main(["profile", "import", str(measured), "--model", "m", "-o", str(profile)]) == 0
    capsys.readouterr()
    assert main(["profile", "show", str(profile), "--slo", "99% < 300ms"]) == 0
    shown = capsys.readouterr().out
    assert [line.split()[:2] for line in shown.splitlines()[1:]] == [
        ["m", "1"],
        ["m", "2"],
        ["m", "8"],
    ]
    assert shown.splitlines()[-1].split()[-1] == "204/s"
    assert main(["profile", "show", str(profile), "--slo", "99% < 300ms", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["carries_rps"] == {"m": pytest.approx(204, abs=0.5)}
    assert main(["profile", "show", str(profile), "--slo", "p99 ttft < 300ms"]) == 2
    assert "'p99 ttft < 300ms' is about ttft, an objective on latency" in capsys.readouterr().err
    path = tmp_path / "policy.yaml"
    path.write_text("profiles: {team/bert: bert.json}\n")
    assert main(["check-config", str(path)]) == 0


def test_json_is_the_profile_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured = tmp_path / "perf.csv"
    measured.write_text(PERF_ANALYZER)
    assert main(["profile", "import", str(measured), "--model", "m"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "p.json").write_text(text)
    assert main(["profile", "show", str(tmp_path / "p.json"), "--json"]) == 0
    assert capsys.readouterr().out == text


def test_problems_exit_with_2_and_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured, profile = tmp_path / "perf.csv", tmp_path / "p.json"
    measured.write_text(PERF_ANALYZER)
    assert main(["profile", "import", str(measured), "-o", str(profile)]) == 2
    assert "names no model" in capsys.readouterr().err
    assert not profile.exists()
