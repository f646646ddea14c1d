"""Policy values: by hand, on worlds whose truth is known, for every log, and as refused where a log says too little."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data.simulator import simulate
from training.judging import LEAST_EFFECTIVE, Log, difference, judge, judge_as_it_ran
from training.policy_value import (
    bootstrapped,
    cluster_reps,
    cluster_weights,
    direct_method,
    doubly_robust,
    doubly_robust_scores,
    effective_sample_size,
    estimate,
    ips,
    ips_scores,
    marginalised,
    overlap,
    snips,
    snips_scores,
    weights,
)

CONVERTED = np.array([1, 0, 1, 0])
LOGGED = np.array([0.5, 0.25, 0.5, 0.25])


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def agrees(found, truth, *, worth_noticing):
    """Within five standard errors: chance alone fails a right estimator once in some 1.7 million draws."""
    band = 5 * found.standard_error
    assert 2 * band < worth_noticing, f"too few leads to tell: the band is {band:.4f}"
    return abs(found.value - truth) <= band


class Bandit:
    """Leads with one number each, reps who differ in how they do with it; every chance is known."""

    def __init__(self, rng, n, m, *, temperature=1.0):
        x = rng.normal(size=n)
        slope, level = rng.normal(0, 0.4, m), rng.normal(0, 0.3, m)
        self.truth = 1 / (1 + np.exp(-(-1.5 + 0.5 * x[:, None] + level + x[:, None] * slope)))
        taste = rng.normal(size=m) + x[:, None] * rng.normal(0, 0.5, m)
        weight = np.exp(taste / temperature)
        self.everyone = 0.2 / m + 0.8 * weight / weight.sum(axis=1, keepdims=True)
        self.rotation = np.full((n, m), 1 / m)
        # A model that has the right shape and the wrong level: what it misses, the weights must mend.
        self.predicted = 0.7 * self.truth + 0.1
        score = np.exp(6 * self.predicted)
        self.target = 0.1 / m + 0.9 * score / score.sum(axis=1, keepdims=True)
        self.draw(rng)

    def draw(self, rng):
        n = len(self.truth)
        cumulative = np.cumsum(self.everyone, axis=1)
        self.chosen = (cumulative <= rng.random((n, 1)) * cumulative[:, -1:]).sum(axis=1)
        row = np.arange(n)
        self.logged = self.everyone[row, self.chosen]
        self.own = self.target[row, self.chosen]
        self.converted = (rng.random(n) < self.truth[row, self.chosen]).astype(float)

    @property
    def value(self):
        return float(np.sum(self.target * self.truth, axis=1).mean())

    @property
    def gain(self):
        return float(np.sum((self.target - self.rotation) * self.truth, axis=1).mean())


def test_ips_by_hand():
    # weights 1/0.5, 0/0.25, 1/0.5, 0/0.25, so (2*1 + 0*0 + 2*1 + 0*0) / 4
    found = ips(CONVERTED, LOGGED, np.array([1, 0, 1, 0]))
    assert found.value == 1.0
    # scores 2, 0, 2, 0: standard deviation 2/sqrt(3), over sqrt(4)
    assert found.standard_error == pytest.approx(1 / np.sqrt(3), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((1 - 1.6448536 / np.sqrt(3), 1 + 1.6448536 / np.sqrt(3)), rel=1e-6)


def test_snips_by_hand():
    # weights 1, 2, 1, 1, together 5: (1*1 + 2*0 + 1*1 + 1*0) / 5, whatever the weights' own mean
    target = np.array([0.5, 0.5, 0.5, 0.25])
    assert snips(CONVERTED, LOGGED, target).value == pytest.approx(0.4)
    # each is the value plus its weighted distance from it, over the mean weight of 1.25
    assert snips_scores(CONVERTED, LOGGED, target) == pytest.approx([0.88, -0.24, 0.88, 0.08])


def test_doubly_robust_by_hand():
    target = np.array([[0.8, 0.2], [0.5, 0.5]])
    predicted = np.array([[0.1, 0.6], [0.2, 0.3]])
    # .08 + .12 + (.8/.4)(1 - .1) = 2.0 and .1 + .15 + (.5/.5)(0 - .3) = -.05
    found = doubly_robust(np.array([1, 0]), np.array([0, 1]), np.array([0.4, 0.5]), target, predicted)
    assert found.value == pytest.approx((2.0 - 0.05) / 2, rel=1e-12)
    assert direct_method(target, predicted).value == pytest.approx((0.2 + 0.25) / 2)
    assert np.isnan(direct_method(target, predicted).low)


def test_marginalised_by_hand():
    # reps 0 and 1 are alike: the target's .9 on them over the log's .6, whichever of the two it was
    target, logged = np.array([[0.7, 0.2, 0.1]]), np.array([[0.1, 0.5, 0.4]])
    cluster, predicted = np.array([0, 0, 1]), np.array([[0.2, 0.4, 0.3]])
    assert cluster_weights(np.array([0]), logged, target, cluster) == pytest.approx([1.5])
    found = marginalised(np.array([1.0]), np.array([0]), logged, target, predicted, cluster)
    assert found.value == pytest.approx(0.14 + 0.08 + 0.03 + 1.5 * 0.8)


def test_overlap_by_hand():
    chosen, logged = np.array([0, 0, 1, 0]), np.array([0.5, 0.5, 0.005, 1.0])
    target = np.array([[0.5, 0.25, 0.25]] * 4)
    found = overlap(chosen, logged, target)
    weight = np.array([1, 1, 50, 0.5])
    assert found.effective_sample_size == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    assert found.largest_weight_share == pytest.approx(50 / 52.5)
    # three quarters of the target's mass is on reps who had leads; 2.5 of 52.5 of it where the log is thick
    assert found.supported_share == pytest.approx(0.75 * 2.5 / 52.5)
    assert found.target_share.tolist() == [0.5, 0.25, 0.25]
    assert found.logged_share.tolist() == [0.75, 0.25, 0]


@pytest.mark.parametrize("estimator", [ips, snips, doubly_robust])
def test_the_true_value_is_found_although_the_model_is_wrong(estimator, rng):
    world = Bandit(rng, 60_000, 8)
    if estimator is doubly_robust:
        found = doubly_robust(world.converted, world.chosen, world.logged, world.target, world.predicted)
    else:
        found = estimator(world.converted, world.logged, world.own)
    assert agrees(found, world.value, worth_noticing=0.1)
    assert abs(direct_method(world.target, world.predicted).value - world.value) > 0.01  # the model alone is off


def test_one_score_a_lead_makes_the_gain_sharper_than_two_intervals(rng):
    world = Bandit(rng, 20_000, 8)
    args = (world.converted, world.chosen, world.logged)
    policy = doubly_robust_scores(*args, world.target, world.predicted)
    rotation = doubly_robust_scores(*args, world.rotation, world.predicted)
    gain = estimate(policy - rotation)
    assert agrees(gain, world.gain, worth_noticing=0.1)
    assert gain.standard_error < np.hypot(estimate(policy).standard_error, estimate(rotation).standard_error)


def test_a_model_of_the_outcome_lowers_the_error(rng):
    world = Bandit(rng, 20_000, 8)
    with_model = doubly_robust(world.converted, world.chosen, world.logged, world.target, world.predicted)
    without = ips(world.converted, world.logged, world.own)
    assert with_model.standard_error < 0.95 * without.standard_error


def test_clusters_of_like_reps_stand_in_for_reps_who_hardly_overlap(rng):
    m = 200
    world = Bandit(rng, 4_000, m, temperature=0.4)
    kind = rng.integers(0, 5, m)
    level = np.array([-0.6, -0.3, 0, 0.3, 0.6])[kind]
    world.truth = np.tile(1 / (1 + np.exp(1.5 - level)), (4_000, 1))
    world.predicted = np.full((4_000, m), 0.18)
    score = np.exp(3 * level)
    world.target = np.tile(0.1 / m + 0.9 * score / score.sum(), (4_000, 1))
    world.draw(rng)
    cluster = cluster_reps(np.column_stack([level, np.zeros(m)]), seed=0, clusters=5)
    by_cluster = marginalised(
        world.converted, world.chosen, world.everyone, world.target, world.predicted, cluster
    )
    by_rep = doubly_robust(world.converted, world.chosen, world.logged, world.target, world.predicted)
    assert agrees(by_cluster, world.value, worth_noticing=0.3)
    assert by_cluster.standard_error < 0.5 * by_rep.standard_error
    assert len(np.unique(kind * 10 + cluster)) == 5  # k-means found the five kinds


def test_clusters_do_not_depend_on_when_they_are_asked_for():
    effects = np.random.default_rng(3).normal(size=(120, 6))
    np.testing.assert_array_equal(cluster_reps(effects, seed=1), cluster_reps(effects, seed=1))


def test_the_score_forms_equal_their_slow_twins(rng):
    world = Bandit(rng, 300, 5)
    n, m = world.target.shape
    slow = []
    for i in range(n):
        expected = sum(world.target[i, a] * world.predicted[i, a] for a in range(m))
        w = world.target[i, world.chosen[i]] / world.everyone[i, world.chosen[i]]
        slow.append(expected + w * (world.converted[i] - world.predicted[i, world.chosen[i]]))
    args = (world.converted, world.chosen, world.logged, world.target, world.predicted)
    np.testing.assert_allclose(doubly_robust_scores(*args), slow, rtol=1e-12)
    ratio = (world.own / world.logged * world.converted).sum() / (world.own / world.logged).sum()
    assert snips(world.converted, world.logged, world.own).value == pytest.approx(ratio, rel=1e-12)
    # where every rep is a cluster of its own, clusters change nothing
    alone = marginalised(world.converted, world.chosen, world.everyone, world.target, world.predicted, np.arange(m))
    assert alone.value == pytest.approx(np.mean(slow), rel=1e-12)


outcomes = arrays(np.int8, 12, elements=st.integers(0, 1)).map(lambda a: a.astype(float))
chances = arrays(float, 12, elements=st.floats(0.001, 1))


@given(outcomes, chances)
def test_a_policy_replayed_on_its_own_propensities_is_worth_what_was_observed(converted, logged):
    assert ips(converted, logged, logged).value == pytest.approx(converted.mean(), abs=1e-12)
    assert snips(converted, logged, logged).value == pytest.approx(converted.mean(), abs=1e-12)


@given(outcomes, chances, chances, st.floats(0.1, 1))
def test_snips_needs_weights_only_up_to_a_factor(converted, logged, target, factor):
    one = snips(converted, logged, target).value
    assert snips(converted, logged, target * factor).value == pytest.approx(one, rel=1e-9, abs=1e-12)
    assert -1e-12 <= one <= 1 + 1e-12


@given(outcomes, chances, chances)
def test_without_a_model_doubly_robust_is_ips(converted, logged, target):
    chosen, both = np.zeros(12, dtype=int), np.column_stack([target, 1 - target])
    scores = doubly_robust_scores(converted, chosen, logged, both, np.zeros((12, 2)))
    np.testing.assert_allclose(scores, ips_scores(converted, logged, target), rtol=1e-12, atol=1e-12)


@given(chances, chances)
def test_the_effective_sample_size_lies_between_one_and_all(logged, target):
    found = effective_sample_size(weights(logged, target))
    assert 1 - 1e-9 <= found <= 12 + 1e-9


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.1, np.nan])
@pytest.mark.parametrize("estimator", [ips, snips])
def test_a_logged_propensity_outside_zero_to_one_is_refused(estimator, wrong):
    with pytest.raises(ValueError, match=r"1 of 4 do not.*row 2"):
        estimator(CONVERTED, np.array([0.5, 1.0, wrong, 0.5]), LOGGED)


def test_a_target_that_is_no_chance_is_refused():
    with pytest.raises(ValueError, match="target propensity"):
        ips(CONVERTED, LOGGED, np.array([0.5, 1.5, 0, 0]))


def test_choices_that_the_policy_never_makes_have_no_average():
    with pytest.raises(ValueError, match="none of the logged choices"):
        snips(CONVERTED, LOGGED, np.zeros(4))


def test_leads_of_one_day_count_as_one_where_they_go_together(rng):
    day = np.repeat(np.arange(100), 20)
    scores = rng.normal(size=100)[day] + 0.1 * rng.normal(size=2_000)
    by_day, alone = bootstrapped(scores, day, rng), estimate(scores)
    assert by_day.standard_error == pytest.approx(0.1, rel=0.3)  # 1 / sqrt(100 days)
    assert by_day.standard_error > 3 * alone.standard_error
    assert by_day.low < by_day.value < by_day.high


def test_the_bootstrap_agrees_with_the_normal_interval_where_both_hold(rng):
    scores = rng.normal(size=5_000)
    by_row, normal = bootstrapped(scores, np.arange(5_000), rng), estimate(scores)
    assert by_row.low == pytest.approx(normal.low, abs=0.15 * normal.standard_error * 1.645)
    assert by_row.high == pytest.approx(normal.high, abs=0.15 * normal.standard_error * 1.645)


def log_of(world, *, verified=True, **more):
    n = len(world.converted)
    return Log(world.converted, world.chosen, world.logged, world.predicted, np.arange(n) // 50, verified, **more)


def test_a_log_that_counts_for_two_leads_is_refused(rng):
    # one rep got nearly everything; the policy judged wants the other, whom two leads out of 4,000 went to
    n = 4_000
    chosen = np.zeros(n, dtype=int)
    chosen[[17, 1_234]] = 1
    logged = np.where(chosen == 1, 0.0005, 0.9995)
    log = Log((rng.random(n) < 0.1).astype(float), chosen, logged, np.full((n, 2), 0.1), np.arange(n) // 50, True)
    found = judge("always:B", log, np.tile([0.0, 1.0], (n, 1)), rng)
    assert found.overlap.effective_sample_size == pytest.approx(2)
    assert found.refused == (
        "too little overlap: these 4,000 leads tell as much of it as 2 given out by the policy itself would; "
        "30 are the least for a figure."
    )
    assert found.lines == ()
    as_it_ran = judge_as_it_ran("logged", log, rng)
    assert difference(found, as_it_ran, log, rng) is None


def test_a_policy_that_shares_no_choice_with_the_log_is_refused(rng):
    world = Bandit(rng, 200, 3)
    world.chosen[:] = 0
    nobody = np.tile([0.0, 0.5, 0.5], (200, 1))
    assert judge("other", log_of(world), nobody, rng).refused


def test_thin_overlap_gets_a_bootstrap_and_says_so(rng):
    n = 3_000
    chosen = (rng.random(n) < 0.02).astype(int)
    logged = np.where(chosen == 1, 0.02, 0.98)
    log = Log((rng.random(n) < 0.2).astype(float), chosen, logged, np.full((n, 2), 0.2), np.arange(n) // 50, True)
    found = judge("always:B", log, np.tile([0.0, 1.0], (n, 1)), rng)
    assert LEAST_EFFECTIVE <= found.overlap.effective_sample_size < 100
    assert {line.interval for line in found.lines} == {"bootstrap by days", None}
    assert [line.estimator for line in found.lines if line.headline] == ["dr"]
    # Where the chances were guessed afterwards there is no interval to warn with, so that there is no figure either.
    guessed = judge("always:B", replace(log, verified=False), np.tile([0.0, 1.0], (n, 1)), rng)
    assert guessed.refused.endswith("; 100 are the least for a figure.")


def test_the_policy_in_force_reproduces_the_observed_mean(rng):
    world = Bandit(rng, 1_000, 4)
    found = judge_as_it_ran("logged", log_of(world), rng)
    (line,) = found.lines
    assert line.value.value == pytest.approx(world.converted.mean(), abs=1e-12)
    assert line.effective_sample_size == 1_000
    # and by its whole logged vector, as any other policy
    replayed = judge("replay", log_of(world), world.everyone, rng)
    ips_line = next(line for line in replayed.lines if line.estimator == "ips")
    assert ips_line.value.value == pytest.approx(world.converted.mean(), abs=1e-12)


def test_estimated_propensities_give_no_interval(rng):
    world = Bandit(rng, 2_000, 4)
    log = log_of(world, verified=False)
    found, over = judge("model", log, world.target, rng), judge("rotation", log, world.rotation, rng)
    values = [line.value for line in (*found.lines, *over.lines)] + [difference(found, over, log, rng)]
    assert all(np.isnan(value.low) and np.isnan(value.high) for value in values)


def test_policies_are_compared_on_the_rows_they_share(rng):
    world = Bandit(rng, 3_000, 4)
    log, later = log_of(world), np.arange(1_000, 3_000)
    found = judge("model", log, world.target[later], rng, later)
    over = judge("rotation", log, world.rotation, rng)
    args = (world.converted, world.chosen, world.logged)
    gap = doubly_robust_scores(*args, world.target, world.predicted) - doubly_robust_scores(
        *args, world.rotation, world.predicted
    )
    assert difference(found, over, log, rng).value == pytest.approx(gap[later].mean(), abs=1e-12)


def test_above_a_hundred_reps_the_clusters_make_the_headline(rng):
    world = Bandit(rng, 3_000, 120)
    log = log_of(world, everyone=world.everyone, cluster=np.arange(120) % 10)
    found = judge("model", log, world.target, rng)
    assert [line.estimator for line in found.lines if line.headline] == ["mdr"]


def test_nine_of_ten_intervals_of_a_gain_hold_the_truth():
    # one simulated floor, the policy of a coarse model, 1,500 logs of 2,000 leads: 15 % rotation, 85 % the policy
    world = simulate(leads=500, reps=20, seed=5)
    pool = world.fresh_leads(12_000, 1)
    truth, eligible = world.probability(pool), world.eligible(pool)
    rng = np.random.default_rng(1)
    log_odds = np.log(truth / (1 - truth)) + rng.normal(0, 0.25, truth.shape[1]) + rng.normal(0, 0.2, truth.shape)
    predicted = 1 / (1 + np.exp(-log_odds))
    weight = np.where(eligible, np.exp(4 * (log_odds - log_odds.max(axis=1, keepdims=True))), 0)
    rotation = eligible / eligible.sum(axis=1, keepdims=True)
    policy = 0.1 * rotation + 0.9 * weight / weight.sum(axis=1, keepdims=True)
    mixture = 0.15 * rotation + 0.85 * policy
    true_gain = float(np.sum((policy - rotation) * truth, axis=1).mean())
    logs, n = 1_500, 2_000
    covered, errors = np.zeros(logs), np.zeros(logs)
    cumulative = np.cumsum(mixture, axis=1)
    for number in range(logs):
        lead = rng.integers(0, len(pool), n)
        chosen = np.minimum((cumulative[lead] <= rng.random((n, 1))).sum(axis=1), truth.shape[1] - 1)
        converted = (rng.random(n) < truth[lead, chosen]).astype(float)
        args = (converted, chosen, mixture[lead, chosen])
        gain = estimate(
            doubly_robust_scores(*args, policy[lead], predicted[lead])
            - doubly_robust_scores(*args, rotation[lead], predicted[lead])
        )
        covered[number], errors[number] = gain.low <= true_gain <= gain.high, gain.value - true_gain
    # three standard errors of a share of .9 over 1,500 logs: .023
    assert 0.87 <= covered.mean() <= 0.93
    band = 5 * errors.std(ddof=1) / np.sqrt(logs)
    assert 2 * band < 0.002
    assert abs(errors.mean()) <= band


def test_the_benchmark_finds_the_gain_where_a_model_is_trained_and_a_month_is_logged():
    from tests.bench.policy_value import run, summarised

    rows = {row["estimate"]: row for row in summarised(run(2, logs=12))}
    replay, holdout = rows["doubly robust"], rows["holdout"]
    band = 5 * replay["mean_standard_error"] / np.sqrt(24)
    assert 2 * band < 0.006
    assert abs(replay["bias"]) <= band
    assert replay["coverage"] >= 0.7  # chance alone: once in 500
    assert replay["mean_standard_error"] < holdout["mean_standard_error"] / 3
    assert rows["holdout, adjusted"]["mean_standard_error"] < holdout["mean_standard_error"]
