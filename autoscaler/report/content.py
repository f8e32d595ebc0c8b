"""What a page holds. Values only: who makes a page computes them, `page` draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

Values = Sequence[float | None]
"""One for each step of the section; None: not known, which is drawn as a gap."""


class Look(StrEnum):
    """What a series is, by which it gets its colour on every page."""

    DEMAND = "demand"
    SEEN = "seen"
    PROVIDED = "provided"
    READY = "ready"
    STARTING = "starting"
    WANTED = "wanted"
    LATENCY = "latency"
    OURS = "ours"
    THEIRS = "theirs"
    OTHER = "other"
    STATIC = "static"


class Form(StrEnum):
    """How a series is drawn."""

    LINE = "line"
    STEP = "step"
    AREA = "area"


class Kind(StrEnum):
    """Why a number is what it is, in five colours."""

    UP = "up"
    DOWN = "down"
    HOLD = "hold"
    RISK = "risk"
    BLIND = "blind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One quantity over the steps."""

    label: str
    look: Look
    values: Values
    form: Form = Form.LINE
    base: Values | None = None
    """An area stands on this instead of on 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time that is marked in every plot, in seconds from the section's start."""

    from_s: float
    to_s: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """One reason for each step."""

    kinds: Sequence[Kind]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Series over a common time. `unit` is shown beside the numbers."""

    title: str
    unit: str
    series: tuple[Series, ...]
    """The first lies on top."""
    low: float = 0.0
    high: float | None = None
    """Top of the axis; None: the highest value. Plots that are compared get the same."""
    limit: tuple[float, str] | None = None
    """A line to be held, and its name."""
    logarithmic: bool = False
    why: Why | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A change of the number of replicas, at `at_s` since the section's start."""

    at_s: float
    before: int
    after: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """All changes of one policy."""

    title: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell of a table; `good` None: neither good nor bad."""

    text: str
    good: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The first column is text, the others numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    wide: frozenset[str] = frozenset()
    """Columns that a phone leaves out: what they say is told again at each workload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One workload. Plots stand in two columns, row by row, and share the time."""

    title: str
    lead: tuple[str, ...]
    """Short facts, each shown as one."""
    start_s: float
    """Of the first step, since the Unix epoch."""
    step_s: float
    steps: int
    plots: tuple[Plot, ...]
    spans: tuple[Span, ...] = ()
    turns: tuple[Turns, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One headline figure."""

    title: str
    figure: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The whole."""

    title: str
    lead: str
    cards: tuple[Card, ...]
    table: Table
    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    """How it was made, and what it can't tell."""
