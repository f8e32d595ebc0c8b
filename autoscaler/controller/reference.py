"""The pages of docs/reference, made from the code: `make docs-reference` writes them, a test holds them current."""

from __future__ import annotations

import sys
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from autoscaler.config.keys import setting_keys
from autoscaler.controller.accounts import Accounts
from autoscaler.controller.json_reference import json_page
from autoscaler.controller.metrics import Metrics
from autoscaler.controller.slo_metrics import SloSeries
from autoscaler.core.annotations import KEYS, PREFIX

MADE = "<!-- Made from the code by `make docs-reference`. -->"


def annotations_page() -> str:
    """Every annotation."""
    lines = [
        "# Annotations",
        MADE,
        "",
        "On a Deployment, StatefulSet or KServe's InferenceService or LLMInferenceService,",
        f"with the prefix `{PREFIX}`. What is unknown or",
        "malformed raises a Warning Event `InvalidAnnotation` that names the key, what was given and what is allowed,",
        "and leaves the workload as it is. How each value is read:",
        "[core/annotations.py](../../autoscaler/core/annotations.py).",
        "",
        "| key | value | default | meaning | example |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{name}` | {key.value} | {key.default} | {key.meaning} | `{key.example}` |"
        for name, key in KEYS.items()
    ]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Every setting of the policy."""
    lines = [
        "# Settings",
        MADE,
        "",
        "Of the policy file ([policy.md](../policy.md)). `NAME` is a name of one's own, `N` a place in a list. Without",
        "them a key can also be set as an environment variable: `FORESCALE_PROMETHEUS_TIMEOUT_S` is",
        "`prometheus.timeout_s`. `forescale check-config FILE` says everything that is wrong at once.",
        "",
        "| key | value | default | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{key.key}` | {key.value} | {_in_cell(key.default)} | {_in_cell(key.meaning)} |"
        for key in setting_keys()
    ]
    return "\n".join(lines) + "\n"


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("None:", "null:")


def metrics_page() -> str:
    """Every metric of the controller."""
    registry = Metrics().registry
    registry.register(SloSeries(Accounts(stale_after_s=30.0)))
    lines = [
        "# Metrics",
        MADE,
        "",
        "At `/metrics` of each controller. Series of a workload are the leader's, made from its last tick, and end",
        "with the workload; what is unknown has no series. Scrape with `honorLabels: true`. Where they are made:",
        "[controller/metrics.py](../../autoscaler/controller/metrics.py),",
        "[controller/slo_metrics.py](../../autoscaler/controller/slo_metrics.py).",
        "",
        "| metric | type | labels | what it is |",
        "|---|---|---|---|",
    ]
    lines += [_row(family) for family in sorted(_families(registry), key=lambda f: f.name)]
    return "\n".join(lines) + "\n"


def _families(registry: CollectorRegistry) -> list[Metric]:
    return list(registry.collect())


def _row(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    told: set[str] = set(getattr(family, "_labelnames", ()))
    told |= {label for sample in family.samples for label in sample.labels}
    labels = ", ".join(f"`{label}`" for label in sorted(told - {"le"}))
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |"


PAGES = {
    "annotations.md": annotations_page,
    "json.md": lambda: json_page(MADE),
    "metrics.md": metrics_page,
    "settings.md": settings_page,
}


def main(folder: Path) -> None:
    """Writes all pages."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
        print(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
