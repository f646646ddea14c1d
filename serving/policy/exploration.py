"""How much of a choice is left to chance: a uniform floor and a softmax, with closed-form propensities."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Exploration:
    """A share given to anyone, and how sharply the rest prefers the best."""

    uniform: float  # share drawn uniformly from the available
    temperature: float  # of the softmax over the rest
    scale: Literal["log_odds", "mean_probability"]  # what the temperature is measured in


AS_GOOD = 1e-12  # chances nearer than this are equals: whoever is drawn at less than the best is an exploration

# learn: a replay finds enough overlap soon. earn: the gain first, identification as a by-product.
LEARN = Exploration(uniform=0.10, temperature=0.25, scale="log_odds")
EARN = Exploration(uniform=0.03, temperature=0.03, scale="mean_probability")


def smoothed(probability: Floats, prices: Floats, available: Flags, exploration: Exploration) -> Floats:
    """Propensities, shape (m,): near the best of `probability - prices`, never nothing for an available rep."""
    free = available.nonzero()[0]
    if not len(free):
        raise ValueError("Nobody is available; ask for propensities only where somebody is.")
    kept = np.maximum(np.minimum(probability[free], 1 - 1e-9), 1e-9)
    mean = float(kept.sum()) / len(free)
    if exploration.scale == "log_odds":
        # A price is in probability; at the mean, one point of probability is 1 / (p (1 - p)) of log-odds.
        worth = np.log(kept / (1 - kept)) - prices[free] / (mean * (1 - mean))
        temperature = exploration.temperature
    else:
        worth = kept - prices[free]
        temperature = exploration.temperature * mean
    worth -= worth.max()
    worth /= temperature
    weight = np.exp(worth, out=worth)
    weight *= (1 - exploration.uniform) / weight.sum()
    weight += exploration.uniform / len(free)
    chances = np.zeros(len(probability))
    chances[free] = weight
    return chances


def smoothed_to_earn(probability: Floats, prices: Floats) -> Floats:
    """`smoothed` by EARN for many leads with the same available reps, (n, m).

    probability : (n, m) and prices : (m,), of the available reps alone.
    """
    m = len(prices)
    kept = np.clip(probability, 1e-9, 1 - 1e-9)
    mean = kept.sum(axis=1, keepdims=True) / m
    weight = np.subtract(kept, prices, out=kept)
    weight -= weight.max(axis=1, keepdims=True)
    weight /= EARN.temperature * mean
    np.exp(weight, out=weight)
    weight *= (1 - EARN.uniform) / weight.sum(axis=1, keepdims=True)
    weight += EARN.uniform / m
    return weight
