"""b_r: each rep's own deviations, by empirical Bayes, with their exact Laplace posterior.

logit P(convert | x, r) = F(x) + f(x, r)'beta + z(x)'b_r + hand * g_r, given F:

- b_rj ~ N(0, tau_group(j)^2), g_r ~ N(0, tau_hand^2), beta ~ N(0, 1/25): Newton's method a rep, all reps at once;
- tau^2 by MacKay's evidence updates with a weak prior, so that few rows neither silence nor inflate an effect;
- intervals from the posterior under more cautious variances, never smaller ones: a tau estimated near 0 would make
  them too narrow, and so would a heavy prior where reps differ more than it expects;
- hand = 1 where a person picked this rep: g_r takes up what hand-picking did, and is 0 at prediction.

Sources: MacKay (1992), doi:10.1162/neco.1992.4.3.415; Morris (1983), doi:10.1080/01621459.1983.10477920.
"""

from dataclasses import dataclass

import numpy as np

from training.machine import machine
from training.rep_sums import RepRows

PRIOR_WEIGHT = 2.0  # a: how many effects the prior on a variance is worth when effects are estimated
OVERALL_SD = 0.12  # s: what that prior expects of reps' overall levels, in log-odds
SEGMENTS_SD = 0.17  # and of all their segments together, shared out evenly among the groups
INTERVAL_WEIGHT, INTERVAL_SD = 20.0, 0.12  # the same for intervals: heavier and wider
HAND_SD = 0.15
PAIR_PRECISION = 25.0  # of beta: prior sd .2
LEAST_VARIANCE, MOST_VARIANCE = 1e-4, 1.0
ROUNDS = 20
CAUTION_ROUNDS = 20
SETTLED = 1e-4  # largest change of an effect that ends the rounds


@dataclass(frozen=True)
class RepEffects:
    """Effects of the reps seen in training, with their posterior; log-odds throughout."""

    effects: np.ndarray  # (n_reps, width)
    covariance: np.ndarray  # (n_reps, width, width)
    shrinkage_variance: np.ndarray  # (width,) tau^2 that the effects were shrunk by
    prior_variance: np.ndarray  # (width,) the cautious tau^2: a rep never seen has effects 0 with this variance
    hand_effects: np.ndarray  # (n_reps,) g_r: how rows picked by hand for this rep differed; 0 at prediction
    hand_sd: np.ndarray  # (n_reps,) posterior standard deviation of g_r
    hand_variance: float  # tau_hand^2
    beta: np.ndarray  # (n_pairs,)
    beta_covariance: np.ndarray  # (n_pairs, n_pairs)
    load_effect: float  # of twice the usual load; a prediction is made at the usual load


def no_reps(width: int, n_pairs: int) -> RepEffects:
    """The effects of a data set without reps: none, and only the prior's word on a new one."""
    return RepEffects(
        effects=np.empty((0, width)),
        covariance=np.empty((0, width, width)),
        shrinkage_variance=np.full(width, OVERALL_SD**2),
        prior_variance=np.full(width, INTERVAL_SD**2),
        hand_effects=np.empty(0),
        hand_sd=np.empty(0),
        hand_variance=HAND_SD**2,
        beta=np.zeros(n_pairs),
        beta_covariance=np.eye(n_pairs) / PAIR_PRECISION,
        load_effect=0.0,
    )


@dataclass(frozen=True)
class Evidence:
    """What the effects are fitted to; one entry a row, sorted by rep or not."""

    design: np.ndarray  # z(x), (n, width)
    rep: np.ndarray  # int (n,)
    pairs: np.ndarray  # f(x, r), (n, n_pairs)
    by_hand: np.ndarray  # bool (n,)
    load: np.ndarray  # (n,)
    converted: np.ndarray  # (n,) 0/1, or what is to be expected of an outcome not known yet


def fit_rep_effects(
    evidence: Evidence, lead_log_odds: np.ndarray, *, groups: np.ndarray, n_reps: int, start: RepEffects | None = None
) -> RepEffects:
    """The posterior mode and covariance of the reps' effects, given F at each row.

    lead_log_odds : (n,), F(x_i) from a fit that did not see row i; groups : (width,) variance group of each
    column of z; n_reps : size of the roster, reps without rows included; start : effects to begin from.
    """
    order = np.argsort(evidence.rep, kind="stable")
    rows = RepRows(
        design=np.column_stack([evidence.design, evidence.by_hand.astype(float)])[order],
        fixed=np.column_stack([evidence.pairs, evidence.load])[order],
        rep=evidence.rep[order],
        converted=evidence.converted[order],
        lead=lead_log_odds[order],
        n_reps=n_reps,
    )
    sums = machine().sums(rows)
    group = np.append(groups, groups.max() + 1)  # hand-picking has a variance of its own
    expected = _expected_sd(group)
    variance, effects = _starting_point(start, expected[group], n_reps)
    beta = np.zeros(rows.fixed.shape[1]) if start is None else np.append(start.beta, start.load_effect)
    precision = np.full(len(beta), PAIR_PRECISION)
    for _ in range(ROUNDS):
        # One Newton step each: what is left is made up for in the next round.
        slope, shared = sums.shared(effects, beta)
        hessian = shared + np.diag(precision)
        beta = beta + np.clip(np.linalg.solve(hessian, slope - precision * beta), -1.0, 1.0)
        gradient, whole, information = sums.own(effects, beta)
        change = _step(gradient - effects / variance, whole + np.diag(1 / variance))
        effects = effects + change
        variance = _evidence_update(effects, _posterior(information, variance), variance, group, PRIOR_WEIGHT, expected)
        if np.max(np.abs(change), initial=0.0) < SETTLED:
            break
    beta_covariance = np.linalg.inv(hessian)
    cautious = np.maximum(variance, _cautious_variance(effects, information, group))
    covariance = _posterior(information, cautious)
    return RepEffects(
        effects=effects[:, :-1],
        covariance=covariance[:, :-1, :-1],
        shrinkage_variance=variance[:-1],
        prior_variance=cautious[:-1],
        hand_effects=effects[:, -1],
        hand_sd=np.sqrt(covariance[:, -1, -1]),
        hand_variance=float(variance[-1]),
        beta=beta[:-1],
        beta_covariance=beta_covariance[:-1, :-1],
        load_effect=float(beta[-1]),
    )


def offset_of(effects: RepEffects, evidence: Evidence) -> np.ndarray:
    """The rep part of each row's log-odds as the row stood, shape (n,): F's offset."""
    own = np.einsum("nw,nw->n", evidence.design, effects.effects[evidence.rep])
    picked = evidence.by_hand * effects.hand_effects[evidence.rep]
    return own + picked + evidence.pairs @ effects.beta + evidence.load * effects.load_effect


def expected_variance(groups: np.ndarray) -> np.ndarray:
    """What the prior expects of a rep's effect in each column of z, tau^2, (width,); groups : as in `LeadDesign`."""
    return np.asarray(_expected_sd(np.append(groups, groups.max() + 1))[groups] ** 2)


def _expected_sd(group: np.ndarray) -> np.ndarray:
    """What the prior expects of each group: the overall level, the segments, and hand-picking last, (n_groups,)."""
    segments = int(group.max()) - 1
    return np.array([OVERALL_SD, *[SEGMENTS_SD / np.sqrt(max(segments, 1))] * segments, HAND_SD])


def _starting_point(start: RepEffects | None, sd: np.ndarray, n_reps: int) -> tuple[np.ndarray, np.ndarray]:
    if start is None:
        return sd**2, np.zeros((n_reps, len(sd)))
    variance = np.append(start.shrinkage_variance, start.hand_variance)
    return variance, np.column_stack([start.effects, start.hand_effects])


def _step(gradient: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """One Newton step for every rep, (n_reps, width)."""
    return np.clip(np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0], -1.0, 1.0)


def _posterior(information: np.ndarray, variance: np.ndarray) -> np.ndarray:
    return np.linalg.inv(information + np.diag(1 / variance))


def _evidence_update(
    effects: np.ndarray,
    covariance: np.ndarray,
    variance: np.ndarray,
    group: np.ndarray,
    weight: float,
    expected_sd: np.ndarray,
) -> np.ndarray:
    """tau^2 of each group: (sum b^2 + a s^2) / (sum gamma + a), gamma = 1 - S_jj / tau^2 (well-determinedness)."""
    determined = np.clip(1 - np.diagonal(covariance, axis1=1, axis2=2) / variance, 0.0, 1.0)
    squares = np.bincount(group, weights=(effects**2).sum(axis=0))
    gamma = np.bincount(group, weights=determined.sum(axis=0))
    updated = (squares + weight * expected_sd**2) / (gamma + weight)
    return np.clip(updated, LEAST_VARIANCE, MOST_VARIANCE)[group]


def _cautious_variance(effects: np.ndarray, information: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The same updates under the intervals' heavier prior, effects held, (width,)."""
    expected = np.full(int(group.max()) + 1, INTERVAL_SD)
    variance = expected[group] ** 2
    for _ in range(CAUTION_ROUNDS):
        covariance = _posterior(information, variance)
        variance = _evidence_update(effects, covariance, variance, group, INTERVAL_WEIGHT, expected)
    return variance
