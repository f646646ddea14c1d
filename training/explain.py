"""Why this rep, and why this lead: contributions that add up exactly. A contribution is not a cause.

The rep part is linear in log-odds, so its Shapley values against the eligible reps are exact: each term's
value for the rep less its mean, and F cancels. They are carried to probability pair by pair with the secant
(p_r - p_q) / (eta_r - eta_q), averaged over the eligible q; the sum is the uplift, to rounding.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.columns import ColumnContract
from features.leads import LeadDesign
from features.pairs import PairDesign


@dataclass(frozen=True)
class Contribution:
    """A part of an uplift or of a lead's own probability, in probability."""

    feature: str
    value: Any
    contribution: float
    kind: str  # overall, segment, number, match, tenure, lead, other


@dataclass(frozen=True)
class Term:
    """One named part of a rep's log-odds."""

    feature: str
    kind: str


def rep_terms(lead_design: LeadDesign, pair_design: PairDesign) -> tuple[Term, ...]:
    """The terms that `term_values` splits the rep part into, in order."""
    terms = [Term("overall", "overall")]
    for group in range(1, int(lead_design.groups.max()) + 1):
        first = next(d for d in lead_design.directions if d.group == group)
        terms.append(Term(first.feature, "number" if first.level is None else "segment"))
    terms += [Term(column, "match") for column in _matched(pair_design)]
    return (*terms, Term("tenure", "tenure")) if pair_design.tenure else tuple(terms)


def _matched(pair_design: PairDesign) -> list[str]:
    """The lead's columns that have a match; one with two of them (region, regions) is one term."""
    return list(dict.fromkeys(match.lead_column for match in pair_design.matches))


def term_values(
    lead_design: LeadDesign,
    pair_design: PairDesign,
    *,
    z: np.ndarray,
    effects: np.ndarray,
    pairs: np.ndarray,
    beta: np.ndarray,
    slope: float,
) -> np.ndarray:
    """Each rep's log-odds split into terms, shape (n_reps, n_terms); they sum to slope * rep part.

    z : (width,); effects : (n_reps, width); pairs : (n_reps, n_pairs); beta : (n_pairs,).
    """
    own = effects * z
    by_group = np.zeros((len(effects), int(lead_design.groups.max()) + 1))
    np.add.at(by_group.T, lead_design.groups, own.T)
    shared, columns, n_matches = pairs * beta, _matched(pair_design), len(pair_design.matches)
    by_column = np.zeros((len(effects), len(columns)))
    places = [columns.index(match.lead_column) for match in pair_design.matches]
    np.add.at(by_column.T, places, shared[:, :n_matches].T)
    tenure = shared[:, n_matches:].sum(axis=1, keepdims=True) if pair_design.tenure else np.empty((len(effects), 0))
    return slope * np.column_stack([by_group, by_column, tenure])


def secants(probability: np.ndarray, log_odds: np.ndarray, rep: int, others: np.ndarray) -> np.ndarray:
    """(p_r - p_q) / (eta_r - eta_q) for each q in `others`; its limit p (1 - p) where they meet, shape (n_others,)."""
    gap = log_odds[rep] - log_odds[others]
    limit = probability[rep] * (1 - probability[rep])
    apart = np.abs(gap) > 1e-9
    return np.where(apart, (probability[rep] - probability[others]) / np.where(apart, gap, 1.0), limit)


def shares_of_uplift(
    terms: np.ndarray, probability: np.ndarray, log_odds: np.ndarray, rep: int, eligible: np.ndarray
) -> np.ndarray:
    """Each term's share of the rep's uplift over the eligible reps, shape (n_terms,); sums to the uplift.

    terms : (n_reps, n_terms) from `term_values`; probability, log_odds : (n_reps,); eligible : bool (n_reps,).
    """
    others = np.flatnonzero(eligible)
    slopes = secants(probability, log_odds, rep, others)
    return slopes @ (terms[rep] - terms[others]) / len(others)


def largest(
    names: tuple[Term, ...], values: list[Any], shares: np.ndarray, k: int, *, unnamed: float = 0.0
) -> list[Contribution]:
    """The k largest contributions by size, largest first, and one `other`: the rest, and what has no name."""
    order = np.argsort(-np.abs(shares), kind="stable")
    top = [i for i in order[:k] if shares[i] != 0.0]
    made = [Contribution(names[i].feature, values[i], float(shares[i]), names[i].kind) for i in top]
    return [*made, Contribution("other", None, unnamed + float(np.delete(shares, top).sum()), "other")]


def lead_shares(
    contract: ColumnContract, contributions: np.ndarray, *, scale: float
) -> tuple[tuple[Term, ...], np.ndarray]:
    """A lead's own waterfall: each column's share, in probability.

    contributions : (n_features,) TreeSHAP or linear parts of F in log-odds; scale : secant that carries log-odds
    to probability.
    """
    columns: dict[str, float] = {}
    for feature, part in zip(contract.features, contributions, strict=True):
        columns[feature.column] = columns.get(feature.column, 0.0) + float(part) * scale
    terms = tuple(Term(name, "lead") for name in columns)
    return terms, np.array(list(columns.values()))


def shap_values(booster: Any, design: np.ndarray) -> np.ndarray:
    """Shap's own TreeExplainer on a LightGBM booster, in log-odds, shape (n, n_features): for plots and checks.

    Importing shap takes seconds, so it happens here and never in the service.
    """
    with warnings.catch_warnings():
        # Its import uses what matplotlib is about to drop, and it says of LightGBM what no longer holds.
        warnings.simplefilter("ignore")
        import shap  # heavy; offline only

        return np.asarray(shap.TreeExplainer(booster).shap_values(design, check_additivity=False))
