"""From spells to a ConversionModel: F and the rep effects in turn, then the level from the newest rows."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from features.columns import ColumnContract
from features.leads import LeadDesign, choose_design
from features.pairs import PairDesign, RepMatches, find_pairs
from features.spells import Spells
from training.calibration import Calibration, recalibrate
from training.conversion import ConversionModel, RosterModel
from training.delay import Delays, measure_delays
from training.expected_value import fit_value_model
from training.lead_model import LeadModel, Recipe, fit_lead_model, out_of_fold, with_by_hand
from training.recency import find_recipe, recency_weights
from training.rep_effects import Evidence, RepEffects, fit_rep_effects, no_reps, offset_of
from training.splits import cross_folds

CROSS_FOLDS = 4
ROUNDS = 2  # F with the rep part as offset, then the rep part given F, twice
SCORED_SAMPLE = 5_000  # leads that the score's percentiles are taken from
GRADE_SHARES = (0.8, 0.5, 0.2)  # A: the best fifth; B and C: the next three tenths each
RECALIBRATION_DAYS = 30.0
RECALIBRATION_ROWS = 1_000
EXPECTATION_ROUNDS = 2  # fits in which young rows count with what the fit before expects of them
LEVEL_ROUNDS = 20  # cheap: the level and what it makes of the young rows, in turn


@dataclass(frozen=True)
class Parts:
    """F and the rep effects, before recalibration, with each training row's own log-odds."""

    recipe: Recipe
    lead_losses: dict[str, float]  # log-loss of each kind of F on later rows
    lead_model: LeadModel
    lead_design: LeadDesign
    pair_design: PairDesign
    effects: RepEffects
    lead_alone: np.ndarray  # (n,) log-odds of a lead model that knows no reps, out of fold
    log_odds: np.ndarray  # (n,) F out of fold and the rep part, as the row stood
    young_log_odds: np.ndarray  # the same of the rows too young for the window, where they count
    delays: Delays | None = None  # how long outcomes take, where young rows count


def fit_parts(spells: Spells, contract: ColumnContract, *, seed: int, recipe: Recipe | None = None) -> Parts:
    """F and the rep effects fitted to mature spells, and to their young ones if they have any.

    recipe : how to fit F; chosen by time-ordered cross-validation where it is not given. The labels of young
    spells are what is to be expected of them, worked out in turn with the fit (expectation-maximisation).
    """
    losses: dict[str, float] = {}
    if recipe is None:
        recipe, losses = find_recipe(contract, spells.leads, spells.converted, spells.at_days, seed=seed)
    parts = _fit(spells, contract, recipe, losses, seed=seed)
    if spells.young is None or not len(spells.young):
        return parts
    everything, delays, mature = spells.with_young(), measure_delays(spells, contract), len(spells)
    log_odds = np.concatenate([parts.log_odds, _as_they_stood(parts, spells.young, contract)])
    for _ in range(EXPECTATION_ROUNDS):
        labels = delays.expected(everything, expit(log_odds))
        parts = _fit(replace(everything, converted=labels), contract, recipe, losses, seed=seed)
        log_odds = parts.log_odds
    return replace(
        parts,
        lead_alone=parts.lead_alone[:mature],
        log_odds=log_odds[:mature],
        young_log_odds=log_odds[mature:],
        delays=delays,
    )


def _fit(
    spells: Spells, contract: ColumnContract, recipe: Recipe, losses: dict[str, float], *, seed: int
) -> Parts:
    rng = np.random.default_rng(seed)
    lead_design = choose_design(contract, spells.leads)
    pair_design = find_pairs(contract, spells.reps)
    evidence = gather(spells, contract, lead_design, pair_design)
    marks = evidence.by_hand.astype(float)
    weight = recency_weights(spells.at_days, recipe.half_life_days)
    folds = cross_folds(len(spells), CROSS_FOLDS, rng)
    effects = no_reps(lead_design.width, pair_design.width)
    offset = alone = np.zeros(len(spells))
    for round_ in range(ROUNDS):
        if not spells.reps and round_:
            break
        lead = out_of_fold(recipe, contract, spells.leads, marks, spells.converted, offset, folds, weight)
        alone = lead if round_ == 0 else alone
        if spells.reps:
            effects = fit_rep_effects(
                evidence,
                lead,
                groups=lead_design.groups,
                n_reps=len(spells.reps),
                start=effects if round_ else None,
            )
            offset = offset_of(effects, evidence)
    lead_model = fit_lead_model(recipe, contract, spells.leads, marks, spells.converted, offset, weight)
    return Parts(
        recipe, losses, lead_model, lead_design, pair_design, effects, alone, lead + offset, np.empty(0)
    )


def _as_they_stood(parts: Parts, spells: Spells, contract: ColumnContract) -> np.ndarray:
    """Log-odds of spells that the parts were not fitted to, before recalibration, (n,)."""
    lead = with_by_hand(parts.lead_model, spells.leads, spells.by_hand.astype(float))
    if not spells.reps:
        return lead
    evidence = gather(spells, contract, parts.lead_design, parts.pair_design)
    return lead + offset_of(parts.effects, replace(evidence, by_hand=spells.by_hand))


def gather(spells: Spells, contract: ColumnContract, lead_design: LeadDesign, pair_design: PairDesign) -> Evidence:
    """The arrays that the rep effects are fitted to."""
    if spells.reps:
        pairs = RepMatches(pair_design, contract, spells.reps).for_pairs(spells.leads, spells.rep, spells.at_days)
    else:
        pairs = np.zeros((len(spells), pair_design.width))
    # Where no row says that nobody picked, a mark on all of them would only rename the rep's own effect.
    by_hand = spells.by_hand & spells.reasons_logged
    return Evidence(
        lead_design.matrix(spells.leads), spells.rep, pairs, by_hand, np.nan_to_num(spells.load), spells.converted
    )


def newest_window(at_days: np.ndarray, window_days: float, *, dated: bool) -> np.ndarray:
    """Mask of the rows that set the level: the newest W days (30 and 1,000 rows at least), or the newest fifth."""
    if not dated:
        return at_days >= np.quantile(at_days, 0.8)
    newest = at_days >= at_days.max() - max(window_days, RECALIBRATION_DAYS)
    if newest.sum() < RECALIBRATION_ROWS:
        newest = at_days >= np.sort(at_days)[-min(RECALIBRATION_ROWS, len(at_days))]
    return newest


def assemble(
    parts: Parts, spells: Spells, contract: ColumnContract, *, verdict: str, facts: dict[str, object]
) -> ConversionModel:
    """The finished model: recalibrated on the newest rows, with the lead score's percentiles and grades."""
    calibration = _level(parts, spells, dated=contract.dated)
    won = spells.converted == 1
    draft = ConversionModel(
        contract=contract,
        lead_model=parts.lead_model,
        lead_design=parts.lead_design,
        pair_design=parts.pair_design,
        reps=spells.reps,
        effects=parts.effects,
        calibration=calibration,
        score_grid=np.zeros(101),
        grade_cuts=(0.0, 0.0, 0.0),
        verdict=verdict,
        window_days=spells.labels.window_days,
        facts=facts,
        value_model=fit_value_model(contract, spells.leads[won], spells.value[won]),
    )
    rotation = rotation_sample(draft, spells)
    cuts = tuple(float(np.quantile(rotation, share)) for share in GRADE_SHARES)
    grid = np.percentile(rotation, np.arange(101))
    return replace(draft, score_grid=grid, grade_cuts=(cuts[0], cuts[1], cuts[2]))


def _level(parts: Parts, spells: Spells, *, dated: bool) -> Calibration:
    """The recalibration on the newest rows; where young rows count, on them as well as on the newest mature ones."""
    window = spells.labels.window_days
    if parts.delays is None:
        newest = newest_window(spells.at_days, window, dated=dated)
        return recalibrate(spells.converted[newest], parts.log_odds[newest])
    rows, log_odds = spells.with_young(), np.concatenate([parts.log_odds, parts.young_log_odds])
    newest = newest_window(rows.at_days, 2 * window, dated=dated)
    calibration = Calibration()
    for _ in range(LEVEL_ROUNDS):
        labels = parts.delays.expected(rows, expit(calibration.apply(log_odds)))
        calibration = recalibrate(labels[newest], log_odds[newest])
    return calibration


def rotation_sample(model: ConversionModel, spells: Spells) -> np.ndarray:
    """The rotation probability of some 5,000 training leads, spread evenly over time, shape (n_sample,)."""
    rows = np.unique(np.linspace(0, len(spells) - 1, min(SCORED_SAMPLE, len(spells))).astype(int))
    leads, at = spells.leads[rows], spells.at_days[rows]
    if not spells.reps:
        return lead_alone(model, leads)
    return RosterModel(model, spells.reps).probability(leads, at).mean(axis=1)


def lead_alone(model: ConversionModel, leads: np.ndarray) -> np.ndarray:
    """P(convert | lead) without any rep, shape (n,): all there is where a data set has no reps."""
    return expit(model.calibration.apply(model.lead_model.log_odds(leads)))


def served_log_odds(model: ConversionModel, spells: Spells) -> np.ndarray:
    """Log-odds of each spell as the service would have given them, (n,): nobody picked by hand, usual load.

    The spells must be encoded with the model's contract; their reps need not be those it was trained on.
    """
    lead = model.lead_model.log_odds(spells.leads)
    if not spells.reps:
        return model.calibration.apply(lead)
    roster = RosterModel(model, spells.reps)
    own = np.einsum("nw,nw->n", model.lead_design.matrix(spells.leads), roster.effects[spells.rep])
    shared = roster.matches.for_pairs(spells.leads, spells.rep, spells.at_days) @ model.effects.beta
    return model.calibration.apply(lead + own + shared)


def predict_spells(model: ConversionModel, spells: Spells) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of each spell as it stood, (n,), by the full model and by its lead part alone."""
    # Marked as they stood, also where these rows alone would not have sufficed to learn what the mark means.
    stood = replace(gather(spells, model.contract, model.lead_design, model.pair_design), by_hand=spells.by_hand)
    lead = with_by_hand(model.lead_model, spells.leads, spells.by_hand.astype(float))
    rep = offset_of(model.effects, stood) if spells.reps else np.zeros(len(spells))
    return model.calibration.apply(lead + rep), model.calibration.apply(lead)
