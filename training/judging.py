"""Policies judged on one log: by every estimator, each with its interval, its doubts, or a refusal that says why."""

from dataclasses import dataclass, replace

import numpy as np

from training.policy_value import (
    Overlap,
    PolicyValue,
    bootstrapped,
    cluster_weights,
    direct_method,
    doubly_robust_scores,
    effective_sample_size,
    estimate,
    ips_scores,
    marginalised_scores,
    overlap,
    snips_scores,
)

LEAST_EFFECTIVE = 30.0  # below, no number: intervals covered 30 to 80 % instead of 90 %
NORMAL_EFFECTIVE, NORMAL_SHARE = 100.0, 0.05  # from there on, and up to this share of one lead, normal intervals hold
MANY_REPS = 100  # above, single reps hardly overlap: clusters of reps are compared beside them
TOO_LITTLE = "too little overlap"
NORMAL, BY_BLOCKS = "normal", "bootstrap by days"


@dataclass(frozen=True)
class Log:
    """Leads that were given out with known chances, and what a model that has not seen them expected."""

    converted: np.ndarray  # 0/1 (n,)
    chosen: np.ndarray  # int (n,), position of the rep who got the lead
    logged: np.ndarray  # (n,), that rep's propensity
    predicted: np.ndarray  # (n, n_reps), P(convert) by fits that did not see the row
    block: np.ndarray  # int (n,), the day
    verified: bool  # False: the propensities are estimated, so no interval is given
    everyone: np.ndarray | None = None  # (n, n_reps), the whole logged vector where it is known
    cluster: np.ndarray | None = None  # int (n_reps,), clusters of like reps, from other data

    @property
    def least(self) -> float:
        """Leads' worth of evidence below which there is no figure; more where no interval warns of a poor one."""
        return LEAST_EFFECTIVE if self.verified else NORMAL_EFFECTIVE

    def take(self, rows: np.ndarray) -> "Log":
        """The same with only the rows given."""
        arrays = ("converted", "chosen", "logged", "predicted", "block")
        everyone = None if self.everyone is None else self.everyone[rows]
        return replace(self, everyone=everyone, **{name: getattr(self, name)[rows] for name in arrays})


@dataclass(frozen=True)
class Line:
    """A policy's value by one estimator."""

    estimator: str
    headline: bool
    value: PolicyValue
    effective_sample_size: float
    interval: str | None  # how it was made; None where there is none


@dataclass(frozen=True)
class Scores:
    """One estimator's score and weight of each row of the whole log; NaN where the policy was not judged."""

    values: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Judged:
    """What is to be said of one policy."""

    name: str
    lines: tuple[Line, ...]
    overlap: Overlap
    headline: Scores
    by_rep: Scores  # without clusters; the same as the headline's where there are none
    refused: str | None = None  # why no number is given


def judge(name: str, log: Log, target: np.ndarray, rng: np.random.Generator, rows: np.ndarray | None = None) -> Judged:
    """The value of a policy by every estimator that its overlap with the log allows.

    target : (n_rows, n_reps), its propensities, none for a rep who could not have got the lead; rows : positions
    in the log, all if not given.
    """
    places = np.arange(len(log.converted)) if rows is None else rows
    part = log if rows is None else log.take(rows)
    found = overlap(part.chosen, part.logged, target)
    own = target[np.arange(len(part.chosen)), part.chosen]
    weight = own / part.logged
    if effective_sample_size(weight) == 0:
        return _refused(name, log, found)
    args = (part.converted, part.chosen)
    scores = {
        "dr": doubly_robust_scores(*args, part.logged, target, part.predicted),
        "ips": ips_scores(part.converted, part.logged, own),
        "snips": snips_scores(part.converted, part.logged, own),
    }
    by = dict.fromkeys(scores, weight)
    if part.everyone is not None and part.cluster is not None:
        scores["mdr"] = marginalised_scores(*args, part.everyone, target, part.predicted, part.cluster)
        by["mdr"] = cluster_weights(part.chosen, part.everyone, target, part.cluster)
    headline = "mdr" if "mdr" in scores else "dr"
    lines = [
        _line(estimator, estimator == headline, one, by[estimator], part, rng)
        for estimator, one in scores.items()
        if effective_sample_size(by[estimator]) >= log.least
    ]
    if not any(line.headline for line in lines):
        return _refused(name, log, found)
    expected = direct_method(target, part.predicted)
    lines.append(Line("dm", False, expected, found.effective_sample_size, None))
    headline_scores, by_rep = (_spread(scores[each], by[each], places, log) for each in (headline, "dr"))
    return Judged(name, tuple(lines), found, headline_scores, by_rep)


def judge_as_it_ran(name: str, log: Log, rng: np.random.Generator) -> Judged:
    """The policy that made the log: every weight is 1, so its value is what was observed."""
    rows = len(log.converted)
    one_hot = np.zeros(log.predicted.shape)
    one_hot[np.arange(rows), log.chosen] = log.logged
    found = replace(overlap(log.chosen, log.logged, one_hot), thin_share=0.0)
    even = np.ones(rows)
    scores = ips_scores(log.converted, log.logged, log.logged)
    line = _line("ips", True, scores, even, log, rng)
    observed = Scores(scores, even)
    return Judged(name, (line,), found, observed, observed)


def difference(
    one: Judged, over: Judged, log: Log, rng: np.random.Generator, *, clusters: bool = True
) -> PolicyValue | None:
    """How much more the first policy is worth, on the rows where both were judged, by one score a row.

    clusters : whether a headline by clusters of reps may be used; between two policies that prefer reps of the same
        cluster it may not, for their weights would cancel and leave the outcome model's mere opinion.
    None where either was refused, or the common rows are too few for one of them.
    """
    if one.refused or over.refused:
        return None
    first, second = (policy.headline if clusters else policy.by_rep for policy in (one, over))
    common = ~(np.isnan(first.values) | np.isnan(second.values))
    weights = [first.weight[common], second.weight[common]]
    if not common.any() or min(effective_sample_size(weight) for weight in weights) < log.least:
        return None
    gap = (first.values - second.values)[common]
    found = estimate(gap) if all(_dense(weight) for weight in weights) else bootstrapped(gap, log.block[common], rng)
    return found if log.verified else found.without_interval()


def _too_little(found: Overlap, least: float) -> str:
    """Why no number is given, in a sentence."""
    return (
        f"{TOO_LITTLE}: these {found.rows:,} leads tell as much of it as {found.effective_sample_size:.0f} given out "
        f"by the policy itself would; {least:.0f} are the least for a figure."
    )


def _refused(name: str, log: Log, found: Overlap) -> Judged:
    nothing = Scores(*np.full((2, len(log.converted)), np.nan))
    return Judged(name, (), found, nothing, nothing, refused=_too_little(found, log.least))


def _line(
    estimator: str, headline: bool, scores: np.ndarray, weight: np.ndarray, part: Log, rng: np.random.Generator
) -> Line:
    dense = _dense(weight)
    value = estimate(scores) if dense else bootstrapped(scores, part.block, rng)
    how: str | None = NORMAL if dense else BY_BLOCKS
    if not part.verified:
        value, how = value.without_interval(), None
    return Line(estimator, headline, value, effective_sample_size(weight), how)


def _dense(weight: np.ndarray) -> bool:
    return bool(effective_sample_size(weight) >= NORMAL_EFFECTIVE and weight.max() <= NORMAL_SHARE * weight.sum())


def _spread(values: np.ndarray, weight: np.ndarray, places: np.ndarray, log: Log) -> Scores:
    everywhere = np.full((2, len(log.converted)), np.nan)
    everywhere[:, places] = values, weight
    return Scores(*everywhere)
