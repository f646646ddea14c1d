"""Can hidden hand-picking explain what the model sees? Three looks at it, each with what it cannot tell.

- The gap: how differently the leads that a person gave to a rep convert from the rep's other leads.
- The negative control: whether the leads themselves differ between reps where nobody is said to have chosen.
- The sensitivity: how strong picking would have to be to undo the choice of the best rep.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from features.spells import Spells
from training.conversion import ConversionModel, RosterModel
from training.gain import columns_of_rules, eligible_so_far, rules_seen, still_employed
from training.lead_model import with_by_hand
from training.negative_control import NegativeControl, choose_controls, negative_control
from training.permutation import permutation_p
from training.potential import assignment_strata
from training.sensitivity import Sensitivity, sensitivity

SHUFFLES = 199
LEVEL = 0.9  # of intervals
SIGNIFICANT = 0.05
LEAST_EACH = 100  # rows that a person chose, and that nobody did
SAMPLE = 500  # of the newest leads, for the sensitivity
STEADYING = 25.0  # information below which a rep's gap hardly counts


@dataclass(frozen=True)
class RepGap:
    """How a rep's hand-picked leads differ from the rep's others, beside the average of such differences."""

    rep_id: str
    rows: int  # picked by hand
    value: float  # log-odds
    low: float
    high: float


@dataclass(frozen=True)
class Gaps:
    """The gaps of all reps: their average, how they scatter, and whether chance could scatter them so."""

    average: float  # log-odds of hand-picked leads over others like them
    spread: float  # tau_hand, the standard deviation of the reps' own gaps around it
    p: float  # of the spread, with the mark of hand-picking shuffled among each rep's rows
    reps: tuple[RepGap, ...]  # widest first


@dataclass(frozen=True)
class HiddenPicking:
    """The three looks; one that could not be taken is None. `said` tells them in sentences."""

    reasons_logged: bool
    clean_rows: int
    hand_rows: int
    gaps: Gaps | None
    control: NegativeControl | None
    sensitivity: Sensitivity | None
    said: tuple[str, ...]


def look_for_hidden_picking(
    model: ConversionModel, log_odds: np.ndarray, spells: Spells, *, seed: int
) -> HiddenPicking | None:
    """What the history says of hidden hand-picking; None where it has no two reps.

    model : fitted on these spells; log_odds : (n,), each row's as it stood, F out of fold (`Parts.log_odds`).
    """
    if len(np.unique(spells.rep)) < 2 or not spells.reps:
        return None
    rng = np.random.default_rng(seed)
    rules = columns_of_rules(model, spells)
    seen = [spells.leads[:, i] for i, feature in enumerate(model.contract.features) if feature.column in rules]
    controls = choose_controls(model.contract, spells.leads, spells.converted, looked_at=rules)
    control = negative_control(
        model.contract,
        spells.leads,
        controls,
        rep=spells.rep,
        by_hand=spells.by_hand,
        strata=assignment_strata(seen, spells.assigned_by, spells.at_days),
        rng=rng,
    )
    hand_rows = int(spells.by_hand.sum())
    enough = min(hand_rows, len(spells) - hand_rows) >= LEAST_EACH
    gaps = _gaps(model, log_odds, spells, rng) if enough else None
    strength = _strength(model, spells) if model.speaks else None
    said = (*_of_gaps(gaps, spells), *_of_control(control, spells), *_of_strength(strength, gaps))
    return HiddenPicking(
        spells.reasons_logged, len(spells) - hand_rows, hand_rows, gaps, control, strength, said
    )


def _gaps(model: ConversionModel, log_odds: np.ndarray, spells: Spells, rng: np.random.Generator) -> Gaps:
    effects, hand = model.effects, spells.by_hand.astype(float)
    marked = with_by_hand(model.lead_model, spells.leads[spells.by_hand], np.ones(int(hand.sum())))
    mark = marked - model.lead_model.log_odds(spells.leads[spells.by_hand])
    own = effects.hand_effects[spells.rep]
    z = float(norm.ppf(0.5 + LEVEL / 2))
    rows = np.bincount(spells.rep, hand, len(spells.reps)).astype(int)
    reps = [
        RepGap(rep.rep_id, int(n), float(g), float(g - z * sd), float(g + z * sd))
        for rep, n, g, sd in zip(spells.reps, rows, effects.hand_effects, effects.hand_sd, strict=True)
        if n
    ]
    return Gaps(
        average=float(np.mean(mark + own[spells.by_hand])),
        spread=float(np.sqrt(effects.hand_variance)),
        p=gap_p(spells.rep, hand, spells.converted, log_odds - hand * own, rng),
        reps=tuple(sorted(reps, key=lambda one: -abs(one.value))),
    )


def gap_p(
    rep: np.ndarray, hand: np.ndarray, converted: np.ndarray, log_odds: np.ndarray, rng: np.random.Generator
) -> float:
    """p-value of the spread of gaps between reps, with `hand` shuffled among each rep's rows.

    rep : int (n,); hand : 0/1 (n,); converted : 0/1 (n,); log_odds : (n,) of each row without its rep's own gap.
    The statistic is sum (S^2 - I) / (I + 25) over the reps, S the hand-picked rows' summed residual and I its
    information, both less what the rep's own level takes up.
    """
    q = expit(log_odds)
    weight, n_reps = q * (1 - q), int(rep.max()) + 1
    whole = np.maximum(np.bincount(rep, weight, n_reps), 1e-9)
    level = np.bincount(rep, converted - q, n_reps) / whole
    residual = converted - q - weight * level[rep]

    def spread(shuffled: np.ndarray) -> np.ndarray:
        total, part = np.bincount(rep, residual * shuffled, n_reps), np.bincount(rep, weight * shuffled, n_reps)
        information = part * (whole - part) / whole
        return np.array([np.sum((total**2 - information) / (information + STEADYING))])

    return float(permutation_p(spread, hand, rep, rng, many=SHUFFLES)[0])


def _strength(model: ConversionModel, spells: Spells) -> Sensitivity | None:
    newest = np.argsort(spells.at_days, kind="stable")[-SAMPLE:]
    roster, leads = RosterModel(model, spells.reps), spells.leads[newest]
    eligible = eligible_so_far(roster, leads, rules_seen(model, spells), still_employed(spells.take(newest)))
    return sensitivity(roster.log_odds(leads, spells.at_days[newest]), eligible)


def _of_gaps(gaps: Gaps | None, spells: Spells) -> tuple[str, ...]:
    if not spells.reasons_logged:
        return (
            "No row is known to have been given without a person choosing (assigned_by), so hand-picking cannot be "
            "told from skill, and nothing here can exclude it. Log the reason, or hold out some leads at random.",
        )
    if gaps is None:
        few = "hand-picked" if spells.by_hand.sum() < LEAST_EACH else "other"
        return (f"There are too few {few} rows to compare a rep's hand-picked leads with the rep's others.",)
    if gaps.p <= SIGNIFICANT:
        return (
            f"The leads that people gave a rep by hand convert differently from the rep's others, and more so for "
            f"some reps: their odds scatter by a factor of {np.exp(gaps.spread):.2f} (p = {gaps.p:.3f}). It may be "
            "picking, or a good eye for who suits whom; the model leaves it out of its predictions.",
        )
    return (
        f"The leads that people gave a rep by hand differ from the rep's others no more than chance explains, as far "
        f"as {spells.by_hand.sum():,} rows can tell (p = {gaps.p:.2f}).",
    )


def _of_control(control: NegativeControl | None, spells: Spells) -> tuple[str, ...]:
    if control is None or np.isnan(control.p):
        return ("No number recorded before the assignment, with enough rows, could serve as a negative control.",)
    names, chance = ", ".join(control.columns), f"(p = {control.p:.3f})"
    differ = control.p <= SIGNIFICANT
    if not spells.reasons_logged:
        if differ:
            return (f"Reps were given different leads to begin with: their leads differ in {names} {chance}.",)
        return (f"Reps' leads do not differ in {names} {chance}: no sign of picking by these.",)
    where = f"Among the {control.rows:,} rows that no person chose, reps' leads"
    if differ:
        return (f"{where} still differ in {names} {chance}: these rows were not dealt out blindly either.",)
    picked = f" Where people chose, they do (p = {control.p_by_hand:.3f})." if control.p_by_hand <= SIGNIFICANT else ""
    return (f"{where} do not differ in {names} {chance}: no sign of picking there.{picked}",)


def _of_strength(strength: Sensitivity | None, gaps: Gaps | None) -> tuple[str, ...]:
    if strength is None:
        return ("The model tells no rep from another, so there is nothing that picking would have to explain.",)
    shown = gaps is not None and gaps.p <= SIGNIFICANT
    scale = f" For scale: where people chose, odds scattered by {np.exp(gaps.spread):.2f}." if gaps and shown else ""
    return (
        f"For the typical lead, hidden picking at odds of {strength.over_rotation.gamma:.2f} to 1 (of the better of "
        "two like leads going to the best rep) could make that rep look better than rotation without being so; at "
        f"{strength.over_next.gamma:.2f} to 1, better than the next best.{scale}",
        "A history alone cannot exclude picking by what nobody recorded; leads held out at random can.",
    )
