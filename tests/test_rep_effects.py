"""b_r: shrunken effects of each rep with honest intervals, and what hand-picking must not do to them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

import training.rep_effects as rep_effects
from training.logistic import fit_ridge_logistic
from training.rep_effects import (
    HAND_SD,
    INTERVAL_SD,
    OVERALL_SD,
    PAIR_PRECISION,
    SEGMENTS_SD,
    Evidence,
    fit_rep_effects,
    no_reps,
    offset_of,
)

GROUPS = np.array([0, 1, 1, 2])  # overall, two levels of a category, a number


def floor(rng, *, reps=30, rows=6000, overall=0.25, segment=0.2, hand_share=0.0, hand_effect=0.0, rate=-1.5):
    """(evidence, F, true effects): a floor whose F is known."""
    level = rng.integers(0, 2, rows)
    design = np.column_stack([np.ones(rows), level == 0, level == 1, rng.normal(0, 1, rows)]).astype(float)
    rep = rng.integers(0, reps, rows)
    truth = rng.normal(0, [overall, segment, segment, segment], (reps, 4))
    by_hand = rng.random(rows) < hand_share
    lead = rng.normal(rate, 0.7, rows)
    pairs, load = rng.integers(0, 2, (rows, 1)).astype(float), np.clip(rng.normal(0, 0.5, rows), -1, 3)
    log_odds = lead + np.einsum("nw,nw->n", design, truth[rep]) + 0.3 * pairs[:, 0] - 0.2 * load + hand_effect * by_hand
    converted = (rng.random(rows) < expit(log_odds)).astype(float)
    return Evidence(design, rep, pairs, by_hand, load, converted), lead, truth


def rows_of(evidence, rows):
    return Evidence(**{name: getattr(evidence, name)[rows] for name in vars(evidence)})


@pytest.fixture
def fixed_variances(monkeypatch):
    """A prior so heavy that the variances stay what it expects."""
    monkeypatch.setattr(rep_effects, "PRIOR_WEIGHT", 1e15)
    monkeypatch.setattr(rep_effects, "INTERVAL_WEIGHT", 1e15)


# --- by hand ---


def test_the_evidence_update_by_hand():
    # Two reps, two groups. Group 0: b = .3, -.1, S = .01 and .03 under tau^2 = .04, so gamma = .75 + .25 = 1 and
    # tau^2 <- (.09 + .01 + 2 * .12^2) / (1 + 2). Group 1: gamma = 0, so the prior's .17^2 stays.
    effects = np.array([[0.3, 0.0], [-0.1, 0.0]])
    covariance = np.array([np.diag([0.01, 0.09]), np.diag([0.03, 0.09])])
    updated = rep_effects._evidence_update(
        effects, covariance, np.array([0.04, 0.09]), np.array([0, 1]), 2.0, np.array([0.12, 0.17])
    )
    assert updated == pytest.approx([(0.10 + 2 * 0.0144) / 3, 0.17**2])


def test_a_variance_stays_within_its_bounds():
    def updated(effects):
        certain, one_group = np.zeros((50, 1, 1)), np.zeros(1, dtype=int)
        return rep_effects._evidence_update(effects, certain, np.ones(1), one_group, 2.0, np.zeros(1))[0]

    assert updated(np.full((50, 1), 9.0)) == rep_effects.MOST_VARIANCE
    assert updated(np.zeros((50, 1))) == rep_effects.LEAST_VARIANCE


def test_the_prior_shares_the_segments_variance_among_their_groups():
    group = np.append(GROUPS, 3)
    assert rep_effects._expected_sd(group) == pytest.approx([OVERALL_SD, *[SEGMENTS_SD / np.sqrt(2)] * 2, HAND_SD])
    assert rep_effects._expected_sd(np.array([0, 1])) == pytest.approx([OVERALL_SD, HAND_SD])


def test_one_rep_is_a_ridge_logistic_regression(rng, fixed_variances):
    evidence, lead, _ = floor(rng, reps=1, rows=500, hand_share=0.3, hand_effect=0.5)
    evidence = replace(evidence, pairs=np.zeros((500, 1)), load=np.zeros(500))
    ours = fit_rep_effects(evidence, lead, groups=GROUPS, n_reps=1)
    segment = SEGMENTS_SD / np.sqrt(2)
    design = np.column_stack([evidence.design, evidence.by_hand])
    precision = np.array([OVERALL_SD, segment, segment, segment, HAND_SD]) ** -2.0
    mode, _ = fit_ridge_logistic(design, evidence.converted, lead, precision)
    np.testing.assert_allclose(ours.effects[0], mode[:4], atol=1e-5)
    assert ours.hand_effects[0] == pytest.approx(mode[4], abs=1e-5)
    p = expit(lead + design @ mode)
    information = (design.T * (p * (1 - p))) @ design
    variance = np.maximum(INTERVAL_SD**2, 1 / precision)
    cautious = np.linalg.inv(information + np.diag(1 / variance))[:4, :4]  # hand-picking is averaged over
    np.testing.assert_allclose(ours.covariance[0], cautious, atol=1e-6)


def test_a_rep_without_rows_is_average_with_the_priors_whole_width(rng):
    evidence, lead, _ = floor(rng, reps=4, rows=800)
    fitted = fit_rep_effects(replace(evidence, rep=evidence.rep + (evidence.rep >= 2)), lead, groups=GROUPS, n_reps=6)
    for nobody in (2, 5):
        assert fitted.effects[nobody].tolist() == [0, 0, 0, 0]
        np.testing.assert_allclose(fitted.covariance[nobody], np.diag(fitted.prior_variance))
    assert np.all(np.diagonal(fitted.covariance[0]) < fitted.prior_variance)


def test_offset_of_by_hand():
    effects = replace(
        no_reps(2, 1),
        effects=np.array([[0.1, 0.2], [0.3, -0.4]]),
        hand_effects=np.array([0.05, 0.5]),
        beta=np.array([2.0]),
        load_effect=-1.0,
    )
    evidence = Evidence(
        design=np.array([[1, 3.0], [1, 1.0]]),
        rep=np.array([1, 0]),
        pairs=np.array([[1.0], [0.0]]),
        by_hand=np.array([True, False]),
        load=np.array([0.0, 0.25]),
        converted=np.zeros(2),
    )
    assert offset_of(effects, evidence) == pytest.approx([0.3 - 1.2 + 0.5 + 2.0, 0.1 + 0.2 - 0.25])


def test_without_reps_there_is_only_the_prior():
    nobody = no_reps(3, 2)
    assert nobody.effects.shape == (0, 3)
    assert nobody.prior_variance.tolist() == [INTERVAL_SD**2] * 3
    np.testing.assert_allclose(nobody.beta_covariance, np.eye(2) / PAIR_PRECISION)


# --- known truth ---


@pytest.mark.parametrize("hand_share", [0.0, 0.4])
def test_the_posterior_covers_the_truth_as_often_as_it_says(hand_share):
    inside, errors = [], []
    for seed in range(6):
        rng = np.random.default_rng([seed, 1])
        evidence, lead, truth = floor(rng, reps=40, rows=6000, hand_share=hand_share, hand_effect=0.6)
        fitted = fit_rep_effects(evidence, lead, groups=GROUPS, n_reps=40)
        for z in ([1, 1, 0, 0], [1, 0, 1, 1.0], [1, 1, 0, -2.0]):
            mean, spread = fitted.effects @ z, np.sqrt(np.einsum("w,rwv,v->r", z, fitted.covariance, z))
            inside += list(np.abs(mean - truth @ z) <= norm.ppf(0.95) * spread)
            errors += list(mean - truth @ z)
    # 720 intervals of 240 reps; three of one rep hang together, so the standard error lies under .02.
    assert 0.85 <= np.mean(inside) <= 0.97
    assert abs(np.mean(errors)) < 0.05


@pytest.mark.parametrize("size", [0.0, 0.1, 0.5])
def test_intervals_are_made_with_no_smaller_variance_than_effects(rng, size):
    evidence, lead, _ = floor(rng, rows=4000, overall=size, segment=size)
    fitted = fit_rep_effects(evidence, lead, groups=GROUPS, n_reps=30)
    assert np.all(fitted.prior_variance >= fitted.shrinkage_variance)


def test_matches_and_load_are_found(rng):
    evidence, lead, _ = floor(rng, rows=30_000)
    fitted = fit_rep_effects(evidence, lead, groups=GROUPS, n_reps=30)
    spread = np.sqrt(fitted.beta_covariance[0, 0])
    assert fitted.beta[0] == pytest.approx(0.3, abs=5 * spread)
    assert fitted.load_effect == pytest.approx(-0.2, abs=5 * spread)
    assert 10 * spread < 0.4


def test_where_reps_do_not_matter_they_hardly_differ(rng):
    evidence, lead, _ = floor(rng, overall=0.0, segment=0.0, rows=20_000)
    fitted = fit_rep_effects(evidence, lead, groups=GROUPS, n_reps=30)
    assert np.std(fitted.effects[:, 0]) < 0.04
    matters, lead, _ = floor(rng, overall=0.4, segment=0.0, rows=20_000)
    fitted = fit_rep_effects(matters, lead, groups=GROUPS, n_reps=30)
    assert 0.3 < np.sqrt(fitted.shrinkage_variance[0]) < 0.55


def stars(rng, *, hand_effect):
    """Reps do not matter; some are given many leads by hand, and those leads are better than they look."""
    evidence, lead, _ = floor(rng, overall=0.0, segment=0.0, rows=20_000)
    share = np.linspace(0.0, 0.8, 30)[evidence.rep]
    by_hand = rng.random(20_000) < share
    log_odds = lead + 0.3 * evidence.pairs[:, 0] - 0.2 * evidence.load + hand_effect * by_hand
    return replace(evidence, by_hand=by_hand, converted=(rng.random(20_000) < expit(log_odds)).astype(float)), lead


def test_better_leads_picked_by_hand_do_not_make_a_rep_better(rng):
    evidence, lead = stars(rng, hand_effect=1.0)
    stardom = np.linspace(0.0, 0.8, 30)
    fitted = fit_rep_effects(evidence, lead, groups=GROUPS, n_reps=30)
    told = np.corrcoef(fitted.effects[:, 0], stardom)[0, 1]
    untold = fit_rep_effects(replace(evidence, by_hand=np.zeros(20_000, bool)), lead, groups=GROUPS, n_reps=30)
    believed = np.corrcoef(untold.effects[:, 0], stardom)[0, 1]
    assert believed > 0.9
    assert abs(told) < 0.5
    assert np.ptp(fitted.effects[:, 0]) < 0.25 * np.ptp(untold.effects[:, 0])
    assert fitted.hand_effects[5:].mean() == pytest.approx(1.0, abs=0.15)


# --- properties ---


def test_neither_the_order_of_the_rows_nor_the_start_changes_the_answer(rng):
    evidence, lead, _ = floor(rng, rows=3000)
    fitted = fit_rep_effects(evidence, lead, groups=GROUPS, n_reps=30)
    mixed = rng.permutation(3000)
    again = fit_rep_effects(rows_of(evidence, mixed), lead[mixed], groups=GROUPS, n_reps=30)
    np.testing.assert_allclose(again.effects, fitted.effects, atol=1e-9)
    further = fit_rep_effects(evidence, lead, groups=GROUPS, n_reps=30, start=fitted)
    np.testing.assert_allclose(further.effects, fitted.effects, atol=0.03)  # the variances settle slowly


def test_given_the_variances_a_reps_rows_say_nearly_nothing_of_another(rng, fixed_variances):
    evidence, lead, _ = floor(rng, rows=6000)
    fitted = fit_rep_effects(evidence, lead, groups=GROUPS, n_reps=30)
    other = replace(evidence, converted=np.where(evidence.rep == 7, 1 - evidence.converted, evidence.converted))
    moved = fit_rep_effects(other, lead, groups=GROUPS, n_reps=30)
    assert moved.effects[7, 0] - fitted.effects[7, 0] > 0.5
    # Only beta and the effect of load are shared.
    assert np.abs(np.delete(moved.effects - fitted.effects, 7, axis=0)).max() < 0.05


def test_more_rows_narrow_the_interval(rng):
    evidence, lead, _ = floor(rng, rows=8000)
    few = np.arange(8000) < 1500
    wide = fit_rep_effects(rows_of(evidence, few), lead[few], groups=GROUPS, n_reps=30)
    narrow = fit_rep_effects(evidence, lead, groups=GROUPS, n_reps=30)
    assert np.all(narrow.covariance[:, 0, 0] < wide.covariance[:, 0, 0])
