"""Is there anything to match? A permutation test of the rep's effect, and the verdict in four words.

The statistic is the evidence for the model's own prior against none (its log Bayes factor, column by column): reps
whose level or segments differ, and what leads and reps have in common. No test has more power on average over that
prior; the permutations see to it that it is not trusted further than that.

Reps are shuffled within strata of what the assignment rule looked at; only rows that no person chose can
confirm an effect, for where people chose, the test mostly finds their choosing (reference figures: 67 % false
alarms on all rows under hidden grades, 7 % on clean rows).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit

from training import permutation
from training.logistic import fit_ridge_logistic
from training.rep_effects import PAIR_PRECISION

IN_WORDS = {
    "rep_matters": ("It matters which rep gets a lead.", "由谁跟进确有影响。"),
    "unconfirmed": (
        "Reps differ, but it may be their choosing of leads: run a randomised trial first.",
        "销售之间有差异，但可能源于挑选线索，请先做随机试验。",
    ),
    "no_detectable_rep_effect": (
        "There is nothing to match here: reps cannot be told apart. Leads will rotate.",
        "未发现可匹配的差异，线索将轮流分配。",
    ),
    "too_little_data": (
        "There is too little data to tell whether it matters which rep gets a lead. Leads will rotate.",
        "数据不足，无法判断由谁跟进是否有影响，线索将轮流分配。",
    ),
}  # verdict -> English, Chinese
SHUFFLES = 199
LEVEL = 0.05  # at which reps are said to differ
CONFIRMED = 0.03  # and at which it is said to matter: at .05, 17 of 136 worlds without effects were confirmed
LEAST_ROWS, LEAST_CONVERSIONS, LEAST_REPS = 500, 50, 2
LEAST_CLEAN_ROWS = 300
MANY_OPEN = 0.05  # of the mature rows still open: then a difference must show among the closed ones too


Pairs = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (rows, rep of each) -> f(x, r), (n_rows, n_pairs)


@dataclass(frozen=True)
class Potential:
    """The verdict and the p-values it rests on; a p-value is NaN where its test could not be made."""

    verdict: str  # rep_matters, unconfirmed, no_detectable_rep_effect, too_little_data
    p_clean: float
    p_all: float
    clean_rows: int
    rows: int
    why: str  # in one sentence


def judge(
    *,
    design: np.ndarray,
    variance: np.ndarray,
    pairs: Pairs,
    rep: np.ndarray,
    converted: np.ndarray,
    log_odds: np.ndarray,
    by_hand: np.ndarray,
    closed: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
) -> Potential:
    """Whether the data show that it matters which rep gets a lead.

    design : z(x), (n, width), intercept first; variance : (width,), of a rep's effect in each column, as expected;
    pairs : f(x, r) of given rows with given reps; rep : int (n,); converted : 0/1 (n,); log_odds : (n,) of the lead
    alone, out of fold; by_hand : bool (n,); closed : bool (n,), has an outcome; strata : int (n,), rows among
    which reps may be swapped. Where many old leads stand open, reps may differ only in how many they leave so:
    an effect then counts only if it shows among the closed leads as well.
    """
    rows, conversions, reps = len(rep), int(converted.sum()), len(np.unique(rep))
    clean = ~by_hand
    if rows < LEAST_ROWS or min(conversions, rows - conversions) < LEAST_CONVERSIONS or reps < LEAST_REPS:
        why = f"{rows:,} mature rows with {conversions:,} conversions among {reps} reps are too few to tell."
        return Potential("too_little_data", np.nan, np.nan, int(clean.sum()), rows, why)
    views = [np.ones(rows, dtype=bool)]
    # Where nobody ever marks a lead as lost, the closed ones are the wins, and tell nothing by themselves.
    if closed.mean() <= 1 - MANY_OPEN and np.sum(closed & (converted == 0)) >= LEAST_CONVERSIONS:
        views.append(closed)

    def p_value(chosen: np.ndarray) -> float:
        def of(rows: np.ndarray) -> float:
            told = (design[rows], rep[rows], converted[rows], log_odds[rows], strata[rows], rng)
            return permutation_p(*told, variance=variance, pairs=lambda other: pairs(rows, other))

        return max(of(np.flatnonzero(view & chosen)) for view in views)

    p_all = p_value(np.ones(rows, dtype=bool))
    p_clean = p_value(clean) if clean.sum() >= LEAST_CLEAN_ROWS else np.nan
    verdict, why = _verdict(p_clean, p_all, int(clean.sum()))
    return Potential(verdict, p_clean, p_all, int(clean.sum()), rows, why)


def _verdict(p_clean: float, p_all: float, clean_rows: int) -> tuple[str, str]:
    if p_clean <= CONFIRMED:
        return "rep_matters", f"Seen in {clean_rows:,} rows that no person chose (p = {p_clean:.3f})."
    if p_all <= LEVEL:
        where = "only in rows where people chose" if clean_rows >= LEAST_CLEAN_ROWS else "but too few rows say why"
        if p_clean <= LEVEL:
            where = f"but not clearly where no person chose (p = {p_clean:.3f})"
        return "unconfirmed", f"Reps differ (p = {p_all:.3f}), {where}: it may be their choosing. Run a trial first."
    return "no_detectable_rep_effect", f"Shuffled reps look the same as the real ones (p = {p_all:.2f})."


def permutation_p(
    design: np.ndarray,
    rep: np.ndarray,
    converted: np.ndarray,
    log_odds: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
    *,
    variance: np.ndarray,
    pairs: Callable[[np.ndarray], np.ndarray],
    shuffles: int = SHUFFLES,
) -> float:
    """p-value of the evidence against reps shuffled within strata, in (0, 1]; 1 where all outcomes are alike.

    variance, and the rest : as for `judge`; pairs : f(x, r) of all these rows with given reps, (n, n_pairs).
    """
    if len(np.unique(converted)) < 2:
        return 1.0
    # A part of the rows may convert more often than all: their own level is not an effect of their reps.
    level, _ = fit_ridge_logistic(np.ones((len(rep), 1)), converted, log_odds, np.array([1e-6]))
    p = expit(log_odds + level[0])
    residual, weight = converted - p, p * (1 - p)
    rows = np.hstack([design * residual[:, None], design**2 * weight[:, None]])
    _, stratum = np.unique(strata, return_inverse=True)

    def statistic(shuffled: np.ndarray) -> np.ndarray:
        shared = evidence_of_pairs(pairs(shuffled), residual, weight, stratum)
        return np.array([evidence_of_reps(rows, shuffled, variance) + shared])

    return float(permutation.permutation_p(statistic, rep, strata, rng, many=shuffles)[0])


def evidence_of_reps(rows: np.ndarray, rep: np.ndarray, variance: np.ndarray) -> float:
    """Log of how much likelier the outcomes are if reps differ by these variances than if they do not.

    rows : (n, 2 * width), z * (y - p) beside z^2 p (1 - p); rep : int (n,); variance : (width,). Each rep and column
    by itself: (t S^2 / (1 + t I) - log(1 + t I)) / 2, S and I a rep's sums and t the variance.
    """
    one_hot = csr_array((np.ones(len(rep)), (rep, np.arange(len(rep)))), shape=(int(rep.max()) + 1, len(rep)))
    s, i = np.hsplit(one_hot @ rows, 2)
    return _log_bayes_factor(s, i, variance)


def evidence_of_pairs(f: np.ndarray, residual: np.ndarray, weight: np.ndarray, stratum: np.ndarray) -> float:
    """The same for what leads and reps have in common, f(x, r) (n, k), under the model's prior on its weights.

    residual, weight : (n,), y - p and p (1 - p); stratum : int (n,) from 0. Only differences within a stratum count:
    where a rule gave every lead to a rep who matches, the match tells the rule's leads from the others, not the reps.
    """
    if not f.shape[1]:
        return 0.0
    one_hot = csr_array((np.ones(len(f)), (stratum, np.arange(len(f)))), shape=(int(stratum.max()) + 1, len(f)))
    mean = one_hot @ (f * weight[:, None]) / (one_hot @ weight)[:, None]
    within = f - mean[stratum]
    return _log_bayes_factor(within.T @ residual, (within**2).T @ weight, np.full(f.shape[1], 1 / PAIR_PRECISION))


def _log_bayes_factor(s: np.ndarray, information: np.ndarray, variance: np.ndarray) -> float:
    spread = 1 + variance * information
    return float(0.5 * np.sum(variance * s**2 / spread - np.log(spread)))


def assignment_strata(
    columns: list[np.ndarray], assigned_by: np.ndarray, at_days: np.ndarray, *, block_days: float = 30.0
) -> np.ndarray:
    """A stratum number for each row: what the rule looked at, why the rep was given, and the month, shape (n,)."""
    block = np.floor((at_days - at_days.min()) / block_days)
    parts = [*(np.nan_to_num(column, nan=-1.0) for column in columns), block]
    _, reason = np.unique(assigned_by, return_inverse=True)
    _, strata = np.unique(np.column_stack([*parts, reason]), axis=0, return_inverse=True)
    return strata
