"""Intervals of shares, means and waiting times."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from training.intervals import above_expected, mean, share, shrunk, waiting_time


def test_a_share_has_wilsons_interval():
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263, 95 %: .2553 to .3662.
    found = share(81, 263, level=0.95)
    assert (found.value, found.low, found.high) == pytest.approx((81 / 263, 0.2553, 0.3662), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_lies_in_its_interval_and_both_in_0_to_1(case):
    found = share(*case)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


def test_nothing_has_no_share_and_no_mean():
    assert np.isnan(share(0, 0).value)
    assert np.isnan(mean(np.zeros(0)).value)
    one = mean(np.array([3.0]))
    assert one.value == 3.0
    assert np.isnan(one.low)


def test_a_mean_by_hand():
    found = mean(np.array([1.0, 2.0, 3.0]))  # standard deviation 1
    assert found.value == 2.0
    assert found.high - 2.0 == pytest.approx(norm.ppf(0.95) / np.sqrt(3))


def test_waiting_times_reckon_in_those_who_still_wait():
    # Kaplan-Meier by hand: 5 cases; ends at 1, 3, 4; lost sight of at 2 and 5. S: .8, .8, .8 * 2/3, .8 * 1/3.
    waited, ended = np.array([1.0, 2, 3, 4, 5]), np.array([True, False, True, True, False])
    assert waiting_time(waited, ended).value == 4.0
    assert waiting_time(waited, ended, at=0.4).value == 3.0
    assert np.isnan(waiting_time(waited, ended, at=0.9).value)  # not reached
    assert np.isnan(waiting_time(waited, ~ended & False).value)


def test_the_interval_of_a_waiting_time_covers(rng):
    hits = 0
    for _ in range(400):
        wait, limit = rng.exponential(1, 80), rng.exponential(2, 80)
        found = waiting_time(np.minimum(wait, limit), wait <= limit)
        hits += found.low <= np.log(2) <= found.high
    assert 0.86 < hits / 400 < 0.95  # 90 %, standard error .015


def test_shrinking_leaves_no_talent_in_pure_noise_and_keeps_what_is_real(rng):
    errors = np.full(40, 0.05)
    noise, _ = shrunk(rng.normal(0, 0.05, 40), errors)
    assert noise.std() < 0.025
    true = rng.normal(0, 0.1, 40)
    seen = true + rng.normal(0, 0.05, 40)
    made, half = shrunk(seen, errors)
    assert np.mean((made - true) ** 2) < np.mean((seen - true) ** 2)
    assert np.mean(np.abs(made - true) <= half) > 0.75  # 90 %, standard error .05


def test_shrinking_needs_three_groups_and_leaves_out_the_unknown():
    made, half = shrunk(np.array([0.1, np.nan, 0.2]), np.array([0.01, np.nan, 0.01]))
    assert np.isnan(made).all()
    assert np.isnan(half).all()


def test_none_of_ten_is_no_proof():
    value, error = above_expected(np.zeros(10), np.full(10, 0.2))
    assert (value, error) == (pytest.approx(-0.2), pytest.approx(np.sqrt(0.2 * 0.8 / 10)))
    assert np.isnan(above_expected(np.empty(0), np.empty(0))).all()


def test_what_is_above_expected_is_covered_whether_few_convert_or_all_is_as_expected(rng):
    z, worlds = 1.6449, 2_000
    for truth, promised in ((0.05, 0.05), (0.05, 0.15), (0.3, 0.15)):
        hits = 0
        for _ in range(worlds):
            value, error = above_expected((rng.random(30) < truth).astype(float), np.full(30, promised))
            hits += abs(value - (truth - promised)) <= z * error
        assert hits / worlds > 0.9 - 3 * np.sqrt(0.9 * 0.1 / worlds) - 0.02  # whole numbers of wins jump past the level
