"""Why this rep, and why this lead: contributions that add up exactly. A contribution is not a cause.

The rep part is linear in log-odds, so its Shapley values against the eligible reps are exact: each term's
value for the rep less its mean, and F cancels. They are carried to probability pair by pair with the secant
(p_r - p_q) / (eta_r - eta_q), averaged over the eligible q; the sum is the uplift, to rounding.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from features.columns import ColumnContract
from features.leads import LeadDesign
from features.pairs import PairDesign

DUST = 1e-12  # a share of this size is rounding


class Contribution(NamedTuple):
    """A part of an uplift or of a lead's own probability, in probability."""

    feature: str
    value: Any
    contribution: float
    kind: str  # overall, segment, number, match, tenure, lead, other


class Term(NamedTuple):
    """One named part of a rep's log-odds."""

    feature: str
    kind: str


def rep_terms(lead_design: LeadDesign, pair_design: PairDesign) -> tuple[Term, ...]:
    """The named terms of the rep part, in order."""
    terms = [Term("overall", "overall")]
    for group in range(1, int(lead_design.groups.max()) + 1):
        first = next(d for d in lead_design.directions if d.group == group)
        terms.append(Term(first.feature, "number" if first.level is None else "segment"))
    terms += [Term(column, "match") for column in _matched(pair_design)]
    return (*terms, Term("tenure", "tenure")) if pair_design.tenure else tuple(terms)


def _matched(pair_design: PairDesign) -> list[str]:
    """The lead's columns that have a match; one with two of them (region, regions) is one term."""
    return list(dict.fromkeys(match.lead_column for match in pair_design.matches))


def term_of_direction(lead_design: LeadDesign, pair_design: PairDesign) -> np.ndarray:
    """The term that each column of z, and after them each column of f, belongs to, int (width + n_pairs,)."""
    groups = lead_design.groups
    first_match, columns = int(groups.max()) + 1, _matched(pair_design)
    matches = [first_match + columns.index(match.lead_column) for match in pair_design.matches]
    ramps = [first_match + len(columns)] * (pair_design.width - len(matches))
    return np.array([*groups, *matches, *ramps], dtype=np.intp)


def secants(probability: np.ndarray, log_odds: np.ndarray, reps: np.ndarray) -> np.ndarray:
    """(p_r - p_q) / (eta_r - eta_q) of each r in `reps` and every q; its limit p (1 - p) where they meet.

    probability, log_odds : (n_reps,); reps : places, (k,). Shape (k, n_reps).
    """
    here = probability[reps][:, None]
    gap = log_odds[reps][:, None] - log_odds
    apart = np.abs(gap) > 1e-9
    return np.where(apart, here - probability, here * (1 - here)) / np.where(apart, gap, 1.0)


def shares_of_uplift(
    parts: np.ndarray, probability: np.ndarray, log_odds: np.ndarray, reps: np.ndarray, rotation: np.ndarray
) -> np.ndarray:
    """Each direction's share of each rep's uplift over rotation, shape (k, n_directions), before its weight.

    parts : (n_directions, n_reps), each rep's value in a direction; times the directions' weights in log-odds, a
    row sums to that rep's uplift. probability, log_odds : (n_reps,); reps : places, (k,); rotation : (n_reps,),
    1/m over the eligible, 0 elsewhere.
    """
    slopes = secants(probability, log_odds, reps) * rotation
    return slopes.sum(axis=1)[:, None] * parts[:, reps].T - slopes @ parts.T


def largest(
    names: tuple[Term, ...], values: Sequence[Any], shares: Sequence[float], k: int, *, unnamed: float = 0.0
) -> list[Contribution]:
    """The k largest contributions by size, largest first, and one `other`: the rest, and what has no name."""
    sizes = list(map(abs, shares))
    order = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)  # stable: equals keep their order
    made = [
        Contribution(names[place].feature, values[place], shares[place], names[place].kind)
        for place in order[:k]
        if sizes[place] > DUST
    ]
    rest = unnamed + sum([shares[place] for place in order[len(made) :]])
    return [*made, Contribution("other", None, rest, "other")]


def lead_shares(
    contract: ColumnContract, contributions: np.ndarray, *, scale: float
) -> tuple[tuple[Term, ...], list[float]]:
    """A lead's own waterfall: each column's share, in probability.

    contributions : (n_features,) TreeSHAP or linear parts of F in log-odds; scale : secant that carries log-odds
    to probability.
    """
    columns: dict[str, float] = {}
    for feature, part in zip(contract.features, contributions.tolist(), strict=True):
        columns[feature.column] = columns.get(feature.column, 0.0) + part * scale
    return tuple(Term(name, "lead") for name in columns), list(columns.values())


def shap_values(booster: Any, design: np.ndarray) -> np.ndarray:
    """Shap's own TreeExplainer on a LightGBM booster, in log-odds, shape (n, n_features): for plots and checks.

    Importing shap takes seconds, so it happens here and never in the service.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says of LightGBM what no longer holds
        return np.asarray(tree_explainer(booster).shap_values(design, check_additivity=False))


def tree_explainer(booster: Any) -> Any:
    """Shap's TreeExplainer of a LightGBM booster."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import uses what matplotlib is about to drop
        import shap  # heavy; offline only

        return shap.TreeExplainer(booster)
