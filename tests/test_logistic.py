"""The penalised logistic regression behind every linear part, against hand cases, slow twins and a library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from training.logistic import fit_ridge_logistic, logit


def data(rng, rows=400, width=5):
    design = np.column_stack([np.ones(rows), rng.normal(0, 1, (rows, width - 1))])
    offset = rng.normal(-1, 1, rows)
    truth = rng.normal(0, 0.7, width)
    return design, (rng.random(rows) < expit(offset + design @ truth)).astype(float), offset


def penalised_loss(coefficients, design, converted, offset, precision):
    log_odds = offset + design @ coefficients
    fit = np.sum(np.logaddexp(0, log_odds) - converted * log_odds)
    return fit + 0.5 * np.sum(precision * coefficients**2)


def gradient(coefficients, design, converted, offset, precision):
    return design.T @ (expit(offset + design @ coefficients) - converted) + precision * coefficients


def test_an_intercept_by_hand():
    # 3 of 4 converted: log-odds log 3; information 4 * 3/4 * 1/4 = 3/4.
    coefficients, covariance = fit_ridge_logistic(np.ones((4, 1)), np.array([1, 1, 0, 1]), np.zeros(4), np.zeros(1))
    assert coefficients == pytest.approx([np.log(3)])
    assert covariance == pytest.approx(np.array([[4 / 3]]))


def test_an_offset_is_taken_as_known():
    offset = np.full(4, np.log(3) - 2.0)
    coefficients, _ = fit_ridge_logistic(np.ones((4, 1)), np.array([1, 1, 0, 1]), offset, np.zeros(1))
    assert coefficients == pytest.approx([2.0])


def test_without_data_the_prior_is_the_posterior():
    coefficients, covariance = fit_ridge_logistic(np.empty((0, 2)), np.empty(0), np.empty(0), np.array([4.0, 25.0]))
    assert coefficients.tolist() == [0, 0]
    np.testing.assert_allclose(covariance, np.diag([1 / 4, 1 / 25]))
    assert fit_ridge_logistic(np.empty((3, 0)), np.ones(3), np.zeros(3), np.empty(0))[0].shape == (0,)


@pytest.mark.parametrize("seed", range(5))
def test_a_general_minimiser_agrees(seed):
    rng = np.random.default_rng(seed)
    design, converted, offset = data(rng)
    precision = 10.0 ** rng.uniform(-2, 2, design.shape[1])
    arguments = (design, converted, offset, precision)
    found = minimize(penalised_loss, np.zeros(design.shape[1]), arguments, "BFGS", gradient, options={"gtol": 1e-7})
    coefficients, covariance = fit_ridge_logistic(*arguments)
    np.testing.assert_allclose(coefficients, found.x, atol=1e-6)
    by_differences = np.column_stack(
        [(gradient(coefficients + h, *arguments) - gradient(coefficients - h, *arguments)) / 2e-5
         for h in np.eye(design.shape[1]) * 1e-5]
    )  # fmt: skip
    np.testing.assert_allclose(covariance @ by_differences, np.eye(design.shape[1]), atol=1e-6)


def test_scikit_learn_agrees(rng):
    design, converted, _ = data(rng)
    theirs = LogisticRegression(C=1 / 7.0, fit_intercept=False, tol=1e-10, max_iter=1000).fit(design, converted)
    ours, _ = fit_ridge_logistic(design, converted, np.zeros(len(design)), np.full(design.shape[1], 7.0))
    np.testing.assert_allclose(ours, theirs.coef_[0], atol=1e-6)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 50),
    st.integers(1, 5),
    st.floats(-15, 15),
    st.floats(0, 1),
    st.floats(-6, 2),
    st.floats(-1, 1.5),
)
def test_the_optimum_is_reached_from_wherever(seed, rows, width, level, rate, strength, scale):
    # A plain Newton's method swings for ever on some of these, where most of p is near 0 or 1.
    rng = np.random.default_rng(seed)
    design = rng.normal(0, 10**scale, (rows, width))
    converted = (rng.random(rows) < rate).astype(float)
    offset = rng.normal(level, 2, rows)
    precision = np.full(width, 10.0**strength)
    coefficients, covariance = fit_ridge_logistic(design, converted, offset, precision)
    slope = gradient(coefficients, design, converted, offset, precision)
    assert slope @ covariance @ slope < 1e-6  # twice what another Newton step would still gain


def test_log_odds_stay_finite():
    assert logit(0.75) == pytest.approx(np.log(3))
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
    np.testing.assert_allclose(expit(logit(np.array([0.001, 0.4]))), [0.001, 0.4])
