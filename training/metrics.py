"""How well probabilities fit what happened: four figures, each with its standard error."""

from dataclasses import dataclass

import numpy as np

from training.normal import quantile

CALIBRATION_BINS = 10
BOOTSTRAP_DRAWS = 200


@dataclass(frozen=True)
class Estimate:
    """A figure and its standard error, both in the figure's own unit; NaN where it is not defined."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class ReliabilityBin:
    """Leads of about the same predicted probability: what was predicted and what was seen."""

    predicted: float  # mean predicted probability
    observed: float  # share converted
    low: float  # Wilson's interval of that share
    high: float
    rows: int


def evaluate(converted: np.ndarray, probability: np.ndarray, rng: np.random.Generator) -> dict[str, Estimate]:
    """Log-loss, AUC, Brier score and expected calibration error of the same rows.

    converted : 0/1, shape (n,); mature outcomes only, and rows that the model was not fitted on.
    probability : predicted, in [0, 1], shape (n,).
    """
    return {
        "log_loss": log_loss(converted, probability),
        "auc": auc(converted, probability),
        "brier": brier(converted, probability),
        "ece": expected_calibration_error(converted, probability, rng),
    }


def log_loss(converted: np.ndarray, probability: np.ndarray) -> Estimate:
    """Mean negative log-likelihood in nats; infinite where something held impossible happened."""
    outcome, chance = _checked(converted, probability)
    from scipy.special import xlog1py, xlogy

    return _mean(-(xlogy(outcome, chance) + xlog1py(1 - outcome, -chance)))


def brier(converted: np.ndarray, probability: np.ndarray) -> Estimate:
    """Mean squared difference between probability and outcome.

    Source: Brier (1950), doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    outcome, chance = _checked(converted, probability)
    return _mean((chance - outcome) ** 2)


def auc(converted: np.ndarray, probability: np.ndarray) -> Estimate:
    """Chance that a converted lead ranks above one that did not convert; ties count half.

    NaN where all outcomes are alike; its standard error needs two leads of each kind. Where the two
    kinds do not overlap at all the standard error is 0, which says that none was seen, not that none exists.
    Source: DeLong, DeLong & Clarke-Pearson (1988), doi:10.2307/2531595, by the midranks of
    Sun & Xu (2014), doi:10.1109/LSP.2014.2337313.
    """
    outcome, chance = _checked(converted, probability)
    positive = chance[outcome == 1]
    negative = chance[outcome == 0]
    if not len(positive) or not len(negative):
        return Estimate(np.nan, np.nan)
    from scipy.stats import rankdata  # over a second, and a worker of the service needs none of it

    ranks = rankdata(np.concatenate([positive, negative]))
    # For each lead, the share of the other kind that it stands on the right side of.
    above = (ranks[: len(positive)] - rankdata(positive)) / len(negative)
    below = 1 - (ranks[len(positive) :] - rankdata(negative)) / len(positive)
    if min(len(positive), len(negative)) < 2:
        return Estimate(float(above.mean()), np.nan)
    variance = above.var(ddof=1) / len(positive) + below.var(ddof=1) / len(negative)
    return Estimate(float(above.mean()), float(np.sqrt(variance)))


def expected_calibration_error(
    converted: np.ndarray, probability: np.ndarray, rng: np.random.Generator
) -> Estimate:
    """Mean gap between predicted and observed rate over ten groups of equal size, weighted by rows.

    Never below 0, so chance alone lifts it: a perfect model on n rows shows about
    0.8 * sqrt(10 * p * (1 - p) / n). The standard error is the bootstrap's over rows, groups held fixed.
    Source: Naeini, Cooper & Hauskrecht (2015), AAAI 29, with quantile groups as in
    Nguyen & O'Connor (2015), doi:10.18653/v1/D15-1182.
    """
    outcome, chance = _checked(converted, probability)
    group = quantile_groups(chance, CALIBRATION_BINS)
    residual = outcome - chance
    rows = len(outcome)

    def gap(group: np.ndarray, residual: np.ndarray) -> float:
        return float(np.abs(np.bincount(group, weights=residual)).sum() / rows)

    drawn = (rng.integers(rows, size=rows) for _ in range(BOOTSTRAP_DRAWS))
    replicates = [gap(group[draw], residual[draw]) for draw in drawn]
    return Estimate(gap(group, residual), float(np.std(replicates, ddof=1)))


def reliability(
    converted: np.ndarray, probability: np.ndarray, *, bins: int = CALIBRATION_BINS, level: float = 0.9
) -> list[ReliabilityBin]:
    """The reliability curve: leads in `bins` groups of equal size by predicted probability, lowest first."""
    outcome, chance = _checked(converted, probability)
    group = quantile_groups(chance, bins)
    curve = []
    for number in np.unique(group):
        inside = group == number
        won, rows = int(outcome[inside].sum()), int(inside.sum())
        low, high = wilson(won, rows, level)
        curve.append(ReliabilityBin(float(chance[inside].mean()), won / rows, low, high, rows))
    return curve


def wilson(successes: float, rows: float, level: float) -> tuple[float, float]:
    """Wilson's interval of a share: it stays inside [0, 1] and has width even at 0 of n.

    Source: Wilson (1927), doi:10.1080/01621459.1927.10502953.
    """
    z = quantile((1 + level) / 2)
    share = successes / rows
    centre = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    # At 0 and at n of n the ends are exact; rounding must not lift them off the share itself.
    return max(0.0, min(share, float(centre - half))), min(1.0, max(share, float(centre + half)))


def quantile_groups(probability: np.ndarray, bins: int) -> np.ndarray:
    """A group number for each row, groups of about equal size; equal probabilities share a group."""
    edges = np.quantile(probability, np.arange(1, bins) / bins)
    return np.searchsorted(np.unique(edges), probability, side="left")


def _mean(per_row: np.ndarray) -> Estimate:
    if len(per_row) < 2 or not np.isfinite(per_row).all():
        return Estimate(float(per_row.mean()), np.nan)
    return Estimate(float(per_row.mean()), float(per_row.std(ddof=1) / np.sqrt(len(per_row))))


def _checked(converted: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    outcome, chance = np.asarray(converted, dtype=float), np.asarray(probability, dtype=float)
    if outcome.shape != chance.shape or outcome.ndim != 1 or not len(outcome):
        raise ValueError(f"Expected an outcome and a probability a row, got {outcome.shape}, {chance.shape}.")
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise ValueError("Outcomes must be 0 or 1; leave out leads whose outcome is not known yet.")
    if not ((chance >= 0) & (chance <= 1)).all():
        raise ValueError("Probabilities must lie in [0, 1]; some are outside or NaN.")
    return outcome, chance
