"""What a policy would have been worth, from leads that another policy gave out and whose propensities it logged.

Every estimator here is a mean of one score a lead, so one rule serves them all: the standard error is that of a
mean, and the gain of one policy over another is the mean of the differences of their scores, lead by lead.
Formulas: ips w y; snips V + w (y - V) / mean(w); doubly robust sum_a t(a) q(a) + w (y - q(a_i)); marginalised the
same with the weight of the chosen rep's cluster. w = target / logged propensity of the rep who got the lead.
"""

from dataclasses import dataclass, replace

import numpy as np

from training.normal import quantile

LEVEL = 0.9
THIN = 0.01  # a logged propensity below this hardly supports anything
CLUSTERS = 10
BOOTSTRAP_DRAWS = 1_000


@dataclass(frozen=True)
class PolicyValue:
    """Conversions per lead, or a difference of such, with its interval; NaN where there is none to give."""

    value: float
    standard_error: float
    low: float
    high: float

    def without_interval(self) -> "PolicyValue":
        """The same figure where an interval would hide a bias that nobody can measure."""
        return replace(self, low=np.nan, high=np.nan)


@dataclass(frozen=True)
class Overlap:
    """How much the log can say of a policy: whether it often gave leads as the policy would."""

    rows: int
    effective_sample_size: float  # (sum w)^2 / sum w^2: as many leads given out by the policy itself would tell as much
    largest_weight_share: float
    mean_weight: float  # 1 where everything that the policy does could happen in the log
    mean_weight_error: float
    thin_share: float  # of the policy's mass, where the logged propensity is below .01 or no lead was ever given
    logged_p01: float  # 1 % quantile of the logged propensities
    target_share: np.ndarray  # (n_reps,) of the leads, by rep, under the policy
    logged_share: np.ndarray  # (n_reps,) as they were given

    @property
    def supported_share(self) -> float:
        """Share of what the policy does that the log can speak of."""
        return 1 - self.thin_share

    @property
    def mean_weight_is_off(self) -> bool:
        """Whether the policy gives leads to reps who, in the log, could not have got them (beyond noise)."""
        return abs(self.mean_weight - 1) > 3 * self.mean_weight_error + 1e-9


def ips(converted: np.ndarray, logged: np.ndarray, target: np.ndarray) -> PolicyValue:
    """Policy value by inverse propensity weighting, in conversions per lead.

    converted : 0/1, shape (n_leads,); mature outcomes only.
    logged, target : shape (n_leads,); propensity of the rep who got the lead, under the policy that ran (read
        from the log, never recomputed) and under the policy that is judged.
    Raises ValueError where a logged propensity is not in (0, 1].
    Source: Horvitz & Thompson (1952), doi:10.1080/01621459.1952.10483446.
    """
    return estimate(ips_scores(converted, logged, target))


def snips(converted: np.ndarray, logged: np.ndarray, target: np.ndarray) -> PolicyValue:
    """Policy value by self-normalised weighting; arguments and errors as for `ips`.

    Source: Swaminathan & Joachims (2015), NIPS 28, "The self-normalized estimator for counterfactual learning".
    """
    return estimate(snips_scores(converted, logged, target))


def doubly_robust(
    converted: np.ndarray, chosen: np.ndarray, logged: np.ndarray, target: np.ndarray, predicted: np.ndarray
) -> PolicyValue:
    """Policy value from a model of the outcome, corrected by the weighted residuals of what was seen.

    chosen : int (n_leads,), position of the rep who got the lead; logged : (n_leads,) its propensity;
    target : (n_leads, n_reps), the judged policy's propensities; predicted : (n_leads, n_reps), P(convert) from
        fits that did not see the row: of earlier rows, or of other folds.
    Source: Dudik, Langford & Li (2011), ICML, "Doubly robust policy evaluation and learning".
    """
    return estimate(doubly_robust_scores(converted, chosen, logged, target, predicted))


def marginalised(
    converted: np.ndarray,
    chosen: np.ndarray,
    logged: np.ndarray,
    target: np.ndarray,
    predicted: np.ndarray,
    cluster: np.ndarray,
) -> PolicyValue:
    """Doubly robust with weights of clusters of like reps: for so many reps that single ones hardly overlap.

    logged : (n_leads, n_reps), the whole logged vector; cluster : int (n_reps,), from other data than these;
    the rest as for `doubly_robust`. What the clusters hide is a bias of a few per cent.
    Source: Saito, Ren & Joachims (2023), ICML, "Off-policy evaluation for large action spaces via conjunct
    effect modeling".
    """
    return estimate(marginalised_scores(converted, chosen, logged, target, predicted, cluster))


def direct_method(target: np.ndarray, predicted: np.ndarray) -> PolicyValue:
    """What the outcome model itself expects of the policy; no interval, for nothing measures the model's bias."""
    return PolicyValue(float(np.sum(target * predicted, axis=1).mean()), np.nan, np.nan, np.nan)


def ips_scores(converted: np.ndarray, logged: np.ndarray, target: np.ndarray) -> np.ndarray:
    """One score a lead; their mean is `ips`."""
    return weights(logged, target) * converted


def snips_scores(converted: np.ndarray, logged: np.ndarray, target: np.ndarray) -> np.ndarray:
    """One score a lead; their mean is `snips`. Raises ValueError where no lead went as the policy would have it."""
    weight = weights(logged, target)
    if not weight.any():
        raise ValueError("The policy would have made none of the logged choices: there is nothing to average.")
    value = (weight * converted).sum() / weight.sum()
    return value + weight * (converted - value) / weight.mean()


def doubly_robust_scores(
    converted: np.ndarray, chosen: np.ndarray, logged: np.ndarray, target: np.ndarray, predicted: np.ndarray
) -> np.ndarray:
    """One score a lead; their mean is `doubly_robust`."""
    row = np.arange(len(chosen))
    weight = weights(logged, target[row, chosen])
    return np.sum(target * predicted, axis=1) + weight * (converted - predicted[row, chosen])


def marginalised_scores(
    converted: np.ndarray,
    chosen: np.ndarray,
    logged: np.ndarray,
    target: np.ndarray,
    predicted: np.ndarray,
    cluster: np.ndarray,
) -> np.ndarray:
    """One score a lead; their mean is `marginalised`."""
    weight = cluster_weights(chosen, logged, target, cluster)
    residual = converted - predicted[np.arange(len(chosen)), chosen]
    return np.sum(target * predicted, axis=1) + weight * residual


def weights(logged: np.ndarray, target: np.ndarray) -> np.ndarray:
    """How much likelier the judged policy was to make each logged choice, shape (n_leads,)."""
    if logged.shape != target.shape or logged.ndim != 1 or not len(logged):
        raise ValueError(f"Expected one logged and one target propensity a lead, got {logged.shape}, {target.shape}.")
    wrong = ~((logged > 0) & (logged <= 1))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"A logged propensity lies in (0, 1]; {wrong.sum()} of {len(logged)} do not, the first is "
            f"{logged[first]} in row {first}. Leave out rows without one; never fill one in."
        )
    if not ((target >= 0) & (target <= 1 + 1e-9)).all():
        raise ValueError("A target propensity lies in [0, 1]; some are outside or NaN.")
    return target / logged


def cluster_weights(
    chosen: np.ndarray, logged: np.ndarray, target: np.ndarray, cluster: np.ndarray
) -> np.ndarray:
    """Weight of the chosen rep's cluster, (n_leads,): the target's mass on it over the log's."""
    member = np.equal.outer(cluster, np.arange(cluster.max() + 1)).astype(float)
    row = np.arange(len(chosen))
    return weights(
        np.minimum((logged @ member)[row, cluster[chosen]], 1.0),
        np.minimum((target @ member)[row, cluster[chosen]], 1.0),
    )


def cluster_reps(effects: np.ndarray, *, seed: int, clusters: int = CLUSTERS) -> np.ndarray:
    """Cluster number of each rep by k-means of the effects, shape (n_reps,).

    effects : (n_reps, width), fitted on other rows than those to be judged.
    """
    from sklearn.cluster import KMeans  # two seconds, and only this needs it

    return np.asarray(KMeans(clusters, n_init=10, random_state=seed).fit_predict(effects), dtype=np.intp)


def estimate(scores: np.ndarray, *, level: float = LEVEL) -> PolicyValue:
    """The mean of the scores with its normal interval."""
    value = float(scores.mean())
    error = float(scores.std(ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else np.nan
    half = float(quantile(0.5 + level / 2)) * error
    return PolicyValue(value, error, value - half, value + half)


def bootstrapped(
    scores: np.ndarray, block: np.ndarray, rng: np.random.Generator, *, level: float = LEVEL
) -> PolicyValue:
    """The mean of the scores with the percentile interval of a bootstrap that draws whole blocks.

    block : int (n_leads,), the day of each lead, say; leads of one block stay together.
    """
    _, block = np.unique(block, return_inverse=True)
    sums, sizes = np.bincount(block, weights=scores), np.bincount(block)
    drawn = rng.integers(len(sums), size=(BOOTSTRAP_DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return PolicyValue(float(scores.mean()), float(means.std(ddof=1)), float(low), float(high))


def effective_sample_size(weight: np.ndarray) -> float:
    """Leads given out by the policy itself that would tell as much as these weighted ones; 0 where none counts.

    Source: Kish (1965), Survey Sampling.
    """
    squares = float(np.sum(weight**2))
    return float(weight.sum() ** 2 / squares) if squares > 0 else 0.0


def overlap(chosen: np.ndarray, logged: np.ndarray, target: np.ndarray) -> Overlap:
    """How well a log supports a policy. chosen, logged : (n_leads,); target : (n_leads, n_reps)."""
    weight = weights(logged, target[np.arange(len(chosen)), chosen])
    total = weight.sum()
    target_share = target.mean(axis=0)
    logged_share = np.bincount(chosen, minlength=target.shape[1]) / len(chosen)
    seen = float(target_share[logged_share > 0].sum() / target_share.sum())
    thick = float(weight[logged >= THIN].sum() / total) if total > 0 else 0.0
    return Overlap(
        rows=len(chosen),
        effective_sample_size=effective_sample_size(weight),
        largest_weight_share=float(weight.max() / total) if total > 0 else 1.0,
        mean_weight=float(weight.mean()),
        mean_weight_error=float(weight.std(ddof=1) / np.sqrt(len(weight))) if len(weight) > 1 else np.nan,
        thin_share=max(0.0, 1 - seen * thick),
        logged_p01=float(np.quantile(logged, 0.01)),
        target_share=target_share,
        logged_share=logged_share,
    )
