"""`leadmatch match`: a file of leads -> a rep for each, chosen jointly under the reps' capacity."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.dataset import load_dataset, load_leads
from data.errors import InputError
from data.roster import Rep
from data.settings import Settings
from data.store import policies
from data.store.ledger import Ledger
from features.columns import SECONDS_A_DAY
from features.spells import lead_matrix
from pipelines.champion import champion
from pipelines.progress import Step, silent
from serving.policy.arms import drawn, fraction
from serving.policy.eligibility import has_room, screen
from serving.policy.exploration import EARN, smoothed
from serving.policy.prices import assign_jointly, shadow_prices
from serving.policy.rulebook import RuleBook, default_rule_book, parse_rule_book
from serving.reasons import reason_text, unassigned_text
from serving.scorer import LeadScores, Scorer, grade_of
from training.conversion import RosterModel

REASONS = 3
SAY_EVERY = 5_000
NOBODY, FULL = "nobody is eligible", "nobody is free"


@dataclass(frozen=True)
class Batch:
    """Leads laid out against a roster, all in the roster's order."""

    leads: pd.DataFrame
    matrix: np.ndarray  # (n, n_features)
    probability: np.ndarray  # (n, n_reps)
    eligible: np.ndarray  # bool (n, n_reps)
    slots: np.ndarray  # (n_reps,) leads each rep can take; inf: no limit


def match(
    data: Path,
    leads_file: Path,
    out: Path,
    *,
    settings: Settings,
    at: datetime,
    capacity: bool = True,
    explore: bool = False,
    step: Step = silent,
) -> dict[str, Any]:
    """Match the leads of a file to the reps of a data set, write one row a lead, and say how it went.

    at : the moment of the decision. Raises InputError for files that cannot be used, or without a champion.
    """
    ledger = Ledger.open(settings.ledger_url)
    try:
        loaded = champion(settings, ledger)
        with ledger.reading() as conn:
            active = policies.active(conn)
    finally:
        ledger.close()
    rules = parse_rule_book(active.text) if active else default_rule_book()
    dataset = load_dataset(data)
    leads, refused = load_leads(leads_file, dataset.description)
    if not dataset.has_reps:
        raise InputError(f"{data}: has no reps, so there is nobody to match the leads to.")
    scorer = Scorer(loaded.model, dataset.roster())
    step(f"scoring {len(leads):,} leads x {len(scorer.reps):,} reps")
    batch = lay_out(leads, scorer, rules, at=at, capacity=capacity)
    step("choosing jointly under capacity")
    chosen, propensity = choose(batch, speaks=loaded.model.speaks, explore=explore)
    step("writing reasons")
    rows = describe(batch, scorer, chosen, propensity, at=at, language=rules.language, step=step)
    write_table(rows, out)
    return {
        "out": str(out),
        "leads": len(leads),
        "assigned": int(np.sum(chosen >= 0)),
        "unassigned": int(np.sum(chosen < 0)),
        "rejected": len(refused),
        "model_version": loaded.version,
        "verdict": loaded.model.verdict,
    }


def lay_out(leads: pd.DataFrame, scorer: Scorer, rules: RuleBook, *, at: datetime, capacity: bool) -> Batch:
    """Every lead's probability and eligibility under every rep, and the reps' free slots."""
    matrix = lead_matrix(leads, scorer.model.contract)
    at_days = np.full(len(leads), at.timestamp() / SECONDS_A_DAY)
    probability = RosterModel(scorer.model, scorer.reps).probability(matrix, at_days)
    return Batch(
        leads=leads,
        matrix=matrix,
        probability=probability,
        eligible=eligibility(leads, scorer, probability, rules, at=at),
        slots=np.array([_slots(rep) if capacity else np.inf for rep in scorer.reps]),
    )


def eligibility(
    leads: pd.DataFrame, scorer: Scorer, probability: np.ndarray, rules: RuleBook, *, at: datetime
) -> np.ndarray:
    """Whether each rep passes the rule book's hard rules for each lead, bool (n_leads, n_reps).

    The hard rules look at a lead's region and, through the time within which it should be contacted, at its
    grade, so each pair of these is screened once.
    """
    hours = rules.eligibility.working_hours
    any_hour = rules.eligibility.model_copy(update={"working_hours": False})
    regions = leads["region"].to_numpy(dtype=object) if "region" in leads else np.full(len(leads), None)

    @cache
    def screened(region: str | None, minutes: int | None) -> np.ndarray:
        asked = rules.eligibility if minutes is not None else any_hour
        lead = {"region": region}
        return screen(lead, scorer.reps, {}, asked, at=at, minutes_for=lambda _: minutes or 1).eligible

    eligible = np.zeros(probability.shape, dtype=bool)
    for row, region in enumerate(regions):
        region = region if isinstance(region, str) else None
        mask = screened(region, None)
        if hours and mask.any():
            grade = grade_of(float(probability[row, mask].mean()), scorer.model.grade_cuts)
            mask = screened(region, rules.contact_within_minutes.minutes(grade))
        eligible[row] = mask
    return eligible


def _slots(rep: Rep) -> float:
    """Leads the rep can take now: below the limit on open leads and below the day's."""
    if not has_room(rep, {}):
        return 0.0
    room = np.inf if rep.capacity is None else float(rep.capacity - rep.open_count)
    return min(room, np.inf if rep.daily_limit is None else float(rep.daily_limit))


def choose(batch: Batch, *, speaks: bool, explore: bool) -> tuple[np.ndarray, np.ndarray]:
    """The rep of each lead (-1: none), and the chance with which that rep was chosen, both (n,).

    Without exploration the joint optimum, whose choices are certain; with it, or where reps cannot be told
    apart, one lead after another is drawn under the slots' prices.
    """
    if speaks and not explore:
        chosen = assign_jointly(batch.probability, batch.eligible, batch.slots)
        return chosen, np.where(chosen >= 0, 1.0, np.nan)
    prices = np.zeros(len(batch.slots))
    if speaks:
        prices = shadow_prices(batch.probability, batch.eligible, batch.slots)
    left = batch.slots.copy()
    chosen = np.full(len(batch.leads), -1)
    chance = np.full(len(batch.leads), np.nan)
    for row, lead_id in enumerate(batch.leads["lead_id"]):
        available = batch.eligible[row] & (left >= 1)
        if not available.any():
            continue
        if speaks:
            propensities = smoothed(batch.probability[row], prices, available, EARN)
        else:
            propensities = available / available.sum()
        chosen[row] = drawn(propensities, fraction("match", str(lead_id)))
        chance[row] = propensities[chosen[row]]
        left[chosen[row]] -= 1
    return chosen, chance


def describe(
    batch: Batch,
    scorer: Scorer,
    chosen: np.ndarray,
    propensity: np.ndarray,
    *,
    at: datetime,
    language: Any,
    step: Step,
) -> pd.DataFrame:
    """One row a lead with the columns of `match --out`, in the order of the input."""
    rows = []
    at_days = at.timestamp() / SECONDS_A_DAY
    attributes = batch.leads.to_dict("records")
    for row, lead in enumerate(attributes):
        if row and row % SAY_EVERY == 0:
            step(f"{row:,} of {len(attributes):,} leads explained")
        eligible, rep = batch.eligible[row], int(chosen[row])
        if rep < 0:
            why = unassigned_text(FULL if eligible.any() else NOBODY, language)
            rows.append({"lead_id": lead["lead_id"], "unassigned_reason": why})
            continue
        scores = scorer.score_row(batch.matrix[row : row + 1], at_days, lead=lead)
        uplift, baseline = scores.uplift(rep, eligible), scores.baseline(eligible)
        reasons = [c for c in scores.reasons(rep, eligible, k=REASONS) if c.kind != "other"]
        texts = [reason_text(reason, scorer.reps[rep], language) for reason in reasons]
        # Where reps cannot be told apart, nobody's chance differs from rotation's.
        probability = float(scores.probability[rep]) if scorer.model.speaks else baseline
        rows.append(
            {
                "lead_id": lead["lead_id"],
                "rep_id": scorer.rep_ids[rep],
                "probability": probability,
                "baseline_probability": baseline,
                "uplift": uplift.value,
                "uplift_low": uplift.low,
                "uplift_high": uplift.high,
                "lead_score": scores.lead_score(eligible),
                "grade": scores.grade(eligible),
                "arm": "model",
                "propensity": float(propensity[row]),
                **_worth(scores, probability),
                **{f"reason_{place}": text for place, text in enumerate(texts, start=1)},
            }
        )
    told = scorer.model.value_model is not None
    return pd.DataFrame(rows, columns=COLUMNS + WORTH if told else COLUMNS)


def _worth(scores: LeadScores, probability: float) -> dict[str, float]:
    value = scores.expected_value
    return {} if value is None else dict(zip(WORTH, (value, probability * value), strict=True))


COLUMNS = [
    "lead_id", "rep_id", "probability", "baseline_probability", "uplift", "uplift_low", "uplift_high", "lead_score",
    "grade", "arm", "propensity", "reason_1", "reason_2", "reason_3", "unassigned_reason",
]  # fmt: skip
WORTH = ["expected_value", "expected_revenue"]  # at the end, where the model can tell what a won lead is worth


def write_table(rows: pd.DataFrame, out: Path) -> None:
    """Write Parquet where the name ends so, else CSV (gzip by its ending)."""
    out.parent.mkdir(parents=True, exist_ok=True)
    rows["lead_score"] = rows["lead_score"].astype("Int64")
    if out.suffix == ".parquet":
        rows.to_parquet(out, index=False)
    else:
        rows.to_csv(out, index=False, float_format="%.17g")
