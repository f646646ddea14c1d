"""A model laid out for one roster and one lead at a time: a row a direction, a column a rep.

`RosterModel` serves tables of leads. For a single lead most of z(x) is 0, so here each direction's effects lie side by
side over the reps: only the rows that the lead touches are read, be it for probabilities, variances or reasons.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from data.roster import Rep
from training.conversion import ConversionModel, RosterModel


class LeadParts(NamedTuple):
    """What one lead touches. The rep part in log-odds is `weights @ rows`, before recalibration."""

    directions: np.ndarray  # columns of z(x) that are not 0, then those of f(x, r), counted on from z's width, (d,)
    weights: np.ndarray  # their values, then beta, (d,)
    rows: np.ndarray  # each rep's effect in that column, then her f(x, r), (d, n_reps)
    many: int  # of them are columns of z(x)

    @property
    def pairs(self) -> np.ndarray:
        """f(x, r), shape (n_pairs, n_reps)."""
        return self.rows[self.many :]


@dataclass(frozen=True)
class Tenure:
    """How long each rep has been here on one day (UTC)."""

    day: float  # since 1970; NaN: no day yet
    days: tuple[int | None, ...]  # None where the day of hiring is not known
    rows: np.ndarray  # every row that a lead may touch: effects, then each match's levels, then the day's ramps


class RosterColumns:
    """The roster's arrays; nothing here changes after it is made, but for the day's tenure."""

    def __init__(self, model: ConversionModel, reps: Sequence[Rep]) -> None:
        roster = RosterModel(model, reps)
        self.model = model
        self._matches = roster.matches
        width, self._n_reps = roster.effects.shape[1], len(self._matches.hired_days)
        self._tenure = Tenure(np.nan, (), self._laid_out(roster.effects.T))
        # z' S z is a sum over pairs of columns of z; each pair's entry of S, over all reps, is a row here.
        first, second = np.triu_indices(width)
        twice = np.where(first == second, 1.0, 2.0)
        self._covariance = np.empty((len(first), self._n_reps), dtype=np.float32)
        for row, (one, other) in enumerate(zip(first, second, strict=True)):
            self._covariance[row] = roster.covariance[:, one, other] * twice[row]
        self._row_of_pair = np.zeros((width, width), dtype=np.intp)
        self._row_of_pair[first, second] = np.arange(len(first))
        self._row_of_pair[second, first] = np.arange(len(first))

    def parts(self, row: Sequence[float], at_days: float) -> LeadParts:
        """What a lead touches; row : encoded, n_features long; at_days : the moment, in days since 1970 UTC."""
        places, values = self.model.lead_design.touched(row)
        fitting = [
            0 if begin is None else begin + self._matches.level(row, match)
            for match, begin in enumerate(self._first_levels)
        ]
        rows = self.tenure(at_days).rows.take(places + fitting + self._ramps, axis=0, mode="clip")
        for match in self._lists:
            rows[len(places) + match] = self._matches.matched_row(row, match)
        directions = np.array(places + self._of_pairs)
        return LeadParts(directions, np.array(values + self._beta), rows, len(places))

    def variance(self, parts: LeadParts) -> np.ndarray:
        """The variance of each rep's own part before recalibration, z' S_r z, shape (n_reps,).

        In single precision: seven digits of an interval's width, for half the memory to keep and to read.
        """
        first, second = _pairs_of(parts.many)
        z = parts.weights.astype(np.float32)
        needed = self._row_of_pair[parts.directions.take(first), parts.directions.take(second)]
        variance = (z.take(first) * z.take(second)) @ self._covariance.take(needed, axis=0, mode="clip")
        return variance.astype(np.float64)  # what it is multiplied with is: to mix them would cast it each time

    def tenure(self, at_days: float) -> Tenure:
        """How long everybody has been here; whole days count, so it is worked out once a day."""
        if self._tenure.day != math.floor(at_days):
            hired = self._matches.hired_days
            days = np.maximum(np.floor(at_days) - np.floor(hired), 0.0)
            known = tuple(None if math.isnan(each) else int(each) for each in days)
            rows = self._tenure.rows.copy()  # a request of yesterday may still read the others
            for place, ramp in zip(self._ramps, self._matches.ramps(at_days, hired), strict=False):
                rows[place] = ramp
            self._tenure = Tenure(math.floor(at_days), known, rows)
        return self._tenure

    def _laid_out(self, effects: np.ndarray) -> np.ndarray:
        """Every row that a lead may touch, so that one `take` gathers a lead's. effects : (width, n_reps)."""
        design, whole, rows = self.model.pair_design, [effects], len(effects)
        self._first_levels: list[int | None] = []  # of each match, its row; None: put together lead by lead
        for match in range(len(design.matches)):
            levels = self._matches.levels(match)
            self._first_levels.append(None if levels is None else rows)
            whole += [] if levels is None else [levels]
            rows += 0 if levels is None else len(levels)
        self._lists = [match for match, begin in enumerate(self._first_levels) if begin is None]
        ramps = design.width - len(design.matches)
        self._ramps = [rows + place for place in range(ramps)]
        self._of_pairs = (len(effects) + np.arange(design.width)).tolist()
        self._beta = self.model.effects.beta.tolist()
        return np.vstack([*whole, np.zeros((ramps, self._n_reps))])


@lru_cache(maxsize=64)
def _pairs_of(many: int) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of `many` things, each with itself too."""
    return np.triu_indices(many)
