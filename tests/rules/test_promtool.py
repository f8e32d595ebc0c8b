"""The rules and their unit tests, by Prometheus' own promtool; and that the unit tests notice a rule that is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from autoscaler.cli import main

RULES, TESTS = "team-bert.rules.yaml", "team-bert.test.yaml"

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: bert
  namespace: team
  annotations:
    forescale.io/slo: "{slo}"
"""


@pytest.fixture(scope="module")
def promtool() -> str:
    """From Debian's prometheus package."""
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool: not on PATH")
        pytest.skip("promtool: not on PATH (Debian: apt-get install prometheus)")
    return found


def written(folder: Path, slo: str, *argv: str) -> Path:
    """The folder with the rules of one workload."""
    (folder / "bert.yaml").write_text(MANIFEST.format(slo=slo))
    out = folder / "out"
    given = ["rules", "--manifests", str(folder / "bert.yaml"), "--output", str(out), *argv]
    assert main(given) == 0
    return out


def run(promtool: str, *argv: str) -> tuple[int, str]:
    done = subprocess.run([promtool, *argv], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("slo", "argv"),
    [
        ("99% < 200ms over 7d", ()),
        ("p95 < 200ms for 99.5% over 3d", ()),
        ("80% < 1s over 1d", ("--namespace-label", "exported_namespace")),
        ("p99 ttft < 2s, p95 tpot < 50ms for 99.5% over 1d", ()),
        ("99% < 200ms over 1h", ()),
    ],
)
def test_rules_are_valid_and_do_what_their_tests_say(
    slo: str, argv: tuple[str, ...], promtool: str, tmp_path: Path
) -> None:
    out = written(tmp_path, slo, *argv)
    code, said = run(promtool, "check", "rules", str(out / RULES))
    assert code == 0, said
    code, said = run(promtool, "test", "rules", str(out / TESTS))
    assert code == 0, said


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param("> 14.4 *", "> 18 *", id="fires too late"),
        pytest.param("> 14.4 *", "> 11 *", id="fires too early"),
        pytest.param("ratio_rate2m{", "ratio_rate12m{", id="does not end with its cause"),
        pytest.param("< 0\n", "< -1\n", id="a spent budget is passed over"),
        pytest.param("or sum(absent(", "and sum(absent(", id="a workload may disappear"),
        pytest.param('state="unknown"', 'state="known"', id="unknown passes for known"),
        pytest.param("severity: page", "severity: ticket", id="pages nobody"),
    ],
)  # fmt: skip
def test_a_rule_that_is_wrong_fails_its_tests(
    right: str, wrong: str, promtool: str, tmp_path: Path
) -> None:
    out = written(tmp_path, "99% < 200ms over 1d")
    rules = (out / RULES).read_text()
    assert right in rules
    (out / RULES).write_text(rules.replace(right, wrong))
    code, _ = run(promtool, "test", "rules", str(out / TESTS))
    assert code != 0


def test_alerts_on_forescale_itself(promtool: str, tmp_path: Path) -> None:
    assert main(["rules", "--controller-alerts", "--output", str(tmp_path)]) == 0
    code, said = run(promtool, "test", "rules", str(tmp_path / "forescale.test.yaml"))
    assert code == 0, said
