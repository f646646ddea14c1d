"""Pictures of a training run as SVG: each title says the finding, intervals are bands, text stays text."""

import io
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from training.curves import GainsPoint, Importance, RepLevel, Support
from training.hidden_picking import RepGap
from training.metrics import ReliabilityBin

ACCENT, GREY, MIDDLE, LIGHT = "#4f46e5", "#6b7280", "#9ca3af", "#d1d5db"
SHADES = LinearSegmentedColormap.from_list("shades", ["#a5b4fc", "#4338ca"])  # seen on white and on black
WIDE, NARROW = 6.5, 3.9  # inches
NARROW_LABEL = 44  # characters of an axis label in one line
SCATTER_DPI = 160
MOST_COLUMNS = 12
MOST_REPS_EACH_END = 10
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text as text: the reader's own fonts show any script
    "svg.hashsalt": "leadmatch",  # the same values make the same bytes
    "text.parse_math": False,  # a "$" in a category's name is a dollar
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LIGHT,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "font.size": 9,
    "text.color": "#111827",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.labelcolor": GREY,
}


def draw_reliability(curve: Sequence[ReliabilityBin], *, narrow: bool = False) -> bytes:
    """Predicted against seen, with the interval of what was seen."""
    inside = sum(one.low <= one.predicted <= one.high for one in curve)

    def draw(axes: Axes) -> None:
        predicted, observed = [100 * one.predicted for one in curve], [100 * one.observed for one in curve]
        top = 1.05 * max(100 * one.high for one in curve)
        axes.plot([0, top], [0, top], color=LIGHT)
        axes.fill_between(
            predicted, [100 * o.low for o in curve], [100 * o.high for o in curve], color=ACCENT, alpha=0.15, lw=0
        )
        axes.plot(predicted, observed, "o-", color=ACCENT, ms=4)
        axes.set(xlabel="predicted, %", ylabel="converted, %")
        axes.set_title(f"In {inside} of {len(curve)} groups the prediction lies in the interval of what was seen")

    return _svg(draw, narrow=narrow)


def draw_gains(curve: Sequence[GainsPoint], *, narrow: bool = False) -> bytes:
    """The share of conversions among the leads ranked first."""
    leads = [100 * point.share_of_leads for point in curve]
    caught = [100 * point.share_of_conversions for point in curve]
    fifth = float(np.interp(20, leads, caught))

    def draw(axes: Axes) -> None:
        axes.plot([0, 100], [0, 100], color=LIGHT)
        low, high = [100 * point.low for point in curve], [100 * point.high for point in curve]
        axes.fill_between(leads, low, high, color=ACCENT, alpha=0.15, lw=0)
        axes.plot(leads, caught, color=ACCENT)
        axes.plot([20], [fifth], "o", color=ACCENT, ms=4)
        axes.set(xlabel="leads, best first, %", ylabel="of all conversions, %", xlim=(0, 100), ylim=(0, 100))
        axes.set_title(f"The best fifth of the leads holds {fifth:.0f} % of the conversions")

    return _svg(draw, narrow=narrow)


def draw_rep_levels(rows: Sequence[RepLevel], *, narrow: bool = False) -> bytes:
    """The reps at both ends, each with the interval of the overall level."""
    above = sum(row.low > 0 for row in rows)
    below = sum(row.high < 0 for row in rows)
    finding = f"Of {len(rows)} reps {above} lie clearly above the average and {below} below"
    return _draw_intervals(rows, finding, "overall level against the average rep, log-odds", narrow=narrow)


def draw_gaps(rows: Sequence[RepGap], *, narrow: bool = False) -> bytes:
    """The reps whose hand-picked leads differ most from their others, either way, with their intervals."""
    ordered = sorted(rows, key=lambda row: -row.value)
    apart = sum(row.low > 0 or row.high < 0 for row in rows)
    finding = f"For {apart} of {len(rows)} reps hand-picked leads convert clearly otherwise than the rep's others"
    return _draw_intervals(ordered, finding, "hand-picked leads against the rep's others, log-odds", narrow=narrow)


def _draw_intervals(rows: Sequence[RepLevel | RepGap], finding: str, unit: str, *, narrow: bool) -> bytes:
    few = len(rows) <= 2 * MOST_REPS_EACH_END
    ends = rows if few else [*rows[:MOST_REPS_EACH_END], *rows[-MOST_REPS_EACH_END:]]

    def draw(axes: Axes) -> None:
        value, low, high = (np.array([getattr(row, name) for row in ends]) for name in ("value", "low", "high"))
        span = np.array([value - low, high - value])
        axes.errorbar(value, range(len(ends)), xerr=span, fmt="o", color=ACCENT, ecolor=LIGHT, ms=4)
        _name_rows(axes, [row.rep_id for row in ends])
        axes.axvline(0, color=GREY, lw=1)
        axes.set_xlabel(unit)
        axes.set_title(finding)

    return _svg(draw, rows=len(ends), narrow=narrow)


def draw_importance(rows: Sequence[Importance], *, narrow: bool = False) -> bytes:
    """How far each column moves a lead's log-odds, with two standard errors."""
    shown = list(rows[:MOST_COLUMNS])

    def draw(axes: Axes) -> None:
        values, errors = [row.value for row in shown], [2 * row.standard_error for row in shown]
        axes.barh(range(len(shown)), values, xerr=errors, color=ACCENT, ecolor=GREY, height=0.6)
        _name_rows(axes, [row.column for row in shown])
        axes.set_xlabel("mean absolute contribution, log-odds")
        axes.set_title(f"{shown[0].column} tells leads apart most" if shown else "No column is used")

    return _svg(draw, rows=len(shown), narrow=narrow)


def draw_contributions(
    columns: Sequence[str],
    parts: Sequence[np.ndarray],
    values: Sequence[np.ndarray | None],
    *,
    narrow: bool = False,
) -> bytes:
    """A dot a lead and column: where it moves the lead's log-odds; darker is a higher value, grey no number."""

    def draw(axes: Axes) -> None:
        for place, (part, value) in enumerate(zip(parts, values, strict=True)):
            height = place + _spread(part)
            axes.scatter(part, height, c=MIDDLE, s=5, lw=0, rasterized=True)
            if value is not None:
                known = ~np.isnan(value)
                rank = np.argsort(np.argsort(value[known])) / max(1, known.sum() - 1)
                axes.scatter(part[known], height[known], c=rank, cmap=SHADES, s=5, lw=0, rasterized=True)
        _name_rows(axes, columns)
        axes.axvline(0, color=GREY, lw=1)
        axes.set_xlabel("contribution to the lead's log-odds (not a cause); darker: a higher value")
        axes.set_title("What each column adds to a lead's own score")

    return _svg(draw, rows=len(columns), narrow=narrow)


def draw_overlap(rows: Sequence[Support], *, narrow: bool = False) -> bytes:
    """How much of what arrives each rep has worked before."""
    shares = np.array([100 * row.share for row in rows])

    def draw(axes: Axes) -> None:
        axes.hist(shares, bins=list(range(0, 101, 5)), color=ACCENT)
        axes.set(xlabel="of all leads: of a kind the rep has worked at least five times, %", ylabel="reps")
        axes.set_title(f"The median rep has worked the kinds of {np.median(shares):.0f} % of the leads")

    return _svg(draw, narrow=narrow)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()


def _spread(part: np.ndarray) -> np.ndarray:
    """Heights that keep dots of nearly the same contribution apart: wider where there are more, within +-.35."""
    group = np.digitize(part, np.linspace(part.min(), part.max() + 1e-12, 40))
    _, place, counts = np.unique(group, return_inverse=True, return_counts=True)
    order = np.argsort(place, kind="stable")
    within = np.empty(len(part))
    within[order] = np.concatenate([np.arange(count) - (count - 1) / 2 for count in counts])
    return 0.7 * within / max(1, counts.max())


def _svg(draw: Callable[[Axes], None], *, rows: int = 12, narrow: bool = False) -> bytes:
    """The picture; narrow: for a page that tells the finding itself and has its own background."""
    with _style():
        width = NARROW if narrow else WIDE
        figure = Figure(figsize=(width, max(2.5, 0.25 * rows + 1.2)), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        finding = axes.get_title(loc="left")
        if narrow:
            axes.set_title("")
            axes.set_xlabel(textwrap.fill(axes.get_xlabel(), NARROW_LABEL, break_on_hyphens=False))
        written = io.BytesIO()
        about = {"Date": None, "Title": finding}
        figure.savefig(written, format="svg", metadata=about, transparent=narrow, dpi=SCATTER_DPI)
    return written.getvalue()


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # Only for measuring: the picture holds the text itself, not glyphs of our font.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield
