"""Scenario files: what they say, and every problem with its line."""

from __future__ import annotations

import re
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from autoscaler.errors import ConfigError
from autoscaler.simulation.clients import Clients
from autoscaler.simulation.continuous_model import ContinuousModel, Lengths
from autoscaler.simulation.scenario_file import read_scenario
from autoscaler.simulation.scenario_sections import ContinuousSection, Document
from autoscaler.simulation.serving import Routing

SMALL = """
workload: {slo: "95% < 1.1s"}
demand: {shape: "constant(50)", hours: 1}
server: {batch_service_s: [0.1]}
startup: {median_s: 100}
"""

SMALL_WITHOUT_SERVER = SMALL.replace("server: {batch_service_s: [0.1]}\n", "")

SMALL_WITHOUT_DEMAND = SMALL.replace('demand: {shape: "constant(50)", hours: 1}\n', "")

EXAMPLE = Path(__file__).parents[2] / "docs/examples/documents.yaml"
ENGINE = "base_step_s: 0.02, sequence_s: 0.0003, prompt_token_s: 0.00005, cache_tokens: 60000"
TOKENS = SMALL.replace(
    "batch_service_s: [0.1]",
    f"continuous: {{{ENGINE}, lengths: {{prompt_tokens: 500, answer_tokens: 200}}}}",
)

WHOLE = """
name: black friday
workload:
  name: bert
  slo: p95 < 200ms
  min_replicas: 2
  max_replicas: 40
  first_replicas: 4
demand:
  trace: demand.csv
  column: chat
  last_days: 0.0007
  peak_rps: 30
server:
  batch_service_s: [0.08, 0.1]
  instances: 2
  service_cv: 0.3
balancing: {routing: pinned, connections: 8, connection_life_s: 60}
startup: {median_s: 240, p99_ratio: 3}
nodes:
  boot_s: 180
  most: 10
  stock_outs: [{start_s: 600, end_s: 1200}]
outages:
  - {start_s: 100, end_s: 700}
failures: {pod_mean_between_s: 86400, node_losses_s: [50]}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(text)
    return path


def test_the_smallest_file(tmp_path: Path) -> None:
    scenario = read_scenario(written(tmp_path, SMALL))
    assert scenario.name == "scenario"
    assert scenario.threshold_s == 1.1
    # Of the 5 % that may miss, a fifth is scaling's.
    assert scenario.goal_ratio == pytest.approx(0.99)
    assert scenario.open_demand.rates_rps.tolist() == [50.0] * 3600
    assert scenario.nodes.gpus == 8


def test_a_file_with_everything(tmp_path: Path) -> None:
    (tmp_path / "demand.csv").write_text("minute,chat\n0,60\n1,120\n2,180\n")
    scenario = read_scenario(written(tmp_path, WHOLE))
    assert (scenario.name, str(scenario.spec.id)) == ("black friday", "simulated/bert")
    assert scenario.goal_ratio == 0.95
    # One minute is run, at 3 rps, scaled to 30; what lies before it is the past.
    assert np.allclose(scenario.open_demand.rates_rps, 30.0)
    assert scenario.open_demand.past_rps.tolist() == pytest.approx([10.0, 20.0])
    assert scenario.batching.max_batch_size == 2
    assert scenario.routing is Routing.PINNED
    assert scenario.nodes.stock_outs[0].holds(600.0)
    assert scenario.failures.node_losses_s == (50.0,)


def test_clients_and_users(tmp_path: Path) -> None:
    text = SMALL.replace(
        'shape: "constant(50)"', 'users: "steps((0, 20), (1800, 200))", think_s: 2'
    )
    scenario = read_scenario(written(tmp_path, f"{text}clients: {{timeout_s: 5, retries: 3}}\n"))
    assert scenario.clients == Clients(timeout_s=5.0, retries=3, backoff_s=0.5)
    users = scenario.users
    assert users is not None
    assert users.counts.tolist() == [20] * 1800 + [200] * 1800
    assert users.think_s == 2.0
    assert [part.tolist() for part in users.levels()] == [[0.0, 1800.0, 3600.0], [20, 200, 0]]


def test_clients_wait_to_the_end_and_users_think_for_a_second_by_default(tmp_path: Path) -> None:
    scenario = read_scenario(written(tmp_path, SMALL))
    assert (scenario.clients, scenario.users) == (Clients(), None)
    text = SMALL.replace('shape: "constant(50)"', "users: constant(2.5)")
    users = read_scenario(written(tmp_path, text)).users
    assert users is not None
    assert (users.counts[0], users.think_s) == (2, 1.0)


def test_the_past_is_told_as_minutes_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "demand.csv").write_text("minute,chat\n0,60\n1,120\n2,180\n")
    demand = read_scenario(written(tmp_path, WHOLE)).demand
    points = [(p.minute_s, p.offered_rps) for p in demand.backfill(6000.0)]
    assert points == [(5880.0, pytest.approx(10.0)), (5940.0, pytest.approx(20.0))]


def test_the_documented_file_has_every_key_and_can_be_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/simulation.md").read_text()
    text, loop, other, _fleet = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert read_scenario(written(tmp_path, text)).name == "black friday"
    content = yaml.safe_load(text)
    told = typing.get_type_hints(Document)
    for section, kind in told.items():
        if is_dataclass(kind):
            known = {item.name for item in fields(kind)}
            # The other ways to give demand and servers, which can't stand beside the first.
            others = {"trace", "users", "think_s", "continuous"}
            assert known - others == set(content[section]), section
    assert set(content) == set(told)
    users = read_scenario(written(tmp_path, f"{SMALL_WITHOUT_DEMAND}\n{loop}")).users
    assert users is not None
    assert set(yaml.safe_load(loop)["demand"]) == {"users", "think_s"}
    engine = yaml.safe_load(other)["server"]["continuous"]
    assert set(engine) == {item.name for item in fields(ContinuousSection)}
    assert set(engine["lengths"]) == {item.name for item in fields(Lengths)}
    tokens = read_scenario(written(tmp_path, f"{SMALL_WITHOUT_SERVER}\n{other}"))
    assert isinstance(tokens.server, ContinuousModel)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(("hours: 1", "hour: 1"), [":3: demand.hour: is not known, did you"], id="key"),
        pytest.param(
            ("startup:", "start_up:"),
            [":5: start_up: is not known, did you mean startup?", "startup: is missing"],
            id="section",
        ),
        pytest.param(
            ("median_s: 100", "median_s: soon"), [":5: startup.median_s: 'soon'"], id="no number"
        ),
        pytest.param(
            ("median_s: 100", "median_s: -1"), [":5: startup.median_s: -1.0, 0 or"], id="below 0"
        ),
        pytest.param(("95% < 1.1s", "fast"), [":2: workload.slo: "], id="slo"),
        pytest.param(("[0.1]", "[]"), [":4: server"], id="no service time"),
        pytest.param(("constant(50)", "cosine(50)"), [":3: demand: 'cosine': not a"], id="shape"),
        pytest.param(("hours: 1", "hours: -1"), [":3: demand.hours: -1.0, more"], id="hours"),
        pytest.param(
            ("hours: 1", "hours: 1, trace: x.csv"),
            [":3: demand: shape and trace, shape, trace or users, one"],
            id="both",
        ),
        pytest.param(
            ('shape: "constant(50)", hours: 1', "trace: no.csv"),
            ["no.csv: No such file"],
            id="no trace",
        ),
        pytest.param(
            ('shape: "constant(50)"', "trace: no.csv"),
            [
                ":3: demand.hours: 1.0, of a shape or users alone: leave it out",
                "no.csv: No such file",
            ],
            id="of a shape",
        ),
        pytest.param(
            ("hours: 1", "hours: 1, last_days: 2, column: chat"),
            [":3: demand.column: chat, of a trace alone", ":3: demand.last_days: 2.0, of a trace"],
            id="of a trace",
        ),
        pytest.param(
            ("\nstartup", "\nbalancing: {connections: 0, connection_life_s: -1}\nstartup"),
            [
                ":5: balancing.connections: 0, 1 to 1000000",
                ":5: balancing.connection_life_s: -1.0, more than 0, or null",
            ],
            id="no connection",
        ),
        pytest.param(
            ('"95% < 1.1s"', '"95% < 1.1s", max_replicas: 20000'),
            [":2: workload.max_replicas: 20000, at most 10000 are run"],
            id="more than are run",
        ),
        pytest.param(
            ('"95% < 1.1s"', '"95% < 1.1s", min_replicas: 0, goal_ratio: 2'),
            [":2: workload.min_replicas: 0", ":2: workload.goal_ratio: 2.0"],
            id="several",
        ),
        pytest.param(
            ('"95% < 1.1s"', "fast, min_replica: 2"),
            [":2: workload.min_replica: is not known", ":2: workload.slo: "],
            id="a misspelt key hides no value",
        ),
        pytest.param(
            ("hours: 1", "hour: 1, colour: red"),
            [":3: demand.hour: is not known", ":3: demand.colour: is not known"],
            id="nor adds a problem of its own",
        ),
        pytest.param(
            ("\nstartup", "\noutages: [{start_s: 9, end_s: 5}]\nstartup"),
            [":5: outages.0: start_s 9.0 to end_s 5.0"],
            id="a span backwards",
        ),
        pytest.param(
            ("\nstartup", "\nnodes: {gpu: 4}\nstartup"),
            [":5: nodes.gpu: is not known, did you mean gpus?"],
            id="nested key",
        ),
        pytest.param(
            ("hours: 1", 'hours: 1, users: "constant(5)"'),
            [":3: demand: shape and users, shape, trace or users, one of them"],
            id="users and a shape",
        ),
        pytest.param(
            ('shape: "constant(50)", ', ""),
            [":3: demand: none of them, shape, trace or users, one of them"],
            id="nothing asks",
        ),
        pytest.param(
            ("hours: 1", "hours: 1, think_s: 2"),
            [":3: demand.think_s: 2.0, of users alone: leave it out"],
            id="of users",
        ),
        pytest.param(
            (
                'shape: "constant(50)"',
                "users: constant(5), peak_rps: 9, last_days: 1, dispersion: 2, burst_s: 5",
            ),
            [
                ":3: demand.peak_rps: 9.0, of a shape or a trace alone: leave it out",
                ":3: demand.last_days: 1.0, of a trace alone: leave it out",
                ":3: demand.dispersion: 2.0, of a shape or a trace alone: leave it out",
                ":3: demand.burst_s: 5, of a shape or a trace alone: leave it out",
            ],
            id="not of users",
        ),
        pytest.param(
            ('shape: "constant(50)"', "users: constant(0)"),
            [":3: demand.users: constant(0), at least one user at some time"],
            id="no user",
        ),
        pytest.param(
            ('shape: "constant(50)"', "users: constant(5), think_s: -1"),
            [":3: demand.think_s: -1.0, 0 or more"],
            id="think backwards",
        ),
        pytest.param(
            ('shape: "constant(50)", hours: 1', "users: constant(1e6), think_s: 0, hours: 744"),
            [":3: demand.users: up to 2.68e+09 requests, at most 5e+08: fewer users"],
            id="too many answers",
        ),
        pytest.param(
            (
                'shape: "constant(50)", hours: 1}\nserver: {batch',
                "users: constant(5), think_s: 0}\nserver: {max_queue_size: 5, batch",
            ),
            [":3: demand.think_s: 0.0, more than 0 with a max_queue_size"],
            id="rejected for ever at once",
        ),
        pytest.param(
            ("\nstartup", "\nclients: {timeout_s: 0, retries: 99, backoff_s: -1}\nstartup"),
            [
                ":5: clients.timeout_s: 0, more than 0, or null",
                ":5: clients.retries: 99, 0 to 20",
                ":5: clients.backoff_s: -1, 0 to 86400",
            ],
            id="clients",
        ),
        pytest.param(
            ("\nstartup", "\nclients: {timeout: 5}\nstartup"),
            [":5: clients.timeout: is not known, did you mean timeout_s?"],
            id="a key of clients",
        ),
        pytest.param(
            ("\nstartup", "\nclients: {timeout_s: .inf, retries: 1.5}\nstartup"),
            [":5: clients.timeout_s: inf, must be a finite", ":5: clients.retries: 1.5, must be"],
            id="no number of clients",
        ),
        pytest.param(("demand:", "server: {}\ndemand:"), ["is given twice"], id="twice"),
        pytest.param(
            ("hours: 1", "hours: 1, dispersion: 0.5"),
            [":3: demand.dispersion: 0.5, 1 or more"],
            id="dispersion",
        ),
        pytest.param(
            ("hours: 1", "hours: 1, burst_s: 0"), [":3: demand.burst_s: 0, at least 1"], id="burst"
        ),
        pytest.param(
            ('"95% < 1.1s"', '"95% < 1.1s", first_replicas: 900'),
            [":2: workload.first_replicas: 900, at most 100, max_replicas"],
            id="more at first than at most",
        ),
        pytest.param(
            ('"95% < 1.1s"', '"p95 ttft < 1s"'),
            [":2: workload.slo: an objective on ttft, needs server.continuous"],
            id="tokens of servers that answer whole requests",
        ),
        pytest.param(
            ("constant(50)", "constant(1e12)"), ["3.6e+15 requests, at most 5e+08"], id="too many"
        ),
        pytest.param(
            ("startup: {median_s: 100}", "startup:"),
            [":5: startup: None, must be a mapping"],
            id="an empty section",
        ),
        pytest.param(
            ("[0.1]", "0.1"), [":4: server.batch_service_s: 0.1, must be a list"], id="a number"
        ),
        pytest.param((SMALL, ""), ["is empty, must be a mapping"], id="empty"),
        pytest.param((SMALL, "- 1"), ["a list, must be a mapping"], id="a list"),
        pytest.param((SMALL, "a: [1"), [":1: "], id="no YAML"),
        (
            ("{batch_service_s: [0.1]}", "{batch_service_s: [-1], instances: 0, service_cv: -1}"),
            [
                "server.batch_service_s: (-1.0,), 1 positive times",
                "server.instances: 0, at least 1",
                "server.service_cv: -1.0, 0 to 100",
            ],
        ),
        (
            ("batch_service_s: [0.1]", "batch_service_s: []"),
            ["server.batch_service_s: none, a time"],
        ),
        (
            ("{batch_service_s: [0.1]}", "{batch_service_s: [1.0e-9]}"),
            ["server.batch_service_s: (1e-09,), 0.00001 to 86400 seconds"],
        ),
        (
            (
                "startup:",
                "nodes: {gpus: 0, boot_s: -1, most: 0}\nfailures: {pod_mean_between_s: 0}\nstartup:",
            ),
            [
                "nodes.gpus: 0, at least 1",
                "nodes.boot_s: -1, 0 or more",
                "nodes.most: 0, at least 1, or none",
                "failures.pod_mean_between_s: 0, more than 0",
            ],
        ),
    ],
)
def test_every_problem_is_told_with_its_line(
    tmp_path: Path, change: tuple[str, str], told: list[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        read_scenario(written(tmp_path, SMALL.replace(*change)))
    problems = [str(problem) for problem in refused.value.problems]
    assert len(problems) == len(told), problems
    missing = [text for text in told if not any(text in problem for problem in problems)]
    assert missing == [], problems


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            ("{continuous", "{batch_service_s: [0.1], continuous"),
            ":4: server: both, batch_service_s or continuous",
            id="both",
        ),
        pytest.param(
            ("{continuous", "{instances: 2, continuous"),
            ":4: server.instances: 2, of servers that batch",
            id="of the other kind",
        ),
        pytest.param(
            ("cache_tokens: 60000", "cache_tokens: 600"),
            ":4: server.continuous.cache_tokens: 600, at least a request of mean length (700)",
            id="no request fits",
        ),
        pytest.param(
            ("prompt_tokens: 500", "prompt_token: 500"),
            ":4: server.continuous.lengths.prompt_token: is not known, did you mean prompt_tokens?",
            id="misspelt",
        ),
        pytest.param(
            ("answer_tokens: 200", "answer_tokens: 0"), "answer_tokens: 0.0, 1 to", id="no answer"
        ),
        pytest.param(
            ("startup", "clients: {retries: 1}\nstartup"),
            ":5: clients: given, not modelled for servers that generate tokens",
            id="clients",
        ),
        pytest.param(
            ('shape: "constant(50)"', "users: constant(50)"),
            ":3: demand.users: 'constant(50)', not modelled for servers that generate tokens",
            id="users",
        ),
    ],
)
def test_an_engine_that_makes_tokens_is_checked_alike(
    tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    assert isinstance(read_scenario(written(tmp_path, TOKENS)).server, ContinuousModel)
    with pytest.raises(ConfigError) as refused:
        read_scenario(written(tmp_path, TOKENS.replace(*change)))
    assert told in "\n".join(str(problem) for problem in refused.value.problems)


def test_neither_kind_of_server(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="server: neither, batch_service_s or continuous"):
        read_scenario(written(tmp_path, SMALL.replace("batch_service_s: [0.1]", "instances: 1")))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_scenario(tmp_path / "none.yaml")


def test_the_example_of_an_engine_is_as_fast_as_it_was_measured() -> None:
    """32 sequences of 2,050 tokens in 30 ms, and 100 of such steps for an answer: ten requests a second."""
    server = read_scenario(EXAMPLE).server
    assert isinstance(server, ContinuousModel)
    assert server.capacity_rps == pytest.approx(10.4, abs=0.1)
