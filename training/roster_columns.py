"""A model laid out for one roster and one lead at a time: a row a direction, a column a rep.

`RosterModel` serves tables of leads. For a single lead most of z(x) is 0, so here each direction's effects lie side by
side over the reps: only the rows that the lead touches are read, be it for probabilities, variances or reasons.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from data.roster import Rep
from training.conversion import ConversionModel, RosterModel


@dataclass(frozen=True)
class LeadParts:
    """What one lead touches. The rep part in log-odds is `weights @ rows`, before recalibration."""

    touched: np.ndarray  # columns of z(x) that are not 0
    weights: np.ndarray  # their values, then beta, (d,)
    rows: np.ndarray  # each rep's effect in that column, then her f(x, r), (d, n_reps)

    @property
    def pairs(self) -> np.ndarray:
        """f(x, r), shape (n_reps, n_pairs)."""
        return self.rows[len(self.touched) :].T


@dataclass(frozen=True)
class Tenure:
    """How long each rep has been here on one day (UTC)."""

    day: float  # since 1970; NaN: no day yet
    days: tuple[int | None, ...]  # None where the day of hiring is not known
    ramps: tuple[np.ndarray, ...]  # the columns of f(x, r) that follow from it


class RosterColumns:
    """The roster's arrays; nothing here changes after it is made, but for the day's tenure."""

    def __init__(self, model: ConversionModel, reps: Sequence[Rep]) -> None:
        roster = RosterModel(model, reps)
        self.model = model
        self._matches = roster.matches
        self._effects = np.ascontiguousarray(roster.effects.T)
        width, self._n_reps = self._effects.shape
        # z' S z is a sum over pairs of columns of z; each pair's entry of S, over all reps, is a row here.
        first, second = np.triu_indices(width)
        twice = np.where(first == second, 1.0, 2.0)
        self._covariance = np.empty((len(first), self._n_reps), dtype=np.float32)
        for row, (one, other) in enumerate(zip(first, second, strict=True)):
            self._covariance[row] = roster.covariance[:, one, other] * twice[row]
        self._row_of_pair = np.zeros((width, width), dtype=np.intp)
        self._row_of_pair[first, second] = np.arange(len(first))
        self._row_of_pair[second, first] = np.arange(len(first))
        self._pair_width = model.pair_design.width
        self._tenure = Tenure(np.nan, (), ())

    def parts(self, row: Sequence[float], at_days: float) -> LeadParts:
        """What a lead touches; row : encoded, n_features long; at_days : the moment, in days since 1970 UTC."""
        places, values = self.model.lead_design.touched(row)
        touched, many = np.array(places), len(places)
        matches = len(self.model.pair_design.matches)
        rows = np.empty((many + self._pair_width, self._n_reps))
        self._effects.take(touched, axis=0, out=rows[:many], mode="clip")  # "raise" would go through a buffer
        for match in range(matches):
            rows[many + match] = self._matches.matched_row(row, match)
        if self.model.pair_design.tenure:
            for place, ramp in enumerate(self.tenure(at_days).ramps, start=many + matches):
                rows[place] = ramp
        return LeadParts(touched, np.concatenate([values, self.model.effects.beta]), rows)

    def variance(self, parts: LeadParts) -> np.ndarray:
        """The variance of each rep's own part before recalibration, z' S_r z, shape (n_reps,).

        In single precision: seven digits of an interval's width, for half the memory to keep and to read.
        """
        first, second = _pairs_of(len(parts.touched))
        z = parts.weights.astype(np.float32)
        needed = self._row_of_pair[parts.touched[first], parts.touched[second]]
        return (z[first] * z[second]) @ self._covariance.take(needed, axis=0, mode="clip")

    def tenure(self, at_days: float) -> Tenure:
        """How long everybody has been here; whole days count, so it is worked out once a day."""
        if self._tenure.day != math.floor(at_days):
            hired = self._matches.hired_days
            days = np.maximum(np.floor(at_days) - np.floor(hired), 0.0)
            known = tuple(None if math.isnan(each) else int(each) for each in days)
            self._tenure = Tenure(math.floor(at_days), known, tuple(self._matches.ramps(at_days, hired)))
        return self._tenure


@lru_cache(maxsize=64)
def _pairs_of(many: int) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of `many` things, each with itself too."""
    return np.triu_indices(many)
