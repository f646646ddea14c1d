"""What matching could be worth on rows the model has not seen."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

import training.gain as gain
from data.roster import Rep
from features.columns import Column, ColumnContract
from features.labels import Labels
from features.leads import choose_design
from features.pairs import Match, PairDesign
from features.spells import Spells
from training.calibration import Calibration
from training.conversion import ConversionModel, RosterModel
from training.gain import possible_gain, rules_seen
from training.lead_model import Recipe, fit_lead_model
from training.rep_effects import no_reps

CONTRACT = ColumnContract((Column("kind", "category", ("a", "b")),), dated=False)
ROSTER = (Rep("R-A", skills=("a",)), Rep("R-B", skills=("b",)))
NO_MATCH = PairDesign((), tenure=False)
SKILL = PairDesign((Match("kind", "skills"),), tenure=False)


def hand_made(size=1.0, *, pairs=NO_MATCH):
    """Rep A is better with leads of kind a, rep B with kind b, by `size` in log-odds either way; F is 0."""
    leads = np.repeat([0.0, 1.0], 50)[:, None]
    design = choose_design(CONTRACT, leads)
    effects = np.array([[0.0, size, -size], [0.0, -size, size]])
    nothing = np.zeros(100)
    lead_model = fit_lead_model(Recipe("logistic", 0, {}), CONTRACT, leads, nothing, nothing + 0.5, nothing)
    return ConversionModel(
        contract=CONTRACT,
        lead_model=lead_model,
        lead_design=design,
        pair_design=pairs,
        reps=ROSTER,
        effects=replace(no_reps(3, pairs.width), effects=effects, covariance=np.tile(np.eye(3) * 0.01, (2, 1, 1)),
                        hand_effects=np.zeros(2)),
        calibration=Calibration(),
        score_grid=np.zeros(101),
        grade_cuts=(0.0, 0.0, 0.0),
        verdict="rep_matters",
        window_days=0.0,
    )  # fmt: skip


def later(rng, model, *, rows=3000, came_true=1.0, by_hand=None, rule=False):
    """Spells drawn from the model, or from one whose reps differ `came_true` times as much."""
    kind = rng.integers(0, 2, rows)
    leads, at = kind[:, None].astype(float), np.arange(float(rows))
    rep = kind if rule else rng.integers(0, 2, rows)
    part = RosterModel(model, model.reps).rep_part(leads, at)[np.arange(rows), rep]
    converted = (rng.random(rows) < expit(model.lead_model.log_odds(leads) + came_true * part)).astype(float)
    by_hand = np.zeros(rows, dtype=bool) if by_hand is None else by_hand
    return Spells(
        leads=leads, rep=rep, converted=converted, at_days=at, by_hand=by_hand,
        assigned_by=np.where(by_hand, "manual", "rotation"), load=np.zeros(rows), propensity=np.full(rows, np.nan),
        value=np.full(rows, np.nan), closed=np.ones(rows, dtype=bool), reps=model.reps,
        labels=Labels(0.0, np.ones(rows, dtype=bool), converted),
    )  # fmt: skip


def test_the_possible_gain_by_hand(rng):
    # Each lead can go to whoever is better with its kind, for both kinds are about equally common: from an average
    # of (p(1) + p(-1)) / 2 = 1/2 to p(1). All of the predicted difference comes true.
    model = hand_made(1.0)
    found = possible_gain(model, later(rng, model, rows=20_000))
    expected = expit(1.0) - 0.5
    assert found.value == pytest.approx(expected, rel=0.1)
    assert found.low < expected < found.high
    # The slope's standard error is 1 / sqrt(n p q): .016 at 20,000 rows.
    error = 1 / np.sqrt(20_000 * expit(1.0) * expit(-1.0))
    assert (found.high - found.low) / (2 * 1.645) == pytest.approx(error * expected, rel=0.05)


@pytest.mark.parametrize(("came_true", "low", "high"), [(0.5, 0.4, 0.6), (0.0, -0.1, 0.1), (-1.0, -1.15, -0.85)])
def test_what_did_not_come_true_is_not_promised(rng, came_true, low, high):
    model = hand_made(1.0)
    found = possible_gain(model, later(rng, model, rows=20_000, came_true=came_true))
    assert low < found.value / (expit(1.0) - 0.5) < high


def test_equal_capacity_leaves_nothing_where_one_rep_is_best_for_all(rng):
    model = hand_made(0.0)
    star = replace(model, effects=replace(model.effects, effects=np.array([[1.0, 0, 0], [-1.0, 0, 0]])))
    predicted = gain._predicted_gain(RosterModel(star, star.reps), later(rng, star), (), np.ones(2, dtype=bool))
    # She may get 1.3 times the mean load: 65 % of the leads, the other 35 % must go to the other.
    assert predicted == pytest.approx((0.65 - 0.35) * (expit(1.0) - 0.5), abs=1e-9)


def test_the_gain_of_identical_reps_is_nothing(rng):
    model = hand_made(0.0)
    found = possible_gain(model, later(rng, model))
    assert [found.value, found.low, found.high] == pytest.approx([0, 0, 0], abs=1e-9)


def test_only_rows_that_nobody_picked_say_how_much_came_true(rng):
    model = hand_made(1.0)
    mixed = later(rng, model, rows=8000, by_hand=rng.random(8000) < 0.5)
    picked = mixed.by_hand
    lucky = (mixed.rep == mixed.leads[:, 0]).astype(float)  # by hand, all good pairs convert and no others
    mixed = replace(mixed, converted=np.where(picked, lucky, mixed.converted))
    assert possible_gain(model, mixed).value == pytest.approx(expit(1.0) - 0.5, rel=0.15)


def test_where_it_cannot_be_told_it_is_not(rng):
    model = hand_made(1.0)
    spells = later(rng, model)
    assert possible_gain(model, spells.take(np.arange(99))) is None
    assert possible_gain(model, replace(spells, converted=np.zeros(3000))) is None
    assert possible_gain(model, replace(spells, reps=spells.reps[:1])) is None
    hardly_clean = replace(spells, by_hand=np.arange(3000) >= 99)
    assert possible_gain(model, hardly_clean) is None


def test_who_gets_no_leads_any_more_gets_none_here(rng):
    model = hand_made(1.0)
    one_left = later(rng, model)
    one_left = replace(one_left, rep=np.zeros(3000, dtype=int))
    assert possible_gain(model, one_left).value == pytest.approx(0, abs=1e-9)


# --- rules that the history shows ---


def test_a_match_that_every_row_satisfies_was_a_rule(rng):
    model = hand_made(0.0, pairs=SKILL)
    ruled = later(rng, model, rule=True)
    assert rules_seen(model, ruled) == (0,)
    broken = replace(ruled, rep=np.where(np.arange(3000) < 60, 1 - ruled.rep, ruled.rep))  # 2 % of the rows
    assert rules_seen(model, broken) == ()
    by_hand = replace(broken, by_hand=np.arange(3000) < 60)  # where a person chose, no rule was at work
    assert rules_seen(model, by_hand) == (0,)
    assert rules_seen(hand_made(0.0), ruled) == ()


def test_under_a_rule_that_leaves_one_rep_each_there_is_nothing_to_choose(rng):
    model = hand_made(1.0, pairs=SKILL)
    assert possible_gain(model, later(rng, model, rule=True)).value == pytest.approx(0, abs=1e-9)
