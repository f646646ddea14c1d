"""One lead at a time: the same numbers as a table of leads, from arrays laid out beforehand."""

from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data.roster import Rep
from features.columns import Column, ColumnContract
from features.leads import Direction, LeadDesign
from features.pairs import Match, PairDesign
from training.conversion import RosterModel
from training.expected_value import ValueModel
from training.lead_model import fit_logistic
from training.plain_design import PlainDesign, PlainRow
from training.rep_arithmetic import Among
from training.roster_columns import RosterColumns
from training.saved_trees import SavedTrees
from training.uplift import uplift_errors

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
    ones = [saved.contributions_of(row) for row in leads]
    np.testing.assert_allclose(ones, trees.contributions(leads), rtol=0, atol=1e-13)
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
def test_z_of_one_lead_is_its_row_of_the_table(row):
    with np.errstate(invalid="ignore", over="ignore"):
        np.testing.assert_allclose(DESIGN.row(row), DESIGN.matrix(np.array([row]))[0], rtol=1e-14)


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


def whole(lead):
    """A lead with no value that its table's encoder would not write."""
    row = np.where(np.isfinite(lead), lead, np.nan)
    row[0] = row[0] if row[0] in (0, 1, 2, 3) else np.nan
    return row


@given(st.integers(0, 299), st.floats(18_000, 22_000))
def test_the_columns_of_a_roster_hold_what_its_table_holds(small_model, leads, place, at_days):
    reps = (small_model.reps[2], Rep("R-new"), *small_model.reps[:2])  # in another order, one of them not known
    table, columns = RosterModel(small_model, reps), RosterColumns(small_model, reps)
    row, at = whole(leads[place]), np.array([at_days])
    arithmetic, touched = columns.day(at_days).arithmetic, columns.touched(row.tolist())
    z = small_model.lead_design.matrix(row[None])[0]
    offset = small_model.calibration.apply(small_model.lead_model.log_odds(row[None]))
    log_odds, probability = arithmetic.scores(touched, offset)
    np.testing.assert_allclose(log_odds, table.log_odds(row[None], at), atol=1e-13)
    np.testing.assert_allclose(probability, table.probability(row[None], at), atol=1e-14)
    variance = arithmetic.variance(touched)
    np.testing.assert_allclose(variance[0], (table.covariance @ z) @ z, rtol=1e-5)
    everybody, asked = Among(np.ones((1, 4), dtype=bool), np.zeros(1, dtype=np.intp)), np.arange(4)[None]
    found = arithmetic.uplifts(touched, probability, variance, everybody, asked)
    value, error = uplift_errors(
        np.arange(4), probability=probability[0], rotation=np.full(4, 0.25), variance=(table.covariance @ z) @ z,
        pairs=table.pairs(row[None], at)[0].T, beta_covariance=small_model.effects.beta_covariance, slope=0.9,
    )  # fmt: skip
    np.testing.assert_allclose(found.value[0], value, atol=1e-14)
    np.testing.assert_allclose(found.error[0], error, atol=1e-7)  # from variances in single precision


def test_a_block_touches_what_each_of_its_leads_touches(small_model, leads):
    columns = RosterColumns(small_model, small_model.reps)
    rows = np.array([whole(lead) for lead in leads])
    block = columns.touched_by(rows)
    for place, row in enumerate(rows.tolist()):
        one = columns.touched(row)
        np.testing.assert_allclose(one.z[0], block.z[place], rtol=1e-14)
        np.testing.assert_array_equal(one.fits[0], block.fits[place])


def test_tenure_moves_on_with_the_day(small_model):
    columns = RosterColumns(small_model, (small_model.reps[0], Rep("R-new")))
    first = columns.day(20_000.9)
    assert columns.day(20_000.1) is first
    later = columns.day(20_001.0)
    assert (later.here[0], later.here[1]) == (first.here[0] + 1, None)


def test_a_model_of_no_pairs_is_laid_out_too(small_model):
    effects = replace(small_model.effects, beta=np.empty(0), beta_covariance=np.empty((0, 0)))
    bare = replace(small_model, pair_design=PairDesign((), tenure=False), effects=effects)
    columns = RosterColumns(bare, bare.reps)
    touched = columns.touched([0.0, 10.0, 1.0, 2.0])
    assert touched.fits.shape == (1, 0)
    arithmetic = columns.day(20_000.0).arithmetic
    _, probability = arithmetic.scores(touched, np.zeros(1))
    everybody, asked = Among(np.ones((1, 4), dtype=bool), np.zeros(1, dtype=np.intp)), np.arange(4)[None]
    found = arithmetic.uplifts(touched, probability, arithmetic.variance(touched), everybody, asked)
    np.testing.assert_allclose(found.value, probability - probability.mean(), atol=1e-15)


def test_a_list_is_matched_row_by_row(small_model):
    contract = ColumnContract((Column("needs", "list", ("audit", "cloud")), Column("company_size", "number")))
    reps = (Rep("R-1", skills=("cloud",)), Rep("R-2", skills=("audit", "cloud")), Rep("R-3"))
    design = PairDesign((Match("needs", "skills"),), tenure=False)
    effects = replace(small_model.effects, beta=np.array([0.5]), beta_covariance=np.eye(1))
    model = replace(small_model, contract=contract, pair_design=design, effects=effects, reps=())
    columns = RosterColumns(model, reps)
    asked = np.array([[0.0, 1.0], [0.0, 0.0], [np.nan, np.nan], [1.0, 1.0]])
    block = columns.touched_by(np.column_stack([asked, np.full((4, 3), 1.0)]))
    held = np.vstack([columns.tables.rows, block.extra])
    np.testing.assert_array_equal(held[block.fits[:, 0]], [[1, 1, 0], [0, 0, 0], [0, 0, 0], [1, 1, 0]])
