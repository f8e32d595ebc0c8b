"""Files of any format that is known, told apart by what is in them, to one profile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from autoscaler.config.profile_file import Profile, profile_problems
from autoscaler.errors import ConfigError
from autoscaler.profiles import genai_perf, model_analyzer, perf_analyzer, plain
from autoscaler.profiles.measured import Measured, Problems, Server, model_priors
from autoscaler.profiles.table import Table

FORMATS = "perf_analyzer's CSV, Model Analyzer's CSV, GenAI-Perf's JSON, or a table with the column batch_size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the files do not say, or what counts more than what they say."""

    model: str | None = None
    """The model's name; where files name several, the one that is taken."""
    config: str | None = None
    """Which of Model Analyzer's configurations."""
    client_batch: int | None = None
    """perf_analyzer's `-b`; None: 1."""
    server: Server = field(default_factory=Server)


def import_profile(paths: Iterable[Path], told: Told) -> Profile:
    """The profile of all models in the files.

    Raises:
        ConfigError: with everything that is wrong, each with its file and line.
    """
    problems = Problems()
    lines: list[Measured] = []
    sources: list[str] = []
    formats: set[str] = set()
    for path in paths:
        text = _text(path, problems)
        if text is not None:
            found = _Source(str(path), text, told, problems)
            lines += found.lines()
            sources.append(f"{found.format}: {path.name}")
            formats.add(found.format)
    for option, value, of in (
        ("--batch-size", told.client_batch, "perf_analyzer"),
        ("--config", told.config, "Model Analyzer"),
    ):
        if value is not None and of not in formats and not problems.found:
            problems.add(option, str(value), f"of {of}, of which no file is: leave it out")
    models = model_priors(lines, told.server, problems)
    if not models and not problems.found:
        problems.add(
            "profile import", f"no line on model {told.model!r}", "check --model and --config"
        )
    profile = Profile(sources=tuple(sources), models=models)
    if not problems.found:
        problems.found += profile_problems("profile import", profile)
    if problems.found:
        raise ConfigError(problems.told())
    return profile


def _text(path: Path, problems: Problems) -> str | None:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        problems.add(str(path), reason, "name a readable file")
        return None
    if not text.strip():
        problems.add(str(path), "is empty", f"must be {FORMATS}")
        return None
    return text


class _Source:
    def __init__(self, path: str, text: str, told: Told, problems: Problems) -> None:
        self._path, self._text, self._told, self._problems = path, text, told, problems
        self.format = "unknown"

    def lines(self) -> list[Measured]:
        return list(self._read())

    def _read(self) -> Iterator[Measured]:
        told, problems = self._told, self._problems
        if self._text.lstrip()[0] in "{[":
            self.format = "GenAI-Perf"
            point = genai_perf.read(self._path, self._text, model=told.model, problems=problems)
            return iter([point] if point else [])
        table = Table(self._path, self._text, problems)
        if perf_analyzer.is_perf_analyzer(table):
            self.format = "perf_analyzer"
            return perf_analyzer.read(
                table,
                model=told.model,
                client_batch=told.client_batch or 1,
                instances=told.server.instances or 1,
                problems=problems,
            )
        if model_analyzer.is_model_analyzer(table):
            self.format = "Model Analyzer"
            return model_analyzer.read(
                table, model=told.model, config=told.config, problems=problems
            )
        if plain.is_plain(table):
            self.format = "table"
            return plain.read(table, model=told.model, problems=problems)
        shown = ",".join(table.columns)
        problems.add(table.where, f"columns {shown[:80]!r}", f"must be {FORMATS}")
        return iter([])
