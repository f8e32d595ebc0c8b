"""Annotated workloads in manifests: for commands that need no cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscaler.errors import Problem

if TYPE_CHECKING:
    from autoscaler.config import Settings
    from autoscaler.core.types import WorkloadSpec

SUFFIXES = (".yaml", ".yml", ".json")


def workloads_in(
    paths: Iterable[Path], settings: Settings
) -> tuple[list[WorkloadSpec], list[Problem]]:
    """Everything annotated in files and folders, and everything that is wrong with it."""
    specs: list[WorkloadSpec] = []
    problems: list[Problem] = []
    for path in paths:
        for found in _check(path, settings):
            if isinstance(found, Problem):
                problems.append(found)
            else:
                specs.append(found)
    return specs, problems


def _check(path: Path, settings: Settings) -> Iterator[WorkloadSpec | Problem]:
    if not path.exists():
        yield Problem(str(path), "there is no such file", "name manifests or a folder of them")
        return
    files = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES) if path.is_dir() else [path]
    for file in files:
        for document in _documents(file):
            if isinstance(document, Problem):
                yield document
            else:
                yield from _check_object(file, document, settings)


def _documents(file: Path) -> Iterator[dict[str, Any] | Problem]:
    import yaml

    try:
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        yield Problem(str(file), getattr(error, "strerror", None) or "not text", "must be readable")
        return
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else str(file)
        yield Problem(where, getattr(error, "problem", None) or "not YAML", "must be YAML")
        return
    for document in documents:
        if not isinstance(document, dict):
            continue
        items = document.get("items") if str(document.get("kind", "")).endswith("List") else None
        yield from (items if isinstance(items, list) else [document])


def _check_object(
    file: Path, document: dict[str, Any], settings: Settings
) -> Iterator[WorkloadSpec | Problem]:
    from autoscaler.collectors.detect import detect
    from autoscaler.collectors.presets import presets
    from autoscaler.core.annotations import PREFIX, SLO, Defaults, Shape, parse_workload
    from autoscaler.core.types import WorkloadId, WorkloadSpec

    metadata = document.get("metadata") or {}
    raw = metadata.get("annotations") or {}
    annotations = {str(key): str(value) for key, value in raw.items()}
    if not any(key.startswith(PREFIX) for key in annotations):
        return
    key = WorkloadId(
        namespace=str(metadata.get("namespace") or "default"),
        name=str(metadata.get("name") or ""),
        kind=str(document.get("kind") or ""),
    )
    if SLO not in annotations:
        yield Problem(
            f"{file}: {key}", "has forescale.io annotations", f"{SLO} must be one of them"
        )
        return
    policy = settings.namespace(key.namespace)
    spec = document.get("spec") or {}
    detected = detect(spec.get("template") or {}) if isinstance(spec, dict) else None
    parsed = parse_workload(
        key,
        annotations,
        defaults=Defaults(
            mode=policy.mode,
            max_priority=policy.max_priority,
            max_replicas=policy.max_replicas,
            engines=tuple(sorted(presets(settings.queries))),
        ),
        shape=Shape(
            api_version=str(document.get("apiVersion") or ""),
            gpus_per_replica=1.0,
            engine=detected.engine if detected else None,
            engine_from=detected.by if detected else "",
        ),
    )
    if isinstance(parsed, WorkloadSpec):
        yield parsed
        return
    for problem in parsed:
        yield Problem(f"{file}: {problem.where}", problem.given, problem.allowed)
