"""What a lead and a rep have in common, f(x, r): found from the columns that leads and reps share."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data.roster import Rep
from features.columns import OTHER, ColumnContract, instants, level_of, tokens_of

TENURE_DAYS = (30.0, 100.0)  # a newcomer's ramp is a sum of these two decays
LEAST_OVERLAP = 0.5  # of what reps state in a column must be values that leads have in theirs
REP_COLUMNS = ("region", "regions", "skills", "languages", "team")


@dataclass(frozen=True)
class Match:
    """A rep's column that speaks of the same thing as a lead's column."""

    lead_column: str
    rep_column: str


@dataclass(frozen=True)
class PairDesign:
    """Which matches f(x, r) has, in order, and whether the reps' tenure is known."""

    matches: tuple[Match, ...]
    tenure: bool

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each column of f."""
        ramps = tuple(f"tenure_{days:g}d" for days in TENURE_DAYS) if self.tenure else ()
        return tuple(f"{match.lead_column}~{match.rep_column}" for match in self.matches) + ramps

    @property
    def width(self) -> int:
        """Columns of f."""
        return len(self.names)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping that `from_json` reads back."""
        return {"matches": [asdict(match) for match in self.matches], "tenure": self.tenure}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "PairDesign":
        """The design that `to_json` wrote."""
        return cls(tuple(Match(**match) for match in value["matches"]), bool(value["tenure"]))


class RepMatches:
    """A roster seen through a PairDesign: for each match a table from a lead's level to the reps that fit."""

    def __init__(self, design: PairDesign, contract: ColumnContract, reps: Sequence[Rep]) -> None:
        self.design = design
        self.hired_days = instants([rep.hired_at for rep in reps])
        self._tables = [_fit_table(match, contract, reps) for match in design.matches]

    def matched(self, leads: np.ndarray, match: int) -> np.ndarray:
        """1.0 where the rep fits the lead in one match, shape (n_leads, n_reps)."""
        positions, table, is_list = self._tables[match]
        if is_list:
            return (np.nan_to_num(leads[:, positions]) @ table > 0).astype(float)
        return table[_codes(leads[:, positions[0]], len(table))]

    def levels(self, match: int) -> np.ndarray | None:
        """A match with a category, a row a level, (n_levels, n_reps); None where the lead's column is a list."""
        _, table, is_list = self._tables[match]
        return None if is_list else table

    def level(self, row: Sequence[float], match: int) -> int:
        """Which of the `levels` one lead has, encoded, n_features long."""
        positions, table, _ = self._tables[match]
        code = row[positions[0]]
        return int(code) if code == code else len(table) - 1

    def codes(self, leads: np.ndarray, match: int) -> np.ndarray:
        """Which of the `levels` each lead has, intp (n_leads,)."""
        positions, table, _ = self._tables[match]
        return _codes(leads[:, positions[0]], len(table))

    def of_lists(self, leads: np.ndarray, match: int) -> tuple[np.ndarray, np.ndarray]:
        """A match with a list: who fits, a row for each list that differs, (k, n_reps), and each lead's row, (n,)."""
        positions, table, _ = self._tables[match]
        lists, which = np.unique(np.nan_to_num(leads[:, positions]), axis=0, return_inverse=True)
        return (lists @ table > 0).astype(float), which.ravel()

    def for_pairs(self, leads: np.ndarray, rep: np.ndarray, at_days: np.ndarray) -> np.ndarray:
        """f(x_i, r_i) of given pairs, shape (n, width).

        leads : (n, n_features); rep : (n,) positions in the roster; at_days : (n,) moments.
        """
        columns = []
        for positions, table, is_list in self._tables:
            if is_list:
                hits = np.einsum("nl,nl->n", np.nan_to_num(leads[:, positions]), table.T[rep])
                columns.append((hits > 0).astype(float))
            else:
                columns.append(table[_codes(leads[:, positions[0]], len(table)), rep])
        if self.design.tenure:
            columns += self.ramps(at_days, self.hired_days[rep])
        return np.column_stack(columns) if columns else np.empty((len(leads), 0))

    @staticmethod
    def ramps(at_days: np.ndarray | float, hired_days: np.ndarray) -> list[np.ndarray]:
        """exp(-tenure / scale) for each scale; 0 where the day of hiring is not known (a settled rep).

        Tenure counts whole days (UTC), so that one lead scored twice on one day has one answer.
        """
        tenure = np.maximum(np.floor(at_days) - np.floor(hired_days), 0.0)
        return [np.nan_to_num(np.exp(-tenure / scale), nan=0.0) for scale in TENURE_DAYS]


def find_pairs(contract: ColumnContract, reps: Sequence[Rep]) -> PairDesign:
    """The matches between the leads' categories and lists and what reps state of themselves.

    A rep's column matches a lead's column where at least half of what the reps state there are levels of
    the lead's, and not every rep states the same.
    """
    rep_columns = [*REP_COLUMNS, *sorted({name for rep in reps for name in rep.attributes})]
    stated = {name: [_stated(rep, name) for rep in reps] for name in rep_columns}
    matches = []
    for column in contract.columns:
        levels = {level.casefold() for level in column.levels} - {OTHER}
        for name, tokens in stated.items():
            everything = [token for items in tokens for token in items]
            overlap = np.mean([token in levels for token in everything]) if everything else 0.0
            if overlap >= LEAST_OVERLAP and len(set(tokens)) > 1:
                matches.append(Match(column.name, name))
    hired = instants([rep.hired_at for rep in reps])
    # Without dates, a row's place in the order says nothing of how long the rep had been there.
    return PairDesign(tuple(matches), tenure=contract.dated and 2 * int(np.sum(~np.isnan(hired))) > len(reps))


def _stated(rep: Rep, column: str) -> frozenset[str]:
    value = rep.value(column)
    if isinstance(value, bool | int | float) or value is None:
        level = level_of(value)
        return frozenset() if level is None else frozenset({level.casefold()})
    return frozenset(token.casefold() for token in (tokens_of(value) or ()))


def _fit_table(match: Match, contract: ColumnContract, reps: Sequence[Rep]) -> tuple[list[int], np.ndarray, bool]:
    """Feature positions, the table (levels, reps) of 0/1, and whether the lead's column is a list.

    For a category the table has two more rows of zeros: pooled levels, and missing.
    """
    column = next(column for column in contract.columns if column.name == match.lead_column)
    stated = [_stated(rep, match.rep_column) for rep in reps]
    table = np.array([[level.casefold() in items for items in stated] for level in column.levels], dtype=float)
    table = table.reshape(len(column.levels), len(reps))
    if column.kind == "list":
        return [contract.position(f"{column.name}={level}") for level in column.levels], table, True
    return [contract.position(column.name)], np.vstack([table, np.zeros((2, len(reps)))]), False


def _codes(values: np.ndarray, rows: int) -> np.ndarray:
    """Level numbers as row indices of a match table; missing is its last row."""
    return np.where(np.isnan(values), rows - 1, values).astype(np.intp)
