"""Negative control: what the CRM knew of a lead before any rep did cannot depend on the rep, unless reps were chosen.

A number recorded before the assignment is regressed on the lead's other columns; what is left over must not
differ between reps more than it does when reps are shuffled within strata of what the assignment rule saw.
Source: Lipsitch, Tchetgen Tchetgen & Cohen (2010), Negative controls, doi:10.1097/EDE.0b013e3181d61eeb.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from features.columns import ColumnContract
from training.permutation import permutation_p
from training.plain_design import measure_design
from training.ridge import fit_ridge

SHUFFLES = 199
MOST_CONTROLS = 3
LEAST_VALUES = 10  # different ones, for a number to be worth ranking
LEAST_ROWS = 300


@dataclass(frozen=True)
class NegativeControl:
    """Whether the leads themselves differ between reps; a p-value is NaN where there were too few rows."""

    columns: tuple[str, ...]  # the numbers looked at, the most telling of conversion first
    p: float  # of all of them together, among the rows that no person chose (or all, where nobody said why)
    p_of_each: tuple[float, ...]
    p_by_hand: float  # the same among the rows that a person chose: there it may well be small
    rows: int


def choose_controls(
    contract: ColumnContract, leads: np.ndarray, converted: np.ndarray, *, looked_at: frozenset[str]
) -> tuple[int, ...]:
    """Up to three numbers that go most with conversion (by rank) and that no assignment rule looked at: features.

    leads : (n, n_features); looked_at : columns that the history's rules go by.
    """
    numeric = {column.name for column in contract.columns if column.kind == "number"} - looked_at
    found = []
    for place, feature in enumerate(contract.features):
        known = ~np.isnan(leads[:, place])
        if feature.name not in numeric or 2 * known.sum() < len(leads) or len(np.unique(converted[known])) < 2:
            continue
        ranks = rankdata(leads[known, place])
        if len(np.unique(ranks)) >= LEAST_VALUES:
            found.append((abs(float(np.corrcoef(ranks, converted[known])[0, 1])), -place))
    return tuple(-place for _, place in sorted(found, reverse=True)[:MOST_CONTROLS])


def left_over(contract: ColumnContract, leads: np.ndarray, place: int) -> np.ndarray:
    """A number's standard scores (by rank) less what the other columns tell of it, shape (n,); NaN where missing."""
    known = ~np.isnan(leads[:, place])
    scores = norm.ppf(rankdata(leads[known, place]) / (known.sum() + 1))
    others = leads[known].copy()
    others[:, place] = 0.0  # a column that never varies tells nothing
    design = measure_design(contract, others, tame_tails=True).matrix(others)
    result = np.full(len(leads), np.nan)
    result[known] = scores - design @ fit_ridge(design, scores)
    return result


def negative_control(
    contract: ColumnContract,
    leads: np.ndarray,
    places: tuple[int, ...],
    *,
    rep: np.ndarray,
    by_hand: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
) -> NegativeControl | None:
    """The test on the rows that no person chose, and beside it on those that a person did; None without a number.

    places : from `choose_controls`; rep : int (n,); by_hand : bool (n,); strata : int (n,), rows among which reps
    may be swapped. Where every row is by hand, or nobody said, all rows take the place of the clean ones.
    """
    if not places:
        return None
    left = np.column_stack([left_over(contract, leads, place) for place in places])
    clean = ~by_hand if np.any(~by_hand) else np.ones(len(rep), dtype=bool)

    def p_values(rows: np.ndarray) -> np.ndarray:
        if rows.sum() < LEAST_ROWS:
            return np.full(len(places) + 1, np.nan)
        return _p_values(left[rows], rep[rows], strata[rows], rng)

    p = p_values(clean)
    return NegativeControl(
        columns=tuple(contract.features[place].name for place in places),
        p=float(p[-1]),
        p_of_each=tuple(p[:-1].tolist()),
        p_by_hand=float("nan") if clean.all() else float(p_values(by_hand)[-1]),
        rows=int(clean.sum()),
    )


def _p_values(left: np.ndarray, rep: np.ndarray, strata: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One for each column, and one for all together."""
    deviations = [_centred(column, strata) for column in left.T]
    counts = np.maximum(np.bincount(rep), 1)

    def spread(shuffled: np.ndarray) -> np.ndarray:
        each = [np.sum(np.bincount(shuffled, column, len(counts)) ** 2 / counts) for column in deviations]
        return np.array([*each, sum(each)])

    return permutation_p(spread, rep, strata, rng, many=SHUFFLES)


def _centred(column: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """A column less its stratum's mean, in its own standard deviations; 0 where it is missing."""
    known = ~np.isnan(column)
    _, group = np.unique(strata, return_inverse=True)
    sums = np.bincount(group[known], column[known], group.max() + 1)
    means = sums / np.maximum(np.bincount(group[known], minlength=len(sums)), 1)
    centred = np.where(known, column - means[group], 0.0)
    return np.asarray(centred / (centred.std() or 1.0))
