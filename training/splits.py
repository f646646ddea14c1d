"""Splits in time order: what is judged lies after what was learned from."""

from collections.abc import Iterator

import numpy as np


def newest(at_days: np.ndarray, share: float) -> np.ndarray:
    """Mask of about the newest `share` of the rows, shape (n,); rows of one moment stay on one side."""
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1; got {share}.")
    cut = np.quantile(at_days, 1 - share, method="lower")
    sides = [side for side in (at_days > cut, at_days >= cut) if side.any()]
    return min(sides, key=lambda side: abs(float(side.mean()) - share))


def known_before(at_days: np.ndarray, start_days: float, window_days: float) -> np.ndarray:
    """Mask of the rows whose label was already mature at `start_days`, shape (n,).

    Where that would cost more than half of the earlier rows, all earlier rows are taken: a short history
    cannot afford the gap, and the label then is younger than a live retraining would have it.
    """
    earlier = at_days < start_days
    matured = earlier & (at_days + window_days <= start_days)
    return matured if matured.sum() >= 0.5 * earlier.sum() else earlier


def time_folds(at_days: np.ndarray, folds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(train, test) positions: the rows in `folds + 1` consecutive blocks, each tested on what came before."""
    order = np.argsort(at_days, kind="stable")
    blocks = np.array_split(order, folds + 1)
    for fold in range(1, folds + 1):
        yield np.concatenate(blocks[:fold]), blocks[fold]


def cross_folds(n_rows: int, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Fold number of each row, balanced and shuffled, shape (n,): for cross-fitting, where time plays no part."""
    return rng.permutation(np.arange(n_rows) % folds)
