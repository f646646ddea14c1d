"""Is there anything to match? The statistic, its permutations, and the four verdicts."""

import numpy as np
import pytest
from scipy.special import expit

from training.potential import (
    CONFIRMED,
    LEAST_CLEAN_ROWS,
    LEAST_CONVERSIONS,
    LEAST_ROWS,
    LEVEL,
    assignment_strata,
    evidence_of_pairs,
    evidence_of_reps,
    judge,
    permutation_p,
)

VARIANCE = np.array([0.0144, 0.0289])


def no_pairs(rows, rep):
    """Leads and reps have nothing in common that anybody recorded."""
    return np.empty((len(rows), 0))



def half_log_bayes_factor(s, i, t):
    return 0.5 * (t * s**2 / (1 + t * i) - np.log(1 + t * i))


def test_the_evidence_of_reps_by_hand():
    # y - p of .5 and -.5 at p = .5, weights .25; reps 0, 0, 1; the second column is 2, 0, -2.
    design = np.array([[1, 2.0], [1, 0.0], [1, -2.0]])
    residual, weight = np.array([0.5, 0.5, -0.5]), np.full(3, 0.25)
    rows = np.hstack([design * residual[:, None], design**2 * weight[:, None]])
    # Intercept: rep 0 has S = 1, I = .5; rep 1 has S = -.5, I = .25. Second: S = 1, I = 1 for both.
    expected = half_log_bayes_factor(1, 0.5, 0.1) + half_log_bayes_factor(-0.5, 0.25, 0.1)
    expected += 2 * half_log_bayes_factor(1, 1, 0.2)
    assert evidence_of_reps(rows, np.array([0, 0, 1]), np.array([0.1, 0.2])) == pytest.approx(expected)
    one = evidence_of_reps(rows, np.zeros(3, dtype=int), np.array([0.1, 0.2]))
    assert one == pytest.approx(half_log_bayes_factor(0.5, 0.75, 0.1) + half_log_bayes_factor(2, 2, 0.2))
    assert evidence_of_reps(rows, np.full(3, 4), np.array([0.1, 0.2])) == pytest.approx(one)  # reps without rows


def test_the_evidence_is_the_log_of_two_likelihoods_ratio(rng):
    # One rep, normal outcomes of known variance: the marginal likelihood with b ~ N(0, t) against b = 0.
    from scipy.stats import multivariate_normal

    z, noise, t = rng.normal(size=6), 1.0, 0.3
    y = rng.normal(size=6)
    with_effect = multivariate_normal(np.zeros(6), noise * np.eye(6) + t * np.outer(z, z)).logpdf(y)
    without = multivariate_normal(np.zeros(6), noise * np.eye(6)).logpdf(y)
    rows = np.column_stack([z * y, z**2])
    found = evidence_of_reps(rows, np.zeros(6, dtype=int), np.array([t]))
    assert found == pytest.approx(with_effect - without)


def test_the_evidence_of_pairs_by_hand():
    # Stratum 0: f = 1, 0 and residuals .5, -.5: within +-.5, S = .5, I = .125. Stratum 1: all match, so nothing.
    f = np.array([[1.0], [0.0], [1.0], [1.0]])
    residual, weight, stratum = np.array([0.5, -0.5, 0.9, 0.9]), np.full(4, 0.25), np.array([0, 0, 1, 1])
    assert evidence_of_pairs(f, residual, weight, stratum) == pytest.approx(half_log_bayes_factor(0.5, 0.125, 0.04))
    assert evidence_of_pairs(f[:, :0], residual, weight, stratum) == 0


def world(rng, rows=1500, reps=10, *, effect=0.0, hand_effect=0.0, hand_share=0.4, rate=-1.0):
    """Arguments of `judge` from a floor whose lead part is known; by hand, each rep gets leads of her own kind."""
    lead = rng.normal(rate, 0.8, rows)
    rep = rng.integers(0, reps, rows)
    by_hand = rng.random(rows) < hand_share
    overall, liking = rng.normal(0, 1, reps), np.linspace(-1, 1, reps)
    log_odds = lead + effect * overall[rep] + hand_effect * liking[rep] * by_hand
    return {
        "design": np.column_stack([np.ones(rows), rng.normal(0, 1, rows)]),
        "variance": VARIANCE,
        "pairs": no_pairs,
        "rep": rep,
        "converted": (rng.random(rows) < expit(log_odds)).astype(float),
        "log_odds": lead,
        "by_hand": by_hand,
        "closed": np.ones(rows, dtype=bool),
        "strata": rng.integers(0, 5, rows),
        "rng": rng,
    }


def p_value(made, rng, **how):
    told = (made[name] for name in ("design", "rep", "converted", "log_odds", "strata"))
    rows = np.arange(len(made["rep"]))
    pairs = made["pairs"]
    return permutation_p(*told, rng, variance=made["variance"], pairs=lambda rep: pairs(rows, rep), **how)


def test_p_is_spread_evenly_where_reps_do_not_matter(rng):
    p = np.array([p_value(world(rng, rows=200, reps=5), rng, shuffles=19) for _ in range(400)])
    # Of 400, 20 lie at or below .05 by chance, give or take 4.4; the mean of the 20 possible values is .525.
    assert 5 <= np.sum(p <= LEVEL) <= 42
    assert p.mean() == pytest.approx(0.525, abs=5 * 0.288 / 20)
    assert p.min() == 1 / 20


def test_p_is_small_where_a_rep_effect_is_planted(rng):
    assert p_value(world(rng, effect=0.6), rng) <= 0.01


def test_an_effect_in_a_segment_alone_is_seen_too(rng):
    made = world(rng, rows=3000)
    turn = np.where(made["rep"] % 2, 1.0, -1.0) * made["design"][:, 1]
    made["converted"] = (rng.random(3000) < expit(made["log_odds"] + 0.6 * turn)).astype(float)
    assert p_value(made, rng) <= 0.01


def test_what_the_assignment_rule_did_is_no_effect_of_the_rep(rng):
    # Each region has its own rep, and one region converts better than F knows.
    made = world(rng, reps=2)
    region = made["rep"]
    made["converted"] = (rng.random(1500) < expit(made["log_odds"] + 1.5 * region)).astype(float)
    assert p_value(made | {"strata": np.zeros(1500, dtype=int)}, rng) <= 0.01
    assert p_value(made | {"strata": region}, rng) == 1.0  # within a region there is nobody to swap with


def test_a_level_that_f_missed_changes_nothing(rng):
    made = world(rng, effect=0.0)
    higher = made | {"log_odds": made["log_odds"] + 1.0}
    p, again = (p_value(one, np.random.default_rng(1)) for one in (made, higher))
    assert 0.01 < p < 0.9
    assert again == p


def test_where_all_outcomes_are_alike_nothing_can_differ(rng):
    made = world(rng)
    assert p_value(made | {"converted": np.ones(1500)}, rng) == 1.0
    nothing = {name: made[name][:0] for name in ("design", "rep", "converted", "log_odds", "strata")}
    assert p_value(made | nothing, rng) == 1.0


def test_a_match_alone_is_seen_too(rng):
    # Every rep knows half of the kinds of lead, and does well with those; no rep is better than another.
    made = world(rng, rows=4000)
    kind, knows = rng.integers(0, 8, 4000), rng.random((10, 8)) < 0.5
    match = knows[made["rep"], kind].astype(float)
    made["converted"] = (rng.random(4000) < expit(made["log_odds"] + 0.4 * match)).astype(float)
    assert p_value(made, rng) > 0.01
    assert p_value(made | {"pairs": lambda rows, rep: knows[rep, kind[rows]][:, None].astype(float)}, rng) <= 0.01


# --- the verdicts ---

ARRAYS = ("design", "rep", "converted", "log_odds", "by_hand", "closed", "strata")


def test_seen_where_nobody_chose_it_matters(rng):
    found = judge(**world(rng, rows=3000, effect=0.9))
    assert found.verdict == "rep_matters"
    assert found.p_clean <= CONFIRMED


def test_what_shows_less_clearly_where_nobody_chose_is_not_confirmed(rng):
    made = world(rng, rows=3000, effect=0.6)  # a draw in which the reps lie close together
    found = judge(**made)
    assert CONFIRMED < found.p_clean <= LEVEL
    assert found.verdict == "unconfirmed"
    assert "not clearly where no person chose" in found.why
    assert found.clean_rows < found.rows == 3000


def test_seen_only_where_people_chose_it_is_unconfirmed(rng):
    found = judge(**world(rng, rows=4000, hand_effect=1.2))
    assert found.verdict == "unconfirmed"
    assert found.p_all <= LEVEL < found.p_clean
    assert "only in rows where people chose" in found.why


def test_where_nobody_recorded_why_nothing_can_be_confirmed(rng):
    found = judge(**world(rng, rows=3000, effect=0.8, hand_share=1.1))
    assert found.verdict == "unconfirmed"
    assert np.isnan(found.p_clean)
    assert "too few rows say why" in found.why
    few = world(rng, rows=3000, effect=0.8)
    few["by_hand"] = np.arange(3000) >= LEAST_CLEAN_ROWS - 1
    assert np.isnan(judge(**few).p_clean)


def test_where_reps_do_not_matter_nothing_is_claimed():
    found = [judge(**world(np.random.default_rng(seed))).verdict for seed in range(12)]
    assert found.count("no_detectable_rep_effect") >= 8
    assert found.count("rep_matters") <= 3


@pytest.mark.parametrize(
    "change",
    [
        lambda made: {name: made[name][: LEAST_ROWS - 1] for name in ARRAYS},
        lambda made: {"converted": (np.arange(1500) < LEAST_CONVERSIONS - 1).astype(float)},
        lambda made: {"converted": (np.arange(1500) >= LEAST_CONVERSIONS - 1).astype(float)},
        lambda made: {"rep": np.full(1500, -1)},  # a data set without reps
    ],
)
def test_too_little_data_is_a_verdict_of_its_own(rng, change):
    made = world(rng, effect=1.0)
    found = judge(**made | change(made))
    assert found.verdict == "too_little_data"
    assert np.isnan(found.p_all)
    assert "too few to tell" in found.why


def test_an_effect_among_closed_leads_still_counts_where_many_stand_open(rng):
    made = world(rng, rows=4000, effect=0.8, hand_share=0.0)
    assert judge(**made | {"closed": rng.random(4000) < 0.7}).verdict == "rep_matters"


def test_reps_who_only_work_slower_are_not_better(rng):
    # Young conversions: whoever works fast has converted more so far, and will end with as many as the others.
    made = world(rng, rows=4000, hand_share=0.0)
    fast = np.linspace(0.3, 1.0, 10)[made["rep"]]
    decided = rng.random(4000) < fast
    found = judge(**made | {"converted": made["converted"] * decided, "closed": decided})
    assert found.verdict != "rep_matters"
    everything = judge(**made | {"converted": made["converted"] * decided})
    assert everything.verdict == "rep_matters"  # the same rows, taken as closed


def test_where_losses_are_never_marked_open_leads_count_as_not_converted(rng):
    made = world(rng, rows=4000, effect=0.8, hand_share=0.0)
    assert judge(**made | {"closed": made["converted"] == 1}).verdict == "rep_matters"


# --- strata ---


def test_strata_by_hand():
    region = np.array([0, 0, 1, np.nan, 0, 0.0])
    why = np.array(["rule", "rule", "rule", "rule", "rotation", "rule"])
    days = np.array([5.0, 34.9, 5, 5, 5, 35])  # 30 days from the first: the second still, the last no longer
    strata = assignment_strata([region], why, days)
    assert strata[0] == strata[1]
    assert len(set(strata)) == 5
