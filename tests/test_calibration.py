"""Level and spread from the newest rows."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from training.calibration import LEAST_CONVERSIONS, SLOPE_PRECISION, Calibration, recalibrate


def drawn(rng, rows, intercept, slope):
    log_odds = rng.normal(-1.5, 1, rows)
    return (rng.random(rows) < expit(intercept + slope * log_odds)).astype(np.int8), log_odds


def test_apply_by_hand():
    assert Calibration(0.5, 2.0).apply(np.array([-1.0, 0.25])).tolist() == [-1.5, 1.0]
    assert Calibration().apply(np.array([-1.0])).tolist() == [-1.0]


def test_too_few_conversions_change_nothing(rng):
    converted, log_odds = np.zeros(500), rng.normal(0, 1, 500)
    converted[: LEAST_CONVERSIONS - 1] = 1
    assert recalibrate(converted, log_odds) == Calibration()
    assert recalibrate(1 - converted, log_odds) == Calibration()
    converted[LEAST_CONVERSIONS - 1] = 1
    assert recalibrate(converted, log_odds).rows == 500


def test_the_penalised_likelihood_is_maximised(rng):
    converted, log_odds = drawn(rng, 800, 0.4, 0.7)

    def loss(at):
        eta = at[0] + at[1] * log_odds
        return np.sum(np.logaddexp(0, eta) - converted * eta) + SLOPE_PRECISION / 2 * (at[1] - 1) ** 2

    found = minimize(loss, [0.0, 1.0], tol=1e-9).x
    fitted = recalibrate(converted, log_odds)
    assert [fitted.intercept, fitted.slope] == pytest.approx(found, abs=1e-4)


def test_the_mean_prediction_is_the_mean_outcome(rng):
    converted, log_odds = drawn(rng, 1000, 0.8, 1.0)
    assert expit(recalibrate(converted, log_odds).apply(log_odds)).mean() == pytest.approx(converted.mean(), abs=1e-8)


def test_a_known_drift_is_found(rng):
    converted, log_odds = drawn(rng, 200_000, 0.4, 0.7)
    fitted = recalibrate(converted, log_odds)
    # At p about .25 the standard errors of intercept and slope are about .011 and .007.
    assert fitted.intercept == pytest.approx(0.4, abs=0.055)
    assert fitted.slope == pytest.approx(0.7, abs=0.035)


def test_a_small_window_moves_the_level_and_hardly_the_slope(rng):
    converted, log_odds = drawn(rng, 200, 1.0, 0.3)
    fitted = recalibrate(converted, log_odds)
    assert fitted.slope > 0.65  # and not .3
    assert expit(fitted.apply(log_odds)).mean() == pytest.approx(converted.mean(), abs=1e-8)
