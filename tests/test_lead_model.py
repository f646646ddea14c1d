"""F(x): trees or logistic regression beside an offset, chosen on later rows, with parts that add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from features.columns import Column, ColumnContract
from training.lead_model import (
    RIDGE,
    TREES,
    Logistic,
    Recipe,
    Trees,
    choose_recipe,
    fit_lead_model,
    fit_logistic,
    log_loss,
    out_of_fold,
    with_by_hand,
)

CONTRACT = ColumnContract(
    (Column("industry", "category", ("a", "b", "c")), Column("size", "number"), Column("pages", "number")), dated=False
)
RECIPES = {kind: Recipe(kind, 120, {**TREES, "min_data_in_leaf": 20}) for kind in ("trees", "logistic")}
both = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def floor(rng, rows=2000, truth=None):
    """(leads, converted, log-odds) of leads with some values missing."""
    leads = np.column_stack([rng.integers(0, 4, rows), rng.normal(5, 2, rows), rng.poisson(3, rows)]).astype(float)
    log_odds = -1.5 + 0.8 * (leads[:, 0] == 1) + 0.3 * (leads[:, 1] - 5) if truth is None else truth(leads)
    leads[rng.random(leads.shape) < 0.05] = np.nan
    return leads, (rng.random(rows) < expit(log_odds)).astype(float), log_odds


# --- both kinds ---


@both
def test_contributions_add_up_to_f(rng, recipe):
    leads, converted, _ = floor(rng)
    model = fit_lead_model(recipe, CONTRACT, leads, np.zeros(2000), converted, np.zeros(2000))
    parts = model.contributions(leads[:50])
    assert parts.shape == (50, 4)
    np.testing.assert_allclose(parts.sum(axis=1), model.log_odds(leads[:50]), atol=1e-10)
    assert np.ptp(parts[:, -1]) < 1e-12  # the base value is the same for all


@both
def test_contributions_tell_a_lead_from_the_average_one(rng, recipe):
    leads, converted, _ = floor(rng, 3000)
    leads[:, 0] = np.where(rng.random(3000) < 0.95, 1.0, 0.0)  # nearly all leads are of one kind
    model = fit_lead_model(recipe, CONTRACT, leads, np.zeros(3000), converted, np.zeros(3000))
    parts = model.contributions(leads)
    assert parts[:, :-1].mean(axis=0) == pytest.approx(np.zeros(3), abs=0.02)
    assert parts[0, -1] == pytest.approx(model.log_odds(leads).mean(), abs=0.02)


@both
def test_an_offset_is_not_learned_again(rng, recipe):
    leads, _, log_odds = floor(rng, 8000)
    offset = rng.normal(1.0, 1.0, 8000)
    converted = (rng.random(8000) < expit(log_odds + offset)).astype(float)
    f = fit_lead_model(recipe, CONTRACT, leads, np.zeros(8000), converted, offset).log_odds(leads)
    # With an init_score LightGBM does not start from the base rate by itself: F would sit near p = .5.
    assert expit(f + offset).mean() == pytest.approx(converted.mean(), abs=0.01)
    assert f.mean() == pytest.approx(log_odds.mean(), abs=0.15)
    assert np.corrcoef(f, log_odds)[0, 1] > 0.85


@both
def test_f_speaks_of_leads_that_nobody_picked(rng, recipe):
    leads, _, log_odds = floor(rng, 8000)
    by_hand = (rng.random(8000) < 0.4).astype(float)
    converted = (rng.random(8000) < expit(log_odds + 1.2 * by_hand)).astype(float)
    model = fit_lead_model(recipe, CONTRACT, leads, by_hand, converted, np.zeros(8000))
    assert expit(model.log_odds(leads)).mean() == pytest.approx(expit(log_odds).mean(), abs=0.025)
    as_it_stood = with_by_hand(model, leads, by_hand)
    assert expit(as_it_stood).mean() == pytest.approx(converted.mean(), abs=0.01)
    np.testing.assert_allclose(as_it_stood[by_hand == 0], model.log_odds(leads[by_hand == 0]))


@both
def test_out_of_fold_predictions_do_not_know_their_own_outcome(rng, recipe):
    leads, converted, _ = floor(rng, 600)
    folds, nobody = np.arange(600) % 3, np.zeros(600)
    before = out_of_fold(recipe, CONTRACT, leads, nobody, converted, nobody, folds)
    other = np.where(folds == 1, 1 - converted, converted)
    after = out_of_fold(recipe, CONTRACT, leads, nobody, other, nobody, folds)
    np.testing.assert_array_equal(before[folds == 1], after[folds == 1])
    assert np.abs(before[folds != 1] - after[folds != 1]).min() > 0


@both
def test_the_same_rows_give_the_same_model(rng, recipe):
    leads, converted, _ = floor(rng, 500)
    one, again = (
        fit_lead_model(recipe, CONTRACT, leads, np.zeros(500), converted, np.zeros(500)).log_odds(leads) for _ in "ab"
    )
    np.testing.assert_array_equal(one, again)


def test_another_kind_of_model_has_no_mark():
    with pytest.raises(TypeError, match="no mark of hand-picking"):
        with_by_hand(object(), np.zeros((1, 1)), np.zeros(1))


# --- the choice ---


def chosen(rng, truth, rows=3000):
    leads, converted, _ = floor(rng, rows, truth)
    return leads, converted, choose_recipe(CONTRACT, leads, converted, np.arange(float(rows)), seed=1)


def test_a_straight_world_is_left_to_logistic_regression(rng):
    *_, (recipe, losses) = chosen(rng, lambda leads: -1 + 0.5 * (leads[:, 1] - 5))
    assert recipe.kind == "logistic"
    assert losses["logistic"] < losses["trees"]


def test_a_crooked_world_is_left_to_trees(rng):
    *_, (recipe, losses) = chosen(rng, lambda leads: -1 + 2.0 * np.sign((leads[:, 1] - 5) * (leads[:, 2] - 2.5)))
    assert recipe.kind == "trees"
    assert losses["trees"] < losses["logistic"]
    assert recipe.rounds >= 10


def test_the_choice_follows_time_and_not_the_order_of_the_rows(rng):
    leads, converted, (recipe, losses) = chosen(rng, None, 900)
    mixed = rng.permutation(900)
    again = choose_recipe(CONTRACT, leads[mixed], converted[mixed], np.arange(900.0)[mixed], seed=1)
    assert again == (recipe, losses)


def test_each_quarter_is_judged_by_what_came_before(rng):
    leads, converted, (_, losses) = chosen(rng, None, 1000)
    seen = []
    for start in (250, 500, 750):
        nobody = np.zeros(start)
        model = fit_logistic(CONTRACT, leads[:start], nobody, converted[:start], nobody)
        later = slice(start, start + 250)
        seen.append(log_loss(converted[later], model.log_odds(leads[later])))
    assert losses["logistic"] == pytest.approx(np.mean(seen))


def test_early_stopping_gives_trees_no_start_over_the_other_kind(rng):
    # Nothing can be known here. Stopped where the judged rows look best, trees would seem to know something.
    wins = 0
    for _ in range(12):
        leads = floor(rng, 400)[0]
        converted = (rng.random(400) < 0.3).astype(float)
        _, losses = choose_recipe(CONTRACT, leads, converted, np.arange(400.0), seed=1)
        rates = [converted[:start].mean() for start in (100, 200, 300)]
        constant = np.mean(
            [log_loss(converted[start : start + 100], np.full(100, np.log(rate / (1 - rate))))
             for start, rate in zip((100, 200, 300), rates, strict=True)]
        )  # fmt: skip
        wins += losses["trees"] < constant
    assert wins <= 8


def test_where_no_earlier_block_has_both_outcomes_the_simpler_kind_is_taken(rng):
    leads = floor(rng, 100)[0]
    recipe, losses = choose_recipe(CONTRACT, leads, np.repeat([0.0, 1.0], [99, 1]), np.arange(100.0), seed=1)
    assert (recipe.kind, losses) == ("logistic", {})


def test_log_loss_by_hand():
    assert log_loss(np.array([1, 0]), np.array([np.log(3), np.log(3)])) == pytest.approx(
        -(np.log(0.75) + np.log(0.25)) / 2
    )


# --- logistic regression ---


def test_the_design_by_hand():
    model = Logistic((0,), (3,), np.array([10.0, 0.0]), np.array([2.0, 1.0]), np.zeros(8), np.zeros(8), 0.0)
    leads = np.array([[1, 14.0, 0.5], [np.nan, np.nan, -9.0], [7, 1e9, 0]])
    expected = [
        [1, 0, 1, 0, 2.0, 0.5, 0, 0],
        [1, 0, 0, 0, 0.0, -4.0, 1, 0],  # a missing number is average, and marked; -9 is clipped
        [1, 0, 0, 0, 4.0, 0.0, 0, 0],
    ]
    np.testing.assert_array_equal(model.design(leads), expected)


def test_scikit_learn_agrees(rng):
    leads, converted, _ = floor(rng, 800)
    model = fit_logistic(CONTRACT, leads, np.zeros(800), converted, np.zeros(800))
    design = model.design(leads)[:, 1:]
    theirs = LogisticRegression(C=1 / RIDGE, tol=1e-10, max_iter=2000).fit(design, converted)
    np.testing.assert_allclose(model.coefficients[1:], theirs.coef_[0], atol=1e-4)
    assert model.coefficients[0] == pytest.approx(theirs.intercept_[0], abs=1e-4)


@given(st.integers(0, 2**32 - 1))
def test_any_leads_get_a_finite_f(seed):
    rng = np.random.default_rng(seed)
    leads = rng.normal(0, 10.0 ** rng.integers(-3, 8), (60, 3))
    leads[:, 0] = rng.integers(0, 4, 60)
    leads[rng.random(leads.shape) < 0.3] = np.nan
    model = fit_logistic(CONTRACT, leads, np.zeros(60), rng.integers(0, 2, 60), np.zeros(60))
    odd = np.array([[99.0, 1e300, -1e300], [np.nan] * 3])
    assert np.isfinite(model.log_odds(np.vstack([leads, odd]))).all()


# --- trees ---


def test_the_last_column_is_the_mark_and_the_trees_are_over_the_leads(rng):
    leads, converted, _ = floor(rng, 400)
    model = fit_lead_model(RECIPES["trees"], CONTRACT, leads, np.zeros(400), converted, np.zeros(400))
    assert isinstance(model, Trees)
    assert model.booster.feature_name() == ["c0", "c1", "c2", "by_hand"]
    assert model.booster.num_trees() == 120
