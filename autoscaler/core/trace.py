"""Collects the steps of one decision: every stage that looked at the number says what it did to it and why."""

from __future__ import annotations

from autoscaler.core.reasons import Reason
from autoscaler.core.types import DecisionStep


class Trace:
    """The number of replicas on its way through the stages of one decision."""

    __slots__ = ("_decisive", "steps", "value")

    def __init__(self, current: int) -> None:
        self.value = current
        self.steps: list[DecisionStep] = []
        self._decisive: DecisionStep | None = None

    def move(
        self, stage: str, after: int, reason: Reason, message: str, *, decides: bool = False
    ) -> None:
        """Sets the number; the last step that really moved it gives the decision its reason.

        `decides`: this step is the reason even where the number stays.
        """
        step = DecisionStep(
            stage=stage, before=self.value, after=after, reason=reason, message=message
        )
        self.steps.append(step)
        if decides or after != self.value or self._decisive is None:
            self._decisive = step
        self.value = after

    def raise_to(self, stage: str, floor: int, reason: Reason, message: str) -> None:
        """As `move`, where the number is below `floor`."""
        if self.value < floor:
            self.move(stage, floor, reason, message)

    def lower_to(self, stage: str, ceiling: int, reason: Reason, message: str) -> None:
        """As `move`, where the number is above `ceiling`."""
        if self.value > ceiling:
            self.move(stage, ceiling, reason, message)

    def decisive(self) -> DecisionStep:
        """The step that explains the result."""
        if self._decisive is None:
            raise ValueError(
                "a decision without a step: every stage list begins with `size` or a hold"
            )
        return self._decisive
