"""Uplift over rotation and its interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit

from training.uplift import uplift, uplift_interval

rates = st.integers(1, 8).flatmap(lambda reps: arrays(float, (3, reps), elements=st.floats(0, 1)))


def test_uplift_by_hand():
    # Rotation among the first two: (.2 + .4) / 2 = .3; the third is not eligible and may still be asked about.
    assert uplift(np.array([0.2, 0.4, 0.5]), np.array([0.5, 0.5, 0.0])) == pytest.approx([-0.1, 0.1, 0.2])


@given(rates)
def test_uplift_averages_to_nothing_under_rotation(probability):
    rotation = np.full(probability.shape[1], 1 / probability.shape[1])
    assert uplift(probability, rotation) @ rotation == pytest.approx(np.zeros(3), abs=1e-12)


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


def interval(at, rep, eligible, slope, level=0.9):
    return uplift_interval(
        rep, probability=probability_of(at, slope), eligible=eligible, z=at["z"], covariance=at["covariance"],
        pairs=at["pairs"], beta_covariance=at["beta_covariance"], slope=slope, level=level,
    )  # fmt: skip


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
    no_effects = {"covariance": np.zeros((6, 4, 4)), "z": at["z"]}
    found = uplift_interval(
        0, probability=p, eligible=np.ones(6, dtype=bool), pairs=at["pairs"], beta_covariance=np.eye(2), slope=1.0,
        **no_effects,
    )  # fmt: skip
    assert found.high - found.low == pytest.approx(0, abs=1e-12)
