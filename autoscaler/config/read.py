"""Reads settings from a file, the environment and flags, and says everything that is wrong with them at once."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pydantic
import yaml

from autoscaler.config.profile_file import profile_in, read_profile
from autoscaler.config.rules import rule_problems, says_why
from autoscaler.config.settings import (
    CheckpointSettings,
    ForecastSettings,
    GatewayQueries,
    HeadroomSettings,
    JournalSettings,
    KServeSettings,
    KubernetesSettings,
    LeaderSettings,
    NamespacePolicy,
    PrometheusSettings,
    QuerySet,
    ServerSettings,
    Settings,
)
from autoscaler.core.mig.choice import is_profile
from autoscaler.core.nodes.settings import NodeSettings, PoolSettings
from autoscaler.core.profile import WorkloadPrior
from autoscaler.core.settings import (
    EngineConfig,
    FleetBrakes,
    RatePolicy,
    ScalingBehavior,
    ScalingRules,
    SignalSettings,
)
from autoscaler.core.slices.settings import SlicePoolSettings
from autoscaler.errors import ConfigError, Problem
from autoscaler.yaml_text import UniqueKeyLoader

ENV_PREFIX = "FORESCALE_"
# Kubernetes puts FORESCALE_METRICS_PORT=tcp://10.0.0.7:8080 and the like into a pod for every Service named forescale…
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)(_.*)?$|_PORT_\d+_(TCP|UDP|SCTP)(_.*)?$")
_SERVICE_LINK_VALUE = re.compile(r"^(tcp|udp|sctp)://")
# `freeze: INC-42: down` is no YAML, and written in a hurry.
_FREEZE = re.compile(r"^freeze:[ \t]+(?!#)(\S.*)$", re.M)
_STRICT = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)

for _type in (
    *(EngineConfig, ScalingBehavior, ScalingRules, RatePolicy, SignalSettings, FleetBrakes),
    *(NodeSettings, PoolSettings),
    *(PrometheusSettings, KubernetesSettings, LeaderSettings, JournalSettings, ServerSettings),
    *(CheckpointSettings, ForecastSettings, NamespacePolicy, QuerySet, GatewayQueries),
    *(KServeSettings, HeadroomSettings, Settings),
):
    pydantic.with_config(_STRICT)(_type)

_settings = pydantic.TypeAdapter(Settings)


def read(path: Path | None, env: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
    """See `autoscaler.config.load`."""
    problems: list[Problem] = []
    default = Settings()
    merged = asdict(default)
    origin: dict[str, str] = {}
    if path is not None:
        _merge(merged, _from_file(path, problems), "", str(path), origin)
    for source in (_from_env(env, default, problems), _from_flags(overrides)):
        for where, key, value in source:
            _put(merged, key, value)
            origin[key] = where
    try:
        settings = _settings.validate_python(merged)
    except pydantic.ValidationError as error:
        settings = None
        problems.extend(_problem(item, origin, str(path or "")) for item in error.errors())
    if settings is not None:
        problems.extend(
            Problem(_where(p.where, origin, str(path or "")), p.given, p.allowed)
            for p in rule_problems(settings)
        )
        settings = _with_inherited(settings, merged["namespaces"], origin, problems)
        settings = _with_profiles(settings, path, origin, problems)
    if problems or settings is None:
        raise ConfigError(tuple(problems))
    return settings


def _with_inherited(
    settings: Settings, given: dict[str, Any], origin: dict[str, str], problems: list[Problem]
) -> Settings:
    """With what `*` says wherever a namespace that is named does not: `"*": {mode: recommend}` is not undone for a team
    by a `max_priority` of its own."""
    every = settings.namespaces.get("*")
    if every is None:
        return settings
    found = {}
    for name, policy in settings.namespaces.items():
        found[name] = replace(every, **{key: getattr(policy, key) for key in given[name]})
        if name != "*" and not found[name].allow and "allow" not in given[name]:
            where = _where(f"namespaces.{name}", origin, "")
            allowed = "give it `allow: true`, or leave it out"
            problems.append(Problem(where, "has no effect: `*` has `allow: false`", allowed))
    return replace(settings, namespaces=found)


def freeze_in(path: Path) -> str | None:
    """Why all scaling is stopped by a file that is no policy otherwise, or not even YAML; None: it does not say so."""
    try:
        found = _FREEZE.search(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    text = found[1].strip().strip("\"'") if found else ""
    return text if says_why(text) else None


def _with_profiles(
    settings: Settings, path: Path | None, origin: dict[str, str], problems: list[Problem]
) -> Settings:
    """With the profiles that the policy names, read from beside it."""
    folder = Path() if path is None else path.parent
    if settings.engine.priors:
        where = _where("engine.priors", origin, str(path or ""))
        problems.append(Problem(where, "is not a setting", "name files in `profiles`"))
    priors, beside = [], _beside(path)
    for key, name in settings.profiles.items():
        where = _where(f"profiles.{key}", origin, str(path or ""))
        workload, at, shape = key.partition("@")
        if not 2 <= len(workload.split("/")) <= 3 or (at and not is_profile(shape)):
            allowed = "must be NAMESPACE/NAME, with @1g.10gb or the like where it is of that slice"
            problems.append(Problem(where, repr(key), allowed))
        try:
            given = beside.get(name)
            profile = (
                read_profile(folder / name)
                if given is None
                else profile_in(given, f"{path}: {name}")
            )
        except ConfigError as error:
            problems.extend(error.problems)
            continue
        priors.append(WorkloadPrior(workload=workload, models=profile.models, shape=shape))
    return replace(settings, engine=replace(settings.engine, priors=tuple(priors)))


# ---------------------------------------------------------------- the file


def _from_file(path: Path, problems: list[Problem]) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        problems.append(Problem(str(path), "there is no such file", "name a readable YAML file"))
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        problems.append(Problem(str(path), reason, "name a readable YAML file"))
        return {}
    try:
        document = yaml.load(text, UniqueKeyLoader)
        if _is_config_map(document):
            document = yaml.load(_policy_of(document), UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        problems.append(Problem(place, said, "must be YAML"))
        return {}
    if document is None:
        return {}
    if not isinstance(document, dict):
        problems.append(
            Problem(str(path), f"a {type(document).__name__}", "must be a mapping of sections")
        )
        return {}
    return document


def _is_config_map(document: object) -> bool:
    return isinstance(document, dict) and document.get("kind") == "ConfigMap"


def _beside(path: Path | None) -> dict[str, str]:
    """Other keys of a ConfigMap's manifest: files beside the policy, once it is mounted."""
    if path is None:
        return {}
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), UniqueKeyLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    data = document.get("data") if _is_config_map(document) else None
    return {str(k): str(v) for k, v in data.items()} if isinstance(data, dict) else {}


def _policy_of(document: dict[str, Any]) -> str:
    """The policy within a ConfigMap manifest, so that what is deployed can be checked as it is."""
    data = document.get("data")
    known = data.items() if isinstance(data, dict) else ()
    texts = [v for k, v in known if str(k).endswith((".yaml", ".yml"))]
    if len(texts) != 1:
        raise yaml.YAMLError(f"a ConfigMap with {len(texts)} .yaml keys: one is needed")
    return str(texts[0])


# ---------------------------------------------------------------- environment and flags


def _from_env(
    env: Mapping[str, str], default: Settings, problems: list[Problem]
) -> Iterator[tuple[str, str, object]]:
    names = {ENV_PREFIX + key.replace(".", "_").upper(): key for key in _leaves(default)}
    for name, value in sorted(env.items()):
        if not name.startswith(ENV_PREFIX):
            continue
        if _SERVICE_LINK.search(name) or _SERVICE_LINK_VALUE.match(value):
            continue
        key = names.get(name)
        if key is None:
            near = difflib.get_close_matches(name, names, n=1)
            allowed = f"did you mean {near[0]}?" if near else "there is no such setting"
            problems.append(Problem(name, "is set", allowed))
            continue
        yield name, key, None if value == "" else value


def _from_flags(overrides: Mapping[str, object]) -> Iterator[tuple[str, str, object]]:
    for key, value in overrides.items():
        if value is not None:
            yield f"flag for {key}", key, value


def _leaves(value: object, prefix: str = "") -> Iterator[str]:
    """Dotted keys of everything that is one value, not a mapping or a list."""
    assert is_dataclass(value)
    for item in fields(value):
        child = getattr(value, item.name)
        if is_dataclass(child):
            yield from _leaves(child, f"{prefix}{item.name}.")
        elif not isinstance(child, Mapping | tuple):
            yield f"{prefix}{item.name}"


# ---------------------------------------------------------------- merging


def _merge(
    into: dict[str, Any], given: dict[Any, Any], prefix: str, source: str, origin: dict[str, str]
) -> None:
    """A mapping is merged, so that one key of `scale_down` leaves the others at their defaults; all else replaces."""
    for key, value in given.items():
        path = f"{prefix}{key}"
        if value is None and isinstance(into.get(key), dict):
            continue  # a section that is named and left empty
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value, f"{path}.", source, origin)
        else:
            into[str(key)] = value
            origin[path] = f"{source}: {path}"


def _put(into: dict[str, Any], key: str, value: object) -> None:
    *sections, last = key.split(".")
    for section in sections:
        child = into.get(section)
        if not isinstance(child, dict):
            return  # the file has put something else there, which is reported
        into = child
    into[last] = value


# ---------------------------------------------------------------- what is wrong


def _problem(item: Any, origin: dict[str, str], path: str) -> Problem:
    key = ".".join(str(part) for part in item["loc"])
    where = _where(key, origin, path)
    if item["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return Problem(where, "is not a setting", _nearest(item["loc"]))
    if item["type"] in ("missing", "missing_keyword_only_argument"):
        return Problem(where, "is missing", "must be given")
    if item["type"] == "tuple_type":
        return Problem(where, _shown(item["input"]), "must be a list")
    if item["type"] in ("dataclass_type", "dict_type", "mapping_type"):
        return Problem(where, _shown(item["input"]), "must be a mapping")
    message = item["msg"].split(", unable to")[0].replace("Input should be", "must be")
    return Problem(where, _shown(item["input"]), message)


def _where(key: str, origin: dict[str, str], path: str) -> str:
    parts = key.split(".")
    for end in range(len(parts), 0, -1):
        known = origin.get(".".join(parts[:end]))
        if known is not None:
            return ".".join([known, *parts[end:]])
    return f"{path}: {key}" if path else key


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _nearest(loc: tuple[object, ...]) -> str:
    siblings = _keys_at(loc[:-1])
    near = difflib.get_close_matches(str(loc[-1]), siblings, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"allowed here: {', '.join(siblings)}" if siblings else "remove it"


_ENTRIES: dict[str, object] = {
    "namespaces": NamespacePolicy(),
    "queries": QuerySet(),
    "gateways": GatewayQueries(),
    "engine.nodes.pools": PoolSettings(labels={}, max_headroom=0),
    "engine.slices.pools": SlicePoolSettings(labels={}, gpu="", configs={}),
}


def _keys_at(loc: tuple[object, ...]) -> list[str]:
    """The settings beside the one at `loc`."""
    value: object = Settings()
    for depth, part in enumerate(loc):
        entry = _ENTRIES.get(".".join(str(before) for before in loc[:depth]))
        if entry is not None:
            value = entry
        elif isinstance(part, int):
            return [item.name for item in fields(RatePolicy)]
        else:
            value = getattr(value, str(part), None)
    return [item.name for item in fields(value)] if is_dataclass(value) else []
