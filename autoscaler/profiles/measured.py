"""What a line of any of the formats comes down to, and a model's profile put together from such lines."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from autoscaler.config.profile_file import LARGEST_BATCH
from autoscaler.core.profile import BatchPrior, ModelPrior
from autoscaler.errors import Problem

# A file whose every line is wrong would bury what is wrong with it.
MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How the server that was measured was set; None: not told."""

    instances: int | None = None
    max_batch_size: int | None = None
    max_queue_delay_s: float | None = None
    variability: float | None = None
    memory_mib: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The mean time of a batch of one size - or of a step with so many sequences - of one model."""

    where: str
    """File and line."""
    model: str
    batch_size: int
    mean_s: float
    weight: float = 1.0
    """How much it counts beside others of the same size: executions, or what is proportional to them."""
    server: Server = field(default_factory=Server)


@dataclass(slots=True)
class Problems:
    """What is wrong, in the order in which it was found."""

    found: list[Problem] = field(default_factory=list)

    def add(self, where: str, given: str, allowed: str) -> None:
        self.found.append(Problem(where, given, allowed))

    def told(self) -> tuple[Problem, ...]:
        """All of them, or the first hundred and how many more there are."""
        if len(self.found) <= MOST_PROBLEMS:
            return tuple(self.found)
        left = len(self.found) - MOST_PROBLEMS
        return (*self.found[:MOST_PROBLEMS], Problem("", f"{left} more problems", "mend these"))


def positive(text: str, where: str, name: str, problems: Problems) -> float | None:
    """A finite number above 0. None: it is not, and that was told."""
    value = number(text, where, name, problems)
    if value is not None and value <= 0.0:
        problems.add(where, f"{name} {text.strip()}", "must be more than 0")
        return None
    return value


def number(text: str, where: str, name: str, problems: Problems) -> float | None:
    """A finite number of at least 0. None: it is not, and that was told."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        problems.add(where, f"{name} {text.strip()!r}", "must be a finite number")
        return None
    if value < 0.0:
        problems.add(where, f"{name} {text.strip()}", "must be 0 or more")
        return None
    return value


def whole(text: str, where: str, name: str, problems: Problems) -> int | None:
    """A whole number of at least 1. None: it is not, and that was told."""
    value = number(text, where, name, problems)
    if value is None:
        return None
    if value != int(value) or not 1 <= value <= LARGEST_BATCH:
        problems.add(where, f"{name} {text.strip()}", f"must be whole, 1 to {LARGEST_BATCH}")
        return None
    return int(value)


def model_priors(
    lines: Iterable[Measured], given: Server, problems: Problems
) -> tuple[ModelPrior, ...]:
    """A profile for each model; what `given` says beats what the files say.

    Several lines on one batch size become their mean, by weight. Lines that contradict each other are problems.
    """
    by_model: dict[str, list[Measured]] = {}
    for line in lines:
        by_model.setdefault(line.model, []).append(line)
    return tuple(
        _model_prior(model, found, given, problems) for model, found in sorted(by_model.items())
    )


def _model_prior(
    model: str, lines: list[Measured], given: Server, problems: Problems
) -> ModelPrior:
    sums: dict[int, tuple[float, float]] = {}
    for line in lines:
        weight, total = sums.get(line.batch_size, (0.0, 0.0))
        sums[line.batch_size] = (weight + line.weight, total + line.weight * line.mean_s)
    largest = _agreed("max_batch_size", given.max_batch_size, lines, problems)
    if largest is not None and max(sums) > largest:
        problems.add(
            next(line.where for line in lines if line.batch_size > largest),
            f"a batch of {max(sums)} on a server that takes {largest} at most",
            "must fit: give --max-batch-size, or --instances where several ran at once",
        )
    instances = _agreed("instances", given.instances, lines, problems)
    delay_s = _agreed("max_queue_delay_s", given.max_queue_delay_s, lines, problems)
    variability = _agreed("variability", given.variability, lines, problems)
    memory_mib = _agreed("memory_mib", given.memory_mib, lines, problems)
    return ModelPrior(
        model=model,
        batches=tuple(
            # Six digits: a file that is read by people need not tell 0.027295999999999997.
            BatchPrior(batch_size=size, mean_s=float(f"{total / weight:.6g}"))
            for size, (weight, total) in sorted(sums.items())
        ),
        max_batch_size=None if largest is None else int(largest),
        instances=1 if instances is None else int(instances),
        max_queue_delay_s=0.0 if delay_s is None else delay_s,
        variability=1.0 if variability is None else variability,
        memory_mib=None if memory_mib is None else math.ceil(memory_mib),
    )


def _agreed(
    name: str, given: float | None, lines: list[Measured], problems: Problems
) -> float | None:
    """The one value that all lines tell; None: none does."""
    if given is not None:
        return given
    told = {getattr(line.server, name): line.where for line in lines}
    told.pop(None, None)
    if len(told) > 1:
        values = ", ".join(f"{value:g} ({where})" for value, where in told.items())
        problems.add(lines[0].model, f"{name} {values}", "must be the same on all lines of a model")
    return next(iter(told), None)
