"""Could hidden hand-picking explain what the model sees? What each look finds, misses, and says it cannot tell."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from typer.testing import CliRunner

from data.dataset import dataset_from_tables
from data.description import Description
from data.simulator import simulate
from features.columns import Column, ColumnContract
from pipelines import cli
from pipelines.prepare import prepare
from training.fit import assemble, fit_parts
from training.hidden_picking import gap_p, look_for_hidden_picking
from training.negative_control import choose_controls, left_over, negative_control
from training.permutation import permutation_p, shuffles
from training.sensitivity import e_value, sensitivity

CONTRACT = ColumnContract(
    (Column("kind", "category", ("a", "b")), Column("pages", "number"), Column("size", "number")), dated=False
)


# --- permutation ---


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(0, 9))
def test_a_shuffle_keeps_every_row_in_its_stratum(strata, seed):
    strata = np.array(strata)
    for order in shuffles(strata, np.random.default_rng(seed), 3):
        assert sorted(order) == list(range(len(strata)))
        assert (strata[order] == strata).all()


def test_a_p_value_by_hand(rng):
    # Two of one stratum: half of the shuffles swap them, and the swap shows as much in the first statistic.
    p = permutation_p(lambda v: np.array([abs(v[0] - v[1]), v[0]]), np.array([2.0, 1.0]), np.zeros(2), rng, many=999)
    assert p[0] == 1.0
    assert p[1] == pytest.approx(0.5, abs=0.08)


# --- the gap ---


def picked_floor(rng, gap, *, reps=15, rows=6_000, level=0.3):
    """(rep, hand, converted, log-odds): reps whose hand-picked leads are better or worse by N(0, gap)."""
    rep, hand = rng.integers(0, reps, rows), (rng.random(rows) < 0.4).astype(float)
    known = rng.normal(-1.5, 0.7, rows)
    log_odds = known + rng.normal(0, level, reps)[rep] + hand * rng.normal(0, gap, reps)[rep]
    return rep, hand, (rng.random(rows) < expit(log_odds)).astype(float), known


def test_a_rep_s_own_level_is_no_gap(rng):
    # 200 floors without a gap: p <= .1 in 20 of them, give or take 4.2
    found = [gap_p(*picked_floor(rng, 0.0, rows=1_500), rng) for _ in range(200)]
    assert 0.02 < np.mean(np.array(found) <= 0.1) < 0.19


def test_gaps_that_differ_between_reps_are_found(rng):
    # however far the reps themselves lie apart
    assert np.mean([gap_p(*picked_floor(rng, 0.45, level=0.9), rng) <= 0.05 for _ in range(20)]) >= 0.85


# --- the negative control ---


def control_floor(rng, *, picked, rows=3_000, reps=8):
    """(leads, rep): pages and size go together; where reps are picked for, the first gets the many pages."""
    size = rng.normal(0, 1, rows)
    pages = 0.7 * size + rng.normal(0, 1, rows)
    leads = np.column_stack([rng.integers(0, 2, rows), pages, size]).astype(float)
    rep = rng.integers(0, reps, rows)
    return leads, np.where(picked & (pages > 1.2), 0, rep)


def control_of(rng, leads, rep, by_hand):
    strata = leads[:, 0].astype(int)
    return negative_control(CONTRACT, leads, (1, 2), rep=rep, by_hand=by_hand, strata=strata, rng=rng)


def test_the_most_telling_numbers_are_chosen_and_what_a_rule_looked_at_is_not(rng):
    leads, _ = control_floor(rng, picked=np.zeros(3_000, dtype=bool))
    converted = (rng.random(3_000) < expit(-1 + leads[:, 2])).astype(float)
    assert choose_controls(CONTRACT, leads, converted, looked_at=frozenset()) == (2, 1)
    assert choose_controls(CONTRACT, leads, converted, looked_at=frozenset({"size"})) == (1,)
    leads[:, 1] = np.nan
    assert choose_controls(CONTRACT, leads, converted, looked_at=frozenset({"size"})) == ()
    nothing = np.zeros(3_000, dtype=int)
    assert negative_control(CONTRACT, leads, (), rep=nothing, by_hand=nothing > 0, strata=nothing, rng=rng) is None


def test_what_is_left_over_knows_nothing_of_the_other_columns(rng):
    leads, _ = control_floor(rng, picked=np.zeros(3_000, dtype=bool))
    leads[::10, 1] = np.nan
    left = left_over(CONTRACT, leads, 1)
    known = ~np.isnan(left)
    assert known.sum() == 2_700
    assert abs(np.corrcoef(left[known], leads[known, 2])[0, 1]) < 0.05  # was .57


def test_leads_dealt_out_blindly_pass_and_picked_ones_do_not(rng):
    by_hand = rng.random(3_000) < 0.4
    leads, rep = control_floor(rng, picked=by_hand)
    found = control_of(rng, leads, rep, by_hand)
    assert found.columns == ("pages", "size")
    assert found.rows == np.sum(~by_hand)
    assert found.p > 0.01
    assert found.p_by_hand == 1 / 200  # the least that 199 shuffles can show
    picked_everywhere = control_of(rng, *control_floor(rng, picked=np.ones(3_000, dtype=bool)), by_hand)
    assert picked_everywhere.p == 1 / 200
    assert picked_everywhere.p_of_each[0] == 1 / 200


def test_blind_rows_are_held_to_be_picked_as_seldom_as_the_level_says(rng):
    nobody = np.zeros(400, dtype=bool)
    found = [control_of(rng, *control_floor(rng, picked=nobody, rows=400), nobody).p for _ in range(100)]
    assert np.mean(np.array(found) <= 0.1) < 0.22  # 10 of 100, give or take 3


# --- the sensitivity ---


def test_the_sensitivity_by_hand():
    # odds 1/2 and 1/4 (and one not eligible): next best at 2 to 1; the mean in log-odds is sqrt(1/8), so sqrt(2)
    log_odds = np.log([[0.5, 0.25, 9.0]])
    found = sensitivity(log_odds, np.array([[True, True, False]]))
    assert found.over_next.gamma == pytest.approx(2)
    assert found.over_rotation.gamma == pytest.approx(np.sqrt(2))
    ratio = (1 / 3) / (1 / 5)
    assert found.over_next.e_value == pytest.approx(ratio + np.sqrt(ratio * (ratio - 1)))
    assert sensitivity(log_odds, np.array([[True, False, False]])) is None


def test_the_e_value_of_the_paper():
    assert e_value(3.9) == pytest.approx(7.26, abs=0.01)  # VanderWeele & Ding's own example
    assert e_value(1.0) == 1.0


def test_picking_of_strength_gamma_makes_equal_reps_look_apart_by_gamma_at_most(rng):
    # Half of the leads are better by a trait that decides who converts; the star gets those at odds of 3 to 1.
    gamma, better = 3.0, rng.random(400_000) < 0.5
    star = rng.random(400_000) < np.where(better, gamma / (1 + gamma), 0.5)
    for decides in (1.0, 0.6):
        converted = np.where(better, rng.random(400_000) < decides, rng.random(400_000) < 1 - decides)
        odds = [np.mean(converted[who]) / (1 - np.mean(converted[who])) for who in (star, ~star)]
        assert odds[0] / odds[1] <= gamma * 1.03
    assert sensitivity(np.log([[odds[0], odds[1]]]), np.ones((1, 2), dtype=bool)).over_next.gamma < gamma


# --- all together ---


@pytest.fixture(scope="module")
def hidden_grades():
    """(prepared, parts, model) of a floor where managers hand good leads to stars by what nobody recorded."""
    world = simulate(leads=9_000, reps=15, seed=2, hidden_grade=1.2)
    stated = Description(**world.description())
    prepared = prepare(dataset_from_tables(world.leads, world.reps, world.assignments, stated))
    parts = fit_parts(prepared.spells, prepared.contract, seed=0)
    return prepared, parts, assemble(parts, prepared.spells, prepared.contract, verdict="rep_matters", facts={})


def test_hidden_grades_show_as_gaps_and_not_in_the_rows_of_rule_and_rotation(hidden_grades):
    prepared, parts, model = hidden_grades
    found = look_for_hidden_picking(model, parts.log_odds, prepared.spells, seed=0)
    assert found.reasons_logged
    assert found.clean_rows + found.hand_rows == len(prepared.spells)
    assert found.gaps.p <= 0.05
    assert found.gaps.spread > 0.2
    assert {gap.rep_id for gap in found.gaps.reps} <= {rep.rep_id for rep in prepared.spells.reps}
    place = {rep.rep_id: i for i, rep in enumerate(prepared.spells.reps)}
    for gap in found.gaps.reps:
        half = 1.6449 * parts.effects.hand_sd[place[gap.rep_id]]
        assert (gap.value - gap.low, gap.high - gap.value) == pytest.approx((half, half), rel=1e-3)
        assert gap.rows == np.sum(prepared.spells.by_hand & (prepared.spells.rep == place[gap.rep_id]))
    assert "region" not in found.control.columns  # the rule went by it, and it is no number
    assert found.control.p > 0.05 >= found.control.p_by_hand
    assert 1 < found.sensitivity.over_next.gamma < found.sensitivity.over_rotation.gamma < 3
    assert "cannot exclude" in found.said[-1]
    again = look_for_hidden_picking(model, parts.log_odds, prepared.spells, seed=0)
    assert again == found


def test_a_gap_s_interval_holds_what_hand_picking_really_did(hidden_grades):
    # The mean hidden grade of a rep's hand-picked leads, in log-odds, against the average rep's.
    prepared, parts, model = hidden_grades
    world = simulate(leads=9_000, reps=15, seed=2, hidden_grade=1.2)
    hidden = 1.2 * world.truth.leads.set_index("lead_id")["hidden_grade"]
    manual = world.assignments[world.assignments["assigned_by"] == "manual"]
    truth = hidden.loc[manual["lead_id"]].groupby(manual["rep_id"].to_numpy()).mean()
    gaps = look_for_hidden_picking(model, parts.log_odds, prepared.spells, seed=0).gaps.reps
    off = np.array([truth[gap.rep_id] - np.average(truth) for gap in gaps])
    held = np.mean([gap.low <= one <= gap.high for gap, one in zip(gaps, off, strict=True)])
    assert held >= 0.7
    assert np.corrcoef([gap.value for gap in gaps], off)[0, 1] > 0.7


def test_without_reasons_it_says_what_cannot_be_told(hidden_grades):
    prepared, parts, model = hidden_grades
    everyone = np.ones(len(prepared.spells), dtype=bool)
    unknown = replace(prepared.spells, by_hand=everyone, assigned_by=np.full(len(everyone), "unknown"))
    found = look_for_hidden_picking(model, parts.log_odds, unknown, seed=0)
    assert (found.reasons_logged, found.gaps) == (False, None)
    assert "cannot be told from skill" in found.said[0]
    assert found.control.p <= 0.05  # what managers went by is partly recorded
    assert "different leads to begin with" in found.said[1]


def test_where_the_model_tells_no_rep_from_another_nothing_needs_explaining(hidden_grades):
    prepared, parts, model = hidden_grades
    silent = replace(model, verdict="no_detectable_rep_effect")
    found = look_for_hidden_picking(silent, parts.log_odds, prepared.spells, seed=0)
    assert found.sensitivity is None
    assert "nothing that picking would have to explain" in found.said[-1]
    alone = replace(prepared.spells, reps=(), rep=np.full(len(prepared.spells), -1))
    assert look_for_hidden_picking(model, parts.log_odds, alone, seed=0) is None


def test_check_tells_it_in_sentences(tmp_path):
    run = CliRunner().invoke
    assert run(cli.app, ["simulate", "--out", str(tmp_path), "--leads", "3000", "--reps", "8"]).exit_code == 0
    said = run(cli.app, ["check", "--data", str(tmp_path)])
    assert said.exit_code == 0, said.output
    assert "Could hidden hand-picking explain it?" in said.output
    assert "that no person chose" in said.output
