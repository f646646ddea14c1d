"""Odoo's predictive lead scoring, as a baseline: naive Bayes over categories, a team and a stage at a time.

Written from a description of its rules, in `probability` and not in percent. Tags are left out. Where Odoo shows 0 or
a neighbour's figure because nothing could be computed, this says NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

FIRST_COUNT = 0.1  # added to both counts of a value when it is first seen
LOWEST, HIGHEST = 0.0001, 0.9999  # a probability of exactly 0 or 1 would read as lost or won
NOT_SET = "(not set)"
NO_TEAM = "(no team)"

Counts = Mapping[str, pd.DataFrame]  # variable -> won and lost, one row a value


@dataclass(frozen=True)
class OdooScoring:
    """How often each value was won and lost, in each team and over all of them."""

    variables: tuple[str, ...]
    stages: tuple[str, ...]  # in their order; the first is the one that every lead has passed
    not_set_counts: frozenset[str]  # variables of which a missing value is a value like any other
    teams: Mapping[str, Counts]
    together: Counts

    def probability(self, leads: pd.DataFrame) -> np.ndarray:
        """P(won) of open leads, shape (n,); NaN where a team and stage give nothing to compute it from.

        leads : the fitted columns, with `stage` and, if there are teams, `team`.
        """
        result = np.full(len(leads), np.nan)
        team = _teams(leads)
        for name in team.unique():
            rows = np.flatnonzero(team == name)
            # A lead without a team, or of a team without history, is scored by what all teams saw together.
            counts = self.teams.get(name, self.together) if name != NO_TEAM else self.together
            result[rows] = self._scores(leads.iloc[rows], counts)
        return result

    def _scores(self, leads: pd.DataFrame, counts: Counts) -> np.ndarray:
        first = self.stages[0]
        if first not in counts["stage"].index:
            return np.full(len(leads), np.nan)
        passed = counts["stage"].loc[first]
        score = np.log(passed / passed.sum()).to_numpy() + self._factor(leads, counts, "stage", passed)
        for variable in self.variables:
            factor = self._factor(leads, counts, variable, counts[variable].sum())
            score += np.nan_to_num(factor, nan=0.0)  # a value never seen says nothing
        probability = 1 / (1 + np.exp(score[:, 1] - score[:, 0]))
        return np.clip(probability, LOWEST, HIGHEST)  # NaN, from an unknown stage, stays NaN

    def _factor(self, leads: pd.DataFrame, counts: Counts, variable: str, total: pd.Series) -> np.ndarray:
        """Log of won(value) / won and of lost(value) / lost, shape (n, 2); NaN where the value was never seen."""
        values = _values(leads[variable], variable in self.not_set_counts)
        share = np.log(counts[variable] / total)
        return share.reindex(values).to_numpy(dtype=float)


def odoo_scoring(
    leads: pd.DataFrame,
    won: np.ndarray,
    *,
    variables: Sequence[str],
    stages: Sequence[str],
    not_set_counts: Sequence[str] = (),
) -> OdooScoring:
    """The counts of closed leads.

    leads : `stage` (where a lost lead stood; a won one has passed them all), optionally `team`, and the variables.
    won : bool (n,); stages : in their order.
    """
    missing = frozenset(not_set_counts)
    team = _teams(leads)
    teams = {
        str(name): _count(leads[team == name], won[(team == name).to_numpy()], variables, stages, missing)
        for name in team.unique()
    }
    together = {
        variable: pd.concat([counts[variable] for counts in teams.values()]).groupby(level=0).sum()
        for variable in ("stage", *variables)
    }
    return OdooScoring(tuple(variables), tuple(stages), missing, teams, together)


def naive_bayes(table: pd.DataFrame, converted: np.ndarray) -> "NaiveBayes":
    """The same rules for leads without stage and team: all of a table's columns, as categories; missing is skipped."""
    everything = table.assign(stage="any", team="any")
    scoring = odoo_scoring(everything, converted.astype(bool), variables=list(table.columns), stages=["any"])
    return NaiveBayes(scoring)


@dataclass(frozen=True)
class NaiveBayes:
    """Naive Bayes over the columns of a table."""

    scoring: OdooScoring

    def probability(self, table: pd.DataFrame) -> np.ndarray:
        """P(converted) of each row, shape (n,)."""
        return self.scoring.probability(table.assign(stage="any", team="any"))


def _teams(leads: pd.DataFrame) -> pd.Series:
    if "team" not in leads:
        return pd.Series(NO_TEAM, index=leads.index)
    return leads["team"].astype(object).where(leads["team"].notna(), NO_TEAM)


def _values(column: pd.Series, missing_counts: bool) -> pd.Series:
    text = column.astype(object).where(column.notna(), NOT_SET if missing_counts else None)
    return text.map(lambda value: None if value is None else str(value))


def _count(
    leads: pd.DataFrame, won: np.ndarray, variables: Sequence[str], stages: Sequence[str], missing: frozenset[str]
) -> Counts:
    counts = {variable: _tally(_values(leads[variable], variable in missing), won) for variable in variables}
    return {"stage": _count_stages(leads["stage"], won, stages), **counts}


def _tally(values: pd.Series, won: np.ndarray) -> pd.DataFrame:
    tally = pd.DataFrame({"won": won.astype(float), "lost": (~won).astype(float)}).groupby(values.to_numpy()).sum()
    return tally + FIRST_COUNT


def _count_stages(stage: pd.Series, won: np.ndarray, stages: Sequence[str]) -> pd.DataFrame:
    """A won lead counts for every stage, a lost one for its own and all before it."""
    place = stage.map({name: number for number, name in enumerate(stages)}).to_numpy(dtype=float)
    lost_at = place[~won]
    counts = pd.DataFrame(
        {"won": float(won.sum()), "lost": [float(np.sum(lost_at >= number)) for number in range(len(stages))]},
        index=pd.Index(stages),
    )
    return counts[counts.sum(axis=1) > 0] + FIRST_COUNT
