"""Recency in F: only where the columns have come to mean something else."""

import numpy as np
import pytest
from scipy.special import expit

from features.columns import Column, ColumnContract
from training.lead_model import Recipe, fit_lead_model
from training.recency import recency_weights, with_recency

CONTRACT = ColumnContract((Column("size", "number"),), dated=False)
RECIPE = Recipe("logistic", 0, {})
ROWS = 6_000


def history(rng, slope_over_time, level_over_time=0.0):
    """One number whose weight and level go from the first value to the second over the history."""
    size, at = rng.normal(size=ROWS), np.linspace(0, 400, ROWS)
    age = at / 400
    log_odds = -1 + level_over_time * age + (slope_over_time[0] * (1 - age) + slope_over_time[1] * age) * size
    return CONTRACT, size[:, None], (rng.random(ROWS) < expit(log_odds)).astype(float), at


def test_half_a_life_older_counts_half():
    weight = recency_weights(np.array([0.0, 50.0, 100.0]), 50.0)
    assert weight == pytest.approx(np.array([0.25, 0.5, 1.0]) / (1.75 / 3))
    assert weight.mean() == pytest.approx(1)
    assert (recency_weights(np.arange(3.0), None) == 1).all()


def test_a_column_that_changed_its_meaning_is_learned_from_recent_rows(rng):
    made = history(rng, (1.5, -1.5))
    recipe = with_recency(RECIPE, *made)
    assert recipe.half_life_days == pytest.approx(400)
    contract, leads, converted, at = made
    nothing = np.zeros(ROWS)
    weight = recency_weights(at, recipe.half_life_days)
    even, recent = (fit_lead_model(RECIPE, contract, leads, nothing, converted, nothing, w) for w in (None, weight))
    # The mean of the slope, 1.5 to -1.5 over time, is 0; with weights of .5 to 1 it is -.17, so -.34 for two units.
    ends = np.array([[-1.0], [1.0]])
    moved = np.diff(recent.log_odds(ends))[0] - np.diff(even.log_odds(ends))[0]
    assert moved == pytest.approx(-0.34, abs=0.15)


@pytest.mark.parametrize("level", [0.0, 1.5])
def test_a_steady_column_keeps_all_its_rows_even_where_the_level_drifts(rng, level):
    assert with_recency(RECIPE, *history(rng, (1.0, 1.0), level)).half_life_days is None


def test_too_short_a_history_forgets_nothing(rng):
    contract, leads, converted, at = history(rng, (1.5, -1.5))
    few = slice(0, ROWS, 10)
    assert with_recency(RECIPE, contract, leads[few], converted[few], at[few]).half_life_days is None


def test_weights_count_like_repeated_rows(rng):
    contract, leads, converted, _ = history(rng, (1.0, 1.0))
    leads, converted = leads[:400], converted[:400]
    weight = rng.integers(1, 4, 400).astype(float)
    every = np.repeat(np.arange(400), weight.astype(int))
    zeros = np.zeros(400)
    weighted = fit_lead_model(RECIPE, contract, leads, zeros, converted, zeros, weight)
    repeated = fit_lead_model(RECIPE, contract, leads[every], zeros[every], converted[every], zeros[every])
    # The design is standardised on the rows themselves, so the two agree as functions, not by coefficient.
    assert weighted.log_odds(leads) == pytest.approx(repeated.log_odds(leads), abs=0.02)
