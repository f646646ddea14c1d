"""Uplift over rotation and its interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm

from training.uplift import intervals, uplift_errors


def posterior(rng, reps=6, width=4, n_pairs=2, size=0.02):
    """A lead's z and f(x, r), effects with their posterior, and F."""
    roots = rng.normal(0, 1, (reps, width, width))
    root = rng.normal(0, 1, (n_pairs, n_pairs))
    return {
        "f": -1.0,
        "z": np.append(1.0, rng.normal(0, 1, width - 1)),
        "effects": rng.normal(0, 0.3, (reps, width)),
        "covariance": size * roots @ roots.transpose(0, 2, 1) / width,
        "pairs": rng.integers(0, 2, (reps, n_pairs)).astype(float),
        "beta": rng.normal(0, 0.2, n_pairs),
        "beta_covariance": size * root @ root.T,
    }


def probability_of(at, slope, effects=None, beta=None):
    effects = at["effects"] if effects is None else effects
    beta = at["beta"] if beta is None else beta
    return expit(slope * (at["f"] + effects @ at["z"] + np.squeeze(at["pairs"] @ beta)))


def several(at, reps, eligible, slope, level=0.9):
    value, error = uplift_errors(
        np.array(reps), probability=probability_of(at, slope), rotation=eligible / eligible.sum(),
        variance=(at["covariance"] @ at["z"]) @ at["z"], pairs=at["pairs"].T, beta_covariance=at["beta_covariance"],
        slope=slope,
    )  # fmt: skip
    return intervals(value, error, level)


def interval(at, rep, eligible, slope, level=0.9):
    return several(at, [rep], eligible, slope, level).one(0)


@given(st.integers(0, 2**32 - 1), st.lists(st.booleans(), min_size=6, max_size=6).filter(any))
def test_all_intervals_at_once_are_those_of_the_whole_gradient(seed, eligible):
    at, eligible = posterior(np.random.default_rng(seed)), np.array(eligible)
    p, slope = probability_of(at, 0.7), 0.7
    found = several(at, range(6), eligible, slope)
    for rep in range(6):
        weight = (np.arange(6) == rep) - eligible / eligible.sum()
        gradient = weight * p * (1 - p) * slope
        common = gradient @ at["pairs"]
        variance = sum(g**2 * at["z"] @ s @ at["z"] for g, s in zip(gradient, at["covariance"], strict=True))
        half = norm.ppf(0.95) * np.sqrt(variance + common @ at["beta_covariance"] @ common)
        one = found.one(rep)
        # The root of a difference of like numbers: where only the rep herself is eligible both are 0.
        value = p @ weight
        assert [one.value, one.low, one.high] == pytest.approx([value, value - half, value + half], abs=1e-8)


@pytest.mark.parametrize("slope", [1.0, 0.6])
@pytest.mark.parametrize("rep", [0, 5])  # the last is not among the eligible
def test_the_interval_is_that_of_draws_from_the_posterior(rng, rep, slope):
    at, draws = posterior(rng), 40_000
    eligible = np.array([True, True, False, True, True, False])
    reps = zip(at["effects"], at["covariance"], strict=True)
    effects = np.stack([rng.multivariate_normal(mean, spread, draws) for mean, spread in reps], axis=1)
    beta = rng.multivariate_normal(at["beta"], at["beta_covariance"], draws)
    p = expit(slope * (at["f"] + effects @ at["z"] + beta @ at["pairs"].T))
    gain = p[:, rep] - p[:, eligible].mean(axis=1)
    low, high = np.quantile(gain, [0.05, 0.95])
    found = interval(at, rep, eligible, slope)
    # Straight lines stand for the S-curve, so the ends may differ by a twentieth of the width.
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.05 * (high - low))
    assert found.value == pytest.approx(gain.mean(), abs=0.05 * (high - low))


def test_a_wider_level_and_a_wider_posterior_widen_the_interval(rng):
    at, eligible = posterior(rng), np.ones(6, dtype=bool)
    narrow, wide = interval(at, 1, eligible, 1.0, 0.5), interval(at, 1, eligible, 1.0, 0.99)
    assert wide.low < narrow.low < narrow.value == wide.value < narrow.high < wide.high
    doubled = at | {"covariance": 4 * at["covariance"], "beta_covariance": 4 * at["beta_covariance"]}
    assert interval(doubled, 1, eligible, 1.0).high - narrow.value == pytest.approx(
        2 * (interval(at, 1, eligible, 1.0).high - narrow.value)
    )


def test_where_only_one_is_eligible_there_is_nothing_to_gain(rng):
    at = posterior(rng)
    alone = interval(at, 2, np.arange(6) == 2, 1.0)
    assert [alone.value, alone.low, alone.high] == pytest.approx([0, 0, 0], abs=1e-12)


def test_what_all_reps_share_adds_no_width(rng):
    at = posterior(rng) | {"pairs": np.ones((6, 2))}
    p = np.full(6, 0.3)
    _, error = uplift_errors(
        np.array([0]), probability=p, rotation=np.full(6, 1 / 6), variance=np.zeros(6), pairs=at["pairs"].T,
        beta_covariance=np.eye(2), slope=1.0,
    )  # fmt: skip
    assert error[0] == pytest.approx(0, abs=1e-12)
