"""GenAI-Perf's JSON (`profile_export_genai_perf.json`, one for each load): the time of a step with so many sequences.

The time between two tokens of a sequence is the time of a step. By Little's law the output tokens a second times that
is how many sequences ran: 640 tokens a second at 25 ms are 16.
"""

from __future__ import annotations

import json
import math
from typing import Any

from autoscaler.profiles.measured import Measured, Problems

STEP, RATE = "inter_token_latency", "output_token_throughput"
UNITS_S = {"ms": 1e-3, "milliseconds": 1e-3, "s": 1.0, "sec": 1.0, "us": 1e-6, "ns": 1e-9}


def read(path: str, text: str, *, model: str | None, problems: Problems) -> Measured | None:
    """One file is one point."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        problems.add(f"{path}:{error.lineno}", error.msg, "must be JSON")
        return None
    except RecursionError:
        problems.add(path, "is nested too deeply", "must be JSON")
        return None
    if not isinstance(document, dict) or (STEP not in document and RATE not in document):
        problems.add(
            path,
            f"neither {STEP} nor {RATE}",
            "must be GenAI-Perf's profile_export_genai_perf.json, of a run with --streaming",
        )
        return None
    step = _mean(document, STEP, path, text, problems)
    rate = _mean(document, RATE, path, text, problems)
    unit = str((document.get(STEP) or {}).get("unit", "ms"))
    if unit not in UNITS_S:
        problems.add(
            _where(path, text, STEP), f"{STEP} in {unit!r}", f"one of {', '.join(UNITS_S)}"
        )
    name = model or _model(document.get("input_config"))
    if name is None:
        problems.add(path, "its input_config names no model", "give --model NAME")
    if step is None or rate is None or name is None or unit not in UNITS_S:
        return None
    step_s = step * UNITS_S[unit]
    return Measured(where=path, model=name, batch_size=max(1, round(rate * step_s)), mean_s=step_s)


def _mean(
    document: dict[str, Any], name: str, path: str, text: str, problems: Problems
) -> float | None:
    if name not in document:
        problems.add(path, f"no {name}", "must be there: run GenAI-Perf with --streaming")
        return None
    where, entry = _where(path, text, name), document[name]
    value = entry.get("avg") if isinstance(entry, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        problems.add(where, f"{name} has no avg", "must be a number above 0")
        return None
    if not 0.0 < value < math.inf:
        problems.add(where, f"{name} avg {value}", "must be a number above 0")
        return None
    return float(value)


def _where(path: str, text: str, key: str) -> str:
    """File and line of a key; its first appearance is its own, as metrics come before the configuration."""
    place = text.find(f'"{key}"')
    return path if place < 0 else f"{path}:{text.count(chr(10), 0, place) + 1}"


def _model(config: Any) -> str | None:
    """Its name moved between GenAI-Perf's versions."""
    if not isinstance(config, dict):
        return None
    for key in ("model", "model_names", "formatted_model_name"):
        told = config.get(key)
        if isinstance(told, str) and told:
            return told
        if isinstance(told, list) and len(told) == 1:
            return str(told[0])
    return None
