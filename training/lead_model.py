"""F(x): the lead alone, in log-odds. LightGBM or logistic regression, chosen by time-ordered cross-validation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from features.columns import ColumnContract
from training.logistic import fit_ridge_logistic, logit
from training.machine import Growth, TreeRows, machine, tree_data
from training.plain_design import PlainDesign, PlainRow, measure_design
from training.saved_trees import SavedTrees
from training.splits import time_folds

if TYPE_CHECKING:
    import lightgbm as lgb  # takes seconds; only growing trees needs it

FOLDS = 3
MOST_ROUNDS = 400
PATIENCE = 25
RIDGE = 4.0  # prior precision of a standardised coefficient: sd .5 in log-odds
TREES = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 15,
    "min_data_in_leaf": 40,
    "lambda_l2": 5.0,
    "feature_fraction": 0.7,
    "cat_smooth": 20.0,
    "cat_l2": 20.0,
    "max_cat_threshold": 16,
    "max_bin": 127,
    "boost_from_average": False,  # with init_score LightGBM would not do it; the base rate is in the offset
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}


class LeadModel(Protocol):
    """What the rest of the house asks of F."""

    @property
    def kind(self) -> str:
        """`trees` or `logistic`."""

    def log_odds(self, leads: np.ndarray) -> np.ndarray:
        """F(x) in log-odds, shape (n,), at `by hand` = 0."""

    def contributions(self, leads: np.ndarray) -> np.ndarray:
        """Additive contributions to F(x) in log-odds, shape (n, n_features + 1); the last is the base value."""

    def log_odds_of(self, row: Sequence[float] | np.ndarray) -> float:
        """F(x) of one lead, n_features long: as `log_odds` has it, without what a table costs."""

    def contributions_of(self, row: Sequence[float] | np.ndarray) -> np.ndarray:
        """The contributions of one lead, shape (n_features + 1,)."""


@dataclass(frozen=True)
class Recipe:
    """How to fit F: which kind, and for trees how many rounds and with which parameters."""

    kind: str  # "trees" or "logistic"
    rounds: int
    parameters: Mapping[str, Any]
    seed: int = 0
    half_life_days: float | None = None  # at which age a row counts half; None: all count alike


@dataclass(frozen=True)
class Trees:
    """F as a LightGBM booster over the lead matrix and one column `by hand`, which is 0 at prediction."""

    booster: "lgb.Booster"
    base: float
    kind: str = "trees"

    def log_odds(self, leads: np.ndarray) -> np.ndarray:
        """F(x) in log-odds, shape (n,)."""
        return self.base + self._predict(leads, raw_score=True)

    def after(self, rounds: int, leads: np.ndarray) -> np.ndarray:
        """F(x) in log-odds after the first trees alone, shape (n,)."""
        return self.base + self._predict(leads, raw_score=True, num_iteration=rounds)

    def contributions(self, leads: np.ndarray) -> np.ndarray:
        """TreeSHAP (LightGBM's pred_contrib), shape (n, n_features + 1)."""
        values = self._predict(leads, pred_contrib=True)
        base = values[:, -1] + values[:, -2] + self.base  # `by hand` is fixed, so its part belongs to the base
        return np.column_stack([values[:, :-2], base])

    def log_odds_of(self, row: Sequence[float] | np.ndarray) -> float:
        """F(x) of one lead."""
        return self.saved.log_odds_of(row)

    def contributions_of(self, row: Sequence[float] | np.ndarray) -> np.ndarray:
        """TreeSHAP of one lead, shape (n_features + 1,)."""
        return self.saved.contributions_of(row)

    @cached_property
    def saved(self) -> SavedTrees:
        """The same trees as they are served."""
        return SavedTrees(self.booster.model_to_string(), self.base)

    def _predict(self, leads: np.ndarray, **how: Any) -> np.ndarray:
        design = np.column_stack([leads, np.zeros(len(leads))])
        return np.asarray(self.booster.predict(design, num_threads=1, **how))


@dataclass(frozen=True)
class Logistic:
    """F as a ridge logistic regression over one-hot categories, standardised numbers and missing marks."""

    categorical: tuple[int, ...]
    levels: tuple[int, ...]  # level count of each categorical feature
    means: np.ndarray  # (n_numbers,)
    scales: np.ndarray  # (n_numbers,)
    coefficients: np.ndarray  # (k,), the intercept first
    centres: np.ndarray  # (k,) the design's means over the training leads: where contributions are 0
    hand_effect: float  # of rows where a person chose the rep; left out at prediction
    kind: str = "logistic"

    def log_odds(self, leads: np.ndarray) -> np.ndarray:
        """F(x) in log-odds, shape (n,)."""
        return self.design(leads) @ self.coefficients

    def log_odds_of(self, row: Sequence[float] | np.ndarray) -> float:
        """F(x) of one lead."""
        return self._one_row(row)

    def contributions_of(self, row: Sequence[float] | np.ndarray) -> np.ndarray:
        """Each feature's part for one lead, shape (n_features + 1,)."""
        return np.asarray(self.contributions(np.array([row]))[0])

    def contributions(self, leads: np.ndarray) -> np.ndarray:
        """Each feature's part of the difference from the average lead, shape (n, n_features + 1).

        These are the Shapley values of a linear model whose features are taken as independent.
        """
        parts = (self.design(leads) - self.centres) * self.coefficients
        result = np.zeros((len(leads), leads.shape[1] + 1))
        result[:, -1] = self.centres @ self.coefficients
        for column, feature in enumerate(self._plain.feature_of_column(leads.shape[1]), start=1):
            result[:, feature] += parts[:, column]
        return result

    def design(self, leads: np.ndarray) -> np.ndarray:
        """The design matrix, shape (n, k): 1, levels, standardised numbers, marks of missing numbers."""
        return self._plain.matrix(leads)

    @cached_property
    def _one_row(self) -> PlainRow:
        return PlainRow(self._plain, self.coefficients)

    @cached_property
    def _plain(self) -> PlainDesign:
        no_logs = np.zeros(len(self.means), dtype=bool)
        return PlainDesign(self.categorical, self.levels, self.means, self.scales, no_logs)


def choose_recipe(
    contract: ColumnContract,
    leads: np.ndarray,
    converted: np.ndarray,
    at_days: np.ndarray,
    *,
    seed: int,
    trees: Mapping[str, Any] = TREES,
) -> tuple[Recipe, dict[str, float]]:
    """The kind of F with the lower log-loss on later rows, and each kind's log-loss.

    Each of 3 consecutive blocks is predicted from what came before; the number of trees is the mean of what
    early stopping found there, scaled up a little for the larger final fit.
    """
    linear_losses, rounds, grown_for = [], [], []
    nobody = np.zeros(len(leads))
    for train, test in time_folds(at_days, FOLDS):
        if not 0 < converted[train].sum() < len(train):
            continue
        grown = _grow(contract, leads[train], nobody[train], converted[train], nobody[train], trees, seed,
                      np.ones(len(train)), watch=(leads[test], converted[test]))
        rounds.append(grown.booster.best_iteration or 1)
        grown_for.append((grown, test))
        linear = fit_logistic(contract, leads[train], nobody[train], converted[train], nobody[train])
        linear_losses.append(log_loss(converted[test], linear.log_odds(leads[test])))
    if not rounds:
        return Recipe("logistic", 0, dict(trees), seed), {}
    tree_losses = [
        # With as many trees as the other blocks asked for: its own early stopping has looked at this block.
        log_loss(converted[test], grown.after(_mean_of_others(rounds, place), leads[test]))
        for place, (grown, test) in enumerate(grown_for)
    ]
    means = {"trees": float(np.mean(tree_losses)), "logistic": float(np.mean(linear_losses))}
    kind = min(means, key=lambda one: means[one])
    return Recipe(kind, max(10, round(1.2 * float(np.mean(rounds)))), dict(trees), seed), means


def _mean_of_others(values: list[int], place: int) -> int:
    return max(1, round(float(np.mean(values[:place] + values[place + 1 :] or values))))


def fit_lead_model(
    recipe: Recipe,
    contract: ColumnContract,
    leads: np.ndarray,
    by_hand: np.ndarray,
    converted: np.ndarray,
    offset: np.ndarray,
    weight: np.ndarray | None = None,
) -> LeadModel:
    """F fitted beside a fixed offset (the rep part), in log-odds.

    leads : (n, n_features); by_hand : 0/1 (n,), a person chose the rep; converted : 0/1 (n,); offset : (n,);
    weight : how much each row counts, (n,), alike if not given.
    """
    even = np.ones(len(leads)) if weight is None else weight
    if recipe.kind == "logistic":
        return fit_logistic(contract, leads, by_hand, converted, offset, even)
    return _grow(
        contract, leads, by_hand, converted, offset, recipe.parameters, recipe.seed, even, rounds=recipe.rounds
    )


def log_loss(converted: np.ndarray, log_odds: np.ndarray) -> float:
    """Mean negative log-likelihood of 0/1 outcomes under log-odds, in nats."""
    return float(np.mean(np.logaddexp(0.0, log_odds) - converted * log_odds))


def fit_logistic(
    contract: ColumnContract,
    leads: np.ndarray,
    by_hand: np.ndarray,
    converted: np.ndarray,
    offset: np.ndarray,
    weight: np.ndarray | float = 1.0,
) -> Logistic:
    """Ridge logistic regression with an offset; an intercept without penalty, and a mark of rows picked by hand."""
    plain = measure_design(contract, leads)
    design = np.column_stack([plain.matrix(leads), by_hand])
    precision = np.full(design.shape[1], RIDGE)
    precision[0] = 1e-6
    coefficients, _ = fit_ridge_logistic(design, converted, offset, precision, weight)
    return Logistic(
        categorical=plain.categorical,
        levels=plain.levels,
        means=plain.means,
        scales=plain.scales,
        coefficients=coefficients[:-1],
        centres=design[:, :-1].mean(axis=0),
        hand_effect=float(coefficients[-1]),
    )


def _grow(
    contract: ColumnContract,
    leads: np.ndarray,
    by_hand: np.ndarray,
    converted: np.ndarray,
    offset: np.ndarray,
    parameters: Mapping[str, Any],
    seed: int,
    weight: np.ndarray,
    *,
    rounds: int = MOST_ROUNDS,
    watch: tuple[np.ndarray, np.ndarray] | None = None,
) -> Trees:
    # LightGBM does not boost from the average where an init_score is given: the base rate goes into it.
    base = float(logit(np.average(converted, weights=weight)) - np.average(offset, weights=weight))
    settings = {**parameters, "seed": seed}
    if np.any((converted > 0) & (converted < 1)):
        settings["objective"] = "cross_entropy"  # the same loss, where a label may be a chance; `binary` rounds it up
    names = [f"c{i}" for i in range(leads.shape[1])] + ["by_hand"]
    rows = TreeRows(_beside(leads, by_hand), converted, offset + base, weight)
    growth = Growth(settings, rounds, names, contract.categorical)
    if watch is None:
        return Trees(machine().grow(rows, growth), base)
    import lightgbm as lgb

    train = tree_data(rows, growth)
    later = train.create_valid(
        _beside(watch[0], np.zeros(len(watch[0]))), watch[1], init_score=np.full(len(watch[0]), base)
    )
    stop = lgb.early_stopping(PATIENCE, verbose=False)
    return Trees(lgb.train(settings, train, num_boost_round=rounds, valid_sets=[later], callbacks=[stop]), base)


def _beside(leads: np.ndarray, by_hand: np.ndarray) -> np.ndarray:
    """What the trees read, float32 (n, n_features + 1)."""
    design = np.empty((len(leads), leads.shape[1] + 1), dtype=np.float32)
    design[:, :-1], design[:, -1] = leads, by_hand
    return design


def out_of_fold(
    recipe: Recipe,
    contract: ColumnContract,
    leads: np.ndarray,
    by_hand: np.ndarray,
    converted: np.ndarray,
    offset: np.ndarray,
    folds: np.ndarray,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """F(x_i) + its `by hand` part, each row predicted by a fit that did not see it, shape (n,).

    folds : (n,) fold number of each row; weight : how much each counts, (n,), alike if not given.
    An F that saw the row would have taken up the rep's effect.
    """
    result = np.empty(len(leads))
    even = np.ones(len(leads)) if weight is None else weight
    for fold in np.unique(folds):
        seen, unseen = folds != fold, folds == fold
        rows = (leads[seen], by_hand[seen], converted[seen], offset[seen], even[seen])
        model = fit_lead_model(recipe, contract, *rows)
        result[unseen] = with_by_hand(model, leads[unseen], by_hand[unseen])
    return result


def with_by_hand(model: LeadModel, leads: np.ndarray, by_hand: np.ndarray) -> np.ndarray:
    """F(x) as the row stood, its `by hand` mark included, in log-odds, shape (n,)."""
    if isinstance(model, Logistic):
        return model.log_odds(leads) + by_hand * model.hand_effect
    if isinstance(model, Trees):
        design = np.column_stack([leads, by_hand])
        return model.base + np.asarray(model.booster.predict(design, raw_score=True, num_threads=1))
    raise TypeError(f"A lead model of type {type(model).__name__} has no mark of hand-picking.")
