"""Annotated workloads in manifests: for commands that need no cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscaler.errors import Problem

if TYPE_CHECKING:
    from autoscaler.collectors.kserve import Resolved
    from autoscaler.config import Settings
    from autoscaler.core.annotations import Defaults
    from autoscaler.core.types import WorkloadId, WorkloadSpec

SUFFIXES = (".yaml", ".yml", ".json")
KINDS = ("Deployment", "StatefulSet", "InferenceService", "LLMInferenceService")


def workloads_in(
    paths: Iterable[Path], settings: Settings, told: Callable[[str], None] = lambda _note: None
) -> tuple[list[WorkloadSpec], list[Problem]]:
    """Everything annotated in files and folders, and everything that is wrong with it.

    `told` hears of what is allowed and will not be scaled.
    """
    specs: list[WorkloadSpec] = []
    problems: list[Problem] = []
    for path in paths:
        for found in _check(path, settings, told):
            if isinstance(found, Problem):
                problems.append(found)
            else:
                specs.append(found)
    return specs, problems


def _check(
    path: Path, settings: Settings, told: Callable[[str], None]
) -> Iterator[WorkloadSpec | Problem]:
    if not path.exists():
        yield Problem(str(path), "there is no such file", "name manifests or a folder of them")
        return
    files = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES) if path.is_dir() else [path]
    for file in files:
        for document in _documents(file):
            if isinstance(document, Problem):
                yield document
            else:
                yield from _check_object(file, document, settings, told)


def _documents(file: Path) -> Iterator[dict[str, Any] | Problem]:
    import yaml

    from autoscaler.yaml_text import ManifestLoader

    try:
        documents = list(yaml.load_all(file.read_text(encoding="utf-8"), ManifestLoader))
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


def _mapping(holder: dict[str, Any], key: str) -> dict[str, Any]:
    """What is no mapping is for Kubernetes to refuse."""
    found = holder.get(key)
    return found if isinstance(found, dict) else {}


def _own(metadata: dict[str, Any]) -> dict[str, Any]:
    """forescale's annotations, whatever their values are."""
    from autoscaler.core.annotations import PREFIX

    annotations = {str(key): value for key, value in _mapping(metadata, "annotations").items()}
    return {key: value for key, value in annotations.items() if key.startswith(PREFIX)}


def _check_object(
    file: Path, document: dict[str, Any], settings: Settings, told: Callable[[str], None]
) -> Iterator[WorkloadSpec | Problem]:
    from autoscaler.collectors.namespace_policy import defaults_for
    from autoscaler.core.annotations import slips
    from autoscaler.core.types import WorkloadId, WorkloadSpec
    from autoscaler.core.writes import SERVICES

    metadata = _mapping(document, "metadata")
    template = _template(document)
    key = WorkloadId(
        namespace=str(metadata.get("namespace") or "default"),
        name=str(metadata.get("name") or ""),
        kind=str(document.get("kind") or ""),
    )
    where = f"{file}: {key}"
    annotations = _own(metadata)
    at_template = map(str, _mapping(_mapping(template, "metadata"), "annotations"))
    yield from slips(where, key.kind, map(str, _mapping(metadata, "annotations")), at_template)
    if not annotations:
        return
    wrong = list(_misplaced(where, key.kind, annotations))
    if wrong:
        yield from wrong
        return
    defaults = defaults_for(settings)(key.namespace)
    if defaults is None:
        told(f"{where}: has no effect, the policy has allow: false for {key.namespace}")
        return
    try:
        parsed = _parsed(
            key, annotations, str(document.get("apiVersion") or ""), template, defaults
        )
        flaw = shape = None
        if isinstance(parsed, WorkloadSpec) and key.kind not in SERVICES:
            flaw, shape = _unspread(parsed, template), _wrong_shape(parsed, template)
    except (AttributeError, TypeError, ValueError):
        yield Problem(where, "its pod template can't be read", "must be as Kubernetes has it")
        return
    try:
        served = _served(key, document, follows=settings.kserve.patch_revisions)
    except (AttributeError, TypeError, ValueError):
        yield Problem(where, "its spec can't be read", "must be as KServe has it")
        return
    refused = served.problem if served is not None else None
    problems = () if isinstance(parsed, WorkloadSpec) else parsed
    for problem in (*problems, *(one for one in (refused, shape) if one is not None)):
        yield Problem(f"{file}: {problem.where}", problem.given, problem.allowed)
    if not isinstance(parsed, WorkloadSpec) or refused is not None or shape is not None:
        return
    if served is not None and served.held_by is not None:
        told(f"{where}: only recommended, {served.held_by} holds it: {served.hand_over}")
    notes = (flaw, _capped(parsed, settings), _outside(parsed, document), _older(key, document))
    for note in (*notes, parsed.silent or _unseen(parsed)):
        if note is not None:
            told(f"{where}: {note}")
    yield parsed


def _template(document: dict[str, Any]) -> dict[str, Any]:
    """Of its pods. An LLMInferenceService has what is in one at two places of its own."""
    spec = _mapping(document, "spec")
    template = _mapping(spec, "template")
    if document.get("kind") != "LLMInferenceService":
        return template
    return {"metadata": {"annotations": _mapping(spec, "annotations")}, "spec": template}


def _outside(spec: WorkloadSpec, document: dict[str, Any]) -> str | None:
    """A number of replicas that does not go with the annotations beside it."""
    given = _mapping(document, "spec").get("replicas")
    if not isinstance(given, int) or given < 1:
        return None
    if spec.max_replicas is not None and given > spec.max_replicas:
        return f"spec.replicas is {given}, and no more than max-replicas, {spec.max_replicas}, will run"
    if given < spec.min_replicas:
        return f"spec.replicas is {given}, and no fewer than min-replicas, {spec.min_replicas}, will run"
    return None


def _older(key: WorkloadId, document: dict[str, Any]) -> str | None:
    """A number of replicas that KServe needed before it kept the Deployment's own."""
    from autoscaler.collectors.llm_inference_service import API_VERSIONS, KIND

    spec = _mapping(document, "spec")
    if key.kind != KIND or document.get("apiVersion") != API_VERSIONS[-1]:
        return None
    if "replicas" in spec or "scaling" in spec:
        return None
    return "spec.replicas is needed where KServe is older than 0.17: without it that sets the Deployment back to 1"


def _unspread(spec: WorkloadSpec, template: dict[str, Any]) -> str | None:
    """Why it can't survive what it is to."""
    from dataclasses import replace

    from autoscaler.collectors.node_needs import node_needs
    from autoscaler.core.survival import unspread
    from autoscaler.core.types import Survive

    if spec.survive is Survive.NONE:
        return None
    return unspread(replace(spec, node_needs=node_needs(template)), spec.survive)


def _capped(spec: WorkloadSpec, settings: Settings) -> str | None:
    """A floor that is never reached."""
    most = settings.engine.max_replicas if spec.max_replicas is None else spec.max_replicas
    asked = max((floor.min_replicas for floor in spec.schedule), default=0)
    if asked <= most:
        return None
    given = "the policy's max_replicas" if spec.max_replicas is None else "max-replicas"
    return f"schedule: asks for {asked} replicas, and {given} allows {most}: no more will run"


def _unseen(spec: WorkloadSpec) -> str | None:
    """An objective that this engine tells nothing of."""
    from autoscaler.core.untold import never_told, remedy, told_of

    missing = never_told(spec)
    if not missing:
        return None
    return f"{told_of(missing)} of {spec.engine} ({spec.engine_from}): {remedy(spec, missing)}"


def _wrong_shape(spec: WorkloadSpec, template: dict[str, Any]) -> Problem | None:
    """GPUs and slices that no pod can use together, or a slice that is none of those it may have."""
    from autoscaler.clients.objects import requests
    from autoscaler.core.annotations import PREFIX
    from autoscaler.core.mig.choice import shape_of_requests

    shape = shape_of_requests(str(spec.id), requests(_mapping(template, "spec")))
    if isinstance(shape, Problem) or not spec.slice_shapes or shape in spec.slice_shapes:
        return shape if isinstance(shape, Problem) else None
    return Problem(
        f"{spec.id} {PREFIX}slice-shapes",
        f"beside a template that asks for {shape or 'no GPU'}",
        f"{', '.join(spec.slice_shapes)} are allowed",
    )


def _served(key: WorkloadId, document: dict[str, Any], *, follows: bool) -> Resolved | None:
    """What KServe makes of a service, as far as it says itself: where its pods run is taken to be known.

    Raises TypeError or ValueError where a field is not what it should be.
    """
    from dataclasses import replace

    from autoscaler.collectors import inference_service, llm_inference_service

    metadata = _mapping(document, "metadata")
    given = _mapping(metadata, "annotations").items()
    own = {str(name): str(value) for name, value in given if value is not None}
    # The uid is the API server's to give.
    metadata = {**metadata, "namespace": key.namespace, "uid": "", "annotations": own}
    raw = {**document, "metadata": metadata}
    if (predictor := inference_service.service(raw)) is not None and key.kind == predictor.kind:
        mode = predictor.mode_given
        return inference_service.resolve(
            predictor,
            deployment=key.name,
            revision=None if mode is None else "that is live",
            knative_follows=follows,
        )
    if (llm := llm_inference_service.service(raw)) is not None and key.kind == llm.kind:
        # Which versions a cluster serves beside the one that is written here is not to be seen.
        newest = llm_inference_service.API_VERSIONS[0]
        return llm_inference_service.resolve(replace(llm, api_version=newest), deployment=key.name)
    return None


def _misplaced(where: str, kind: str, annotations: dict[str, Any]) -> Iterator[Problem]:
    """What no cluster would take, or forescale would not see there."""
    from autoscaler.core.annotations import SLO

    if kind not in KINDS:
        given = f"a {kind or 'document without kind'} has forescale.io annotations"
        yield Problem(where, given, f"one of {', '.join(KINDS)} is allowed")
        return
    if SLO not in annotations:
        given = f"has {', '.join(annotations)}"
        yield Problem(where, given, f"{SLO} must be there too: it opts the workload in")
    for name, value in annotations.items():
        if not isinstance(value, str):
            given = f"{value!r} is no text, as Kubernetes wants it"
            yield Problem(f"{where} {name}", given, "write the value in quotation marks")


def _parsed(
    key: WorkloadId,
    annotations: dict[str, str],
    api_version: str,
    template: dict[str, Any],
    defaults: Defaults,
) -> WorkloadSpec | tuple[Problem, ...]:
    from autoscaler.collectors.detect import detect
    from autoscaler.collectors.llm_inference_service import KIND, PRESET
    from autoscaler.core.annotations import Shape, parse_workload
    from autoscaler.schedule import with_readable_schedule

    containers = _mapping(template, "spec").get("containers") or ()
    # KServe's own template is below a service's: another image runs its command.
    below = key.kind == KIND and not any(container.get("command") for container in containers)
    detected = detect(template) or (PRESET if below else None)
    parsed = parse_workload(
        key,
        annotations,
        defaults=defaults,
        shape=Shape(
            api_version=api_version,
            gpus_per_replica=1.0,
            engine=detected.engine if detected else None,
            engine_from=detected.by if detected else "",
            max_sequences=detected.max_sequences if detected else None,
            silent=detected.silent if detected else None,
        ),
    )
    return with_readable_schedule(parsed)
