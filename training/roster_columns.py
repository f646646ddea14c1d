"""A model laid out for one roster: a row a direction, a column a rep, so that leads read only the rows they touch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.roster import Rep
from features.pairs import RepMatches
from training.conversion import ConversionModel, RosterModel
from training.explain import rep_terms, term_of_direction
from training.rep_arithmetic import RepTables, Touched

try:
    from training.rep_kernel import RepKernel as Arithmetic
except ImportError:  # no compiler was there when this was installed: the same, several times as slow
    from training.rep_arithmetic import RepArithmetic as Arithmetic

COMPILED = Arithmetic.__module__ == "training.rep_kernel"


def arithmetic_of(tables: RepTables) -> Arithmetic:
    """The arithmetic over the tables, compiled where that could be."""
    return Arithmetic(tables)


@dataclass(frozen=True)
class Day:
    """The roster on one day (UTC)."""

    number: float  # since 1970; NaN: no day yet
    here: tuple[int | None, ...]  # days that each rep has been here; None where the day of hiring is not known
    arithmetic: Arithmetic


class RosterColumns:
    """The roster's tables; nothing here changes after it is made, but for the day."""

    def __init__(self, model: ConversionModel, reps: Sequence[Rep]) -> None:
        roster = RosterModel(model, reps)
        self.model = model
        self.matches = roster.matches
        self._first_rows: list[int | None] = []  # of each match, its first row; None: put together lead by lead
        self.tables = self._laid_out(roster)
        self._nothing = np.empty((0, len(reps)))
        self._day = Day(np.nan, (), arithmetic_of(self.tables))

    def touched(self, row: Sequence[float]) -> Touched:
        """What one lead touches; row : encoded, n_features long."""
        if None in self._first_rows:
            return self.touched_by(np.array([row]))
        fits = [begin + self.matches.level(row, match) for match, begin in enumerate(self._first_rows)]  # type: ignore[operator]
        return Touched(np.array([self.model.lead_design.row(row)]), np.array([fits], dtype=np.intp), self._nothing)

    def touched_by(self, leads: np.ndarray) -> Touched:
        """What leads touch, (n, n_features), encoded."""
        fits = np.empty((len(leads), len(self._first_rows)), dtype=np.intp)
        extra, beyond = [self._nothing], len(self.tables.rows)
        for match, begin in enumerate(self._first_rows):
            if begin is not None:
                fits[:, match] = begin + self.matches.codes(leads, match)
                continue
            rows, which = self.matches.of_lists(leads, match)
            fits[:, match] = beyond + which
            extra.append(rows)
            beyond += len(rows)
        return Touched(self.model.lead_design.matrix(leads), fits, np.vstack(extra))

    def day(self, at_days: float) -> Day:
        """The roster on the day of a moment, in days since 1970 UTC: whole days of tenure count."""
        day = self._day  # another request may be at another day meanwhile
        if day.number != math.floor(at_days):
            hired = self.matches.hired_days
            here = np.maximum(np.floor(at_days) - np.floor(hired), 0.0)
            rows = self.tables.rows.copy()
            if len(self.tables.ramps):
                rows[self.tables.ramps] = RepMatches.ramps(at_days, hired)
            known = tuple(None if math.isnan(each) else int(each) for each in here)
            day = self._day = Day(math.floor(at_days), known, arithmetic_of(self.tables._replace(rows=rows)))
        return day

    def _laid_out(self, roster: RosterModel) -> RepTables:
        model, width, n_reps = self.model, roster.effects.shape[1], len(roster.reps)
        rows, ends = [roster.effects.T], width
        for match in range(len(model.pair_design.matches)):
            levels = self.matches.levels(match)
            self._first_rows.append(None if levels is None else ends)
            rows += [] if levels is None else [levels]
            ends += 0 if levels is None else len(levels)
        ramps = ends + np.arange(model.pair_design.width - len(model.pair_design.matches))
        # z' S z is a sum over pairs of columns of z; each pair's entry of S, over all reps, is a row.
        first, second = np.triu_indices(width)
        covariance = np.empty((len(first), n_reps), dtype=np.float32)
        for place, (one, other) in enumerate(zip(first, second, strict=True)):
            covariance[place] = roster.covariance[:, one, other] * (1.0 if one == other else 2.0)
        row_of_pair = np.zeros((width, width), dtype=np.intp)
        row_of_pair[first, second] = row_of_pair[second, first] = np.arange(len(first))
        in_term = term_of_direction(model.lead_design, model.pair_design)
        return RepTables(
            rows=np.vstack([*rows, np.zeros((len(ramps), n_reps))]),
            covariance=covariance,
            row_of_pair=row_of_pair,
            ramps=ramps,
            beta=model.effects.beta,
            beta_covariance=np.ascontiguousarray(model.effects.beta_covariance),
            in_term=(in_term[:, None] == np.arange(len(rep_terms(model.lead_design, model.pair_design)))).astype(float),
            slope=model.calibration.slope,
        )
