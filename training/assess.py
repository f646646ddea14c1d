"""How good is it, and is there anything to match? Judged on the newest rows, which the judged fit has not seen."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from features.columns import ColumnContract
from features.pairs import RepMatches
from features.spells import Spells
from training.conversion import ConversionModel
from training.delay import known_at
from training.expected_value import judge_value_model
from training.fit import Parts, assemble, fit_parts, predict_spells
from training.gain import columns_of_rules, possible_gain
from training.lead_model import Recipe
from training.metrics import Estimate, evaluate
from training.potential import Potential, assignment_strata, judge
from training.rep_effects import expected_variance
from training.splits import newest
from training.uplift import Interval

LATER_SHARE = 0.2


@dataclass(frozen=True)
class Rehearsal:
    """A fit on the earlier rows, and what it said of the later ones."""

    model: ConversionModel
    rows: np.ndarray  # int (n_later,): which of the spells were held back
    later: Spells
    log_odds: np.ndarray  # (n_later,) of lead and rep, as the rows stood
    lead_alone: np.ndarray  # (n_later,) of the lead part alone
    metrics: dict[str, Estimate]
    lead_metrics: dict[str, Estimate]
    value_metrics: dict[str, Estimate]  # empty where too few won rows say what they were worth
    recipe: Recipe
    lead_losses: dict[str, float]
    gain: Interval | None


def rehearse(spells: Spells, contract: ColumnContract, *, seed: int, recipe: Recipe | None = None) -> Rehearsal:
    """Fit on what was known before the newest fifth of the rows, and predict that fifth."""
    late = newest(spells.at_days, LATER_SHARE)
    start = float(spells.at_days[late].min())
    earlier, later = known_at(spells, start), spells.take(late)
    parts = fit_parts(earlier, contract, seed=seed, recipe=recipe)
    model = assemble(parts, earlier, contract, verdict="rep_matters", facts={})
    log_odds, lead_alone = predict_spells(model, later)
    rng = np.random.default_rng(seed)
    won = later.converted == 1
    return Rehearsal(
        model=model,
        rows=np.flatnonzero(late),
        later=later,
        log_odds=log_odds,
        lead_alone=lead_alone,
        metrics=evaluate(later.converted, expit(log_odds), rng),
        lead_metrics=evaluate(later.converted, expit(lead_alone), rng),
        value_metrics=judge_value_model(model.value_model, later.leads[won], later.value[won], rng),
        recipe=parts.recipe,
        lead_losses=parts.lead_losses,
        gain=possible_gain(model, later),
    )


def look_for_potential(parts: Parts, spells: Spells, contract: ColumnContract, *, seed: int) -> Potential:
    """The verdict on all rows: does it matter which rep gets a lead?"""
    model = assemble(parts, spells, contract, verdict="rep_matters", facts={})
    columns = columns_of_rules(model, spells)
    looked_at = [
        spells.leads[:, place] for place, feature in enumerate(contract.features) if feature.column in columns
    ]
    matches = RepMatches(parts.pair_design, contract, spells.reps)
    return judge(
        design=parts.lead_design.matrix(spells.leads),
        variance=expected_variance(parts.lead_design.groups),
        pairs=lambda rows, rep: matches.for_pairs(spells.leads[rows], rep, spells.at_days[rows]),
        rep=spells.rep,
        converted=spells.converted,
        log_odds=parts.lead_alone,
        by_hand=spells.by_hand,
        closed=spells.closed,
        strata=assignment_strata(looked_at, spells.assigned_by, spells.at_days),
        rng=np.random.default_rng(seed),
    )

