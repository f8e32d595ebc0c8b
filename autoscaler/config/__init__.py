"""Configuration of the controller: what may be set, where it is read from, and what is wrong with it.

Reading needs pydantic and PyYAML; both are loaded by `load` only, so that importing the types stays cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from autoscaler.config.settings import (
    CheckpointSettings,
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

__all__ = [
    "CheckpointSettings",
    "GatewayQueries",
    "HeadroomSettings",
    "JournalSettings",
    "KServeSettings",
    "KubernetesSettings",
    "LeaderSettings",
    "NamespacePolicy",
    "PrometheusSettings",
    "QuerySet",
    "ServerSettings",
    "Settings",
    "freeze_in",
    "load",
]


def load(
    path: Path | None,
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Settings from flags (`overrides`, by dotted key), then the environment, then the file, then the defaults.

    Raises:
        ConfigError: with every problem at once.
    """
    from autoscaler.config.read import read

    return read(path, env or {}, overrides or {})


def freeze_in(path: Path) -> str | None:
    """Why all scaling is stopped by a file that is no policy otherwise; None: it does not say so."""
    from autoscaler.config.read import freeze_in as read_freeze

    return read_freeze(path)
