"""Configuration: precedence, and every problem at once in words that say what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoscaler.config import Settings, load
from autoscaler.core.settings import PolicyType
from autoscaler.core.types import Mode
from autoscaler.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str, **changes: Any) -> list[str]:
    """What is said of a file, without the folder's name."""
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), **changes)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_nothing_given_is_all_defaults() -> None:
    assert load(None) == Settings()


@pytest.mark.parametrize("text", ["", "---\n", "engine:\n", "# only a comment\n"])
def test_an_empty_file_is_all_defaults(tmp_path: Path, text: str) -> None:
    assert load(write(tmp_path, text)) == Settings()


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    path = write(tmp_path, "prometheus: {url: 'http://file:1', timeout_s: 1}\nengine: {tick_s: 20}")
    env = {"FORESCALE_PROMETHEUS_URL": "http://env:2", "FORESCALE_PROMETHEUS_TIMEOUT_S": "2"}
    settings = load(path, env, {"prometheus.url": "http://flag:3", "engine.tick_s": None})
    assert settings.prometheus.url == "http://flag:3"
    assert settings.prometheus.timeout_s == 2.0
    assert settings.engine.tick_s == 20.0
    assert settings.prometheus.max_concurrent_queries == 8


def test_one_key_of_scale_down_leaves_the_other_defaults(tmp_path: Path) -> None:
    text = "engine: {behavior: {scale_down: {stabilization_window_s: 300}}}"
    rules = load(write(tmp_path, text)).engine.behavior.scale_down
    assert rules.stabilization_window_s == 300.0
    assert rules.tolerance_ratio == 0.0
    assert [policy.type for policy in rules.policies] == [PolicyType.PERCENT, PolicyType.PODS]


def test_namespaces_and_queries_are_read(tmp_path: Path) -> None:
    text = """
namespaces:
  research: {allow: true, mode: recommend, max_priority: 5}
  "*": {allow: false}
queries:
  ours: {success: 'sum by (namespace, pod) (requests_ok)', seconds_per_unit: 0.001, model_label: null}
freeze: region move on Tuesday
"""
    settings = load(write(tmp_path, text))
    assert settings.namespace("research").mode is Mode.RECOMMEND
    assert settings.namespace("other").allow is False
    assert settings.queries["ours"].model_label is None
    assert settings.freeze == "region move on Tuesday"


def test_what_a_namespace_leaves_out_is_as_the_star_has_it(tmp_path: Path) -> None:
    """A priority for one team is no leave to scale there."""
    text = """
namespaces:
  "*": {mode: recommend, max_mode: recommend, slo: "99% < 1s", max_replicas: 8}
  team-a: {max_priority: 10}
  team-b: {mode: auto, max_mode: auto, slo: "p95 < 200ms", max_replicas: null}
  team-c: {}
"""
    settings = load(write(tmp_path, text))
    told = {
        name: (policy.mode, policy.max_mode, policy.slo, policy.max_replicas, policy.max_priority)
        for name, policy in settings.namespaces.items()
    }
    assert told == {
        "*": (Mode.RECOMMEND, Mode.RECOMMEND, "99% < 1s", 8, 0),
        "team-a": (Mode.RECOMMEND, Mode.RECOMMEND, "99% < 1s", 8, 10),
        "team-b": (Mode.AUTO, Mode.AUTO, "p95 < 200ms", None, 0),
        "team-c": (Mode.RECOMMEND, Mode.RECOMMEND, "99% < 1s", 8, 0),
    }


def test_a_namespace_that_is_named_in_vain_is_refused(tmp_path: Path) -> None:
    text = "namespaces: {'*': {allow: false}, team: {mode: recommend}, off: {allow: false}}"
    assert problems(tmp_path, text) == [
        "policy.yaml: namespaces.team: has no effect: `*` has `allow: false`, give it `allow: true`, or leave it out"
    ]


def test_single_namespaces_are_watched_and_written_where_the_policy_lets_it(tmp_path: Path) -> None:
    text = """
kubernetes: {watch_namespaces: [b, a, c]}
namespaces: {"*": {mode: recommend}, c: {max_mode: recommend}}
"""
    settings = load(write(tmp_path, text))
    assert settings.kubernetes.watch_namespaces == ("b", "a", "c")
    assert settings.scaled_namespaces == ("a", "b")


def test_what_can_not_be_had_with_single_namespaces_is_refused(tmp_path: Path) -> None:
    text = """
kubernetes: {watch_namespaces: [a, a, B]}
namespaces: {"*": {mode: recommend}, c: {mode: auto}}
engine: {nodes: {pools: {h100: {labels: {a: b}, max_headroom: 1}}}, slices: {mode: recommend}}
"""
    where = "kubernetes.watch_namespaces"
    unseen = f"must be left out with {where}: whose pods hold the GPUs of a node is not seen then"
    assert problems(tmp_path, text) == [
        f"policy.yaml: {where}: 'B', must be a Kubernetes name: lower case letters, digits, '-'",
        f"policy.yaml: {where}: names a namespace twice, name each once",
        f"policy.yaml: namespaces.c: is not watched, must be in {where} as well, or be left out",
        f"policy.yaml: engine.nodes.pools: names node pools, {unseen}",
        f"policy.yaml: engine.slices.mode: recommend, {unseen}",
    ]


@pytest.mark.parametrize("off", ["off", "false", "'off'"])
def test_off_is_a_mode_as_helm_hands_it_on(tmp_path: Path, off: str) -> None:
    """A chart's values are YAML 1.1, where it is false."""
    text = f"namespaces: {{'*': {{mode: {off}, max_mode: {off}}}}}\nengine: {{slices: {{templates: {off}}}}}"
    settings = load(write(tmp_path, text))
    assert settings.namespaces["*"].mode is Mode.OFF
    assert settings.namespaces["*"].max_mode is Mode.OFF
    assert settings.engine.slices.templates == "off"
    assert problems(tmp_path, "namespaces: {'*': {mode: true}}") == [
        "policy.yaml: namespaces.*.mode: True, must be 'auto', 'recommend' or 'off'"
    ]


def test_off_is_a_mode_and_yes_a_yes(tmp_path: Path) -> None:
    text = "namespaces: {'*': {mode: off}}\nengine: {slices: {mode: off}}\nkserve: {patch_revisions: yes}"
    settings = load(write(tmp_path, text))
    assert settings.namespaces["*"].mode is Mode.OFF
    assert settings.engine.slices.mode == "off"
    assert settings.kserve.patch_revisions is True


def test_a_config_map_is_read_as_it_is_deployed(tmp_path: Path) -> None:
    text = "kind: ConfigMap\ndata:\n  policy.yaml: |\n    engine: {tick_s: 15}\n"
    assert load(write(tmp_path, text)).engine.tick_s == 15.0


def test_profiles_of_a_config_map_are_its_other_keys(tmp_path: Path) -> None:
    """As they are files beside the policy once it is mounted."""
    batch = {"batch_size": 1, "mean_s": 0.1}
    profile = {"forescale_profile": 1, "models": [{"model": "m", "batches": [batch]}]}
    data = {"policy.yaml": "profiles: {team/bert: bert.json}", "bert.json": json.dumps(profile)}
    path = write(tmp_path, json.dumps({"kind": "ConfigMap", "data": data}))
    (prior,) = load(path).engine.priors
    assert prior.workload == "team/bert"
    path = write(tmp_path, json.dumps({"kind": "ConfigMap", "data": {**data, "bert.json": "{"}}))
    with pytest.raises(ConfigError, match=r"bert.json:1: .*, must be JSON"):
        load(path)
    del data["bert.json"]
    with pytest.raises(ConfigError, match="name a file that `forescale profile import` wrote"):
        load(write(tmp_path, json.dumps({"kind": "ConfigMap", "data": data})))


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    text = """
engine:
  tick_z: 10
  max_replicas: many
  behavior: {scale_up: {policies: [{type: pods, value: 4, period_s: 15}]}}
promethes: {url: x}
"""
    assert problems(tmp_path, text, env={"FORESCALE_SERVER_PROT": "1"}) == [
        "FORESCALE_SERVER_PROT: is set, did you mean FORESCALE_SERVER_PORT?",
        "policy.yaml: engine.max_replicas: 'many', must be a valid integer",
        "policy.yaml: engine.behavior.scale_up.policies.0.type: 'pods', must be 'Pods' or 'Percent'",
        "policy.yaml: engine.tick_z: is not a setting, did you mean tick_s?",
        "policy.yaml: promethes: is not a setting, did you mean prometheus?",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "engine: {tick_s: 0}",
            "policy.yaml: engine.tick_s: 0, must be between 1 and 300",
        ),
        (
            "engine: {tick_s: .nan}",
            "policy.yaml: engine.tick_s: nan, must be a finite number",
        ),
        (
            "engine: {panic_threshold_ratio: 0.9}",
            "policy.yaml: engine.panic_threshold_ratio: 0.9, must be more than 1: "
            "replicas that carry the load are no panic",
        ),
        (
            "engine: {behavior: {scale_down: {stabilization_window_s: 7200}}}",
            "policy.yaml: engine.behavior.scale_down.stabilization_window_s: 7200, must be between 0 and 3600",
        ),
        (
            "prometheus: {url: prometheus:9090}",
            "policy.yaml: prometheus.url: 'prometheus:9090', must be http://HOST:PORT or https://HOST:PORT",
        ),
        (
            "prometheus: {url: 'http://u:secret@host:1'}",
            "policy.yaml: prometheus.url: holds a password, use password_file or bearer_token_file",
        ),
        (
            "prometheus: {collect_timeout_s: 12}",
            "policy.yaml: prometheus.collect_timeout_s: 12, must be more than 0 and less than engine.tick_s, 10: "
            "a tick must end before the next",
        ),
        (
            "gateway: traefik",
            "policy.yaml: gateway: 'traefik', must be one of auto, none, istio, linkerd",
        ),
        (
            "gateways: {edge: {metric: edge_seconds}}",
            "policy.yaml: gateways.edge.metric: 'edge_seconds', must be the name of a histogram's series, "
            "which ends with _bucket",
        ),
        (
            "gateways: {edge: {metric: e_bucket, failed_codes: '5['}}",
            "policy.yaml: gateways.edge.failed_codes: '5[', unterminated character set at position 1",
        ),
        (
            "leader: {duration_s: 10}",
            "policy.yaml: leader: retry_s 2, renew_deadline_s 10, duration_s 10, must be retry_s < renew_deadline_s "
            "< duration_s: a leader has to stop before others take over",
        ),
        (
            "kubernetes: {request_timeout_s: 9}",
            "policy.yaml: kubernetes.request_timeout_s: 9, must be at most leader.duration_s - "
            "leader.renew_deadline_s, 5: a write must not outlive the lease",
        ),
        (
            "server: {port: 70000}",
            "policy.yaml: server.port: 70000, must be between 0 and 65535",
        ),
        (
            "namespaces: {team: {mode: automatic}}",
            "policy.yaml: namespaces.team.mode: 'automatic', must be 'auto', 'recommend' or 'off'",
        ),
        (
            "namespaces: {team: {slo: p95 < fast}}",
            "policy.yaml: namespaces.team.slo: 'p95 < fast' is no objective, write for example `p95 < 200ms`, "
            "`99% < 200ms` or `p99 ttft < 2s, p95 tpot < 50ms for 99.5% over 7d`",
        ),
        (
            "prometheus: {headers: {Authorization: Bearer x}}",
            "policy.yaml: prometheus.headers.Authorization: holds a secret, use password_file or bearer_token_file",
        ),
        (
            'prometheus: {headers: {X-Scope-OrgID: "a\\nb"}}',
            "policy.yaml: prometheus.headers.X-Scope-OrgID: 'a\\nb', must be a header's name with a value in one line",
        ),
        (
            "namespaces: {team: {priority: 3}}",
            "policy.yaml: namespaces.team.priority: is not a setting, did you mean max_priority?",
        ),
        (
            "queries: {ours: {pending: up}}",
            "policy.yaml: queries.ours: has neither success nor inferences, one of them must be given: "
            "without it there is no demand to size for",
        ),
        ("freeze: ' '", "policy.yaml: freeze: ' ', must say why, or be left out"),
        ("engine: 3", "policy.yaml: engine: 3, must be a mapping"),
        ("- a\n- b", "policy.yaml: a list, must be a mapping of sections"),
        ("engine: [", "policy.yaml:1: expected the node content, but found '<stream end>', must be YAML"),
        (
            "freeze: 2026-02-30",
            "policy.yaml:1: '2026-02-30' can't be read (day is out of range for month), must be YAML",
        ),
        ("kind: ConfigMap\ndata: [1]", "policy.yaml: a ConfigMap with 0 .yaml keys: one is needed, must be YAML"),
        ("freeze: a\nfreeze: b", "policy.yaml:2: the key 'freeze' is given twice, must be YAML"),
    ],
)  # fmt: skip
def test_a_problem_says_where_what_and_what_is_allowed(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert problems(tmp_path, text) == [expected]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: there is no such file"):
        load(tmp_path / "none.yaml")


def test_service_links_of_kubernetes_are_no_settings() -> None:
    env = {
        "FORESCALE_SERVER_PORT": "tcp://10.0.0.7:8080",
        "FORESCALE_SERVICE_HOST": "10.0.0.7",
        "FORESCALE_METRICS_PORT_8080_TCP_ADDR": "10.0.0.7",
    }
    assert load(None, env) == Settings()


def test_the_types_come_without_pydantic_and_yaml() -> None:
    code = "import sys, autoscaler.config; print({'pydantic', 'yaml'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


POOL = "engine: {nodes: {pools: {h100: {labels: {pool: h100}, max_headroom: 16%s}}}}"


def test_node_pools_are_read(tmp_path: Path) -> None:
    pool = load(write(tmp_path, POOL % ", price_per_hour: 30")).engine.nodes.pools["h100"]
    assert pool.labels == {"pool": "h100"}
    assert (pool.max_headroom, pool.price_per_hour, pool.units_per_node) == (16, 30.0, 8)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (", unit: 9", "h100.unit: 9, must be at most units_per_node, 8: no node could hold it"),
        (
            ", units_per_node: 32, unit: 20",
            "h100.max_headroom: 16, must be 0, or at least unit, 20: that much is asked for at once",
        ),
        (", price_per_hr: 3", "h100.price_per_hr: is not a setting, did you mean price_per_hour?"),
        (", resource: gpu", "h100.resource: 'gpu', must be an extended resource such as"),
        (", labels: {}", "h100.labels: empty, must name the labels of the pool's nodes"),
        (
            ", labels: {karpenter.sh/nodepool: h}, node_group: h",
            "h100.labels: karpenter.sh/nodepool beside node_group or node_groups, must be of one",
        ),
        (", backend: magic", "h100.backend: 'magic', must be 'auto', 'capacity-buffer' or"),
    ],
)
def test_what_is_wrong_with_a_node_pool(tmp_path: Path, more: str, said: str) -> None:
    text = POOL % more
    if "labels" in more:
        text = text.replace("labels: {pool: h100}, ", "")
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(f"policy.yaml: engine.nodes.pools.{said}")


def test_two_pools_must_be_told_apart(tmp_path: Path) -> None:
    both = "{labels: {gpu: h100}, max_headroom: 8}"
    text = f"engine: {{nodes: {{pools: {{a: {both}, b: {both}}}}}}}"
    assert problems(tmp_path, text) == [
        "policy.yaml: engine.nodes.pools.b.labels: the same as those of a, "
        "must tell its nodes from every other pool's"
    ]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("{gpu: h100}", "{gpu: h100, kind: spot}", "those of a are among them"),
        ("{gpu: h100, kind: spot}", "{gpu: h100}", "all of them are among those of a"),
        ("{gpu: h100, zone: a}", "{gpu: h100, zone: b}", None),
        ("{gpu: h100}", "{kind: spot}", None),
    ],
)
def test_no_pools_nodes_are_all_of_another(
    tmp_path: Path, first: str, second: str, said: str | None
) -> None:
    pools = f"a: {{labels: {first}, max_headroom: 8}}, b: {{labels: {second}, max_headroom: 8}}"
    text = f"engine: {{nodes: {{pools: {{{pools}}}}}}}"
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    if said is None:
        load(path)
    else:
        (problem,) = problems(tmp_path, text)
        assert said in problem


@pytest.mark.parametrize(
    ("slices", "said"),
    [
        (
            "{templates: recommend}",
            "templates: recommend, must be off while engine.slices.mode is off",
        ),
        ("{mode: recommend, templates: auto}", "templates: auto, must be recommend or off while"),
    ],
)
def test_templates_go_no_further_than_slices(tmp_path: Path, slices: str, said: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(f"engine: {{slices: {slices}}}\n")
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert said in str(refused.value.problems[0])


MIG_POOL = "{labels: {pool: mig}, gpu: A100-80GB, configs: {ones: 7x1g.10gb}}"


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (
            f"slices: {{pools: {{a: {MIG_POOL}, b: {MIG_POOL}}}}}",
            "slices.pools.b.labels: the same as those of a, must tell its nodes from every other",
        ),
        (
            f"slices: {{pools: {{a: {MIG_POOL}}}}}, "
            "nodes: {pools: {n: {labels: {pool: mig}, max_headroom: 8}}}",
            "slices.pools.a.labels: of nodes of engine.nodes.pools.n too, which a node autoscaler grows",
        ),
        (
            f"slices: {{pools: {{a: {MIG_POOL}}}}}, "
            "nodes: {pools: {n: {labels: {pool: mig, zone: a}, max_headroom: 8}}}",
            "slices.pools.a.labels: of nodes of engine.nodes.pools.n too, which a node autoscaler grows",
        ),
    ],
)
def test_slice_pools_are_told_apart_and_grown_by_nobody(
    tmp_path: Path, engine: str, said: str
) -> None:
    (problem,) = problems(tmp_path, f"engine: {{{engine}}}")
    assert problem.startswith(f"policy.yaml: engine.{said}")


def test_a_fixed_node_pool_may_be_a_slice_pool(tmp_path: Path) -> None:
    pools = "{n: {labels: {pool: mig}, max_headroom: 0, fixed: true}}"
    load(
        write(
            tmp_path, f"engine: {{slices: {{pools: {{a: {MIG_POOL}}}}}, nodes: {{pools: {pools}}}}}"
        )
    )
