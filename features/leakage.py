"""Columns that know the future: filled in, or changed, after the lead was assigned.

Such a column makes a model look wonderful on old leads and leaves it blind for new ones.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from data.names import plain
from data.personal import is_personal, looks_personal
from features.columns import instants, numbers
from features.infer import READABLE_SHARE, Exclusion
from features.leak_names import told_by_name

TOO_GOOD = 0.98  # area under the curve that no honest column of its own reaches
LEAST_ROWS, LEAST_OF_EACH = 200, 20  # rows, conversions and others, below which nothing is judged from values
LEAST_OPEN = 50  # rows without an outcome yet, to compare with
LATER = 0.5  # filled less than half as often in open rows as in closed ones: filled in along the way
RARELY = 0.1  # filled this much more rarely in open rows than in closed ones
FEW_WRONG = 0.15  # of the errors that are left without the column
PURE = 0.99  # of the leads with a level convert
HELD = 0.3  # of all conversions lie in pure levels
MOST_CONVERT = 0.7  # where more leads than this convert, a pure level is no wonder
FOLDS = 5
BINS = 32
SAMPLE = 50_000


def find_leaks(
    attributes: pd.DataFrame, converted: np.ndarray, *, declared: Sequence[str] = ()
) -> tuple[Exclusion, ...]:
    """The columns that must not be features because they are personal or know the future, with reasons.

    attributes : one row an assignment, raw values as read.
    converted : (n,) 1 converted, 0 did not, NaN where the outcome is not known yet.
    declared : columns that the data's owner says are filled in after the assignment.
    The rules, in order: declared, personal, the name, filled only once the outcome is known, too good alone.
    A score that is recalculated quietly, and tells little, is caught only by its name or by declaring it.
    """
    stated = {plain(name) for name in declared}
    found = ((str(name), _why(str(name), attributes[name], converted, stated)) for name in attributes.columns)
    return tuple(Exclusion(name, why) for name, why in found if why)


def _why(name: str, column: pd.Series, converted: np.ndarray, stated: set[str]) -> str | None:
    if plain(name) in stated:
        return "declared under post_assignment: filled in after the assignment"
    if is_personal(name) or looks_personal(column):
        return "personal data"
    meaning = told_by_name(name)
    if meaning:
        return f"by its name it tells {meaning}; not known when a lead arrives"
    filled = _filled(column)
    return _filled_once_known(filled, converted) or _too_good_alone(column, filled, converted)


def _filled(column: pd.Series) -> np.ndarray:
    present = column.notna().to_numpy()
    if column.dtype.kind in "fiubM":
        return present
    return present & (column.astype("str").str.strip() != "").to_numpy(dtype=bool)


def _filled_once_known(filled: np.ndarray, converted: np.ndarray) -> str | None:
    known = ~np.isnan(converted)
    if known.sum() < LEAST_ROWS or not filled[known].any():
        return None
    when_known, when_open = filled[known].mean(), filled[~known].mean() if (~known).any() else np.nan
    if (~known).sum() >= LEAST_OPEN and when_known > 0.05 and when_open < LATER * when_known:
        return (
            f"filled in {when_known:.0%} of the rows with a known outcome but in {when_open:.0%} of the open ones: "
            "it seems to be filled only once the outcome is known"
        )
    return _filled_for_one_outcome(filled[known], converted[known])


def _filled_for_one_outcome(filled: np.ndarray, converted: np.ndarray) -> str | None:
    """Whether the rows that have a value nearly all ended alike, while chance would have mixed them."""
    rows = filled.sum()
    for outcome, word in ((1.0, "converted"), (0.0, "did not convert")):
        others = float((converted[filled] != outcome).sum())
        by_chance = rows * (converted != outcome).mean()
        if by_chance >= LEAST_OF_EACH and others <= (1 - PURE) * rows and others <= RARELY * by_chance:
            return (
                f"of the {rows:,} rows that have a value, {1 - others / rows:.1%} {word} "
                f"(of all rows {(converted == outcome).mean():.0%}): it seems to be filled because of the outcome"
            )
    return None


def _too_good_alone(column: pd.Series, filled: np.ndarray, converted: np.ndarray) -> str | None:
    known = ~np.isnan(converted)
    for rows, which in ((known, "alone it"), (known & filled, "where it is filled, alone it")):
        chosen = np.flatnonzero(rows)
        chosen = chosen[:: max(1, len(chosen) // SAMPLE)]
        outcome = converted[chosen]
        if len(chosen) < LEAST_ROWS or min(outcome.sum(), (1 - outcome).sum()) < LEAST_OF_EACH:
            continue
        levels = _levels(column.iloc[chosen], filled[chosen])
        feat = _feat(levels, outcome)
        if feat:
            return f"{which} {feat}: too good to have been known when the lead arrived"
    return None


def _feat(levels: np.ndarray, converted: np.ndarray) -> str | None:
    """What one column achieves alone that an honest one could not, in words; None where it does not."""
    rate, overall = _rates_elsewhere(levels, converted), converted.mean()
    area = _area_under_curve(rate, converted)
    if area > TOO_GOOD:
        return f"tells who converts almost perfectly (area under the curve {area:.3f})"
    wrong, wrong_without = np.mean((rate > 0.5) != converted), min(overall, 1 - overall)
    if wrong < FEW_WRONG * wrong_without:
        return f"is wrong about {wrong:.1%} of the leads (without it {wrong_without:.0%})"
    held = _held_by_pure_levels(levels, converted)
    if held > HELD and overall < MOST_CONVERT:
        return f"has values with which at least {PURE:.0%} of the leads convert (of all leads {overall:.0%})"
    return None


def _levels(column: pd.Series, filled: np.ndarray) -> np.ndarray:
    """Level numbers: of a category its values, of a number or a date up to 32 quantile bins; missing is a level."""
    number = _as_number(column, filled)
    if number is None:
        codes, _ = pd.factorize(column.astype("str").str.strip())
        return np.where(filled, codes + 1, 0)
    distinct = np.unique(number[filled])
    edges = distinct[1:] if len(distinct) <= BINS else np.unique(np.quantile(number[filled], np.arange(1, BINS) / BINS))
    return np.where(filled, 1 + np.searchsorted(edges, np.where(filled, number, 0.0), side="right"), 0)


def _as_number(column: pd.Series, filled: np.ndarray) -> np.ndarray | None:
    """The column as numbers (dates as days) where nearly all of its values read so, else None."""
    if not filled.any():
        return None
    number = numbers(column.to_numpy())
    if np.isfinite(number[filled]).mean() >= READABLE_SHARE:
        return np.nan_to_num(number)
    if np.mean(~np.isnan(instants(column[filled].head(200)))) >= READABLE_SHARE:
        return np.nan_to_num(instants(column))
    return None


def _rates_elsewhere(levels: np.ndarray, converted: np.ndarray) -> np.ndarray:
    """For each row, how often its level converted in the other four fifths of the rows; the mean where unseen."""
    fold = np.arange(len(levels)) % FOLDS
    width = levels.max() + 1
    counts = np.zeros((FOLDS, width))
    wins = np.zeros((FOLDS, width))
    np.add.at(counts, (fold, levels), 1.0)
    np.add.at(wins, (fold, levels), converted)
    others = counts.sum(axis=0) - counts
    # One imagined lead of the mean kind keeps a level seen once from reading as certain.
    rates = (wins.sum(axis=0) - wins + converted.mean()) / (others + 1.0)
    return rates[fold, levels]


def _area_under_curve(score: np.ndarray, converted: np.ndarray) -> float:
    won = converted == 1
    above = rankdata(score)[won].sum() - won.sum() * (won.sum() + 1) / 2
    return float(above / (won.sum() * (~won).sum()))


def _held_by_pure_levels(levels: np.ndarray, converted: np.ndarray) -> float:
    """The share of conversions in levels of some support where nearly all leads convert."""
    rows = np.bincount(levels)
    wins = np.bincount(levels, weights=converted)
    pure = (rows >= LEAST_OF_EACH) & (wins >= PURE * rows)
    return float(wins[pure].sum() / wins.sum())
