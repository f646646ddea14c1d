"""Penalised logistic regression with an offset: the small solver behind every linear part here."""

import numpy as np

from training.log_odds import expit

STEPS = 50
HALVINGS = 30
TOLERANCE = 1e-8


def fit_ridge_logistic(
    design: np.ndarray,
    converted: np.ndarray,
    offset: np.ndarray,
    precision: np.ndarray,
    weight: np.ndarray | float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients that maximise the penalised likelihood, shape (k,), and their posterior covariance (k, k).

    design : (n, k); converted : 0/1 (n,); offset : (n,) in log-odds; precision : (k,) of the normal prior around 0;
    weight : of each row, (n,), 1 if not given.
    Newton's method; the covariance is the inverse Hessian at the mode (Laplace).
    Source: MacKay (1992), Bayesian interpolation, doi:10.1162/neco.1992.4.3.415.
    """

    def loss(log_odds: np.ndarray, at: np.ndarray) -> float:
        return float(np.sum(weight * (np.logaddexp(0.0, log_odds) - converted * log_odds)) + 0.5 * precision @ at**2)

    coefficients, log_odds = np.zeros(design.shape[1]), np.asarray(offset, dtype=float)
    current = loss(log_odds, coefficients)
    for _ in range(STEPS):
        p = expit(log_odds)
        gradient = design.T @ (weight * (converted - p)) - precision * coefficients
        hessian = (design.T * (weight * p * (1 - p))) @ design + np.diag(precision)
        step = np.linalg.solve(hessian, gradient)
        # Where most p are near 0 or 1 a whole step overshoots, and the next one back, for ever.
        for _ in range(HALVINGS):
            log_odds = offset + design @ (coefficients + step)
            reached = loss(log_odds, coefficients + step)
            if reached <= current:
                break
            step = step / 2
        coefficients, current = coefficients + step, reached
        if np.max(np.abs(step), initial=0.0) < TOLERANCE:
            break
    return coefficients, np.linalg.inv(hessian)


def logit(probability: np.ndarray | float) -> np.ndarray:
    """Log-odds of a probability, kept finite at 0 and 1."""
    p = np.clip(probability, 1e-9, 1 - 1e-9)
    return np.log(p / (1 - p))
