"""What a job did to the system, and when: what its checks and its chart go by."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console


@dataclass(slots=True, kw_only=True)
class Timeline:
    """Begins with the load."""

    start_s: float = 0.0
    """Unix seconds, as all times of it."""
    marks: list[tuple[float, str]] = field(default_factory=list)

    def mark(self, text: str, console: Console) -> float:
        """Writes it down with the time, which is returned."""
        now_s = time.time()
        self.marks.append((now_s, text))
        console.print(f"[dim]{now_s - self.start_s:5.0f} s[/] {text}")
        return now_s
