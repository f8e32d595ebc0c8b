"""`forescale check-config FILE`: everything that is wrong with a policy file, and with annotations in manifests."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscaler.errors import ConfigError, Problem

if TYPE_CHECKING:
    from autoscaler.config import Settings
    from autoscaler.core.types import WorkloadSpec

SUFFIXES = (".yaml", ".yml", ".json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("file", type=Path, nargs="?", help="a policy file, or its ConfigMap")
    parser.add_argument(
        "--manifests",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="manifests, or folders of them, whose forescale.io annotations are checked too",
    )
    parser.add_argument("--json", action="store_true", help="print the effective settings as JSON")


def run(args: argparse.Namespace) -> int:
    """All problems of all files at once."""
    import os

    from autoscaler.config import Settings, load

    if args.file is None and not args.manifests:
        raise ConfigError(
            (Problem("check-config", "no file", "name a policy file or --manifests"),)
        )
    problems: list[Problem] = []
    settings = Settings()
    try:
        settings = load(args.file, os.environ)
    except ConfigError as error:
        problems.extend(error.problems)
    specs: list[WorkloadSpec] = []
    for path in args.manifests:
        for found in _check(path, settings):
            if isinstance(found, Problem):
                problems.append(found)
            else:
                specs.append(found)
    if problems:
        raise ConfigError(tuple(problems))
    if args.json:
        from autoscaler.codec import encode

        print(encode({"settings": settings, "workloads": specs}).decode())
        return 0
    if args.file is not None:
        print(f"{args.file}: fine")
    for spec in specs:
        print(f"{spec.id}: {spec.slo.text}, mode {spec.mode.value}: fine")
    if args.manifests and not specs:
        print("no workload in the manifests has forescale.io/slo")
    return 0


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
    parsed = parse_workload(
        key,
        annotations,
        defaults=Defaults(
            mode=policy.mode,
            max_priority=policy.max_priority,
            max_replicas=policy.max_replicas,
            engines=tuple(sorted(presets(settings.queries))),
        ),
        shape=Shape(api_version=str(document.get("apiVersion") or ""), gpus_per_replica=1.0),
    )
    if isinstance(parsed, WorkloadSpec):
        yield parsed
        return
    for problem in parsed:
        yield Problem(f"{file}: {problem.where}", problem.given, problem.allowed)
