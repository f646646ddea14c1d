"""From spells to a model: what is fitted to what, the level, and data sets that lack something."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from data.dataset import dataset_from_tables
from data.description import Description
from data.roster import Rep
from data.simulator import simulate
from features.columns import instants
from features.spells import lead_matrix
from pipelines.prepare import prepare
from serving.deciding.scorer import LeadScores, Scorer
from training.assess import look_for_potential, rehearse
from training.conversion import RosterModel
from training.fit import (
    RECALIBRATION_ROWS,
    assemble,
    fit_parts,
    lead_alone,
    newest_window,
    predict_spells,
    rotation_sample,
    served_log_odds,
)
from training.lead_model import TREES, Recipe
from training.metrics import auc

TREES_ALONE = Recipe("trees", 30, TREES)


@pytest.fixture(scope="module")
def fitted(small_spells, small_fit):
    return small_spells.spells, small_spells.contract, *small_fit


def test_probability_is_the_formula_written_out(fitted):
    spells, _, _, model = fitted
    rows = np.arange(0, len(spells), 97)
    leads, at = spells.leads[rows], spells.at_days[rows]
    roster = RosterModel(model, model.reps)
    p, f = roster.probability(leads, at), roster.pairs(leads, at)
    assert f.shape == (len(rows), len(model.reps), model.pair_design.width)
    z, lead = model.lead_design.matrix(leads), model.lead_model.log_odds(leads)
    for i in range(len(rows)):
        for r in range(len(model.reps)):
            eta = lead[i] + f[i, r] @ model.effects.beta + z[i] @ model.effects.effects[r]
            eta = model.calibration.intercept + model.calibration.slope * eta
            assert p[i, r] == pytest.approx(expit(eta), abs=1e-14)


def test_a_known_rep_keeps_her_posterior_and_a_new_one_has_the_prior(fitted):
    *_, model = fitted
    roster = RosterModel(model, (model.reps[3], Rep("R-new"), model.reps[1]))
    np.testing.assert_array_equal(roster.effects[[0, 2]], model.effects.effects[[3, 1]])
    assert not roster.effects[1].any()
    np.testing.assert_array_equal(roster.covariance[[0, 2]], model.effects.covariance[[3, 1]])
    np.testing.assert_array_equal(roster.covariance[1], np.diag(model.effects.prior_variance))


def test_a_spell_is_served_as_the_roster_would_be(fitted):
    spells, _, _, model = fitted
    p = RosterModel(model, model.reps).probability(spells.leads, spells.at_days)
    np.testing.assert_allclose(expit(served_log_odds(model, spells)), p[np.arange(len(spells)), spells.rep], atol=1e-12)


def test_rows_stand_with_their_mark_and_their_load_and_are_served_without(fitted):
    spells, _, _, model = fitted
    stood, lead = predict_spells(model, spells)
    plain = replace(spells, by_hand=np.zeros(len(spells), dtype=bool), load=np.zeros(len(spells)))
    np.testing.assert_allclose(predict_spells(model, plain)[0], served_log_odds(model, spells), atol=1e-10)
    assert np.abs(stood - predict_spells(model, plain)[0])[spells.by_hand].max() > 1e-3
    assert np.abs(stood - lead).max() > 1e-3


def test_a_few_rows_stand_as_they_do_among_all(fitted):
    spells, _, _, model = fitted
    picked = np.flatnonzero(spells.by_hand)[:50]  # none of these alone says that anybody was not picked
    whole, lead = predict_spells(model, spells)
    some, some_lead = predict_spells(model, spells.take(picked))
    np.testing.assert_allclose(some, whole[picked], atol=1e-12)
    np.testing.assert_allclose(some_lead, lead[picked], atol=1e-12)


def test_the_level_is_that_of_the_newest_rows(fitted):
    spells, _, parts, model = fitted
    newest = newest_window(spells.at_days, spells.labels.window_days, dated=True)
    assert model.calibration.rows == newest.sum()
    seen = expit(model.calibration.apply(parts.log_odds[newest])).mean()
    assert seen == pytest.approx(spells.converted[newest].mean(), abs=1e-6)


def test_the_newest_window_by_hand():
    days = np.arange(0, 200, 0.05)  # 20 rows a day
    assert newest_window(days, 60.0, dated=True).sum() == 1201  # 60 days and the moment itself
    assert newest_window(days, 10.0, dated=True).sum() == RECALIBRATION_ROWS  # 30 days have 601 rows
    assert newest_window(days[:500], 10.0, dated=True).all()
    assert newest_window(np.arange(100.0), 60.0, dated=False).sum() == 20


def test_score_and_grades_are_cut_from_the_rotation_of_training_leads(fitted):
    spells, _, _, model = fitted
    rotation = rotation_sample(model, spells)
    np.testing.assert_allclose(model.score_grid, np.percentile(rotation, np.arange(101)))
    assert model.grade_cuts == pytest.approx(tuple(np.quantile(rotation, [0.8, 0.5, 0.2])))
    assert model.window_days == spells.labels.window_days


def test_the_parts_out_of_fold_do_not_flatter_themselves(fitted):
    spells, _, parts, model = fitted
    in_sample = model.lead_model.log_odds(spells.leads)
    assert auc(spells.converted, expit(parts.lead_alone)).value < auc(spells.converted, expit(in_sample)).value - 0.02


# --- known truth ---


@pytest.fixture(scope="module")
def strong():
    """A floor where reps matter much, its data set, and what was learned of it: (world, prepared, parts, model)."""
    world = simulate(leads=4_000, reps=8, seed=2, effect=2.5)
    data = dataset_from_tables(world.leads, world.reps, world.assignments, Description(**world.description()))
    prepared = prepare(data)
    parts = fit_parts(prepared.spells, prepared.contract, seed=1)
    model = assemble(parts, prepared.spells, prepared.contract, verdict="rep_matters", facts={})
    return world, prepared, parts, model


def test_fresh_leads_gain_from_the_model_and_not_from_chance(strong):
    world, prepared, _, model = strong
    leads = world.fresh_leads(1500, 1)
    truth, eligible = world.probability(leads), world.eligible(leads)
    place = {rep.rep_id: rep for rep in model.reps}
    roster = RosterModel(model, [place[rep] for rep in world.rep_ids])
    matrix = lead_matrix(leads, prepared.contract)
    p = roster.probability(matrix, instants(leads["created_at"]))
    row = np.arange(len(leads))
    rotation = np.where(eligible, truth, 0).sum(axis=1) / eligible.sum(axis=1)
    best = np.where(eligible, truth, -1).max(axis=1) - rotation
    chosen = truth[row, np.where(eligible, p, -1).argmax(axis=1)] - rotation
    assert chosen.mean() > 0.5 * best.mean()


def test_a_strong_effect_of_reps_is_seen(strong):
    _, prepared, parts, _ = strong
    found = look_for_potential(parts, prepared.spells, prepared.contract, seed=1)
    assert found.verdict == "rep_matters"
    rehearsal = rehearse(prepared.spells, prepared.contract, seed=1)
    assert rehearsal.gain.low > 0


# --- the rehearsal ---


def test_the_rehearsal_judges_rows_that_it_did_not_learn_from(small_spells):
    spells, contract = small_spells.spells, small_spells.contract
    found = rehearse(spells, contract, seed=1, recipe=TREES_ALONE)
    start = spells.at_days[found.rows].min()
    assert len(found.rows) == pytest.approx(0.2 * len(spells), abs=2)
    np.testing.assert_array_equal(found.later.converted, spells.converted[found.rows])
    # Turn every later outcome round: what was predicted must stay.
    late = spells.at_days >= start
    turned = replace(spells, converted=np.where(late, 1 - spells.converted, spells.converted))
    again = rehearse(turned, contract, seed=1, recipe=TREES_ALONE)
    np.testing.assert_array_equal(again.log_odds, found.log_odds)
    assert again.metrics["auc"].value == pytest.approx(1 - found.metrics["auc"].value)


# --- data sets that lack something ---


def dataset_of(rng, *, rows=400, reps=4, columns=True, dated=True, reasons=True):
    number = np.arange(rows)
    created = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(number, unit="h")
    industry = rng.choice(["food", "retail", "trade"], rows)
    won = rng.random(rows) < expit(-0.5 + (industry == "retail"))
    leads = pd.DataFrame({"lead_id": [f"L-{i}" for i in number]})
    assignments = leads.assign(outcome=np.where(won, "won", "lost"))
    if reps:
        assignments["rep_id"] = [f"R-{i % reps}" for i in number]
        assignments["assigned_by"] = np.where(rng.random(rows) < 0.7, "rotation", "manual") if reasons else None
    if dated:
        leads["created_at"], assignments["assigned_at"] = created, created
        assignments["closed_at"] = created + pd.Timedelta(days=1)
    if columns:
        leads["industry"], leads["size"] = industry, rng.gamma(2, 50, rows)
    roster = pd.DataFrame({"rep_id": [f"R-{i}" for i in range(reps)]})
    if reps:
        roster["hired_at"] = pd.Timestamp("2024-12-01", tz="UTC")
        roster["skills"] = ["food", "retail", "trade", "food"][:reps]
    stated = {} if dated else {"order_by": "file"}
    return dataset_from_tables(leads, roster, assignments, Description(**stated, **({} if reps else {"reps": "none"})))


@pytest.mark.parametrize("recipe", [TREES_ALONE, Recipe("logistic", 0, {}), None], ids=["trees", "logistic", "chosen"])
@pytest.mark.parametrize(
    "lacks",
    [{}, {"reps": 0}, {"columns": False}, {"dated": False}, {"reasons": False}, {"dated": False, "columns": False},
     {"reps": 0, "dated": False}],
    ids=str,
)  # fmt: skip
def test_a_model_comes_of_what_there_is(rng, lacks, recipe):
    prepared = prepare(dataset_of(rng, **lacks))
    spells, contract = prepared.spells, prepared.contract
    rehearsal = rehearse(spells, contract, seed=1, recipe=recipe)
    parts = fit_parts(spells, contract, seed=1, recipe=rehearsal.recipe)
    potential = look_for_potential(parts, spells, contract, seed=1)
    assert potential.verdict == "too_little_data"
    model = assemble(parts, spells, contract, verdict=potential.verdict, facts={})
    assert np.isfinite(served_log_odds(model, spells)).all()
    scores = LeadScores(Scorer(model, model.reps), spells.leads[0].tolist(), 20_000.0, {}, ())
    assert scores.probability.shape == (len(spells.reps),)
    if not spells.reps:
        np.testing.assert_allclose(lead_alone(model, spells.leads), expit(served_log_odds(model, spells)))
    if not spells.reasons_logged:
        assert np.all(parts.effects.hand_effects == 0)  # the mark would only rename the rep's own level
