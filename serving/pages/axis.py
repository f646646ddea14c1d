"""A scale that several rows of figures share, so that bars and intervals below each other can be compared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ROOM = 0.04  # left free at both ends


@dataclass(frozen=True)
class Axis:
    """Values -> places from 0 to 100 across a column."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Where a value stands; beyond the ends, at the end."""
        return round(min(max(100 * (value - self.low) / (self.high - self.low), 0.0), 100.0), 2)

    @property
    def zero(self) -> float | None:
        """Where 0 stands, if it is on the scale."""
        return self.place(0.0) if self.low <= 0 <= self.high else None


def axis_of(estimates: Iterable[Mapping[str, Any] | None], *, zero: bool = True) -> Axis:
    """A scale that holds every `{value, low, high}`, and 0 if asked for."""
    numbers = [
        float(found)
        for each in estimates
        for name in ("value", "low", "high")
        if each is not None and (found := each.get(name)) is not None
    ]
    if zero or not numbers:
        numbers.append(0.0)
    low, high = min(numbers), max(numbers)
    room = (high - low) * ROOM or 0.01
    return Axis(low - room if low < 0 or not zero else low, high + room)
