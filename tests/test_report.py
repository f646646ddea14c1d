"""The figures of a training run: four metrics with their standard errors, and the curves logged with them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from training import metrics

ROWS = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from([0, 1]), min_size=n, max_size=n),
        st.lists(st.floats(0.01, 0.99), min_size=n, max_size=n),
    )
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_log_loss_by_hand():
    # -ln 0.5, -ln 0.75, so the mean and the spread of two numbers
    measured = metrics.log_loss(np.array([1, 0]), np.array([0.5, 0.25]))
    a, b = np.log(2), -np.log(0.75)
    assert measured.value == pytest.approx((a + b) / 2)
    assert measured.standard_error == pytest.approx(abs(a - b) / 2)


def test_an_impossible_thing_that_happened_costs_infinitely():
    measured = metrics.log_loss(np.array([1, 0]), np.array([0.0, 0.5]))
    assert measured.value == np.inf
    assert np.isnan(measured.standard_error)


def test_brier_by_hand():
    measured = metrics.brier(np.array([1, 0, 0, 1]), np.array([0.9, 0.1, 0.4, 0.6]))
    assert measured.value == pytest.approx((0.01 + 0.01 + 0.16 + 0.16) / 4)
    assert measured.standard_error == pytest.approx(np.std([0.01, 0.01, 0.16, 0.16], ddof=1) / 2)


def test_auc_by_hand():
    # converted .9 and .4 against .5 and .4: (1 + 1) + (0 + 1/2) of four pairs
    measured = metrics.auc(np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.5, 0.4]))
    assert measured.value == pytest.approx(2.5 / 4)
    # placements: converted 1 and 1/4; the others beaten by 1/2 and by 3/4
    variance = np.var([1, 0.25], ddof=1) / 2 + np.var([0.5, 0.75], ddof=1) / 2
    assert measured.standard_error == pytest.approx(np.sqrt(variance))


def test_auc_of_one_kind_alone_is_not_a_number():
    measured = metrics.auc(np.array([1, 1]), np.array([0.2, 0.3]))
    assert np.isnan(measured.value)
    assert np.isnan(measured.standard_error)


def test_expected_calibration_error_by_hand(rng):
    # two groups of equal chances: predicted .2, seen 0; predicted .8, seen .5; each half of the rows
    measured = metrics.expected_calibration_error(np.array([0, 0, 1, 0]), np.array([0.2, 0.2, 0.8, 0.8]), rng)
    assert measured.value == pytest.approx(0.5 * 0.2 + 0.5 * 0.3)


@given(ROWS)
def test_metrics_equal_their_slow_twins(rows):
    converted, probability = np.array(rows[0]), np.array(rows[1])
    assert metrics.log_loss(converted, probability).value == pytest.approx(
        sklearn_log_loss(converted, probability, labels=[0, 1])
    )
    if 0 < converted.sum() < len(converted):
        twin = roc_auc_score(converted, probability)
        assert metrics.auc(converted, probability).value == pytest.approx(twin)


def test_standard_errors_are_the_spread_over_many_samples(rng):
    # 400 samples of 400 rows: the spread itself is known to about 3.5 %, so 15 % off would be seen
    seen = []
    for _ in range(400):
        probability = rng.beta(2, 5, size=400)
        seen.append(metrics.evaluate((rng.random(400) < probability).astype(float), probability, rng))
    for name in ("log_loss", "auc", "brier"):
        spread = np.std([sample[name].value for sample in seen], ddof=1)
        claimed = np.mean([sample[name].standard_error for sample in seen])
        assert claimed == pytest.approx(spread, rel=0.15), name
    # The bootstrap of a mean of absolute values knows its spread only roughly.
    spread = np.std([sample["ece"].value for sample in seen], ddof=1)
    assert np.mean([sample["ece"].standard_error for sample in seen]) == pytest.approx(spread, rel=0.35)


def test_a_perfect_model_still_shows_the_calibration_error_of_chance(rng):
    probability = np.full(4_000, 0.3) + rng.uniform(-1e-6, 1e-6, 4_000)
    samples = [(rng.random(4_000) < probability).astype(float) for _ in range(30)]
    seen = [metrics.expected_calibration_error(sample, probability, rng).value for sample in samples]
    assert np.mean(seen) == pytest.approx(np.sqrt(2 / np.pi * 10 * 0.3 * 0.7 / 4_000), rel=0.15)


@pytest.mark.parametrize(
    ("converted", "probability"),
    [([0, 2], [0.1, 0.2]), ([0, 1], [0.1, 1.2]), ([0, 1], [0.1, np.nan]), ([0], [0.1, 0.2]), ([], [])],
)
def test_what_is_no_outcome_or_no_probability_is_refused(converted, probability):
    with pytest.raises(ValueError, match=r"[Ee]xpected|must"):
        metrics.brier(np.array(converted), np.array(probability))


def test_wilson_by_hand():
    # Wilson's interval of 5 in 10 at 95 %: the textbook .2366 to .7634
    assert metrics.wilson(5, 10, 0.95) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert metrics.wilson(0, 10, 0.95)[0] == 0


@given(ROWS)
def test_reliability_counts_every_row_once_and_its_bands_hold_what_was_seen(rows):
    converted, probability = np.array(rows[0]), np.array(rows[1])
    curve = metrics.reliability(converted, probability)
    assert sum(group.rows for group in curve) == len(converted)
    assert all(group.low <= group.observed <= group.high for group in curve)
    assert sum(group.observed * group.rows for group in curve) == pytest.approx(converted.sum())
