"""Intervals of shares, means and waiting times, as reports show them."""

from dataclasses import dataclass

import numpy as np

from training.normal import quantile

LEVEL = 0.9


@dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its interval; all three NaN where there is none."""

    value: float
    low: float
    high: float


NONE = Estimate(np.nan, np.nan, np.nan)


def share(successes: float, trials: float, *, level: float = LEVEL) -> Estimate:
    """A share with Wilson's interval, which keeps to [0, 1] and is honest for few trials; NaN without any.

    Source: Wilson (1927), doi:10.1080/01621459.1927.10502953.
    """
    if trials <= 0:
        return NONE
    z2 = float(quantile(0.5 + level / 2)) ** 2
    p = successes / trials
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = np.sqrt(z2 * p * (1 - p) / trials + z2**2 / (4 * trials**2)) / (1 + z2 / trials)
    return Estimate(p, float(max(centre - half, 0.0)), float(min(centre + half, 1.0)))


def mean(values: np.ndarray, *, level: float = LEVEL) -> Estimate:
    """A mean with its normal interval; the ends are NaN below two values."""
    if not len(values):
        return NONE
    value = float(values.mean())
    if len(values) < 2:
        return Estimate(value, np.nan, np.nan)
    half = float(quantile(0.5 + level / 2) * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(value, value - half, value + half)


def above_expected(converted: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """How much more often cases converted than was expected of them, and its standard error; NaN without any.

    converted : (n,) 0/1; expected : (n,) probabilities. The error is that of the chances expected (the funnel plot's),
    or of what was seen where that is larger: of none in ten the spread seen is nearly nothing, and proves nothing.
    Source: Spiegelhalter (2005), doi:10.1002/sim.1970.
    """
    n = len(converted)
    if not n:
        return np.nan, np.nan
    beyond = converted - expected
    seen = float(beyond.var(ddof=1)) if n > 1 else 0.0
    return float(beyond.mean()), float(np.sqrt(max(float(np.mean(expected * (1 - expected))), seen) / n))


def shrunk(values: np.ndarray, errors: np.ndarray, *, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Several groups' estimates drawn towards their mean by how much of their spread is noise: (values, half widths).

    values, errors : (n_groups,) estimates and their standard errors, NaN where a group has none. The spread behind
    the noise is DerSimonian and Laird's; a group's posterior is normal given it.
    Source: DerSimonian & Laird (1986), doi:10.1016/0197-2456(86)90046-2; Morris (1983),
    doi:10.1080/01621459.1983.10477920.
    """
    known = np.isfinite(values) & np.isfinite(errors) & (errors > 0)
    made, half = np.full(len(values), np.nan), np.full(len(values), np.nan)
    if known.sum() < 3:
        return made, half
    weight = 1 / errors[known] ** 2
    centre = float(np.sum(weight * values[known]) / weight.sum())
    excess = float(np.sum(weight * (values[known] - centre) ** 2)) - (known.sum() - 1)
    spread = max(excess / float(weight.sum() - np.sum(weight**2) / weight.sum()), 0.0)
    centre = float(np.average(values[known], weights=1 / (errors[known] ** 2 + spread)))
    kept = spread / (spread + errors[known] ** 2)
    uncertain = (1 - kept) ** 2 / float(np.sum(1 / (errors[known] ** 2 + spread)))  # of the centre itself
    made[known] = centre + kept * (values[known] - centre)
    half[known] = quantile(0.5 + level / 2) * np.sqrt(kept * errors[known] ** 2 + uncertain)
    return made, half


def waiting_time(waited: np.ndarray, ended: np.ndarray, *, at: float = 0.5, level: float = LEVEL) -> Estimate:
    """The time within which a share `at` of all cases end, where some are still waiting; NaN where it is not reached.

    waited : (n,), from the beginning to the end, or to now; ended : bool (n,), False: still waiting, or lost sight of.
    The estimate is Kaplan and Meier's, the interval Brookmeyer and Crowley's with Greenwood's variance on the
    log(-log) scale; an end that is not reached is infinite.
    Source: Kaplan & Meier (1958), doi:10.1080/01621459.1958.10501452; Brookmeyer & Crowley (1982),
    doi:10.2307/2530286.
    """
    if not ended.any():
        return NONE
    order = np.argsort(waited, kind="stable")
    times, ends = waited[order], ended[order].astype(float)
    moment, first = np.unique(times, return_index=True)
    ends_at = np.add.reduceat(ends, first)
    at_risk = len(times) - first
    survival = np.cumprod(1 - ends_at / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(ends_at / (at_risk * (at_risk - ends_at)))
        spread = quantile(0.5 + level / 2) * np.sqrt(greenwood) / np.abs(np.log(survival))
        high, low = survival ** np.exp(-spread), survival ** np.exp(spread)
    undefined = (survival <= 0) | (survival >= 1)
    low, high = np.where(undefined, survival, low), np.where(undefined, survival, high)

    def reached(curve: np.ndarray) -> float:
        below = np.flatnonzero(curve <= 1 - at + 1e-12)
        return float(moment[below[0]]) if len(below) else np.inf

    value = reached(survival)
    return NONE if np.isinf(value) else Estimate(value, reached(low), reached(high))
