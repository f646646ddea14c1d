"""Linear regression under a normal prior, with the noise's variance estimated along with it."""

import numpy as np

PRECISION = 4.0  # of a coefficient's prior: sd .5 in the target's unit a standard deviation
ROUNDS = 5
LEAST_VARIANCE = 1e-6  # of the noise: a target that does not vary must not make it singular


def fit_ridge(design: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Coefficients, shape (k,); the first, of the column of ones, is free.

    design : (n, k), standardised; target : (n,), of a spread near 1 (logs, standard scores).
    Source: MacKay (1992), Bayesian interpolation, doi:10.1162/neco.1992.4.3.415.
    """
    precision = np.full(design.shape[1], PRECISION)
    precision[0] = 1e-6
    gram, moment = design.T @ design, design.T @ target
    variance = max(float(np.var(target)), LEAST_VARIANCE)
    for _ in range(ROUNDS):
        penalised = gram + np.diag(precision * variance)
        coefficients = np.linalg.solve(penalised, moment)
        free = len(target) - float(np.trace(np.linalg.solve(penalised, gram)))
        squares = float(np.sum((target - design @ coefficients) ** 2))
        variance = max(squares / max(free, 1.0), LEAST_VARIANCE)
    return np.asarray(coefficients)
