"""The SRE's policy of a namespace, as the annotations of its workloads are read by it."""

from __future__ import annotations

from collections.abc import Callable

from autoscaler.collectors.presets import presets
from autoscaler.config import Settings
from autoscaler.core.annotations import Defaults


def defaults_for(settings: Settings) -> Callable[[str], Defaults | None]:
    """By the namespace's name. None: annotations have no effect there."""
    engines = tuple(sorted(presets(settings.queries)))

    def of(namespace: str) -> Defaults | None:
        policy = settings.namespace(namespace)
        if not policy.allow:
            return None
        return Defaults(
            slo=policy.slo,
            mode=policy.mode,
            max_mode=policy.max_mode,
            max_priority=policy.max_priority,
            max_replicas=policy.max_replicas,
            steer_victims=policy.steer_victims,
            engines=engines,
        )

    return of
