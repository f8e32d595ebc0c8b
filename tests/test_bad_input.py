"""Bad input: for every annotation and every setting what is given and what is answered. A key without a row fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.config import load
from autoscaler.config.keys import setting_keys
from autoscaler.core.annotations import KEYS, PREFIX, Defaults, Shape, parse_workload
from autoscaler.core.types import WorkloadId, WorkloadSpec
from autoscaler.errors import ConfigError

BERT = WorkloadId(namespace="team", name="bert")
ANY = "any text is allowed"
# Key: what is given, and the part of the answer that says what is allowed.
ANNOTATIONS = {
    "slo": ("fast", "write for example `p95 < 200ms`"),
    "mode": ("on", "one of auto, recommend, off is allowed"),
    "min-replicas": ("0", "1 or more is allowed: at 0 nothing shows demand"),
    "max-replicas": ("many", "a whole number of at most nine digits is allowed"),
    "pause": ("yes", "one of none, up, down, all is allowed"),
    "schedule": ("4 at night", "`REPLICAS @ CRON for TIME in ZONE` is allowed"),
    "startup-time": ("3h", "a time up to two hours is allowed, such as 90s or 4m"),
    "engine": ("tgi", "one of triton, vllm is allowed"),
    "model": ("name with spaces", ANY),
    "priority": ("high", "a whole number of at most nine digits is allowed"),
    "variant-group": ("name with spaces", ANY),
    "slice-shapes": ("1g.10gb", "two or more MIG profiles are allowed, each once"),
    "survive": ("rack", "one of none, node, zone is allowed"),
}
# Key: what is given in the policy file, and the part of the answer that says what is allowed.
SETTINGS: dict[str, tuple[object, str]] = {
    "engine.tick_s": (-1, "must be between 1 and 300"),
    "engine.startup_time_s": (-1, "must be more than 0"),
    "engine.max_replicas": (-1, "must be at least 1"),
    "engine.scaling_budget_ratio": (-1, "must be between 0 and 1"),
    "engine.scaling_budget_minutes_ratio": (-1, "must be between 0 and 1"),
    "engine.miss_price": (-1, "must be more than 0"),
    "engine.replica_rps": (-1, "must be more than 0"),
    "engine.panic_threshold_ratio": (
        -1,
        "must be more than 1: replicas that carry the load are no panic",
    ),
    "engine.panic_window_s": (-1, "must be more than 0"),
    "engine.external_floor_s": (-1, "must not be negative"),
    "engine.history_days": (-1, "must be more than 0"),
    "engine.behavior.scale_up.stabilization_window_s": (-1, "must be between 0 and 3600"),
    "engine.behavior.scale_up.policies.N.type": ("often", "must be 'Pods' or 'Percent'"),
    "engine.behavior.scale_up.policies.N.value": (-1, "must be more than 0"),
    "engine.behavior.scale_up.policies.N.period_s": (-1, "must be between 1 and 1800"),
    "engine.behavior.scale_up.select_policy": ("often", "must be 'Max', 'Min' or 'Disabled'"),
    "engine.behavior.scale_up.tolerance_ratio": (-1, "must be between 0 and 1"),
    "engine.behavior.scale_down.stabilization_window_s": (-1, "must be between 0 and 3600"),
    "engine.behavior.scale_down.policies.N.type": ("often", "must be 'Pods' or 'Percent'"),
    "engine.behavior.scale_down.policies.N.value": (-1, "must be more than 0"),
    "engine.behavior.scale_down.policies.N.period_s": (-1, "must be between 1 and 1800"),
    "engine.behavior.scale_down.select_policy": ("often", "must be 'Max', 'Min' or 'Disabled'"),
    "engine.behavior.scale_down.tolerance_ratio": (-1, "must be between 0 and 1"),
    "engine.signals.stale_after_s": (
        5,
        "must be at least engine.tick_s, 10: else every sample is stale",
    ),
    "engine.signals.min_coverage_ratio": (-1, "must be between 0 and 1"),
    "engine.signals.rate_window_s": (-1, "must be more than 0"),
    "engine.signals.panic_window_s": (-1, "must be more than 0"),
    "engine.signals.warmup_s": (-1, "must not be negative"),
    "engine.signals.straggler_ratio": (1.2, "must be 1.5 or more, or 0 to look for none"),
    "engine.brakes.window_s": (-1, "must be more than 0"),
    "engine.brakes.max_down_ratio": (-1, "must be between 0 and 1"),
    "engine.brakes.max_up_ratio": (-1, "must be more than 0"),
    "engine.brakes.min_allowance_gpus": (-1, "must not be negative"),
    "engine.brakes.min_up_allowance_gpus": (-1, "must not be negative"),
    "engine.brakes.correlated_workloads": (-1, "must be at least 2"),
    "engine.brakes.correlated_share_ratio": (-1, "must be between 0 and 1"),
    "engine.brakes.correlated_drop_ratio": (-1, "must be between 0 and 1"),
    "engine.brakes.correlated_window_s": (-1, "must be more than 0"),
    "engine.nodes.mode": ("often", "must be 'auto' or 'recommend'"),
    "engine.nodes.pools.NAME.labels": ("gpu", "must be a mapping"),
    "engine.nodes.pools.NAME.max_headroom": (-1, "must be at least 0"),
    "engine.nodes.pools.NAME.resource": ("gpu", "must be an extended resource such as"),
    "engine.nodes.pools.NAME.units_per_node": (-1, "must be at least 1"),
    "engine.nodes.pools.NAME.unit": (-1, "must be at least 1"),
    "engine.nodes.pools.NAME.order": ("first", "must be a valid integer"),
    "engine.nodes.pools.NAME.price_per_hour": (-1, "must"),
    "engine.nodes.pools.NAME.lead_time_s": (-1, "must"),
    "engine.nodes.pools.NAME.node_group": ("", "must not be empty: leave it out"),
    "engine.nodes.pools.NAME.node_groups": (["a", "a"], "must name each group once, and none"),
    "engine.nodes.pools.NAME.backend": ("karpenter", "must be 'auto', 'capacity-buffer' or"),
    "engine.nodes.pools.NAME.fixed": (True, "max_headroom must be 0 and the others left out"),
    "engine.nodes.pools.NAME.max_nodes": (-1, "must be at least 1"),
    "engine.nodes.pools.NAME.taints": ("gpu", "must be a list"),
    "engine.nodes.patience_s": (-1, "must be between 0 and 3600"),
    "engine.nodes.stuck_patience_s": (1, "must be between 30 and 86400"),
    "engine.nodes.stock_out_backoff_s": (-1, "must be more than 0"),
    "engine.nodes.stock_out_max_backoff_s": (1, "must be at least stock_out_backoff_s, 300"),
    "engine.nodes.foreign_allowance": (-1, "must be at least 0"),
    "engine.slices.mode": ("on", "must be 'off', 'recommend' or 'auto'"),
    "engine.slices.pools.NAME.labels": ("gpu", "must be a mapping"),
    "engine.slices.pools.NAME.gpu": ("GTX", "'GTX' is no GPU that can be cut into MIG slices"),
    "engine.slices.pools.NAME.configs": ("all-1g.10gb", "must be a mapping"),
    "engine.slices.pools.NAME.gpus_per_node": (-1, "must be at least 1"),
    "engine.slices.pools.NAME.price_per_hour": (-1, "must be more than 0"),
    "engine.slices.patience_s": (-1, "must be between 0 and 86400"),
    "engine.slices.settle_s": (5, "must be between 20 and 250"),
    "engine.slices.watchdog_s": (5, "must be between 60 and 7200"),
    "engine.slices.backoff_s": (-1, "must be more than 0"),
    "engine.slices.templates": ("on", "must be 'off', 'recommend' or 'auto'"),
    "engine.slices.template_patience_s": (5, "must be between 60 and 604800"),
    "engine.slices.template_watchdog_s": (5, "must be between 60 and 86400"),
    "headroom.namespace": ("", "must be a Kubernetes name: lower case letters, digits, '-'"),
    "headroom.image": ("", "must not be empty: leave it out"),
    "headroom.priority_class": ("", "must be a Kubernetes name: lower case letters, digits, '-'"),
    "prometheus.url": ("", "must be http://HOST:PORT or https://HOST:PORT"),
    "prometheus.timeout_s": (-1, "must be more than 0"),
    "prometheus.collect_timeout_s": (-1, "must be more than 0 and less than engine.tick_s, 10"),
    "prometheus.username": ("me", "goes with prometheus.password_file"),
    "prometheus.password_file": ("/etc/password", "goes with prometheus.username"),
    "prometheus.cert_file": ("", "must not be empty: leave it out"),
    "prometheus.key_file": ("/etc/key", "goes with prometheus.cert_file"),
    "prometheus.bearer_token_file": ("", "must not be empty: leave it out"),
    "prometheus.headers": (7, "must be a mapping"),
    "prometheus.ca_file": ("", "must not be empty: leave it out"),
    "prometheus.insecure_skip_verify": ("maybe", "must be a valid boolean"),
    "prometheus.backfill_s": (-1, "must not be negative"),
    "prometheus.max_concurrent_queries": (-1, "must be at least 1"),
    "kubernetes.kubeconfig": ("", "must not be empty: leave it out"),
    "kubernetes.context": ("", "must not be empty: leave it out"),
    "kubernetes.watch_namespaces": ("a", "must be a list"),
    "kubernetes.request_timeout_s": (-1, "must be more than 0"),
    "kubernetes.max_concurrent_writes": (-1, "must be at least 1"),
    "leader.enabled": ("maybe", "must be a valid boolean"),
    "leader.lease_name": ("", "must be a Kubernetes name: lower case letters, digits, '-'"),
    "leader.namespace": ("My Team", "must be a Kubernetes name: lower case letters, digits, '-'"),
    "leader.duration_s": (15.5, "must be whole seconds, at least 1"),
    "leader.renew_deadline_s": (-1, "must be retry_s < renew_deadline_s < duration_s"),
    "leader.retry_s": (-1, "must be retry_s < renew_deadline_s < duration_s"),
    "journal.path": ("", "must not be empty: leave it out"),
    "journal.max_file_mib": (-1, "must be more than 0"),
    "journal.keep": (-1, "must be at least 1"),
    "server.bind": ("", "must not be empty: leave it out"),
    "server.port": (-1, "must be between 0 and 65535"),
    "checkpoint.config_map": ("", "must be a Kubernetes name: lower case letters, digits, '-'"),
    "checkpoint.path": ("", "must not be empty: leave it out"),
    "checkpoint.interval_s": (-1, "must be more than 0"),
    "forecast.enabled": ("maybe", "must be a valid boolean"),
    "forecast.own_models": (-1, "must be at least 0"),
    "forecast.quick_models": (-1, "must be at least 0"),
    "forecast.refit_s": (-1, "must be more than 0"),
    "forecast.fleet_refit_s": (-1, "must be more than 0"),
    "forecast.lasts_s": (-1, "must be more than 0"),
    "kserve.patch_revisions": ("maybe", "must be a valid boolean"),
    "namespaces.NAME.allow": ("maybe", "must be a valid boolean"),
    "namespaces.NAME.slo": ("fast", "write for example `p95 < 200ms`"),
    "namespaces.NAME.max_mode": ("often", "must be 'auto', 'recommend' or 'off'"),
    "namespaces.NAME.mode": ("often", "must be 'auto', 'recommend' or 'off'"),
    "namespaces.NAME.max_priority": ("many", "must be a valid integer"),
    "namespaces.NAME.max_replicas": (-1, "must be at least 1"),
    "namespaces.NAME.steer_victims": ("maybe", "must be a valid boolean"),
    "profiles": ("bert.json", "must be a mapping"),
    "queries.NAME.success": ("", "must be PromQL, or be left out"),
    "queries.NAME.failure": ("", "must be PromQL, or be left out"),
    "queries.NAME.inferences": ("", "must be PromQL, or be left out"),
    "queries.NAME.executions": ("", "must be PromQL, or be left out"),
    "queries.NAME.pending": ("", "must be PromQL, or be left out"),
    "queries.NAME.request_s": ("", "must be PromQL, or be left out"),
    "queries.NAME.queue_s": ("", "must be PromQL, or be left out"),
    "queries.NAME.compute_s": ("", "must be PromQL, or be left out"),
    "queries.NAME.latency_quantiles": ("", "must be PromQL, or be left out"),
    "queries.NAME.latency_buckets": ("", "must be PromQL, or be left out"),
    "queries.NAME.ttft_buckets": ("", "must be PromQL, or be left out"),
    "queries.NAME.tpot_buckets": ("", "must be PromQL, or be left out"),
    "queries.NAME.token_s": ("", "must be PromQL, or be left out"),
    "queries.NAME.running": ("", "must be PromQL, or be left out"),
    "queries.NAME.cache_ratio": ("", "must be PromQL, or be left out"),
    "queries.NAME.seconds_per_unit": (-1, "must be more than 0"),
    "queries.NAME.namespace_label": ("", "must be the name of a label: letters, digits and '_'"),
    "queries.NAME.pod_label": ("", "must be the name of a label: letters, digits and '_'"),
    "queries.NAME.model_label": ('le="x"', "must be the name of a label: letters, digits and '_'"),
    "gateway": ("", "must be one of auto, none, istio, linkerd"),
    "gateways.NAME.metric": (
        "",
        "must be the name of a histogram's series, which ends with _bucket",
    ),
    "gateways.NAME.where": (5, "must be a valid string"),
    "gateways.NAME.namespace_label": ("", "must be the name of a label: letters, digits and '_'"),
    "gateways.NAME.workload_label": ("", "must be the name of a label: letters, digits and '_'"),
    "gateways.NAME.code_label": ("", "must be the name of a label: letters, digits and '_'"),
    "gateways.NAME.failed_codes": ("5[", "unterminated character set at position 1"),
    "gateways.NAME.instance_label": ("", "must be the name of a label: letters, digits and '_'"),
    "gateways.NAME.seconds_per_le": (-1, "must be more than 0"),
    "freeze": ("", "must say why, or be left out"),
}
# What the others of its section need so that only the given key is wrong.
SLICED = {"labels": {"pool": "mig"}, "gpu": "A100-80GB", "configs": {"ones": "7x1g.10gb"}}
NEEDED: dict[str, dict[str, object]] = {
    "queries": {"success": "up"},
    "gateways": {"metric": "edge_bucket"},
    "pools": {"labels": {"pool": "team"}, "max_headroom": 8},
    "policies": {"type": "Pods", "value": 1, "period_s": 15},
}


def test_every_annotation_has_a_row() -> None:
    assert set(ANNOTATIONS) == set(KEYS)


def test_every_setting_has_a_row() -> None:
    assert set(SETTINGS) == {key.key for key in setting_keys()}


@pytest.mark.parametrize("key", ANNOTATIONS)
def test_a_bad_annotation_is_answered_with_what_is_allowed(key: str) -> None:
    given, allowed = ANNOTATIONS[key]
    annotations = {PREFIX + "slo": "99% < 300ms", PREFIX + key: given}
    parsed = parse_workload(
        BERT,
        annotations,
        defaults=Defaults(engines=("triton", "vllm")),
        shape=Shape(api_version="apps/v1", gpus_per_replica=1.0),
    )
    if allowed == ANY:
        assert isinstance(parsed, WorkloadSpec)
        return
    assert not isinstance(parsed, WorkloadSpec)
    (problem,) = parsed
    said = str(problem)
    assert said.startswith(f"team/bert {PREFIX}{key}: ")
    assert given in said
    assert allowed in said


def document(key: str, given: object) -> dict[str, Any]:
    """A policy in which only this one setting is not its default."""
    parts = key.split(".")
    value: Any = given
    for place in reversed(range(len(parts))):
        if parts[place] in ("NAME", "N"):
            sliced = parts[place - 2 : place] == ["slices", "pools"]
            value = (SLICED if sliced else NEEDED.get(parts[place - 1], {})) | value
        value = [value] if parts[place] == "N" else {parts[place].replace("NAME", "team"): value}
    return dict(value)


@pytest.mark.parametrize("key", SETTINGS)
def test_a_bad_setting_is_answered_with_what_was_given_and_what_is_allowed(
    key: str, tmp_path: Path
) -> None:
    given, allowed = SETTINGS[key]
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(document(key, given)))
    with pytest.raises(ConfigError) as refused:
        load(path)
    (problem,) = refused.value.problems
    shown = key.replace("NAME", "team").replace(".N.", ".0.")
    # Times of the leader's that must fit together are answered together.
    where = "leader: " if allowed.startswith("must be retry_s") else f"{shown}: "
    assert f"{path}: {where}" in str(problem)
    assert str(given) in problem.given
    assert problem.allowed.startswith(allowed)
