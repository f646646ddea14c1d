"""`leadmatch evaluate`: what each policy would have been worth on the leads of a data set, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from data.dataset import Dataset, load_dataset, set_aside
from data.errors import InputError
from features.leads import choose_design
from features.pairs import RepMatches, find_pairs
from features.spells import Spells
from pipelines.candidates import AS_IT_RAN, NEED_MODEL, Candidates, checked, policies_for
from pipelines.evaluate_report import CONVERSIONS, REVENUE, report
from pipelines.floor import EPOCH, Floor, given_by_rotation, lay_out
from pipelines.held_out import trial_in
from pipelines.prepare import LEAST_OF_EACH, Prepared, prepare
from pipelines.progress import Step, silent
from serving.policy.rulebook import RuleBook, default_rule_book
from training.assess import look_for_potential
from training.conversion import ConversionModel, RosterModel
from training.expected_value import LEAST_VALUES
from training.fit import assemble, fit_parts
from training.judging import MANY_REPS, Judged, Log, judge, judge_as_it_ran
from training.lead_model import Recipe
from training.policy_value import cluster_reps
from training.propensities import Choices, estimated_propensities
from training.recency import find_recipe
from training.splits import cross_folds, known_before

LEAST_ROWS = 500  # that a model is fitted on, or that are judged
LEAST_LOGGED = 100  # rows with a propensity; fewer are no experiment
MOST_JUDGED = 50_000
FOLDS = 2  # that the outcome model is fitted in: each row is predicted by the fit that did not see it
BLOCKS = 50  # of the bootstrap where there are too few days


@dataclass(frozen=True)
class Split:
    """Which mature spells teach and which are judged."""

    judged: np.ndarray  # positions in the spells
    later: np.ndarray  # positions in `judged`: from here on the model is judged too
    start_days: float  # what was known by then teaches the model
    verified: bool
    left_out: int  # rows of the judged time that logged no propensity


@dataclass(frozen=True)
class Teacher:
    """The model of the earlier rows, or why there is none; and how to fit F again."""

    model: ConversionModel | None
    why_not: str | None
    recipe: Recipe


def evaluate(
    data: Path,
    policies: Sequence[str] | None = None,
    *,
    as_of: datetime | None = None,
    unit: str = CONVERSIONS,
    seed: int = 0,
    step: Step = silent,
) -> dict[str, Any]:
    """The object of `evaluate --json` for the data set in `data`.

    policies : names as in `pipelines.candidates`, or always:REP; those that make sense if not given.
    as_of : what was known before teaches, what came after is judged; unit : `conversions` or `revenue`.
    Raises InputError where the data cannot be used or a policy's name is not known.
    """
    step(f"reading {data}")
    dataset = load_dataset(data)
    set_aside(dataset, data)
    return evaluate_dataset(dataset, policies, as_of=as_of, unit=unit, seed=seed, step=step)


def evaluate_dataset(
    dataset: Dataset,
    policies: Sequence[str] | None = None,
    *,
    as_of: datetime | None = None,
    rules: RuleBook | None = None,
    unit: str = CONVERSIONS,
    seed: int = 0,
    step: Step = silent,
) -> dict[str, Any]:
    """The same for a data set that is read already; `rules` : the rule book the model would run under."""
    if not dataset.has_reps:
        raise InputError("reps: these data have none, so no policy can be judged on them.")
    if unit not in (CONVERSIONS, REVENUE):
        raise InputError(f"--unit: {unit!r} is none; choose {CONVERSIONS} or {REVENUE}.")
    prepared, rng = prepare(dataset), np.random.default_rng(seed)
    split = split_rows(dataset, prepared.spells, as_of)
    floor = lay_out(prepared, split.judged)
    names = checked(tuple(policies) if policies else policies_for(floor), floor)
    names = tuple(dict.fromkeys(("rotation", *names)))
    step("fitting the model to the earlier rows")
    teacher = teach(prepared, split, wanted=any(name in NEED_MODEL for name in names), seed=seed)
    step(f"fitting the outcome model in {FOLDS} folds for {len(floor):,} rows")
    log, floor, split = make_log(prepared, split, floor, teacher, rng, unit=unit, seed=seed)
    candidates = Candidates(floor, rules or default_rule_book())
    later = Candidates(floor.take(split.later), candidates.rules, teacher.model)
    judged: list[Judged] = []
    refused: list[dict[str, str]] = []
    for name in names:
        step(f"judging {name}")
        if name == AS_IT_RAN:
            judged.append(judge_as_it_ran(name, log, rng))
        elif name in NEED_MODEL and teacher.model is None:
            refused.append({"name": name, "why": str(teacher.why_not)})
        elif name in NEED_MODEL:
            judged.append(judge(name, log, later.target(name), rng, split.later))
        else:
            judged.append(judge(name, log, candidates.target(name), rng))
    currency = dataset.description.currency if unit == REVENUE else None
    made = report(judged, refused, log, floor, rng, revenue=unit == REVENUE, currency=currency)
    made["trial"] = trial_in(log, floor, judge_as_it_ran(AS_IT_RAN, log, rng), judged[0])
    return made | about(prepared, split, floor, teacher, as_of, clustered=log.cluster is not None)


def split_rows(dataset: Dataset, spells: Spells, as_of: datetime | None) -> Split:
    """Which rows teach and which are judged: the logged ones where propensities were logged, else the later half."""
    logged = ~np.isnan(spells.propensity)
    verified = int(logged.sum()) >= LEAST_LOGGED
    asked = logged if verified else np.ones(len(spells), dtype=bool)
    at = spells.at_days
    if as_of is not None:
        if not dataset.dated:
            raise InputError("--as-of: these data have an order but no dates; leave it out.")
        start = (as_of - EPOCH).total_seconds() / 86_400
        asked &= at >= start
    else:
        first = float(at[asked].min())
        before = int(np.sum(at < first)) if verified else 0
        start = first if before >= LEAST_ROWS else float(np.median(at[asked]))
    if not verified:
        asked &= at >= start
    judged = np.flatnonzero(asked)[-MOST_JUDGED:]
    if not len(judged):
        raise InputError("--as-of: no row with a mature outcome lies after that moment; choose an earlier one.")
    inside = (at >= at[judged[0]]) & ~asked
    return Split(judged, np.flatnonzero(at[judged] >= start), start, verified, int(inside.sum()))


def teach(prepared: Prepared, split: Split, *, wanted: bool, seed: int) -> Teacher:
    """The model fitted on what was known before the judged rows, with its verdict."""
    spells, contract = prepared.spells, prepared.contract
    early = known_before(spells.at_days, split.start_days, spells.labels.window_days)
    earlier = spells.take(early)
    conversions = int(earlier.converted.sum())
    if len(earlier) < LEAST_ROWS or min(conversions, len(earlier) - conversions) < LEAST_OF_EACH:
        basis = spells
        why = (
            f"only {len(earlier):,} rows with {conversions:,} conversions were known before the judged ones; "
            f"{LEAST_ROWS} rows with {LEAST_OF_EACH} conversions are the least that a model is fitted on."
        )
    else:
        basis, why = earlier, None
    recipe, _ = find_recipe(contract, basis.leads, basis.converted, basis.at_days, seed=seed)
    if why or not wanted:
        return Teacher(None, why, recipe)
    parts = fit_parts(earlier, contract, seed=seed, recipe=recipe)
    potential = look_for_potential(parts, earlier, contract, seed=seed)
    model = assemble(parts, earlier, contract, verdict=potential.verdict, facts={})
    return Teacher(model, None, recipe)


def make_log(
    prepared: Prepared, split: Split, floor: Floor, teacher: Teacher, rng: np.random.Generator, *, unit: str, seed: int
) -> tuple[Log, Floor, Split]:
    """The judged rows as arrays, with the floor and the split of the rows that could be kept.

    In revenue, an outcome is what the lead was won for, and what was expected of it times the chance to win it.
    """
    logged, everyone = floor.spells.propensity, None
    if split.verified:
        if given_by_rotation(floor.spells, floor.available):
            everyone = floor.available / floor.available.sum(axis=1, keepdims=True)
    else:
        floor, split = _keep_possible(floor, split)
        everyone = estimate_log(prepared, floor, rng)
        logged = everyone[np.arange(len(floor)), floor.spells.rep]
    cluster = None
    if len(floor.reps) > MANY_REPS and everyone is not None and teacher.model is not None:
        cluster = cluster_reps(RosterModel(teacher.model, floor.reps).effects, seed=seed)
    outcome = floor.spells.converted.astype(float)
    predicted, worth = predict_unseen(prepared, split.judged, floor, teacher.recipe, rng, seed=seed)
    if unit == REVENUE:
        # A won lead whose value nobody recorded counts with what it would be expected to be worth.
        outcome = outcome * np.where(np.isnan(floor.spells.value), worth, floor.spells.value)
        predicted = predicted * worth[:, None]
        if np.isnan(worth).any():
            raise InputError(f"--unit {REVENUE}: too few won rows have a value; each half needs {LEAST_VALUES}.")
    log = Log(
        converted=outcome,
        chosen=floor.spells.rep,
        logged=logged,
        predicted=predicted,
        block=blocks(floor.spells.at_days, dated=prepared.dataset.dated),
        verified=split.verified,
        everyone=everyone,
        cluster=cluster,
    )
    return log, floor, split


def predict_unseen(
    prepared: Prepared, judged: np.ndarray, floor: Floor, recipe: Recipe, rng: np.random.Generator, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """P(convert) of every judged lead with every rep, (n, n_reps), and the lead's expected value when won, (n,).

    Both by fits that did not see the row; the value is NaN where too few won rows say what they were worth.
    """
    spells, contract = prepared.spells, prepared.contract
    folds = cross_folds(len(judged), FOLDS, rng)
    predicted, worth = np.empty(floor.available.shape), np.full(len(judged), np.nan)
    for fold in range(FOLDS):
        unseen = folds == fold
        seen = np.ones(len(spells), dtype=bool)
        seen[judged[unseen]] = False
        training = spells.take(seen)
        parts = fit_parts(training, contract, seed=seed, recipe=recipe)
        model = assemble(parts, training, contract, verdict="rep_matters", facts={})
        leads, at_days = floor.spells.leads[unseen], floor.spells.at_days[unseen]
        predicted[unseen] = RosterModel(model, floor.reps).probability(leads, at_days)
        if model.value_model is not None:
            worth[unseen] = model.value_model.expected(leads)
    return predicted, worth


def estimate_log(prepared: Prepared, floor: Floor, rng: np.random.Generator) -> np.ndarray:
    """Estimated chance of every available rep, from what the assignment may have looked at, (n, n_reps)."""
    spells, contract = floor.spells, prepared.contract
    matches = RepMatches(find_pairs(contract, floor.reps), contract, floor.reps)
    shared = [matches.matched(spells.leads, number) for number in range(len(matches.design.matches))]
    load = floor.standing.open_leads
    usual = np.sum(load * floor.available, axis=1) / floor.available.sum(axis=1)
    shared.append(np.clip(load / np.maximum(usual, 1)[:, None] - 1, -1, 3))
    design = choose_design(contract, spells.leads).matrix(spells.leads)
    return estimated_propensities(Choices(design, np.stack(shared, axis=2), spells.rep, floor.available), rng)


def blocks(at_days: np.ndarray, *, dated: bool) -> np.ndarray:
    """The day of each row; where there are fewer than 20, one of 50 stretches of rows in a row."""
    days = np.floor(at_days).astype(np.int64)
    if dated and len(np.unique(days)) >= 20:
        return days
    return np.arange(len(at_days)) * BLOCKS // max(len(at_days), 1)


def about(
    prepared: Prepared, split: Split, floor: Floor, teacher: Teacher, as_of: datetime | None, *, clustered: bool
) -> dict[str, Any]:
    """Which rows were judged and how, and what a reader must know before believing a figure."""
    return {
        "as_of": as_of.isoformat() if as_of else None,
        "rows": {
            "judged": len(floor),
            "judged_with_model": len(split.later),
            "without_propensity": split.left_out,
            "immature": prepared.spells.labels.immature,
        },
        "verdict": teacher.model.verdict if teacher.model else None,
        "hard_rules": list(floor.rules),
        "notes": notes(split, floor, clustered=clustered),
    }


def notes(split: Split, floor: Floor, *, clustered: bool) -> list[str]:
    """A sentence for each thing that limits what the figures say."""
    said = []
    if not split.verified:
        said.append(
            "Nobody logged propensities, so they were estimated: what the people who assigned leads saw and nobody "
            "recorded biases every figure here. Observational, not verified; a randomised holdout would verify."
        )
    if split.left_out:
        said.append(f"{split.left_out:,} rows of the same time logged no propensity and were left out.")
    if len(split.later) < len(floor):
        said.append(f"What needs a model is judged, and compared, on the later {len(split.later):,} rows alone.")
    if len(floor.reps) > MANY_REPS and not clustered:
        said.append(
            "With so many reps, clusters of like reps would be compared too (mdr); that needs a model of earlier rows "
            "and every rep's propensity, of which these data hold only the chosen one's."
        )
    said.append("Policies that look at load or records see them as the log left them, not as they themselves would.")
    return said


def _keep_possible(floor: Floor, split: Split) -> tuple[Floor, Split]:
    """Without the rows whose rep, by the rules, could not have had the lead: no model of who gets what covers them."""
    kept = np.flatnonzero(floor.available[np.arange(len(floor)), floor.spells.rep])
    later = np.flatnonzero(np.isin(kept, split.later))
    lost = len(floor) - len(kept)
    return floor.take(kept), Split(split.judged[kept], later, split.start_days, False, split.left_out + lost)
