"""One lead at a time: the same numbers as a table of leads, from arrays laid out beforehand."""

from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data.roster import Rep
from features.leads import Direction, LeadDesign
from training.conversion import RosterModel
from training.expected_value import ValueModel
from training.lead_model import fit_logistic
from training.plain_design import PlainDesign, PlainRow
from training.roster_columns import RosterColumns
from training.saved_trees import SavedTrees
from training.uplift import uplift_intervals

AWKWARD = np.array([np.nan, np.inf, -np.inf, -1.0, 99.0, 1e300, 0.5, 1e-36, 0.0])
odd_numbers = st.one_of(st.sampled_from(AWKWARD.tolist()), st.integers(0, 3).map(float), st.floats(-1e6, 1e6))


@pytest.fixture(scope="module")
def leads():
    """Encoded leads of the small model, a third of their values awkward."""
    rng = np.random.default_rng(8)
    made = np.column_stack([rng.integers(0, 4, 300), rng.gamma(2, 50, 300), rng.uniform(0, 24, 300),
                            rng.integers(0, 7, 300)]).astype(float)  # fmt: skip
    odd = rng.random(made.shape) < 0.33
    made[odd] = rng.choice(AWKWARD, odd.sum())
    return made


# --- the trees ---


def test_saved_trees_say_what_the_booster_says_to_the_last_bit(small_model, leads):
    trees = small_model.lead_model
    booster: lgb.Booster = trees.booster
    saved = SavedTrees(booster.model_to_string(), trees.base)
    design = np.column_stack([leads, np.zeros(len(leads))])
    raw = trees.base + booster.predict(design, raw_score=True, num_threads=1)
    np.testing.assert_array_equal(saved.log_odds(leads), raw)
    np.testing.assert_array_equal([saved.log_odds_of(row) for row in leads], raw)
    np.testing.assert_array_equal(saved.contributions(leads), trees.contributions(leads))
    np.testing.assert_array_equal([saved.contributions_of(row) for row in leads], trees.contributions(leads))
    assert saved.log_odds(leads[:0]).shape == (0,)


def test_saved_trees_refuse_rows_of_another_width(small_model):
    saved = SavedTrees(small_model.lead_model.booster.model_to_string(), 0.0)
    with pytest.raises(ValueError, match="read 4 columns, got 3"):
        saved.log_odds(np.zeros((2, 3)))
    with pytest.raises(ValueError):
        saved.log_odds_of(np.zeros(3))


def test_many_threads_may_ask_the_same_trees(small_model, leads):
    from concurrent.futures import ThreadPoolExecutor

    saved = SavedTrees(small_model.lead_model.booster.model_to_string(), 0.0)
    expected = saved.log_odds(leads)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda place: saved.log_odds_of(leads[place % 300]), range(6_000)))
    np.testing.assert_array_equal(np.array(told).reshape(20, 300), np.tile(expected, (20, 1)))


# --- linear parts ---

DESIGN = LeadDesign(
    (
        Direction("industry", 1, level=0),
        Direction("industry", 1, level=2),
        Direction("size", 2, mean=3.0, scale=2.0),
        Direction("budget", 3, mean=1.0, scale=0.5, logarithm=True),
    ),
    (1, 1, 0, 2),
)


@given(st.lists(odd_numbers, min_size=3, max_size=3))
def test_what_a_lead_touches_is_its_row_of_z(row):
    places, values = DESIGN.touched(row)
    z = np.zeros(DESIGN.width)
    z[places] = values
    with np.errstate(invalid="ignore", over="ignore"):
        np.testing.assert_allclose(z, DESIGN.matrix(np.array([row]))[0], rtol=1e-14)
    assert 0.0 not in values


@given(arrays(float, 5, elements=odd_numbers), st.integers(0, 2**32 - 1), st.booleans())
def test_a_linear_predictor_of_one_lead_is_that_of_its_table(row, seed, tails):
    rng = np.random.default_rng(seed)
    design = PlainDesign((1, 4), (3, 2), rng.normal(0, 9, 3), rng.uniform(0.1, 9, 3), np.array([tails, False, tails]))
    coefficients = rng.normal(0, 1, 1 + 5 + 2 * 3)
    table = design.matrix(row[None, :]) @ coefficients
    assert PlainRow(design, coefficients)(row) == pytest.approx(table[0], rel=1e-12, abs=1e-12)
    worth = ValueModel(design, coefficients, 1.2, 0.9, -2.0, 3.0, 60)
    assert worth.expected_of(row) == pytest.approx(worth.expected(row[None, :])[0])


def test_a_logistic_f_of_one_lead_is_that_of_its_table(small_model, leads, rng):
    converted = (rng.random(300) < 0.3).astype(float)
    whole = np.where(np.abs(leads) < 1e6, leads, np.nan)
    model = fit_logistic(small_model.contract, whole, np.zeros(300), converted, np.zeros(300))
    np.testing.assert_allclose([model.log_odds_of(row) for row in leads], model.log_odds(leads), atol=1e-12)
    np.testing.assert_array_equal(model.contributions_of(leads[0]), model.contributions(leads[:1])[0])


# --- the roster ---


@given(st.integers(0, 299), st.floats(18_000, 22_000))
def test_the_columns_of_a_roster_hold_what_its_table_holds(small_model, leads, place, at_days):
    reps = (small_model.reps[2], Rep("R-new"), *small_model.reps[:2])  # in another order, one of them not known
    table, columns = RosterModel(small_model, reps), RosterColumns(small_model, reps)
    row = np.where(np.isfinite(leads[place]), leads[place], np.nan)
    row[0] = row[0] if row[0] in (0, 1, 2, 3) else np.nan
    parts = columns.parts(row.tolist(), at_days)
    f, z = table.pairs(row[None], np.array([at_days]))[0], small_model.lead_design.matrix(row[None])[0]
    np.testing.assert_allclose(parts.pairs, f.T, atol=1e-15)
    part = table.rep_part(row[None], np.array([at_days]))[0]
    np.testing.assert_allclose(parts.weights @ parts.rows, part, atol=1e-13)
    variance = (table.covariance @ z) @ z
    np.testing.assert_allclose(columns.variance(parts), variance, rtol=1e-5)


def test_an_interval_from_single_precision_is_the_interval(small_model, leads):
    table, columns = RosterModel(small_model, small_model.reps), RosterColumns(small_model, small_model.reps)
    row = np.nan_to_num(leads[0], posinf=1, neginf=1).clip(0, 3)
    z, parts = small_model.lead_design.matrix(row[None])[0], columns.parts(row.tolist(), 20_000.0)
    p = table.probability(row[None], np.array([20_000.0]))[0]
    ends = [
        uplift_intervals(np.arange(4), probability=p, rotation=np.full(4, 0.25), variance=variance, pairs=parts.pairs,
                         beta_covariance=small_model.effects.beta_covariance, slope=0.9)
        for variance in (columns.variance(parts), (table.covariance @ z) @ z)
    ]
    np.testing.assert_allclose(ends[0].low, ends[1].low, atol=1e-7)
    np.testing.assert_allclose(ends[0].high, ends[1].high, atol=1e-7)


def test_tenure_moves_on_with_the_day(small_model):
    columns = RosterColumns(small_model, (small_model.reps[0], Rep("R-new")))
    first = columns.tenure(20_000.9)
    assert columns.tenure(20_000.1) is first
    later = columns.tenure(20_001.0)
    assert (later.days[0], later.days[1]) == (first.days[0] + 1, None)


def test_a_model_of_no_pairs_is_laid_out_too(small_model, leads):
    from features.pairs import PairDesign

    effects = replace(small_model.effects, beta=np.empty(0), beta_covariance=np.empty((0, 0)))
    bare = replace(small_model, pair_design=PairDesign((), tenure=False), effects=effects)
    parts = RosterColumns(bare, bare.reps).parts([0.0, 10.0, 1.0, 2.0], 20_000.0)
    assert parts.pairs.shape == (0, 4)
