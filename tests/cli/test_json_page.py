"""docs/reference/json.md tells every field that the commands really print."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import forescale

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "json.md").read_text()
# Said in words: objects of their own, and what stands around the table.
WORDS = re.compile(r"\.(namespace|name|kind|low|estimate|high)$")


def section(title: str) -> set[str]:
    (text,) = [part for part in PAGE.split("\n## ") if part.startswith(title)]
    return set(re.findall(r"^\| `([^`]+)` \|", text, re.M))


def paths(value: object, at: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, f"{at}.{key}" if at else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from paths(inner, f"{at}[]")
    elif value != []:
        yield WORDS.sub("", at)


@pytest.mark.parametrize(
    ("title", "argv"),
    [
        ("`slo`", ("slo", "--journal", "{journal}")),
        ("`replay`", ("replay", "{journal}")),
        ("`report`", ("report", "{journal}", "--no-estimate")),
        ("`explain`", ("explain", "team/bert", "--journal", "{journal}")),
    ],
)
def test_what_is_printed_is_on_the_page(
    title: str, argv: tuple[str, ...], journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [part.format(journal=journal) for part in argv]
    code, out, _ = forescale(capsys, *given, "--json")
    assert code == 0
    told = json.loads(out)
    printed = set(paths(told["decision"], "") if title == "`explain`" else paths(told, ""))
    around = {path for path in printed if path.split(".")[0] in ("journal", "total")}
    assert printed - around <= section(title)
    assert len(printed) > 5
