"""How strong would hidden hand-picking have to be to undo the choice of the best rep?

Two leads that look alike, one of them better in a way that nobody recorded: Gamma is the odds ratio with which
the better one is given to the star. If such picking is all there is, two equal reps look apart by an odds ratio
of at most Gamma (reached where the hidden trait decides who converts). So a difference beyond Gamma cannot be
picking of that strength alone. The E-value asks the same with risk ratios, of the trait with the rep and of the
trait with converting, both alike.
Sources: Rosenbaum (2002), Observational Studies, chapter 4, doi:10.1007/978-1-4757-3692-2; VanderWeele & Ding
(2017), Sensitivity analysis in observational research: introducing the E-value, doi:10.7326/M16-2607.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit


@dataclass(frozen=True)
class Strength:
    """How strong picking must be to explain a difference away, for the typical (median) lead; 1: any would do."""

    gamma: float
    e_value: float


@dataclass(frozen=True)
class Sensitivity:
    """What would undo the choice; chance is left aside, so these are upper ends of what the data can bear."""

    over_next: Strength  # the second best rep would be as good
    over_rotation: Strength  # the best rep would be no better than the eligible are on average
    leads: int


def sensitivity(log_odds: np.ndarray, eligible: np.ndarray) -> Sensitivity | None:
    """The strengths over leads with two eligible reps at least; None where there is no such lead.

    log_odds : (n_leads, n_reps), as the model has them; eligible : bool of that shape.
    """
    chosen = eligible.sum(axis=1) >= 2
    if not chosen.any():
        return None
    eta = np.where(eligible[chosen], log_odds[chosen], -np.inf)
    best, second = -np.partition(-eta, 1, axis=1)[:, :2].T
    mean = np.where(eligible[chosen], log_odds[chosen], 0.0).sum(axis=1) / eligible[chosen].sum(axis=1)
    return Sensitivity(_strength(best, second), _strength(best, mean), int(chosen.sum()))


def _strength(best: np.ndarray, other: np.ndarray) -> Strength:
    gamma = float(np.median(np.exp(best - other)))
    ratio = float(np.median(expit(best) / expit(other)))
    return Strength(gamma, e_value(ratio))


def e_value(risk_ratio: float) -> float:
    """The E-value of a risk ratio of 1 or more."""
    return float(risk_ratio + np.sqrt(risk_ratio * max(risk_ratio - 1.0, 0.0)))
