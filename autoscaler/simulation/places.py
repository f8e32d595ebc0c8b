"""Places of servers in arrays of a fixed size: a retired server's is given again, since long runs add thousands."""

from __future__ import annotations

from autoscaler.simulation.serving_model import require


class Places:
    """Numbered from 0; the last one that was given back is given first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free: list[int] = []
        self.given = 0
        """Places that were ever given, a place that was given again counted once."""

    def take(self) -> int:
        """A place that nobody has. Raises ValueError where all are taken."""
        if self._free:
            return self._free.pop()
        allowed = f"max_servers is {self._most}"
        require(self.given < self._most, "add_server", f"server {self.given + 1}", allowed)
        self.given += 1
        return self.given - 1

    def give_back(self, place: int) -> None:
        """Raises ValueError for one that is free."""
        require(place not in self._free, "retire_server", f"server {place}", "each once")
        self._free.append(place)
