"""The trial: leads held out at random against the others. Its lift, when one may look, and how long it must run."""

from dataclasses import dataclass

import numpy as np

from training.normal import quantile
from training.policy_value import LEVEL, PolicyValue, estimate

ALARM = 2.6  # standard errors between holdout and replay that chance alone exceeds once in a hundred trials
POWER, SIGNIFICANCE = 0.8, 0.05  # two-sided
SHARES = (0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True)
class Plan:
    """How long a trial must run at one share of held-out leads."""

    share: float
    leads: int  # in all, held out and not
    months: float


def lift(converted: np.ndarray, held_out: np.ndarray) -> PolicyValue:
    """Conversions per lead above the held-out leads', a difference in means; needs no model at all.

    converted : 0/1 (n,), mature outcomes; held_out : bool (n,), drawn by the lead's id before anything else.
    Counted by the arm that was drawn, whoever worked the lead in the end (intention to treat).
    """
    policy, control = converted[~held_out].astype(float), converted[held_out].astype(float)
    if min(len(policy), len(control)) < 2:
        raise ValueError(f"Expected two leads in each arm at least; got {len(policy)} and {len(control)}.")
    value = float(policy.mean() - control.mean())
    error = float(np.sqrt(policy.var(ddof=1) / len(policy) + control.var(ddof=1) / len(control)))
    half = float(quantile(0.5 + LEVEL / 2)) * error
    return PolicyValue(value, error, value - half, value + half)


def adjusted_lift(converted: np.ndarray, held_out: np.ndarray, expected: np.ndarray) -> PolicyValue:
    """The same with less noise: what was known of the leads beforehand is taken out (CUPED).

    expected : (n,), P(convert) as predicted at the decision from the lead alone, the same whoever gets it.
    Source: Deng, Xu, Kohavi & Walker (2013), doi:10.1145/2433396.2433413.
    """
    spread = float(np.var(expected))
    if spread == 0:
        return lift(converted, held_out)
    within = np.where(held_out, converted[held_out].mean(), converted[~held_out].mean())
    slope = float(np.mean((converted - within) * (expected - expected.mean())) / spread)
    return lift(converted - slope * (expected - expected.mean()), held_out)


def trial_scores(converted: np.ndarray, held_out: np.ndarray, share: float, expected: np.ndarray) -> np.ndarray:
    """One score a lead whose mean is the lift, shape (n,); each needs nothing but its own lead.

    share : chance of being held out; expected : (n,), P(convert) as predicted at the decision, whoever gets the lead.
    """
    if not 0 < share < 1:
        raise ValueError(f"The share held out lies between 0 and 1; got {share}.")
    sign = np.where(held_out, -1 / share, 1 / (1 - share))
    return sign * (converted - expected)


def always_valid(scores: np.ndarray, *, planned: int, level: float = LEVEL) -> PolicyValue:
    """The mean of the scores with an interval that holds at every look: one may peek each day and stop at will.

    scores : (n,), in the order in which they came; planned : number of leads at which the interval is tightest.
    It is wider than a fixed interval (by some 70 % at `planned`); its promise is kept as n grows, from some
    hundred leads on.
    Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (2024), "Time-uniform central limit theory and asymptotic
    confidence sequences", Annals of Statistics 52(6), arXiv:2103.06476; the normal mixture is that of Robbins (1970),
    doi:10.1214/aoms/1177696786.
    """
    n = len(scores)
    if n < 2:
        return PolicyValue(float(scores.mean()) if n else np.nan, np.nan, np.nan, np.nan)
    found = estimate(scores, level=level)
    half = mixture_half_width(n, float(scores.std()), planned=planned, level=level)
    return PolicyValue(found.value, found.standard_error, found.value - half, found.value + half)


def mixture_half_width(n: int, sd: float, *, planned: int, level: float) -> float:
    """Half the width of the normal-mixture sequence after n scores of standard deviation `sd`."""
    miss = 1 - level
    rho_squared = (-2 * np.log(miss) + np.log(-2 * np.log(miss) + 1)) / planned
    inside = (n * rho_squared + 1) / (n**2 * rho_squared) * np.log((n * rho_squared + 1) / miss**2)
    return float(sd * np.sqrt(inside))


def disagree(trial: np.ndarray, replay: np.ndarray) -> bool:
    """Whether holdout and replay say different things beyond chance: then the logged propensities are in doubt.

    trial, replay : (n,), one score a lead of the same leads, from `trial_scores` and from the replay's gain.
    """
    gap = estimate(trial - replay)
    return bool(abs(gap.value) > ALARM * gap.standard_error)


def leads_needed(rate: float, lift: float, share: float, *, power: float = POWER, level: float = SIGNIFICANCE) -> int:
    """Leads that show a lift with the given power, two-sided at `level`, `share` of them held out.

    n = (z_{1 - level/2} + z_power)^2 p (1 - p) / (h (1 - h) d^2): 7.85 p (1 - p) / (h (1 - h) d^2) by default.
    rate : conversions per lead today; lift : what is to be found, in conversions per lead.
    """
    if not 0 < rate < 1 or lift == 0 or not 0 < rate + lift < 1 or not 0 < share < 1:
        raise ValueError(
            f"Expected a rate, a share and rate + lift between 0 and 1, and a lift that is not 0; "
            f"got rate {rate}, lift {lift}, share {share}."
        )
    z = quantile(1 - level / 2) + quantile(power)
    return int(np.ceil(z**2 * rate * (1 - rate) / (share * (1 - share) * lift**2)))


def plan(*, leads_per_month: float, rate: float, lift: float, share: float) -> Plan:
    """How many leads and months a trial takes; arguments as for `leads_needed`."""
    if not leads_per_month > 0:
        raise ValueError(f"Expected some leads a month; got {leads_per_month}.")
    leads = leads_needed(rate, lift, share)
    return Plan(share, leads, leads / leads_per_month)
