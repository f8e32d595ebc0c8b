"""What a run on KServe must show beside attainment, each a pure function of what was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autoscaler.core.types import TickRecord
from loadtests.e2e.checks import Check, Moment

Object = Mapping[str, Any]
HASH = "pod-template-hash"


def detected(records: Sequence[TickRecord], name: str, engine: str) -> Check:
    """The engine that the last tick took the workload for, and what told it."""
    specs = [
        item.spec
        for record in records[-1:]
        for item in record.input.workloads
        if item.spec.id.name == name
    ]
    return Check(
        name="the engine is found",
        passed=bool(specs) and specs[0].engine == engine,
        figure=f"{specs[0].engine} ({specs[0].engine_from})" if specs else "no decision found",
        limit=engine,
    )


def given_back(moments: Sequence[Moment], *, since_s: float, replicas: int) -> Check:
    """Of what the high load needed, no more is held at the end than the low load needs."""
    after = [m for m in moments if m.at_s >= since_s]
    reached = next((m.at_s for m in after if m.desired <= replicas), None)
    passed = bool(after) and after[-1].desired <= replicas
    figure = "not observed"
    if after:
        when = "" if reached is None else f", first after {reached - since_s:.0f} s"
        figure = f"{after[-1].desired} asked for at the end{when}"
    return Check(
        name="given back after the fall",
        passed=passed,
        figure=figure,
        limit=f"at most {replicas} at the end",
    )


def never_written(before: Object, after: Object) -> Check:
    """Neither an annotation nor anything else of the InferenceService was written."""
    changed = [
        key
        for key in ("annotations", "generation", "resourceVersion")
        if before.get("metadata", {}).get(key) != after.get("metadata", {}).get(key)
    ]
    there = bool(before) and bool(after)
    return Check(
        name="writes to the InferenceService",
        passed=there and not changed,
        figure=(", ".join(changed) + " changed") if changed else "none" if there else "not read",
        limit="none",
    )


def not_restarted(pods: Sequence[Object]) -> Check:
    """Every pod that was seen is of one pod template, and no container of it was started twice."""
    templates = {pod["metadata"].get("labels", {}).get(HASH, "") for pod in pods}
    restarts = sum(
        int(status.get("restartCount", 0))
        for pod in pods
        for status in pod.get("status", {}).get("containerStatuses", ())
    )
    return Check(
        name="pods started anew by a write",
        passed=bool(pods) and len(templates) == 1 and restarts == 0,
        figure=f"{len(pods)} pods of {len(templates)} templates, {restarts} restarts",
        limit="1 template, no restart",
    )
