"""Rules that a type can't say: ranges, and settings that must fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from urllib.parse import urlsplit

from autoscaler.config.bounds import (
    between,
    label_name,
    not_negative,
    object_name,
    positive,
    share,
    whole,
)
from autoscaler.config.pool_rules import (
    grown_by_nobody,
    node_pool_problems,
    slice_pool_problems,
    told_apart,
)
from autoscaler.config.settings import LeaderSettings, PrometheusSettings, Settings
from autoscaler.core.nodes.settings import NodeSettings
from autoscaler.core.settings import EngineConfig, FleetBrakes, ScalingRules
from autoscaler.core.slices.settings import SliceSettings, SlicesMode, TemplatesMode
from autoscaler.core.slo import parse_slo
from autoscaler.errors import Problem

_NOT_EMPTY = {
    "prometheus": (
        *("bearer_token_file", "username", "password_file", "ca_file", "cert_file", "key_file"),
    ),
    "kubernetes": ("kubeconfig", "context"),
    "journal": ("path",),
    "checkpoint": ("path",),
    "server": ("bind",),
}
# A straggler is well again below 0.7 of it, and no pod is well that is slower than the others.
LEAST_STRAGGLER_RATIO = 1.5
# RFC 9110: a token, and visible ASCII with spaces inside.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization")
# Their queries are in collectors/gateways.py, which knows this room and is not known to it.
BUILT_IN_GATEWAYS = ("istio", "linkerd")
# More than an hour of recommendations is not kept (HPA's own limit).
_LONGEST_WINDOW_S = 3600.0


def rule_problems(settings: Settings) -> Iterator[Problem]:
    """Everything about well-typed settings that can't work."""
    yield from _engine(settings.engine)
    yield from _prometheus(settings)
    yield from _leader(settings.leader, settings.kubernetes.request_timeout_s)
    yield from positive("kubernetes.request_timeout_s", settings.kubernetes.request_timeout_s)
    yield from whole(
        "kubernetes.max_concurrent_writes", settings.kubernetes.max_concurrent_writes, 1
    )
    yield from _watched(settings)
    yield from positive("journal.max_file_mib", settings.journal.max_file_mib)
    yield from whole("journal.keep", settings.journal.keep, 1)
    # 0 lets the system choose a free port.
    yield from between("server.port", settings.server.port, 0, 65535)
    yield from whole("forecast.own_models", settings.forecast.own_models, 0)
    yield from whole("forecast.quick_models", settings.forecast.quick_models, 0)
    for name in ("refit_s", "fleet_refit_s", "lasts_s"):
        yield from positive(f"forecast.{name}", getattr(settings.forecast, name))
    yield from positive("checkpoint.interval_s", settings.checkpoint.interval_s)
    yield from object_name("checkpoint.config_map", settings.checkpoint.config_map)
    for name, policy in settings.namespaces.items():
        if name != "*":
            yield from object_name(f"namespaces.{name}", name)
        if policy.max_replicas is not None:
            yield from whole(f"namespaces.{name}.max_replicas", policy.max_replicas, 1)
        parsed = None if policy.slo is None else parse_slo(policy.slo, f"namespaces.{name}.slo")
        if isinstance(parsed, tuple):
            yield from parsed
    for name, queries in settings.queries.items():
        yield from positive(f"queries.{name}.seconds_per_unit", queries.seconds_per_unit)
        if queries.success is None and queries.inferences is None:
            yield Problem(
                f"queries.{name}",
                "has neither success nor inferences",
                "one of them must be given: without it there is no demand to size for",
            )
    yield from _gateways(settings)
    yield from _texts(settings)
    if not settings.headroom.image.strip():
        yield Problem(
            "headroom.image", repr(settings.headroom.image), "must not be empty: leave it out"
        )
    yield from object_name("headroom.namespace", settings.headroom.namespace)
    yield from object_name("headroom.priority_class", settings.headroom.priority_class)
    if settings.freeze is not None and not says_why(settings.freeze):
        yield Problem("freeze", repr(settings.freeze), "must say why, or be left out")


def _watched(settings: Settings) -> Iterator[Problem]:
    """Namespaces that are watched alone, and what can't be had with them."""
    where, watched = "kubernetes.watch_namespaces", settings.kubernetes.watch_namespaces
    for name in watched:
        yield from object_name(where, name)
    if len(set(watched)) < len(watched):
        yield Problem(where, "names a namespace twice", "name each once")
    if not watched:
        return
    for name in settings.namespaces:
        if name != "*" and name not in watched:
            allowed = f"must be in {where} as well, or be left out"
            yield Problem(f"namespaces.{name}", "is not watched", allowed)
    unseen = f"must be left out with {where}: whose pods hold the GPUs of a node is not seen then"
    if settings.engine.nodes.pools:
        yield Problem("engine.nodes.pools", "names node pools", unseen)
    if settings.engine.slices.mode is not SlicesMode.OFF:
        yield Problem("engine.slices.mode", settings.engine.slices.mode.value, unseen)


def says_why(freeze: str) -> bool:
    """Whether it stops all: `off` and the like want the contrary, and are no reason."""
    return freeze.strip().lower() not in ("", "~", "off", "no", "none", "false", "null")


def _texts(settings: Settings) -> Iterator[Problem]:
    """Texts that are left out rather than empty, and names of labels, which go into PromQL as they are."""
    for section, names in _NOT_EMPTY.items():
        for name in names:
            value = getattr(getattr(settings, section), name)
            if value is not None and not value.strip():
                yield Problem(f"{section}.{name}", repr(value), "must not be empty: leave it out")
    if settings.leader.namespace is not None:
        yield from object_name("leader.namespace", settings.leader.namespace)
    for section in ("queries", "gateways"):
        for own, given in getattr(settings, section).items():
            for item in fields(given):
                value = getattr(given, item.name)
                where = f"{section}.{own}.{item.name}"
                if item.name.endswith("_label") and value is not None:
                    yield from label_name(where, value)
                elif section == "queries" and isinstance(value, str) and not value.strip():
                    yield Problem(where, repr(value), "must be PromQL, or be left out")


def _gateways(settings: Settings) -> Iterator[Problem]:
    for name, queries in settings.gateways.items():
        yield from positive(f"gateways.{name}.seconds_per_le", queries.seconds_per_le)
        if not re.fullmatch(r"[a-zA-Z_:][\w:]*_bucket", queries.metric):
            yield Problem(
                f"gateways.{name}.metric",
                repr(queries.metric),
                "must be the name of a histogram's series, which ends with _bucket",
            )
        try:
            re.compile(queries.failed_codes)
        except re.error as error:
            yield Problem(f"gateways.{name}.failed_codes", repr(queries.failed_codes), str(error))
    known = ("auto", "none", *BUILT_IN_GATEWAYS, *settings.gateways)
    if settings.gateway not in known:
        yield Problem("gateway", repr(settings.gateway), f"must be one of {', '.join(known)}")


def _engine(engine: EngineConfig) -> Iterator[Problem]:
    yield from between("engine.tick_s", engine.tick_s, 1.0, 300.0)
    yield from positive("engine.startup_time_s", engine.startup_time_s)
    yield from whole("engine.max_replicas", engine.max_replicas, 1)
    yield from share("engine.scaling_budget_ratio", engine.scaling_budget_ratio)
    yield from share("engine.scaling_budget_minutes_ratio", engine.scaling_budget_minutes_ratio)
    if engine.miss_price is not None:
        yield from positive("engine.miss_price", engine.miss_price)
    if engine.replica_rps is not None:
        yield from positive("engine.replica_rps", engine.replica_rps)
    if engine.panic_threshold_ratio <= 1.0:
        yield Problem(
            "engine.panic_threshold_ratio",
            str(engine.panic_threshold_ratio),
            "must be more than 1: replicas that carry the load are no panic",
        )
    yield from positive("engine.panic_window_s", engine.panic_window_s)
    yield from positive("engine.history_days", engine.history_days)
    yield from not_negative("engine.external_floor_s", engine.external_floor_s)
    yield from _rules("engine.behavior.scale_up", engine.behavior.scale_up)
    yield from _rules("engine.behavior.scale_down", engine.behavior.scale_down)
    signals = engine.signals
    for key in ("stale_after_s", "rate_window_s", "panic_window_s"):
        yield from positive(f"engine.signals.{key}", getattr(signals, key))
    yield from share("engine.signals.min_coverage_ratio", signals.min_coverage_ratio)
    if signals.stale_after_s < engine.tick_s:
        yield Problem(
            "engine.signals.stale_after_s",
            str(signals.stale_after_s),
            f"must be at least engine.tick_s, {engine.tick_s:g}: else every sample is stale",
        )
    yield from not_negative("engine.signals.warmup_s", signals.warmup_s)
    if signals.straggler_ratio != 0.0 and not signals.straggler_ratio >= LEAST_STRAGGLER_RATIO:
        yield Problem(
            "engine.signals.straggler_ratio",
            str(signals.straggler_ratio),
            f"must be {LEAST_STRAGGLER_RATIO:g} or more, or 0 to look for none",
        )
    yield from _brakes(engine.brakes)
    yield from _nodes(engine.nodes)
    yield from _slices(engine.slices)
    yield from grown_by_nobody(engine)


def _brakes(brakes: FleetBrakes) -> Iterator[Problem]:
    yield from positive("engine.brakes.window_s", brakes.window_s)
    for key in ("min_allowance_gpus", "min_up_allowance_gpus"):
        yield from not_negative(f"engine.brakes.{key}", getattr(brakes, key))
    # One workload that loses its demand is no common drop.
    yield from whole("engine.brakes.correlated_workloads", brakes.correlated_workloads, 2)
    yield from positive("engine.brakes.correlated_window_s", brakes.correlated_window_s)
    yield from share("engine.brakes.max_down_ratio", brakes.max_down_ratio)
    yield from share("engine.brakes.correlated_share_ratio", brakes.correlated_share_ratio)
    yield from share("engine.brakes.correlated_drop_ratio", brakes.correlated_drop_ratio)
    yield from positive("engine.brakes.max_up_ratio", brakes.max_up_ratio)


def _nodes(nodes: NodeSettings) -> Iterator[Problem]:
    where = "engine.nodes"
    if nodes.patience_s is not None:
        yield from between(f"{where}.patience_s", nodes.patience_s, 0.0, _LONGEST_WINDOW_S)
    if nodes.stuck_patience_s is not None:
        yield from between(f"{where}.stuck_patience_s", nodes.stuck_patience_s, 30.0, 86400.0)
    yield from positive(f"{where}.stock_out_backoff_s", nodes.stock_out_backoff_s)
    if nodes.stock_out_max_backoff_s < nodes.stock_out_backoff_s:
        yield Problem(
            f"{where}.stock_out_max_backoff_s",
            f"{nodes.stock_out_max_backoff_s:g}",
            f"must be at least stock_out_backoff_s, {nodes.stock_out_backoff_s:g}",
        )
    if nodes.foreign_allowance is not None:
        yield from whole(f"{where}.foreign_allowance", nodes.foreign_allowance, 0)
    for name, pool in nodes.pools.items():
        yield from node_pool_problems(f"{where}.pools.{name}", name, pool)
    yield from told_apart(where, {name: (p.resource, p.labels) for name, p in nodes.pools.items()})


def _slices(slices: SliceSettings) -> Iterator[Problem]:
    """Times, modes that need each other, and each pool."""
    where = "engine.slices"
    yield from between(f"{where}.patience_s", slices.patience_s, 0.0, 86400.0)
    yield from between(f"{where}.settle_s", slices.settle_s, 20.0, 250.0)
    yield from between(f"{where}.watchdog_s", slices.watchdog_s, 60.0, 7200.0)
    yield from positive(f"{where}.backoff_s", slices.backoff_s)
    yield from between(f"{where}.template_patience_s", slices.template_patience_s, 60.0, 604800.0)
    yield from between(f"{where}.template_watchdog_s", slices.template_watchdog_s, 60.0, 86400.0)
    if slices.templates is not TemplatesMode.OFF and slices.mode is SlicesMode.OFF:
        yield Problem(
            f"{where}.templates",
            slices.templates.value,
            "must be off while engine.slices.mode is off: no slice is looked at",
        )
    if slices.templates is TemplatesMode.AUTO and slices.mode is SlicesMode.RECOMMEND:
        yield Problem(
            f"{where}.templates",
            "auto",
            "must be recommend or off while engine.slices.mode is recommend",
        )
    for name, pool in slices.pools.items():
        yield from slice_pool_problems(f"{where}.pools.{name}", name, pool)
    yield from told_apart(where, {name: ("", pool.labels) for name, pool in slices.pools.items()})


def _rules(where: str, rules: ScalingRules) -> Iterator[Problem]:
    window_s = rules.stabilization_window_s
    if window_s is not None:
        yield from between(f"{where}.stabilization_window_s", window_s, 0.0, _LONGEST_WINDOW_S)
    yield from between(f"{where}.tolerance_ratio", rules.tolerance_ratio, 0.0, 1.0)
    for index, policy in enumerate(rules.policies):
        yield from positive(f"{where}.policies.{index}.value", policy.value)
        yield from between(f"{where}.policies.{index}.period_s", policy.period_s, 1.0, 1800.0)


def _prometheus(settings: Settings) -> Iterator[Problem]:
    prometheus: PrometheusSettings = settings.prometheus
    try:
        parts = urlsplit(prometheus.url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        yield Problem(
            "prometheus.url", repr(prometheus.url), "must be http://HOST:PORT or https://HOST:PORT"
        )
    elif parts.username or parts.password:
        yield Problem(
            "prometheus.url",
            "holds a password",
            "use password_file or bearer_token_file",
        )
    yield from _login(prometheus)
    for name, value in prometheus.headers.items():
        where = f"prometheus.headers.{name}"
        if name.lower() in _SECRET_HEADERS:
            yield Problem(where, "holds a secret", "use password_file or bearer_token_file")
        elif not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            yield Problem(where, repr(value), "must be a header's name with a value in one line")
    yield from positive("prometheus.timeout_s", prometheus.timeout_s)
    yield from whole("prometheus.max_concurrent_queries", prometheus.max_concurrent_queries, 1)
    yield from not_negative("prometheus.backfill_s", prometheus.backfill_s)
    collect_s = prometheus.collect_timeout_s
    if collect_s is not None and not 0.0 < collect_s < settings.engine.tick_s:
        yield Problem(
            "prometheus.collect_timeout_s",
            f"{collect_s:g}",
            f"must be more than 0 and less than engine.tick_s, {settings.engine.tick_s:g}: "
            "a tick must end before the next",
        )


def _login(prometheus: PrometheusSettings) -> Iterator[Problem]:
    """Halves of what goes together, and one login beside another."""
    for name, other in (
        ("username", "password_file"),
        ("password_file", "username"),
        ("key_file", "cert_file"),
    ):
        value = getattr(prometheus, name)
        if value is not None and getattr(prometheus, other) is None:
            yield Problem(f"prometheus.{name}", repr(value), f"goes with prometheus.{other}")
    if prometheus.username is not None and prometheus.bearer_token_file is not None:
        allowed = "must be left out with bearer_token_file: one of them is sent"
        yield Problem("prometheus.username", repr(prometheus.username), allowed)


def _leader(leader: LeaderSettings, request_timeout_s: float) -> Iterator[Problem]:
    yield from object_name("leader.lease_name", leader.lease_name)
    if leader.duration_s < 1.0 or leader.duration_s != int(leader.duration_s):
        yield Problem(
            "leader.duration_s", f"{leader.duration_s:g}", "must be whole seconds, at least 1"
        )
    if not 0.0 < leader.retry_s < leader.renew_deadline_s < leader.duration_s:
        yield Problem(
            "leader",
            f"retry_s {leader.retry_s:g}, renew_deadline_s {leader.renew_deadline_s:g}, "
            f"duration_s {leader.duration_s:g}",
            "must be retry_s < renew_deadline_s < duration_s: a leader has to stop before others take over",
        )
    elif request_timeout_s > leader.duration_s - leader.renew_deadline_s:
        yield Problem(
            "kubernetes.request_timeout_s",
            f"{request_timeout_s:g}",
            "must be at most leader.duration_s - leader.renew_deadline_s, "
            f"{leader.duration_s - leader.renew_deadline_s:g}: a write must not outlive the lease",
        )
