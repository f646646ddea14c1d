"""What matching could be worth over rotation, measured on rows later than those it was learned from.

The predicted gain of a capacity-bound assignment is multiplied by how much of a predicted difference between
reps came true in the later rows (a slope with its standard error). The plain sum of predicted uplifts would
be too high: the winner's curse.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import ndtri

from features.pairs import RepMatches
from features.spells import Spells
from training.conversion import ConversionModel, RosterModel
from training.fit import predict_spells
from training.logistic import fit_ridge_logistic
from training.uplift import Interval

SAMPLE = 300  # leads assigned jointly
MOST_LOAD = 1.3  # of the mean load a rep may get
RULE_LIKE = 0.99  # share of clean rows that satisfy a match which was a rule


def rules_seen(model: ConversionModel, spells: Spells) -> tuple[int, ...]:
    """Matches that practically every row satisfies: the history's hard rules, as far as it shows them."""
    if not spells.reps or not model.pair_design.matches:
        return ()
    clean = ~spells.by_hand if spells.reasons_logged else np.ones(len(spells), dtype=bool)
    matches = RepMatches(model.pair_design, model.contract, spells.reps)
    f = matches.for_pairs(spells.leads[clean], spells.rep[clean], spells.at_days[clean])
    shares = f[:, : len(model.pair_design.matches)].mean(axis=0)
    return tuple(int(i) for i in np.flatnonzero(shares >= RULE_LIKE))


def columns_of_rules(model: ConversionModel, spells: Spells) -> frozenset[str]:
    """The lead's columns that those rules go by."""
    return frozenset(model.pair_design.matches[rule].lead_column for rule in rules_seen(model, spells))


def possible_gain(model: ConversionModel, later: Spells) -> Interval | None:
    """Conversions per lead over rotation at equal capacity, with a 90 % interval; None where it cannot be told.

    model : fitted on rows before `later`; later : mature spells it has not seen.
    """
    clean = ~later.by_hand if later.reasons_logged else np.ones(len(later), dtype=bool)
    if len(later.reps) < 2 or clean.sum() < 100 or len(np.unique(later.converted[clean])) < 2:
        return None
    roster = RosterModel(model, later.reps)
    rules = rules_seen(model, later)
    employed = still_employed(later)
    slope, standard_error = _slope_of_differences(model, roster, later.take(np.flatnonzero(clean)), rules, employed)
    predicted = _predicted_gain(roster, later, rules, employed)
    half = float(ndtri(0.95)) * standard_error * predicted
    return Interval(slope * predicted, slope * predicted - half, slope * predicted + half)


def still_employed(later: Spells) -> np.ndarray:
    """Reps who still get leads in these rows, bool (n_reps,)."""
    seen = np.zeros(len(later.reps), dtype=bool)
    seen[later.rep[later.rep >= 0]] = True
    return seen


def eligible_so_far(
    roster: RosterModel, leads: np.ndarray, rules: tuple[int, ...], employed: np.ndarray
) -> np.ndarray:
    """Whether each rep may get each lead as far as the history's own rules show it, bool (n_leads, n_reps)."""
    eligible = np.tile(employed, (len(leads), 1))
    for rule in rules:
        eligible &= roster.matches.matched(leads, rule) > 0
    eligible[~eligible.any(axis=1)] = employed
    return eligible


def _slope_of_differences(
    model: ConversionModel, roster: RosterModel, rows: Spells, rules: tuple[int, ...], employed: np.ndarray
) -> tuple[float, float]:
    """How much of a predicted log-odds difference from the eligible mean came true, and its standard error."""
    part = model.calibration.slope * roster.rep_part(rows.leads, rows.at_days)
    eligible = eligible_so_far(roster, rows.leads, rules, employed)
    mean = np.where(eligible, part, 0.0).sum(axis=1) / eligible.sum(axis=1)
    difference = part[np.arange(len(rows)), rows.rep] - mean
    full, _ = predict_spells(model, rows)
    design = np.column_stack([np.ones(len(rows)), difference])
    precision = np.array([1e-6, 1e-6])
    coefficients, covariance = fit_ridge_logistic(design, rows.converted, full - difference, precision)
    return float(coefficients[1]), float(np.sqrt(covariance[1, 1]))


def _predicted_gain(roster: RosterModel, later: Spells, rules: tuple[int, ...], employed: np.ndarray) -> float:
    rows = np.unique(np.linspace(0, len(later) - 1, min(SAMPLE, len(later))).astype(int))
    p = roster.probability(later.leads[rows], later.at_days[rows])
    eligible = eligible_so_far(roster, later.leads[rows], rules, employed)
    rotation = np.where(eligible, p, 0.0).sum(axis=1) / eligible.sum(axis=1)
    slots = int(np.ceil(MOST_LOAD * len(rows) / employed.sum()))
    gains = np.where(eligible, p - rotation[:, None], -1.0)
    lead, slot = linear_sum_assignment(np.repeat(gains, slots, axis=1), maximize=True)
    chosen = gains[lead, slot // slots]
    return float(np.mean(np.where(chosen > -1.0, chosen, 0.0)))
