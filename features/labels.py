"""Which outcomes are old enough to be labels: converted within W days, or not; younger rows are left out."""

from dataclasses import dataclass

import numpy as np

QUANTILE = 0.9  # of the delays to conversion
LEAST_CONVERSIONS = 30  # that the window is measured from


@dataclass(frozen=True)
class Labels:
    """Labels of the spells, and how many had to be left out."""

    window_days: float  # 0 where outcomes are final at once
    mature: np.ndarray  # bool (n,): the row may be used
    converted: np.ndarray  # 0/1 (n,): converted within the window; meaningless where not mature
    undated: int = 0  # of the immature rows, those that converted, nobody recorded when

    @property
    def immature(self) -> int:
        """Rows left out because their outcome was not known, or not old enough."""
        return int(np.sum(~self.mature))


@dataclass(frozen=True)
class Clock:
    """When the outcomes of some rows were known, and until when they were watched; one entry a row."""

    decided_after: np.ndarray  # (n,) days from the assignment until it converted or was lost; NaN: not, or nobody knows
    watched_days: np.ndarray  # (n,) from the assignment to the moment of looking

    def take(self, rows: np.ndarray) -> "Clock":
        """The same with only the rows given (bool mask or positions)."""
        return Clock(self.decided_after[rows], self.watched_days[rows])

    def join(self, later: "Clock") -> "Clock":
        """The rows of both, these first."""
        return Clock(*(np.concatenate(pair) for pair in zip(vars(self).values(), vars(later).values(), strict=True)))


def maturity_window(delay_days: np.ndarray, age_days: np.ndarray) -> float:
    """W: the 90 % quantile of the delays to conversion, in days, among rows older than the longest delay.

    delay_days : (n,) from assignment to conversion, NaN where not converted (yet); age_days : (n,) from
    assignment to now. Rows younger than the longest delay would show only their quick conversions; where
    fewer than 30 conversions are that old, the oldest half of the rows is taken instead.
    Raises ValueError where nothing tells the window.
    """
    converted = ~np.isnan(delay_days)
    if not converted.any():
        raise ValueError("No conversion has a date: the delay cannot be measured. State `window:` in dataset.yaml.")
    old = converted & (age_days > np.nanmax(delay_days))
    if old.sum() < LEAST_CONVERSIONS:
        old = converted & (age_days >= np.median(age_days))
    if not old.any():
        old = converted
    return float(np.quantile(delay_days[old], QUANTILE))


def label(
    *,
    converted: np.ndarray,
    known: np.ndarray,
    assigned_days: np.ndarray,
    outcome_days: np.ndarray,
    ended_days: np.ndarray,
    now_days: np.ndarray | float,
    window_days: float | None,
    final: bool,
) -> Labels:
    """Labels of the spells as of now. Raises ValueError where nothing has converted.

    converted : bool (n,), has converted so far; known : bool (n,), has any final outcome; outcome_days : when
    (NaN: not known when); ended_days : when the spell was taken away unfinished (NaN: it was not);
    now_days : until when each row was watched;
    window_days : W if the data's owner set it; final : outcomes are final at once, no row is young.
    """
    if final:
        return Labels(0.0, known & np.isnan(ended_days), converted.astype(np.int8))
    if window_days is None and not converted.any():
        raise ValueError("No row converted, so there is nothing to learn from. Check `outcomes:` and `target:`.")
    age = now_days - assigned_days
    delay = np.where(converted, outcome_days - assigned_days, np.nan)
    window = maturity_window(delay, age) if window_days is None else window_days
    # A lead that was taken away keeps counting only if this rep had it for the whole window.
    kept_days = np.where(np.isnan(ended_days), np.inf, ended_days - assigned_days)
    mature = (age >= window) & (kept_days >= window) & ~(converted & np.isnan(delay))
    within = converted & (np.nan_to_num(delay, nan=np.inf) <= window)
    return Labels(window, mature, within.astype(np.int8), int(np.sum(converted & np.isnan(delay))))
