"""`train --trials N`: the trees' parameters, searched on time-ordered folds with Optuna."""

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna

from features.columns import ColumnContract
from training.lead_model import TREES, Recipe, choose_recipe
from training.recency import find_recipe


def tune(
    contract: ColumnContract,
    leads: np.ndarray,
    converted: np.ndarray,
    at_days: np.ndarray,
    *,
    trials: int,
    seed: int,
    say: Callable[[str], None],
) -> Recipe:
    """The best recipe of `trials` tries beside the usual one, by log-loss on later rows.

    The usual parameters are tried first, so a search never ends worse than none on these folds. The logistic
    kind has nothing to search and stays in the running.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial({name: TREES[name] for name in SEARCHED})

    def loss(trial: optuna.Trial) -> float:
        parameters = {**TREES, **_suggest(trial)}
        _, losses = choose_recipe(contract, leads, converted, at_days, seed=seed, trees=parameters)
        say(f"trial {trial.number + 1} of {trials + 1}: log-loss of the trees {losses.get('trees', np.nan):.4f}")
        return losses.get("trees", np.inf)

    study.optimize(loss, n_trials=trials + 1)
    best = {**TREES, **study.best_params}
    recipe, _ = find_recipe(contract, leads, converted, at_days, seed=seed, trees=best)
    return recipe


SEARCHED = ("learning_rate", "num_leaves", "min_data_in_leaf", "lambda_l2", "feature_fraction", "cat_smooth")


def _suggest(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 4, 63, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 10, 300, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 50.0, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.4, 1.0),
        "cat_smooth": trial.suggest_float("cat_smooth", 1.0, 100.0, log=True),
    }
