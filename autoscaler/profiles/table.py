"""CSV with named columns, line by line; what is wrong is told with its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autoscaler.profiles.measured import Problems


@dataclass(frozen=True, slots=True)
class Row:
    """One line: its cells by column, stripped."""

    where: str
    cells: dict[str, str]

    def get(self, column: str) -> str:
        """Empty: there is no such column, or nothing in it."""
        return self.cells.get(column, "")


class Table:
    """A header and its rows."""

    def __init__(self, path: str, text: str, problems: Problems) -> None:
        self.path, self._problems = path, problems
        self._rows = csv.reader(io.StringIO(text), strict=True)
        self.where = f"{path}:1"
        self.columns = [name.strip() for name in self._next() or []]
        doubled = {name for name in self.columns if self.columns.count(name) > 1}
        for name in sorted(doubled):
            problems.add(self.where, f"two columns {name!r}", "each once")

    def require(self, names: Sequence[str]) -> bool:
        """Whether all of these columns are there; what is missing is told."""
        missing = [name for name in names if name not in self.columns]
        for name in missing:
            self._problems.add(self.where, f"no column {name!r}", "must be there")
        return not missing

    def rows(self) -> Iterator[Row]:
        """Those that have as many columns as the header; blank lines are passed over."""
        count = 0
        while (cells := self._next()) is not None:
            if not any(cell.strip() for cell in cells):
                continue
            count += 1
            where = f"{self.path}:{self._rows.line_num}"
            if len(cells) != len(self.columns):
                expected = f"{len(self.columns)} as the header has"
                self._problems.add(where, f"{len(cells)} columns", expected)
                continue
            yield Row(where, dict(zip(self.columns, (c.strip() for c in cells), strict=True)))
        if not count:
            self._problems.add(self.where, "no line follows the header", "at least one")

    def _next(self) -> list[str] | None:
        """None: there is no further one, or it can't be taken apart, and an open quotation mark swallows the rest."""
        try:
            return next(self._rows, None)
        except csv.Error as error:
            self._problems.add(f"{self.path}:{self._rows.line_num}", str(error), "must be CSV")
            return None
