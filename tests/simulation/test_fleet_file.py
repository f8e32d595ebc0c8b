"""Scenario files of several workloads: what they say, and every problem with its line."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from autoscaler.errors import ConfigError
from autoscaler.simulation.fleet.file import is_fleet, read_fleet
from autoscaler.simulation.fleet.scenario import MigSettings
from autoscaler.simulation.fleet.sections import (
    FleetDocument,
    FleetWorkloadSection,
    PoolSection,
    ShapeSection,
)

EXAMPLE = Path(__file__).parents[2] / "docs/examples/fleet.yaml"
SMALL = """\
gpu: A100-80GB
pools:
  - name: cut
    gpus: 2
    layouts: {small: 7x1g.10gb, balanced: 1x3g.40gb+4x1g.10gb}
    nodes: {small: 1, balanced: 2}
  - {name: seven, gpus: 4, layout: 7x1g.10gb, boot_s: 120, most: 3}
  - {name: whole}
workloads:
  - workload: {name: chat, slo: "95% < 1.1s"}
    demand: {shape: "constant(5)", hours: 1}
    server: {batch_service_s: [0.04, 0.05]}
    startup: {median_s: 60}
    shapes:
      - {profile: 1g.10gb, batch_service_s: [0.2, 0.3], min_replicas: 0, max_replicas: 30}
      - {profile: 3g.40gb, slowdown_ratio: 2, first_replicas: 2}
  - workload: {name: vision, slo: "95% < 1s", max_replicas: 8, first_replicas: 2}
    demand: {shape: "constant(5)", hours: 2}
    server: {batch_service_s: [0.06]}
    startup: {median_s: 60}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "fleet.yaml"
    path.write_text(text)
    return path


def test_a_file_tells_workloads_shapes_and_pools(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL)
    assert is_fleet(path)
    fleet = read_fleet(path)
    assert (fleet.name, fleet.gpu, fleet.duration_s) == ("fleet", "A100-80GB", 7200.0)
    chat, vision = fleet.workloads
    small, large = chat.shapes
    assert small.slowdown_ratios == pytest.approx((5.0, 6.0))
    assert (small.min_replicas, small.max_replicas, large.first_replicas) == (0, 30, 2)
    assert large.slowdown_ratios == (2.0, 2.0)
    assert chat.spec_of(small, 1 / 7).may_sleep
    assert str(chat.spec_of(small, 1 / 7).id) == "simulated/chat-1g.10gb"
    # Servers for all that its Deployments may have together.
    assert chat.alone.most_replicas == 130
    assert [(one.name, one.max_replicas, one.first_replicas) for one in vision.shapes] == [
        ("gpu", 8, 2)
    ]
    assert (vision.spec_of(vision.shapes[0], 1.0).variant_group, str(vision.alone.spec.id)) == (
        None,
        "simulated/vision",
    )
    cut, seven, whole = fleet.pools
    assert (cut.is_fixed, cut.slices("balanced")) == (True, {"3g.40gb": 2, "1g.10gb": 8})
    assert (seven.is_fixed, seven.settings.boot_s, seven.settings.most) == (False, 120.0, 3)
    assert (seven.slices("7x1g.10gb"), seven.max_headroom) == ({"1g.10gb": 28}, 56)
    assert (whole.shapes, whole.settings.gpus, whole.max_headroom) == (frozenset({"gpu"}), 8, 16)


def test_the_shipped_example_can_be_read() -> None:
    fleet = read_fleet(EXAMPLE)
    assert [one.name for one in fleet.workloads] == ["chat", "rank", "embed", "vision"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            ("gpu: A100-80GB", "gpu: A100-90GB"),
            [":1: gpu: 'A100-90GB', 'A100-90GB' is no GPU that can be cut"],
            id="unknown GPU",
        ),
        pytest.param(
            ("small: 7x1g.10gb", "small: 7x1g.11gb"),
            ["'1g.11gb' is no profile of A100-80GB, it has 1g.10gb"],
            id="unknown profile",
        ),
        pytest.param(
            ("4x1g.10gb}", "5x1g.10gb}"),
            [":5: pools.0.layouts.balanced: '1x3g.40gb+5x1g.10gb', must fit onto one A100-80GB"],
            id="too much for a GPU",
        ),
        pytest.param(
            ("- {profile: 3g.40gb", "- {profile: 4g.40gb"),
            [
                ":16: workloads.0.shapes.1.profile: '4g.40gb', what a pool has: 1g.10gb, 3g.40gb, gpu"
            ],
            id="a shape that no pool has",
        ),
        pytest.param(
            ("layout: 7x1g.10gb", "layout: 1x3g.40gb+4x1g.10gb"),
            [":7: pools.1.layout: '1x3g.40gb+4x1g.10gb', one profile"],
            id="a pool that grows has one profile",
        ),
        pytest.param(
            ("nodes: {small: 1, balanced: 2}", "nodes: {tiny: 1}"),
            [":6: pools.0.nodes.tiny: 'tiny', one of its layouts: small, balanced"],
            id="a layout that there is not",
        ),
        pytest.param(
            ("nodes: {small: 1, balanced: 2}", "boot_s: 60"),
            [":6: pools.0.boot_s: 60.0, of a pool without layouts", ":3: pools.0.nodes: none"],
            id="fixed or grown",
        ),
        pytest.param(
            ("boot_s: 120", "boot_s: -1, nodes: {a: 1}"),
            [":7: pools.1.nodes: {'a': 1}, of a fixed pool", ":7: pools.1.boot_s: -1.0, 0 or more"],
            id="grown or fixed",
        ),
        pytest.param(
            ("name: seven", "name: cut"), [":7: pools.1.name: cut, a name that no"], id="twice"
        ),
        pytest.param(
            ("profile: 3g.40gb, slow", "profile: 3g.40gb, batch_service_s: [1], slow"),
            [
                ":16: workloads.0.shapes.1: both, slowdown_ratio or batch_service_s",
                ":16: workloads.0.shapes.1.batch_service_s: 1, 2 times, as many",
            ],
            id="two speeds",
        ),
        pytest.param(
            ("max_replicas: 30", "max_replicas: 0"),
            [":15: workloads.0.shapes.0.max_replicas: 0, at least min_replicas, and 1"],
            id="none",
        ),
        pytest.param(
            ("max_replicas: 30", "max_replicas: 9950"),
            [":14: workloads.0.shapes: 10050 replicas, at most 10000 are run"],
            id="more servers than a run has",
        ),
        pytest.param(
            ('name: chat, slo: "95% < 1.1s"', 'name: chat, slo: fast, first_replicas: 2'),
            [
                ":10: workloads.0.workload.slo: ",
                ":10: workloads.0.workload.first_replicas: 2, of each of its shapes",
            ],
            id="a group's own",
        ),
        pytest.param(
            ("{batch_service_s: [0.06]}", "{batch_service_s: [0.06]}\n    shapes: [{profile: gpu, min_replicas: 2}]"),
            [":20: workloads.1.shapes.0.min_replicas: 2, of the workload itself"],
            id="one shape's own",
        ),
        pytest.param(
            ("slowdown_ratio: 2", "slow_ratio: 2"),
            [":16: workloads.0.shapes.1.slow_ratio: is not known, did you mean slowdown_ratio?"],
            id="misspelt",
        ),
        pytest.param(
            ('slo: "95% < 1.1s"}', "slo: fast, prio: 1}"),
            [":10: workloads.0.workload.prio: is not known", ":10: workloads.0.workload.slo: "],
            id="misspelt beside what is wrong",
        ),
        pytest.param(
            ('{shape: "constant(5)", hours: 1}', "{users: constant(5), hours: 1}"),
            [":11: workloads.0.demand.users: 'constant(5)', shape or trace: users in a closed"],
            id="a closed loop",
        ),
        pytest.param(
            ('{shape: "constant(5)", hours: 1}', '{shap: "constant(5)", hours: 1}'),
            [":11: workloads.0.demand.shap: is not known, did you mean shape?"],
            id="a misspelt key adds no problem of its own",
        ),
        pytest.param(
            ("gpu: A100-80GB", "gpu: A100-90GB\nmig: {median: 1}"),
            ["mig.median: is not known", ":1: gpu: 'A100-90GB'"],
            id="a misspelt key hides no value",
        ),
        pytest.param(
            ("gpu: A100-80GB", "gpu: A100-80GB\nmig: {failed_ratio: 2}"),
            [":2: mig.failed_ratio: 2, 0 to 1"],
            id="a share",
        ),
    ],
)  # fmt: skip
def test_every_problem_is_told_with_its_line(
    tmp_path: Path, change: tuple[str, str], told: list[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        read_fleet(written(tmp_path, SMALL.replace(*change)))
    problems = [str(problem) for problem in refused.value.problems]
    assert len(problems) == len(told), problems
    missing = [one for one in told if not any(one in problem for problem in problems)]
    assert missing == [], problems


def test_the_documented_file_has_every_key_and_can_be_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/simulation.md").read_text()
    (text,) = [one for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "pools:" in one]
    fleet = read_fleet(written(tmp_path, text))
    assert (fleet.name, [pool.name for pool in fleet.pools]) == (
        "a fleet",
        ["cut", "seven", "whole"],
    )
    content = yaml.safe_load(text)
    (chat, _), pools = content["workloads"], content["pools"]
    for kind, told in (
        (FleetDocument, set(content)),
        (PoolSection, {key for pool in pools for key in pool}),
        (FleetWorkloadSection, set(chat)),
        (ShapeSection, {key for shape in chat["shapes"] for key in shape}),
        (MigSettings, set(content["mig"])),
    ):
        assert told == {item.name for item in fields(kind)}, kind
