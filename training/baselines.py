"""What one would reach for instead: the rep's mean, one LightGBM with the rep as a column, one LightGBM a rep.

Each is fitted on rows in time order and gives `probability(leads)`, shape (n_leads, n_reps), so that it can stand
beside our model. Odoo's naive Bayes, which knows no reps, is in `training.naive_bayes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np

from training.naive_bayes import naive_bayes

__all__ = [
    "RepMean",
    "SLearner",
    "TLearner",
    "fit_rep_mean",
    "fit_s_learner",
    "fit_t_learner",
    "naive_bayes",
]

PRIOR_ROWS = 20.0  # a rep's mean counts as if so many leads of the mean kind came on top
MOST_ROUNDS = 400
PATIENCE = 25
WATCHED = 0.2  # of the rows, the latest: they say when to stop
LEAVES_OF_ONE_REP = 7
LEAST_ROWS, LEAST_OF_EACH = 100, 5  # below, a rep's own model is the rep's shrunk mean
# Both challengers at their best: of six settings, these kept the most of the gain on simulated floors.
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.04,
    "num_leaves": 15,
    "min_data_in_leaf": 40,
    "lambda_l2": 5.0,
    "feature_fraction": 0.7,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class RepMean:
    """Each rep's share of conversions, shrunk towards the mean: blind to the lead."""

    rates: np.ndarray  # (n_reps,)

    def probability(self, leads: np.ndarray) -> np.ndarray:
        """The rep's rate, whatever the lead, shape (n_leads, n_reps)."""
        return np.tile(self.rates, (len(leads), 1))


@dataclass(frozen=True)
class SLearner:
    """One LightGBM over the lead's columns and the rep as a category (and matches of the two, if given)."""

    booster: lgb.Booster
    n_reps: int

    def probability(self, leads: np.ndarray, matches: np.ndarray | None = None) -> np.ndarray:
        """P(convert), shape (n_leads, n_reps). matches : (n_leads, n_reps, k), if it was fitted with any."""
        columns = []
        for rep in range(self.n_reps):
            of_rep = None if matches is None else matches[:, rep]
            columns.append(self.booster.predict(_pairs(leads, np.full(len(leads), rep), of_rep), num_threads=1))
        return np.column_stack(columns)


@dataclass(frozen=True)
class TLearner:
    """A LightGBM of its own for each rep with enough rows; the shrunk mean for the others."""

    boosters: tuple[lgb.Booster | None, ...]
    means: RepMean

    def probability(self, leads: np.ndarray) -> np.ndarray:
        """P(convert), shape (n_leads, n_reps)."""
        result = self.means.probability(leads)
        for rep, booster in enumerate(self.boosters):
            if booster is not None:
                result[:, rep] = booster.predict(leads, num_threads=1)
        return result


def fit_rep_mean(rep: np.ndarray, converted: np.ndarray, n_reps: int) -> RepMean:
    """Shrunk means. rep : (n,) positions; converted : 0/1 (n,)."""
    rows = np.bincount(rep, minlength=n_reps)
    wins = np.bincount(rep, weights=converted, minlength=n_reps)
    return RepMean((wins + PRIOR_ROWS * np.mean(converted)) / (rows + PRIOR_ROWS))


def fit_s_learner(
    leads: np.ndarray,
    rep: np.ndarray,
    converted: np.ndarray,
    n_reps: int,
    *,
    categorical: Sequence[int] = (),
    matches: np.ndarray | None = None,
) -> SLearner:
    """One LightGBM over pairs.

    leads : (n, p) in time order, NaN where missing; categorical : columns of level numbers;
    matches : (n, k), what each row's lead and rep have in common.
    """
    categories = [*categorical, leads.shape[1]]
    return SLearner(_boost(_pairs(leads, rep, matches), converted, categories, PARAMETERS), n_reps)


def fit_t_learner(
    leads: np.ndarray, rep: np.ndarray, converted: np.ndarray, n_reps: int, *, categorical: Sequence[int] = ()
) -> TLearner:
    """A LightGBM a rep; arguments as in `fit_s_learner`."""
    boosters = []
    small = PARAMETERS | {"num_leaves": LEAVES_OF_ONE_REP}
    for one in range(n_reps):
        own = np.flatnonzero(rep == one)
        wins = converted[own].sum()
        enough = len(own) >= LEAST_ROWS and min(wins, len(own) - wins) >= LEAST_OF_EACH
        boosters.append(_boost(leads[own], converted[own], list(categorical), small) if enough else None)
    return TLearner(tuple(boosters), fit_rep_mean(rep, converted, n_reps))


def _pairs(leads: np.ndarray, rep: np.ndarray, matches: np.ndarray | None) -> np.ndarray:
    return np.column_stack([leads, rep] if matches is None else [leads, rep, matches])


def _boost(
    design: np.ndarray, converted: np.ndarray, categorical: list[int], parameters: dict[str, Any]
) -> lgb.Booster:
    """A booster on all rows, with as many trees as served the latest fifth best when fitted on the rest."""
    cut = int(len(design) * (1 - WATCHED))
    early = lgb.Dataset(design[:cut], converted[:cut], categorical_feature=categorical, params=parameters)
    late = early.create_valid(design[cut:], converted[cut:])
    stop = lgb.early_stopping(PATIENCE, verbose=False)
    watched = lgb.train(parameters, early, num_boost_round=MOST_ROUNDS, valid_sets=[late], callbacks=[stop])
    every = lgb.Dataset(design, converted, categorical_feature=categorical, params=parameters)
    return lgb.train(parameters, every, num_boost_round=max(1, watched.best_iteration))
