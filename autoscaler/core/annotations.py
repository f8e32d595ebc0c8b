"""Reads the annotations of one workload: everything a team may ask for, or everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar

from autoscaler.core.mig.choice import is_profile
from autoscaler.core.slo import ALLOWED, parse_slo
from autoscaler.core.slo_words import NUMBER
from autoscaler.core.types import (
    Mode,
    Pause,
    ScheduledFloor,
    Slo,
    Survive,
    WorkloadId,
    WorkloadSpec,
)
from autoscaler.errors import Problem

PREFIX = "forescale.io/"
SLO = PREFIX + "slo"


@dataclass(frozen=True, slots=True)
class Key:
    """One annotation, as the reference tells it."""

    value: str
    default: str
    meaning: str
    example: str


# A team's own text, of which the API server takes 256 KiB for each object. A schedule of ninety floors has as many.
LONGEST_VALUE = 4000
MOST_TOLD = 10
"""Of annotations that are none, as many are named."""
KEYS = {
    "slo": Key(
        "one or more objectives, then `for` a share (of `pN < T` alone) and `over` a window; or `default`",
        "-",
        "`pN < T` is judged minute by minute, `N% < T` over the window as a whole; `latency` (the default), `ttft` or "
        "`tpot` before the sign. Its presence opts the workload in; `default` is the policy's for the namespace",
        "99% < 300ms",
    ),
    "mode": Key(
        "`auto`, `recommend`, `off`",
        "the policy's, `auto`",
        "`recommend` decides and writes nothing; `off` does not decide either; the policy's `max_mode` limits it",
        "recommend",
    ),
    "min-replicas": Key(
        "a whole number from 1",
        "1",
        "never fewer; 0 is allowed beside `variant-group` alone, where the others show the demand",
        "2",
    ),
    "max-replicas": Key("a whole number", "the policy's, 100", "never more", "12"),
    "pause": Key("`up`, `down`, `all`, `none`", "`none`", "stops that direction", "down"),
    "schedule": Key(
        "`REPLICAS @ CRON for TIME in ZONE`, several separated by `;`",
        "-",
        "at least so many for so long from each time that the cron expression names; without `in ZONE` in UTC",
        "4 @ 0 8 * * mon-fri for 10h in Europe/Berlin",
    ),
    "startup-time": Key(
        "a time up to two hours",
        "the policy's, 120 s",
        "seed for the time to ready, until it was measured",
        "4m",
    ),
    "engine": Key(
        "`triton`, `vllm`, `sglang`, `kserve`, or a name of the policy's `queries`",
        "detected",
        "whose metrics tell of the load",
        "vllm",
    ),
    "model": Key("a name", "all", "which model of a multi-model server is judged", "bert"),
    "priority": Key(
        "a whole number",
        "0",
        "who goes first when GPUs are scarce or the fleet's brakes bind; capped by the policy",
        "10",
    ),
    "variant-group": Key(
        "a name",
        "-",
        "Deployments of one namespace that serve one model on different shapes (a GPU, MIG slices) share its demand by "
        "what a replica carries for its price; needs a router that weights them, and `engine.slices.mode`",
        "llama-70b",
    ),
    "slice-shapes": Key(
        "two or more MIG profiles, separated by commas",
        "-",
        "a Deployment's own template may ask for any of them, where what each carries is known; needs "
        "`engine.slices.templates`, and goes with neither `variant-group` nor `survive`",
        "1g.10gb, 2g.20gb",
    ),
    "survive": Key(
        "`none`, `node`, `zone`",
        "`none`",
        "so many replicas more that the loss of a node or a zone leaves as many as the demand asks for, and on planned "
        "slices room for them; needs a topology spread constraint with DoNotSchedule over it (for a node, "
        "anti-affinity to itself does too); of a variant group the strictest counts",
        "zone",
    ),
}
ASSUMED = "assumed"
"""Nothing says which engine it is: Triton, unless the metrics that are scraped are another's."""
DEFAULT = "default"
"""As forescale.io/slo: what the policy has for the namespace."""
POLICY = "policy"
"""Whose an SLO is that was given so."""
_FROM_LEAST = (Mode.OFF, Mode.RECOMMEND, Mode.AUTO)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What the SRE's policy gives a namespace's workloads."""

    slo: str | None = None
    """A valid one, for workloads that ask for it; None: there is none."""
    mode: Mode = Mode.AUTO
    max_mode: Mode = Mode.AUTO
    max_priority: int = 0
    max_replicas: int | None = None
    steer_victims: bool = False
    engines: tuple[str, ...] = ("triton",)
    """Names that forescale.io/engine may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the object's own spec tells."""

    api_version: str
    gpus_per_replica: float
    engine: str | None = None
    """As the pod template tells, and by what; None: it does not tell."""
    engine_from: str = ""
    max_sequences: int | None = None
    """That a replica runs at most, as its arguments tell."""
    silent: str | None = None
    """What its arguments lack to export metrics; None: nothing that is known of."""
    pods_of: str | None = None
    max_replicas: int | None = None
    """The object's own ceiling, for workloads that name none; never above it."""


def misspelt(keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(key, the annotation of forescale's that it was to be): the name is one, and the prefix hardly differs."""
    for key in keys:
        prefix, _, name = key.lower().partition("/")
        own = not key.startswith(PREFIX) and name in KEYS
        if own and get_close_matches(f"{prefix}/", [PREFIX], cutoff=0.8):
            yield key, PREFIX + name


def slips(
    where: str, kind: str, annotations: Iterable[str], at_template: Iterable[str]
) -> tuple[Problem, ...]:
    """Annotations that were meant for forescale, and that it would overlook: by the keys of an object of that kind, and
    of its pod template."""
    own = tuple(annotations)
    found = [
        Problem(f"{where} {given}", "is no annotation of forescale", f"did you mean {meant}?")
        for given, meant in misspelt(own)
    ]
    if any(key.startswith(PREFIX) for key in at_template) and not any(
        key.startswith(PREFIX) for key in own
    ):
        given = "has forescale.io annotations at its pod template, where nobody reads them"
        found.append(Problem(where, given, f"they belong to the metadata of the {kind} itself"))
    return tuple(found[:MOST_TOLD])


def parse_workload(
    id_: WorkloadId, annotations: Mapping[str, str], *, defaults: Defaults, shape: Shape
) -> WorkloadSpec | tuple[Problem, ...]:
    """The workload's spec, or every problem at once, each as `namespace/name annotation: given, allowed`."""
    own = {k.removeprefix(PREFIX): v for k, v in annotations.items() if k.startswith(PREFIX)}
    reader = _Reader(str(id_), own)
    reader.lengths()
    if reader.problems:
        return tuple(reader.problems)
    reader.unknown_keys()
    slo, slo_from = reader.slo(defaults.slo)
    mode = reader.choice("mode", Mode, defaults.mode)
    pause = reader.choice("pause", Pause, Pause.NONE)
    lowest = reader.integer("min-replicas", 1)
    highest = _ceiling(reader.integer("max-replicas", defaults.max_replicas), shape)
    priority = reader.integer("priority", 0)
    startup_s = reader.seconds("startup-time")
    schedule = reader.schedule()
    engine, engine_from = _engine(own, shape, defaults)
    if engine not in defaults.engines:
        reader.add("engine", f"{engine!r}", f"one of {', '.join(defaults.engines)} is allowed")
    may_sleep = lowest == 0 and "variant-group" in own
    reader.bounds(lowest, highest, may_sleep=may_sleep)
    survive = reader.choice("survive", Survive, Survive.NONE)
    slice_shapes = reader.shapes(id_.kind)
    model, variant_group = reader.name("model"), reader.name("variant-group")
    if reader.problems or slo is None:
        return tuple(reader.problems)
    return WorkloadSpec(
        id=id_,
        api_version=shape.api_version,
        slo=slo,
        slo_from=slo_from,
        mode=min(mode, defaults.max_mode, key=_FROM_LEAST.index),
        pause=pause,
        # By its own decision it never goes to 0, from where it could not come back: its group may let it.
        min_replicas=1 if lowest is None else max(1, lowest),
        may_sleep=may_sleep,
        steer_victims=defaults.steer_victims,
        max_replicas=highest,
        engine=engine,
        engine_from=engine_from,
        max_sequences=shape.max_sequences,
        silent=_silent(shape, engine_from, defaults),
        model=model,
        startup_time_s=startup_s,
        priority=min(priority or 0, defaults.max_priority),
        schedule=schedule,
        pods_of=shape.pods_of,
        variant_group=variant_group,
        slice_shapes=slice_shapes,
        survive=survive,
        gpus_per_replica=shape.gpus_per_replica,
    )


def _ceiling(asked: int | None, shape: Shape) -> int | None:
    known = [value for value in (asked, shape.max_replicas) if value is not None]
    return min(known) if known else None


def _engine(own: Mapping[str, str], shape: Shape, defaults: Defaults) -> tuple[str, str]:
    """(engine, what it is known by): the annotation, else the pod template, else Triton until a scrape tells."""
    if "engine" in own:
        named = own["engine"].strip()
        # The policy's own names may have capitals.
        known = {name.lower(): name for name in defaults.engines}
        return (
            named if named in defaults.engines else known.get(named.lower(), named)
        ), "annotation"
    if shape.engine in defaults.engines and shape.engine is not None:
        return shape.engine, shape.engine_from
    return "triton", ASSUMED


def _silent(shape: Shape, engine_from: str, defaults: Defaults) -> str | None:
    if engine_from != ASSUMED or shape.engine is None or shape.engine in defaults.engines:
        return shape.silent
    return (
        f"its pods run {shape.engine} ({shape.engine_from}), which no built-in queries read: "
        f"write a set named {shape.engine} into the policy's `queries`"
    )


_FLOOR = re.compile(
    rf"^(\d+)\s*@\s*((?:\S+\s+){{5}})for\s+{NUMBER}\s*(m|h|d)(?:\s+in\s+([A-Za-z0-9_+\-/]+))?$"
)
_FLOOR_S = {"m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_CRON_FIELD = re.compile(r"^[\w*/,\-#?]+$")


class _Reader:
    """Reads values and collects what is wrong with them."""

    def __init__(self, workload: str, own: Mapping[str, str]) -> None:
        self._workload = workload
        self._own = own
        self.problems: list[Problem] = []

    def where(self, key: str) -> str:
        return f"{self._workload} {PREFIX}{key}"

    def add(self, key: str, given: str, allowed: str) -> None:
        self.problems.append(Problem(self.where(key), given, allowed))

    def lengths(self) -> None:
        """What is longer is not read at all: it would be in each tick, for which all others wait. 9,000 objectives
        took 106 s."""
        for key in KEYS:
            if len(self._own.get(key, "")) > LONGEST_VALUE:
                given = f"has {len(self._own[key])} characters"
                self.add(key, given, f"at most {LONGEST_VALUE} are allowed")

    def unknown_keys(self) -> None:
        unknown = [key for key in self._own if key not in KEYS]
        for key in unknown[:MOST_TOLD]:
            near = get_close_matches(key.lower(), KEYS, n=1)
            known = f"known are {', '.join(KEYS)}"
            hint = f"did you mean {PREFIX}{near[0]}?" if near else known
            self.add(key, "is no annotation of forescale", hint)
        if len(unknown) > MOST_TOLD:
            given = f"is none either, nor are {len(unknown) - MOST_TOLD - 1} more"
            self.add(unknown[MOST_TOLD], given, "remove them")

    def bounds(self, lowest: int | None, highest: int | None, *, may_sleep: bool) -> None:
        if lowest is not None and lowest < 1 and not may_sleep:
            self.add("min-replicas", f"{lowest}", "1 or more is allowed: at 0 nothing shows demand")
        if highest is not None and highest < max(1, lowest or 1):
            self.add("max-replicas", f"{highest}", f"at least min-replicas ({lowest}) is needed")

    def slo(self, policys: str | None) -> tuple[Slo | None, str]:
        """(the SLO, whose it is)."""
        text = self._own.get("slo")
        if text is None:
            offer = f"write `{DEFAULT}` for the policy's `{policys}`, or " if policys else ""
            self.add("slo", "is missing", f"it opts the workload in: {offer}{ALLOWED}")
            return None, ""
        whose = "annotation"
        if text.strip().lower() == DEFAULT:
            if policys is None:
                namespace = self._workload.partition("/")[0]
                none = f"the policy has none for this namespace (`namespaces.{namespace}.slo`)"
                self.add("slo", f"{text!r}", f"{none}: {ALLOWED}")
                return None, ""
            text, whose = policys, POLICY
        parsed = parse_slo(text, self.where("slo"))
        if isinstance(parsed, Slo):
            return parsed, whose
        self.problems.extend(parsed)
        return None, ""

    def choice(self, key: str, kind: Callable[[str], T], default: T) -> T:
        text = self._own.get(key)
        if text is None:
            return default
        try:
            return kind(text.strip().lower())
        except ValueError:
            allowed = ", ".join(member.value for member in kind)  # type: ignore[attr-defined]
            self.add(key, f"{text!r}", f"one of {allowed} is allowed")
            return default

    def name(self, key: str) -> str | None:
        text = self._own.get(key)
        if text is None:
            return None
        if not text.strip():
            # A template whose value was not set: no model is called so, and every member of a group would be.
            self.add(key, f"{text!r}", "a name is allowed, or leave it out")
        elif not text.strip().isprintable():
            # It is shown on people's terminals, which take some characters for commands.
            self.add(key, f"{text!r}", "a name of characters that can be seen is allowed")
        return text.strip()

    def integer(self, key: str, default: int | None) -> int | None:
        text = self._own.get(key)
        if text is None:
            return default
        if not re.fullmatch(r"-?\d{1,9}", text.strip()):
            self.add(key, f"{text!r}", "a whole number of at most nine digits is allowed")
            return default
        return int(text)

    def seconds(self, key: str) -> float | None:
        text = self._own.get(key)
        if text is None:
            return None
        match = re.fullmatch(rf"{NUMBER}\s*(ms|s|m|h)", text.strip().lower())
        found_s = float(match[1]) * _TIME_S[match[2]] if match is not None else 0.0
        if not 0.0 < found_s <= 7200.0:
            self.add(key, f"{text!r}", "a time up to two hours is allowed, such as 90s or 4m")
            return None
        return found_s

    def shapes(self, kind: str) -> tuple[str, ...]:
        key = "slice-shapes"
        text = self._own.get(key)
        if text is None:
            return ()
        found = tuple(part.strip() for part in text.split(","))
        if len(set(found)) < 2 or len(set(found)) < len(found) or not all(map(is_profile, found)):
            self.add(
                key,
                f"{text!r}",
                "two or more MIG profiles are allowed, each once, such as `1g.10gb, 2g.20gb`",
            )
            return ()
        if kind != "Deployment":
            # KServe writes its templates itself, and a StatefulSet takes a pod away before the new one comes.
            self.add(key, f"on {kind}", "a Deployment of one's own is allowed: remove it")
        for other, gone in (("variant-group", ""), ("survive", "none")):
            given = self._own.get(other, gone).strip().lower()
            if given != gone:
                self.add(key, f"beside {other}", "one of them is allowed: leave the other out")
        return found

    def schedule(self) -> tuple[ScheduledFloor, ...]:
        floors = []
        for part in filter(None, (p.strip() for p in self._own.get("schedule", "").split(";"))):
            match = _FLOOR.match(part)
            cron = match[2].strip() if match else ""
            if match is None or not all(_CRON_FIELD.match(field) for field in cron.split()):
                self.add(
                    "schedule",
                    f"{part!r}",
                    "`REPLICAS @ CRON for TIME in ZONE` is allowed, such as "
                    "`4 @ 0 8 * * mon-fri for 10h in Europe/Berlin`, several separated by `;`",
                )
                continue
            duration_s = float(match[3]) * _FLOOR_S[match[4]]
            if duration_s <= 0.0:
                self.add("schedule", f"{part!r} is over at once", "a time above 0 is allowed")
            floors.append(
                ScheduledFloor(
                    cron=cron,
                    duration_s=duration_s,
                    min_replicas=int(match[1]),
                    timezone=match[5] or "UTC",
                )
            )
        return tuple(floors)
