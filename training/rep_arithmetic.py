"""Leads x every rep of a roster, in numbers: probabilities, uplifts with their errors, and what each term adds.

The formulas are those of `training.conversion`, `training.uplift` and `training.explain`, applied to tables where each
direction's effects lie side by side over the reps. Of z(x) most is 0: only the rows that a lead touches are read.
`training.rep_kernel` is this module compiled; where it could not be compiled, this serves in its place.
"""

from typing import NamedTuple

import numpy as np

from training.explain import shares_of_uplift
from training.log_odds import expit
from training.uplift import uplift_errors


class RepTables(NamedTuple):
    """A model laid out for one roster and one day; every array lies in one piece, row by row."""

    rows: np.ndarray  # (n_rows, n_reps): effects by column of z, then what f(x, r) can be, by match and level
    covariance: np.ndarray  # float32 (n_column_pairs, n_reps), S_r by pair of columns of z, of two columns twice
    row_of_pair: np.ndarray  # intp (width, width), of each two columns of z
    ramps: np.ndarray  # intp, the rows of f(x, r) that are the same for every lead
    beta: np.ndarray  # (n_pairs,)
    beta_covariance: np.ndarray  # (n_pairs, n_pairs)
    in_term: np.ndarray  # 0/1 (width + n_pairs, n_terms), which term a column of z, or after them of f, belongs to
    slope: float  # of the recalibration


class Touched(NamedTuple):
    """What leads touch of the tables; every array in one piece, row by row."""

    z: np.ndarray  # (n, width)
    fits: np.ndarray  # intp (n, n_matches), the row of f(x, r) of each match; beyond the table: of `extra`
    extra: np.ndarray  # (n_extra, n_reps), rows that no table holds


class Among(NamedTuple):
    """Who is eligible for each lead."""

    masks: np.ndarray  # bool (n_masks, n_reps)
    which: np.ndarray  # intp (n,), the mask of each lead


class Uplifts(NamedTuple):
    """P under each rep asked about less the mean over the eligible; NaN for a rep below 0."""

    baseline: np.ndarray  # (n,) that mean
    value: np.ndarray  # (n, k)
    error: np.ndarray  # (n, k), its standard error


class RepArithmetic:
    """The tables with what can be worked out from them, in numpy, one lead after the other."""

    def __init__(self, tables: RepTables) -> None:
        self._tables = tables

    def scores(self, touched: Touched, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Recalibrated log-odds and probability under every rep, (n, n_reps) each.

        offset : (n,) recalibrated F(x), to which the rep part is added.
        """
        log_odds = np.empty((len(offset), self._tables.rows.shape[1]))
        for place, own in enumerate(offset):
            lead = self._parts(touched, place)
            log_odds[place] = own + lead.weights @ lead.rows
        return log_odds, expit(log_odds)

    def variance(self, touched: Touched) -> np.ndarray:
        """The variance of each rep's own part before recalibration, z' S_r z, float32 (n, n_reps).

        In single precision: seven digits of an interval's width, for half the memory to keep and to read.
        """
        made = np.empty((len(touched.z), self._tables.rows.shape[1]), dtype=np.float32)
        for place, z in enumerate(touched.z):
            columns = z.nonzero()[0]
            first, second = columns[np.array(np.triu_indices(len(columns)))]
            needed = self._tables.row_of_pair[first, second]
            made[place] = (z[first] * z[second]).astype(np.float32) @ self._tables.covariance.take(needed, axis=0)
        return made

    def uplifts(
        self, touched: Touched, probability: np.ndarray, variance: np.ndarray, among: Among, asked: np.ndarray
    ) -> Uplifts:
        """The uplift of the reps asked about, intp (n, k), with its standard error; NaN where nobody is eligible."""
        made = Uplifts(np.full(len(asked), np.nan), np.full(asked.shape, np.nan), np.full(asked.shape, np.nan))
        for place, reps in enumerate(asked):
            mask, known = among.masks[among.which[place]], reps >= 0
            if not mask.any():
                continue
            rotation = mask / np.count_nonzero(mask)
            made.baseline[place] = rotation @ probability[place]
            made.value[place, known], made.error[place, known] = uplift_errors(
                reps[known],
                probability=probability[place],
                rotation=rotation,
                variance=variance[place].astype(float),
                pairs=self._parts(touched, place).pairs,
                beta_covariance=self._tables.beta_covariance,
                slope=self._tables.slope,
            )
        return made

    def shares(
        self, touched: Touched, log_odds: np.ndarray, probability: np.ndarray, among: Among, asked: np.ndarray
    ) -> np.ndarray:
        """What each term adds to the uplift of the reps asked about, (n, k, n_terms); 0 for a rep below 0."""
        made = np.zeros((*asked.shape, self._tables.in_term.shape[1]))
        for place, reps in enumerate(asked):
            mask, known = among.masks[among.which[place]], reps >= 0
            if not mask.any():
                continue
            lead = self._parts(touched, place)
            rotation = mask / np.count_nonzero(mask)
            shares = shares_of_uplift(lead.rows, probability[place], log_odds[place], reps[known], rotation)
            made[place, known] = (shares * lead.weights) @ self._tables.in_term[lead.directions]
        return made

    def _parts(self, touched: Touched, place: int) -> "_Parts":
        tables, z, extra = self._tables, touched.z[place], touched.extra
        columns, every = z.nonzero()[0], np.arange(len(tables.in_term))
        pairs = np.array([
            tables.rows[row] if row < len(tables.rows) else extra[row - len(tables.rows)]
            for row in (*touched.fits[place], *tables.ramps)
        ]).reshape(len(tables.beta), tables.rows.shape[1])  # fmt: skip
        directions = np.concatenate([columns, every[len(z) :]])
        weights = tables.slope * np.concatenate([z[columns], tables.beta])
        return _Parts(directions, weights, np.vstack([tables.rows[columns], pairs]), len(columns))


class _Parts(NamedTuple):
    """What one lead touches. The rep part in recalibrated log-odds is `weights @ rows`."""

    directions: np.ndarray  # columns of z(x) that are not 0, then those of f(x, r), counted on from z's width, (d,)
    weights: np.ndarray  # (d,)
    rows: np.ndarray  # each rep's effect in that column, then her f(x, r), (d, n_reps)
    many: int  # of them are columns of z(x)

    @property
    def pairs(self) -> np.ndarray:
        """f(x, r), shape (n_pairs, n_reps)."""
        return self.rows[self.many :]
