"""Profiles: JSON files of service times that the policy names and `forescale profile import` writes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pydantic

from autoscaler.core.profile import BatchPrior, ModelPrior
from autoscaler.errors import ConfigError, Problem

VERSION = 1
LARGEST_BATCH = 65536
# Of a batch. What lies outside was measured in another unit.
LEAST_S, MOST_S = 1e-6, 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a file says of each model, and where that was taken from."""

    forescale_profile: int = VERSION
    sources: tuple[str, ...] = ()
    models: tuple[ModelPrior, ...]


for _type in (BatchPrior, ModelPrior, Profile):
    pydantic.with_config(pydantic.ConfigDict(extra="forbid", allow_inf_nan=False))(_type)
_profile = pydantic.TypeAdapter(Profile)


def profile_text(profile: Profile) -> str:
    """As it is written to a file."""
    return json.dumps(asdict(profile), indent=2) + "\n"


def read_profile(path: Path) -> Profile:
    """
    Raises:
        ConfigError: with everything that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        advice = "name a file that `forescale profile import` wrote"
        raise _error(str(path), reason, advice) from error
    return profile_in(text, str(path))


def profile_in(text: str, path: str) -> Profile:
    """What a file, or a key of a ConfigMap, holds; `path` names it.

    Raises:
        ConfigError: with everything that is wrong.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise _error(f"{path}:{error.lineno}", error.msg, "must be JSON") from error
    if not isinstance(document, dict) or document.get("forescale_profile") != VERSION:
        found = document.get("forescale_profile") if isinstance(document, dict) else None
        raise _error(
            path,
            f"forescale_profile is {found!r}",
            f"must be {VERSION}: write it with `forescale profile import`",
        )
    try:
        profile = _profile.validate_python(document)
    except pydantic.ValidationError as error:
        raise ConfigError(
            tuple(
                Problem(
                    f"{path}: {'.'.join(str(part) for part in item['loc'])}",
                    repr(item["input"])[:80],
                    item["msg"].replace("Input should be", "must be"),
                )
                for item in error.errors()
            )
        ) from error
    problems = profile_problems(path, profile)
    if problems:
        raise ConfigError(tuple(problems))
    return profile


def _error(where: str, given: str, allowed: str) -> ConfigError:
    return ConfigError((Problem(where, given, allowed),))


def profile_problems(path: str, profile: Profile) -> list[Problem]:
    """What can't be of a profile that is well-typed."""
    found: list[Problem] = []
    names = [model.model for model in profile.models]
    if not names:
        found.append(Problem(f"{path}: models", "is empty", "at least one model"))
    for index, model in enumerate(profile.models):
        where = f"{path}: models.{index}"
        if not model.model or names.count(model.model) > 1:
            found.append(Problem(f"{where}.model", repr(model.model), "a name, each once"))
        found += _model_problems(where, model)
    return found


def _model_problems(where: str, model: ModelPrior) -> list[Problem]:
    found: list[Problem] = []
    sizes = [item.batch_size for item in model.batches]
    if not sizes or sizes[0] < 1 or sizes != sorted(set(sizes)):
        found.append(
            Problem(f"{where}.batches", f"batch sizes {sizes}", "from 1 on, ascending, each once")
        )
    elif sizes[-1] > LARGEST_BATCH:
        given = f"a batch of {sizes[-1]:.3g}"
        found.append(Problem(f"{where}.batches", given, f"at most {LARGEST_BATCH}"))
    for index, item in enumerate(model.batches):
        if not LEAST_S <= item.mean_s <= MOST_S:
            allowed = f"{LEAST_S:g} to {MOST_S:g} seconds: is it in another unit?"
            found.append(Problem(f"{where}.batches.{index}.mean_s", f"{item.mean_s:g}", allowed))
    largest = model.max_batch_size
    if largest is not None and sizes and largest < sizes[-1]:
        found.append(
            Problem(f"{where}.max_batch_size", str(largest), f"at least the batch of {sizes[-1]}")
        )
    if model.instances < 1:
        found.append(Problem(f"{where}.instances", str(model.instances), "at least 1"))
    if model.max_queue_delay_s < 0.0:
        found.append(
            Problem(f"{where}.max_queue_delay_s", f"{model.max_queue_delay_s:g}", "0 or more")
        )
    if model.memory_mib is not None and model.memory_mib < 1:
        found.append(Problem(f"{where}.memory_mib", str(model.memory_mib), "at least 1"))
    if not 0.1 <= model.variability <= 16.0:
        found.append(
            Problem(f"{where}.variability", f"{model.variability:g}", "between 0.1 and 16")
        )
    return found
