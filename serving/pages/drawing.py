"""Small drawings made on the server: a waterfall of points and an interval to scale. Coordinates only, no text."""

from collections.abc import Sequence
from dataclasses import dataclass

from serving.pages.figures import Figures

WIDTH = 100.0  # of a bar's drawing, which is stretched to its place
MARGIN = 0.06  # of the span, left free on each side


@dataclass(frozen=True)
class Fall:
    """One step of a waterfall: a bar from x to x + width, and where the thread to the next one hangs."""

    text: str
    value: float  # in probability: a difference, or at both ends a level
    kind: str  # usual, more, less or total
    x: float
    width: float
    thread: float


def waterfall(start: float, parts: Sequence[tuple[str, float]], end: float) -> list[Fall]:
    """The steps from one level to another. The parts add up to the difference; the bars show them to scale.

    The scale begins below the lowest level that is passed, not at zero, so that small parts can be seen.
    """
    levels, level = [start], start
    for _, value in parts:
        level += value
        levels.append(level)
    low, high = min([*levels, end]), max([*levels, end])
    span = (high - low) or max(high, 0.01)
    left = max(0.0, low - span * 0.35)
    unit = WIDTH / ((high - left) * (1 + MARGIN))

    def at(probability: float) -> float:
        return (probability - left) * unit

    steps = [Fall("", start, "usual", 0.0, at(start), at(start))]
    for (text, value), before, after in zip(parts, levels[:-1], levels[1:], strict=True):
        kind = "more" if value >= 0 else "less"
        steps.append(Fall(text, value, kind, at(min(before, after)), abs(value) * unit, at(after)))
    return [*steps, Fall("", end, "total", 0.0, at(end), at(end))]


@dataclass(frozen=True)
class Scale:
    """An interval on an axis of its own: positions of 320, and the ticks with their words."""

    low: float
    high: float
    point: float
    zero: float
    ticks: Sequence[tuple[float, str]]


def scale(low: float | None, value: float | None, high: float | None, fig: Figures) -> Scale | None:
    """The interval to scale, with zero always on the axis; None where there is no interval."""
    if low is None or value is None or high is None:
        return None
    left, right = min(low, 0.0), max(high, 0.0)
    room = (right - left) * 0.08 or 0.01
    left, right = left - room, right + room

    def at(difference: float) -> float:
        return 320 * (difference - left) / (right - left)

    ends = {round(at(each)): fig.bare_points(each) for each in (low, high)}
    free = all(abs(at(0.0) - place) > 34 for place in ends)
    ticks = [(float(place), text) for place, text in ends.items()] + ([(at(0.0), "0")] if free else [])
    return Scale(at(low), at(high), at(value), at(0.0), ticks)
