"""A page as one HTML file: style, script and numbers are in it, and it asks no network for anything."""

from __future__ import annotations

from html import escape
from importlib import resources
from pathlib import Path

from autoscaler.report.content import Cell, Page, Section, Table, Turns
from autoscaler.report.plot import figure
from autoscaler.report.scale import clock


def write(page: Page, path: Path) -> None:
    """Writes it; folders are made. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html(page), encoding="utf-8")


def html(page: Page) -> str:
    """The whole file."""
    cards = "".join(
        f'<div class="card"><h2>{escape(c.title)}</h2><p class="figure">{escape(c.figure)}</p>'
        f"<p>{escape(c.text)}</p></div>"
        for c in page.cards
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in page.notes)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{_file('page.css')}</style></head>\n<body><main>"
        f'<header><h1>{escape(page.title)}</h1><p class="lead">{escape(page.lead)}</p></header>\n'
        f'<div class="cards">{cards}</div>\n{_table(page.table)}\n'
        + "\n".join(_section(section) for section in page.sections)
        + f"\n<footer><h2>How this was made</h2><ul>{notes}</ul></footer></main>"
        f"<script>{_file('page.js')}</script></body></html>\n"
    )


def _section(section: Section) -> str:
    lead = "".join(f"<span>{escape(fact)}</span>" for fact in section.lead if fact)
    notes = "".join(f"<p>{escape(note)}</p>" for note in section.notes)
    plots = "\n".join(figure(plot, section) for plot in section.plots)
    turns = "".join(_turns(item, section.start_s) for item in section.turns)
    return (
        f'<section data-start="{section.start_s:.0f}" data-step="{section.step_s:g}" '
        f'data-steps="{section.steps}"><h2>{escape(section.title)}</h2>'
        f'<p class="facts">{lead}</p>{notes}<p class="now">&nbsp;</p>'
        f'<div class="plots">{plots}</div><div class="turns">{turns}</div></section>'
    )


def _turns(told: Turns, start_s: float) -> str:
    rows = "".join(
        f"<tr><td>{clock(start_s + turn.at_s)}</td><td>{turn.before} &rarr; {turn.after}</td>"
        f"<td>{escape(turn.why)}</td></tr>"
        for turn in told.turns
    )
    return (
        f"<details><summary>{escape(told.title)}</summary><div class='scroll'><table><thead><tr>"
        f"<th>time</th><th>replicas</th><th>why</th></tr></thead><tbody>{rows}</tbody></table></div>"
        "</details>"
    )


def _table(table: Table) -> str:
    kinds = ["wide" if name in table.wide else "" for name in table.columns]
    heads = "".join(
        f"<th{_class(kind)}>{escape(name)}</th>"
        for kind, name in zip(kinds, table.columns, strict=True)
    )
    rows = "".join(f"<tr>{''.join(map(_cell, row, kinds))}</tr>" for row in table.rows)
    return (
        f'<div class="scroll"><table class="figures"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cell(cell: Cell, kind: str) -> str:
    judged = {True: "good", False: "bad", None: ""}[cell.good]
    return f"<td{_class(judged, kind)}>{escape(cell.text)}</td>"


def _class(*names: str) -> str:
    told = " ".join(filter(None, names))
    return f' class="{told}"' if told else ""


def _file(name: str) -> str:
    return (resources.files("autoscaler.report") / name).read_text(encoding="utf-8")
