"""Recency where drift shows: old rows count less in F if that predicts later rows better, beyond noise.

A level that drifts is no reason: the newest rows set it anyway (`training.calibration`). So each block's level is set
by the block itself before the two are compared, and what is left is whether the columns have come to mean something
else.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from features.columns import ColumnContract
from training.lead_model import FOLDS, TREES, Recipe, choose_recipe, fit_lead_model
from training.logistic import fit_ridge_logistic
from training.splits import time_folds

# Of the time that the rows span: the oldest rows count half. A quarter looked better on the blocks of a real history
# and did worse on the rows after it.
HALF_LIFE_SHARE = 1.0
CERTAIN = 2.0  # standard errors by which recency must predict better
LEAST_ROWS = 500  # of a block, to judge it by


def find_recipe(
    contract: ColumnContract, leads: np.ndarray, converted: np.ndarray, at_days: np.ndarray, *, seed: int,
    trees: Mapping[str, Any] = TREES,
) -> tuple[Recipe, dict[str, float]]:
    """The kind of F, with recency if drift shows, and each kind's log-loss; arguments as for `choose_recipe`."""
    recipe, losses = choose_recipe(contract, leads, converted, at_days, seed=seed, trees=trees)
    return with_recency(recipe, contract, leads, converted, at_days), losses


def with_recency(
    recipe: Recipe, contract: ColumnContract, leads: np.ndarray, converted: np.ndarray, at_days: np.ndarray
) -> Recipe:
    """The recipe, with a half-life as long as the history if later blocks are predicted better by it.

    leads : (n, n_features); converted : 0/1 (n,); at_days : (n,) days, or ranks where there are no dates.
    """
    half_life = HALF_LIFE_SHARE * float(np.ptp(at_days))
    saved = []
    for train, test in time_folds(at_days, FOLDS):
        if min(len(train), len(test)) < LEAST_ROWS or not 0 < converted[train].sum() < len(train):
            continue
        if not 0 < converted[test].sum() < len(test):
            continue
        nothing = np.zeros(len(train))
        losses = []
        for weight in (np.ones(len(train)), recency_weights(at_days[train], half_life)):
            fitted = fit_lead_model(recipe, contract, leads[train], nothing, converted[train], nothing, weight)
            losses.append(_levelled_losses(converted[test], fitted.log_odds(leads[test])))
        saved.append(losses[0] - losses[1])
    if not saved:
        return recipe
    rows = np.concatenate(saved)
    error = rows.std(ddof=1) / np.sqrt(len(rows))
    return replace(recipe, half_life_days=half_life) if rows.mean() > CERTAIN * error else recipe


def recency_weights(at_days: np.ndarray, half_life_days: float | None) -> np.ndarray:
    """How much each row counts, (n,), 1 on average: half at the half-life's age, all alike without one."""
    if half_life_days is None or half_life_days <= 0:
        return np.ones(len(at_days))
    weight = np.exp2((at_days - at_days.max()) / half_life_days)
    return np.asarray(weight / weight.mean())


def _levelled_losses(converted: np.ndarray, log_odds: np.ndarray) -> np.ndarray:
    """Log-loss of each row once the level is the rows' own, (n,)."""
    level, _ = fit_ridge_logistic(np.ones((len(log_odds), 1)), converted, log_odds, np.array([1e-6]))
    levelled = log_odds + level[0]
    return np.logaddexp(0.0, levelled) - converted * levelled
