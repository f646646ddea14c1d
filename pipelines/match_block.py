"""One block of leads on its way through `leadmatch match`: scored, given out under prices and counters, explained.

Scoring and explaining need the block alone, so blocks can be worked on side by side; only giving out goes from one
block to the next, with the slots that are left and the prices.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.roster import Rep
from features.columns import SECONDS_A_DAY
from features.spells import lead_matrix
from pipelines.match_reasons import ReasonColumns
from serving.deciding.block_scores import BlockScorer, BlockScores, Screened
from serving.deciding.scorer import GRADES
from serving.policy.arms import fraction
from serving.policy.eligibility import Screener
from serving.policy.exploration import AS_GOOD, smoothed_to_earn
from serving.policy.limits import Limits
from serving.policy.prices import assign_jointly, shadow_prices
from serving.policy.rulebook import RuleBook
from serving.policy.stream_draws import draw_in_order
from serving.policy.stream_prices import STEP, moved, serve_in_order, settled, usual_lead
from serving.telling.reasons import unassigned_text

REASONS = 3
NOBODY, FULL = "nobody is eligible", "nobody is free"
# Leads that the prices are worked out from at first; the blocks themselves correct them.
PRICED_LEADS, PRICED_A_REP = 1_500, 4
MOST_PRICED_PAIRS = 60_000  # of the linear programme; with more it takes minutes


@dataclass(frozen=True)
class Matching:
    """What holds for all blocks."""

    scorer: BlockScorer
    rules: RuleBook
    at: datetime
    explore: bool

    @property
    def asked(self) -> frozenset[str]:
        """The leads' columns that scores, rules and reasons look at."""
        return self.screener.columns() | {column.name for column in self.scorer.scorer.model.contract.columns}

    @cached_property
    def screener(self) -> Screener:
        """The hard rules, laid out for the roster."""
        return Screener(self.rules, self.scorer.scorer.reps)

    @cached_property
    def at_work(self) -> np.ndarray:
        """Who is at work within the time in which a lead of each grade should be contacted, bool (4, n_reps)."""
        minutes = self.rules.contact_within_minutes
        return np.array([self.screener.working(self.at, minutes.minutes(grade)) for grade in GRADES])

    @cached_property
    def reasons(self) -> ReasonColumns:
        """Who puts the parts of an uplift into words."""
        return ReasonColumns(self.scorer.scorer.reps, self.scorer.scorer.terms, self.rules.language)

    @property
    def at_days(self) -> float:
        """The moment of the decisions, in days since 1970 UTC."""
        return self.at.timestamp() / SECONDS_A_DAY


@dataclass(frozen=True)
class Laid:
    """Leads laid out against the roster."""

    leads: pd.DataFrame
    scores: BlockScores
    screened: Screened


@dataclass(frozen=True)
class Standing:
    """What one block leaves to the next; arrays in the roster's order."""

    left: np.ndarray  # (n_reps,) free slots; inf: no limit
    prices: np.ndarray  # (n_reps,) of each rep's next slot, in probability
    least: np.ndarray  # (n_reps,) leads that each should still get by the rule book's floor
    most: np.ndarray  # (n_reps,) and at most by its ceiling
    unseen: int  # leads still to come
    step: float  # how far a price moves


@dataclass(frozen=True)
class Given:
    """Who got the leads of a block."""

    rep: np.ndarray  # int (n,), -1: nobody
    chance: np.ndarray  # (n,), NaN where nobody
    explored: np.ndarray  # bool (n,), whether somebody else had a better chance
    standing: Standing


def slots(rules: RuleBook, reps: Sequence[Rep], at: datetime) -> np.ndarray:
    """Leads that each rep can take now, (n_reps,): below the limit on open leads and below the day's; inf: no limit."""
    limits = Limits(rules, reps)
    return np.array([_room(rep, *limits.of(place, at)) for place, rep in enumerate(reps)])


def _room(rep: Rep, most_open: int | None, most_today: int | None) -> float:
    room = np.inf if most_open is None else float(most_open - rep.open_count)
    return max(min(room, np.inf if most_today is None else float(most_today)), 0.0)


def lay_out(matching: Matching, leads: pd.DataFrame) -> Laid:
    """Every lead's probability and eligibility under every rep."""
    matrix = lead_matrix(leads, matching.scorer.scorer.model.contract)
    scores = matching.scorer.score(matrix, matching.at_days)
    return Laid(leads, scores, eligibility(leads, scores.probability, matching))


def eligibility(leads: pd.DataFrame, probability: np.ndarray, matching: Matching) -> Screened:
    """Whether each rep passes the rule book's hard rules for each lead.

    The hard rules look at a few columns and, through the time within which a lead should be contacted, at its
    grade, so leads alike in these are screened once.
    """
    screener = matching.screener
    classes, kinds = _kinds(leads, screener.columns())
    masks: list[np.ndarray] = []
    found = np.empty(len(leads), dtype=np.int64)
    for kind, lead in enumerate(kinds):
        rows = np.flatnonzero(classes == kind)
        mask = screener.at_any_hour(lead, matching.at).eligible
        by_grade = mask & matching.at_work
        if (by_grade == by_grade[0]).all():
            found[rows] = len(masks)
            masks.append(by_grade[0])
            continue
        grades = matching.scorer.grade(probability[np.ix_(rows, np.flatnonzero(mask))].mean(axis=1))
        for grade, working in zip(GRADES, by_grade, strict=True):
            found[rows[grades == grade]] = len(masks)
            masks.append(working)
    return Screened(found, np.array(masks, dtype=bool).reshape(len(masks), len(screener.reps)))


def _kinds(leads: pd.DataFrame, asked: Collection[str]) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Which leads are alike in the columns that the hard rules ask for, (n,), and one lead of each kind."""
    there = sorted(column for column in asked if column in leads)
    if not there:
        return np.zeros(len(leads), dtype=np.int64), [{}] if len(leads) else []
    kinds = np.zeros(len(leads), dtype=np.int64)
    for column in there:
        codes, distinct = pd.factorize(leads[column])
        kinds = kinds * (len(distinct) + 1) + codes + 1  # 0: missing
        kinds, _ = pd.factorize(kinds)  # numbers no longer than there are leads
    _, first = np.unique(kinds, return_index=True)
    values = [[None if pd.isna(value) else value for value in leads[column].iloc[first]] for column in there]
    return kinds, [dict(zip(there, row, strict=True)) for row in zip(*values, strict=True)]


def opening(matching: Matching, sample: Laid, free: np.ndarray, leads: int) -> Standing:
    """Slots, and the prices that a sample of the leads suggests.

    free : (n_reps,) slots; leads : how many are to come. Floors and ceilings are shares of what rotation would give.
    """
    eligible, rules = sample.screened.eligible(), matching.rules.prices
    served = eligible.sum(axis=1)
    rotation = (eligible[served > 0] / served[served > 0, None]).sum(axis=0) * leads / max(len(eligible), 1)
    most, least = free, np.zeros(len(free))
    if rules.enabled:
        scale = rules.ceiling
        most = np.minimum(free, scale * rotation)
        enough = 0.999 * min(leads, free[rotation > 0].sum())  # with less, some would go without for a share's sake
        while most.sum() < enough:
            scale *= 1.1
            most = np.minimum(free, scale * rotation)
        least = np.minimum(rules.floor * rotation, most)
    prices = np.zeros(len(free))
    step = 0.0
    if matching.scorer.scorer.model.speaks:
        share = len(eligible) / max(leads, 1)
        solve = shadow_prices if eligible.size <= MOST_PRICED_PAIRS else settled
        prices = solve(sample.scores.probability, eligible, most * share, least * share)
        step = STEP * usual_lead(np.where(eligible, sample.scores.probability - prices, -np.inf))
    return Standing(free.copy(), prices, least, most, leads, step)


def give_jointly(laid: Laid, standing: Standing) -> Given:
    """The joint optimum over all leads, whose choices are certain, between the rule book's floors and ceilings.

    Whoever would go without for the sake of a ceiling gets one of the slots that are left.
    """
    probability, eligible = laid.scores.probability, laid.screened.eligible()
    most = np.minimum(standing.left, np.ceil(standing.most))
    rep = assign_jointly(probability, eligible, most, np.minimum(np.floor(standing.least), most))
    without = np.flatnonzero(rep < 0)
    used = np.bincount(rep[rep >= 0], minlength=len(most))
    rep[without] = assign_jointly(probability[without], eligible[without], standing.left - used)
    return _certain(rep, _after(standing, rep))


def give(matching: Matching, laid: Laid, standing: Standing) -> Given:
    """The leads of one block in their order, each to whom it suits best at the slots' prices.

    With exploration, or where reps cannot be told apart, one lead after another is drawn.
    """
    if matching.explore or not matching.scorer.scorer.model.speaks:
        return _draw(matching, laid, standing)
    probability, screened = laid.scores.probability, laid.screened
    prices = np.where(screened.masks, standing.prices, np.inf)
    # Where slots are too few, a price near 1 says which leads are worth one; in the end whoever comes may have it.
    last = standing.unseen <= len(laid.leads)
    rep, asked = serve_in_order(probability, prices, screened.classes, standing.left, always=last)
    share = len(rep) / max(standing.unseen, 1)
    most = np.minimum(standing.left, standing.most) * share
    prices = moved(standing.prices, asked, standing.least * share, most, standing.step)
    return _certain(rep, replace(_after(standing, rep), prices=prices))


def _certain(rep: np.ndarray, standing: Standing) -> Given:
    return Given(rep, np.where(rep >= 0, 1.0, np.nan), np.zeros(len(rep), dtype=bool), standing)


def _draw(matching: Matching, laid: Laid, standing: Standing) -> Given:
    probability, speaks = laid.scores.probability, matching.scorer.scorer.model.speaks

    def chances(rows: np.ndarray, free: np.ndarray) -> np.ndarray:
        if speaks:
            return smoothed_to_earn(probability[np.ix_(rows, free)], standing.prices[free])
        return np.full((len(rows), len(free)), 1 / len(free))

    points = np.array([fraction("match", str(lead_id)) for lead_id in laid.leads["lead_id"]])
    screened = laid.screened
    rep, chance, best = draw_in_order(screened.classes, screened.masks, standing.left, points, chances)
    return Given(rep, chance, chance < best - AS_GOOD, _after(standing, rep))


def _after(standing: Standing, rep: np.ndarray) -> Standing:
    given = np.bincount(rep[rep >= 0], minlength=len(standing.left))
    return replace(
        standing,
        left=standing.left - given,
        least=np.maximum(standing.least - given, 0.0),
        most=np.maximum(standing.most - given, 0.0),
        unseen=standing.unseen - len(rep),
    )


def described(matching: Matching, laid: Laid, given: Given) -> pa.Table:
    """One row a lead with the columns of `match --out`, in the order of the input."""
    scorer, rep = matching.scorer.scorer, given.rep
    figures = matching.scorer.figures(laid.scores, laid.screened, rep, matching.at_days)
    served = rep >= 0
    baseline = np.where(served, figures.baseline, 0.0)
    columns: dict[str, Any] = {
        "lead_id": laid.leads["lead_id"],
        "rep_id": pa.array(scorer.rep_ids, type=pa.string()).take(pa.array(rep, mask=~served)),
        "probability": figures.probability,
        "baseline_probability": figures.baseline,
        "uplift": figures.uplift,
        "uplift_low": figures.low,
        "uplift_high": figures.high,
        "lead_score": pa.array(matching.scorer.lead_score(baseline), mask=~served),
        "grade": pa.array(matching.scorer.grade(baseline), mask=~served),
        "arm": pc.if_else(served, pc.if_else(given.explored, "explore", "model"), None),
        "propensity": given.chance,
        **_reasons(matching, laid, given, figures.shares),
        "unassigned_reason": pc.if_else(served, None, _why_not(matching, laid)),
    }
    if scorer.model.value_model is not None:
        value = np.where(served, scorer.model.value_model.expected(laid.scores.leads), np.nan)
        columns |= {"expected_value": value, "expected_revenue": figures.probability * value}
    wanted = schema(matching)
    return pa.table(
        [columns[f.name] if isinstance(columns[f.name], pa.Array)
         else pa.array(columns[f.name], type=f.type, from_pandas=True) for f in wanted],
        schema=wanted,
    )  # fmt: skip


def _why_not(matching: Matching, laid: Laid) -> pa.Array:
    """Why a lead went to nobody, where it did."""
    nobody, full = (unassigned_text(why, matching.rules.language) for why in (NOBODY, FULL))
    somebody = np.asarray(laid.screened.masks.any(axis=1))[laid.screened.classes]
    return pc.if_else(somebody, full, nobody)


def _reasons(matching: Matching, laid: Laid, given: Given, shares: np.ndarray) -> dict[str, pa.Array]:
    """The sentences of the largest parts of each lead's uplift: reason_1, reason_2, reason_3."""
    days_here = matching.scorer.scorer.columns.day(matching.at_days).here
    columns = matching.reasons.columns(laid.leads, given.rep, shares, days_here, most=REASONS)
    return {f"reason_{place}": column for place, column in enumerate(columns, start=1)}


def schema(matching: Matching) -> pa.Schema:
    """The columns of the output; what a won lead is worth at the end, where the model can tell."""
    text, number = pa.string(), pa.float64()
    kinds = {
        "lead_id": text, "rep_id": text, "probability": number, "baseline_probability": number, "uplift": number,
        "uplift_low": number, "uplift_high": number, "lead_score": pa.int64(), "grade": text, "arm": text,
        "propensity": number, "reason_1": text, "reason_2": text, "reason_3": text, "unassigned_reason": text,
    }  # fmt: skip
    if matching.scorer.scorer.model.value_model is not None:
        kinds |= {"expected_value": number, "expected_revenue": number}
    return pa.schema(list(kinds.items()))
