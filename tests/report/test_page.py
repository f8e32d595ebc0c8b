"""A page stands by itself, shows gaps as gaps, and takes nobody's text for its own."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from autoscaler.report.content import (
    Card,
    Cell,
    Form,
    Kind,
    Look,
    Page,
    Plot,
    Section,
    Series,
    Span,
    Table,
    Turn,
    Turns,
    Values,
    Why,
)
from autoscaler.report.page import html
from autoscaler.report.paths import path
from autoscaler.report.plot import short
from autoscaler.report.scale import Axis

HOSTILE = '</script><script>alert("x")</script>'


def series(values: Values, form: Form = Form.LINE, base: Values | None = None) -> Series:
    return Series(label="ready", look=Look.READY, values=values, form=form, base=base)


TEN = Axis(low=0.0, high=10.0)


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        pytest.param(series([0.0, 10.0, 5.0, 5.0]), "M125,100L375,0L625,50L875,50", id="line"),
        pytest.param(series([2.0, None, 4.0, 4.0]), "M125,80L125,80M625,60L875,60", id="gap"),
        pytest.param(
            series([2.0, 2.0, 4.0, 4.0], Form.STEP), "M0,80L500,80L500,60L1000,60", id="step"
        ),
        pytest.param(
            series([2.0, 2.0, None, None], Form.AREA), "M0,80L500,80L500,100L0,100Z", id="area"
        ),
        pytest.param(
            series([1.0] * 4, Form.AREA, base=[2.0] * 4),
            "M0,70L1000,70L1000,80L0,80Z",
            id="stands on another",
        ),
        pytest.param(series([None] * 4), "", id="nothing known"),
    ],
)
def test_paths(given: Series, drawn: str) -> None:
    assert path(given, 4, TEN) == drawn


def page(name: str = "team/bert") -> Page:
    replicas = Plot(
        title="replicas",
        unit="",
        series=(series([1.0, 2.0, None], Form.STEP),),
        limit=(2.0, "objective"),
        why=Why(kinds=[Kind.HOLD, Kind.UP, Kind.BLIND], texts=["", name, name]),
    )
    latency = Plot(
        title="latency",
        unit="ms",
        series=(series([90.0, float("inf"), None]),),
        low=50.0,
        logarithmic=True,
    )
    return Page(
        title=name,
        lead=name,
        cards=(Card(title=name, figure="3", text=name),),
        table=Table(columns=(name,), rows=((Cell(text=name, good=False),),)),
        sections=(
            Section(
                title=name,
                lead=(name,),
                start_s=1_767_225_600.0,
                step_s=60.0,
                steps=3,
                plots=(replicas, latency),
                spans=(Span(from_s=60.0, to_s=120.0, label=name),),
                turns=(Turns(title=name, turns=(Turn(at_s=60.0, before=1, after=2, why=name),)),),
                notes=(name,),
            ),
        ),
        notes=(name,),
    )


class Outline(HTMLParser):
    """What a browser would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.loads += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "data")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_it_is_whole_and_loads_nothing() -> None:
    outline = Outline()
    text = html(page())
    outline.feed(text)
    assert outline.open == []
    assert outline.loads == []
    assert "url(" not in text
    assert "@import" not in text


def test_names_and_messages_are_text_and_nothing_else() -> None:
    outline = Outline()
    text = html(page(HOSTILE))
    outline.feed(text)
    assert outline.scripts == 3  # one for each plot's values, and the page's own
    assert HOSTILE not in text


def test_what_the_pointer_shows_is_what_was_given() -> None:
    first, second = re.findall(r'<script type="application/json">(.*?)</script>', html(page()))
    assert json.loads(first) == {
        "unit": "",
        "series": [[1, 2, None]],
        "why": [[0, ""], [1, "team/bert"]],
    }
    # Requests that never ended have no latency to show.
    assert json.loads(second)["series"] == [[90, None, None]]


def test_reasons_are_colours_over_the_time() -> None:
    bands = re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="0" height="10"', html(page()))
    assert bands == [("hold", "0.0"), ("up", "333.3"), ("blind", "666.7")]


@pytest.mark.parametrize(
    ("value", "told"), [(0.0, "0"), (0.25, "0.25"), (40.0, "40"), (1200.0, "1.2k"), (-50.0, "-50")]
)
def test_marks_are_short(value: float, told: str) -> None:
    assert short(value) == told


def test_a_phone_leaves_out_what_is_told_again_below() -> None:
    row = (Cell(text="bert"), Cell(text="99%"), Cell(text="98%", good=False))
    table = Table(columns=("workload", "target", "good"), rows=(row,), wide=frozenset({"target"}))
    shown = html(Page(title="t", lead="l", cards=(), table=table, sections=(), notes=()))
    assert '<th>workload</th><th class="wide">target</th><th>good</th>' in shown
    assert '<td>bert</td><td class="wide">99%</td><td class="bad">98%</td>' in shown
