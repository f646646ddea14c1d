"""`leadmatch check`: how good the data are, which columns know the future, and whether there is anything to match."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from data.dataset import Dataset, load_dataset, set_aside
from features.spells import Spells, build_spells, lead_matrix
from pipelines.prepare import Prepared, prepare
from pipelines.progress import Step, silent
from pipelines.train import columns_of, plain_potential, rows_of
from training.assess import look_for_potential, rehearse
from training.delay import told_delays
from training.fit import assemble, fit_parts
from training.hidden_picking import look_for_hidden_picking
from training.lead_model import Recipe

FEW_ROWS_A_REP = 20


def check(data: Path, *, seed: int = 0, step: Step = silent) -> dict[str, Any]:
    """The object of `check --json`; nothing is written but the refused rows' rejects.csv.

    Raises InputError where the data set cannot be read or learned from.
    """
    step(f"reading {data}")
    dataset = load_dataset(data)
    set_aside(dataset, data)
    prepared = prepare(dataset)
    step(f"fitting {len(prepared.spells):,} mature rows to see whether reps differ")
    rehearsal = rehearse(prepared.spells, prepared.contract, seed=seed)
    parts = fit_parts(prepared.spells, prepared.contract, seed=seed, recipe=rehearsal.recipe)
    potential = look_for_potential(parts, prepared.spells, prepared.contract, seed=seed)
    step("asking whether hidden hand-picking could explain it")
    model = assemble(parts, prepared.spells, prepared.contract, verdict=potential.verdict, facts={})
    hidden = look_for_hidden_picking(model, parts.log_odds, prepared.spells, seed=seed)
    return {
        "rows": rows_of(prepared),
        "files": {file: dict(counts) for file, counts in dataset.counts.items()},
        "conversion_rate": float(prepared.spells.converted.mean()),
        "window_days": prepared.spells.labels.window_days,
        "delay": delay(prepared),
        "columns": columns_of(prepared),
        "reasons": reasons(dataset),
        "overlap": overlap(prepared.spells),
        "potential": plain_potential(potential, rehearsal),
        "hidden_picking": asdict(hidden) if hidden else None,
        "warnings": [*warnings(prepared), *drift(rehearsal.recipe)],
        "notes": list(dataset.notes),
    }


def reasons(dataset: Dataset) -> dict[str, int]:
    """How many assignments were made for which reason."""
    return {str(reason): int(n) for reason, n in dataset.assignments["assigned_by"].value_counts().items()}


def delay(prepared: Prepared) -> dict[str, Any] | None:
    """How long conversions take, by the column that tells most; None where outcomes are final at once."""
    if not prepared.spells.labels.window_days:
        return None
    dataset = prepared.dataset
    # With `labels: window` the rows do not carry when each outcome was known.
    stated = dataset.description.model_copy(update={"labels": "expected"})
    rows = replace(build_spells(replace(dataset, description=stated), prepared.contract), young=None)
    by, segments = told_delays(rows, prepared.contract)
    return {
        "by": by,
        "segments": [
            asdict(one) | {"shares": [{"days": days, "share": share} for days, share in one.shares]} for one in segments
        ],
    }


def overlap(spells: Spells) -> dict[str, Any]:
    """How evenly the reps are covered by mature rows."""
    if not spells.reps:
        return {"reps": 0, "reps_with_rows": 0, "rows_a_rep": None}
    rows = np.bincount(spells.rep, minlength=len(spells.reps))
    some = rows[rows > 0]
    return {
        "reps": len(spells.reps),
        "reps_with_rows": len(some),
        "rows_a_rep": {"min": int(some.min()), "median": float(np.median(some)), "max": int(some.max())},
        "reps_with_few_rows": int(np.sum(some < FEW_ROWS_A_REP)),
    }


def drift(recipe: Recipe) -> list[str]:
    """A sentence where columns have come to mean something else."""
    if recipe.half_life_days is None:
        return []
    return [
        "What the columns mean has changed over the history: later leads are predicted better when old ones count "
        f"less, half at the age of {recipe.half_life_days:.0f} days, so they do."
    ]


def warnings(prepared: Prepared) -> list[str]:
    """What a data scientist should know before believing any figure, a sentence each."""
    said = []
    dataset, spells = prepared.dataset, prepared.spells
    if spells.reps and not spells.reasons_logged:
        said.append(
            "No row says why its rep got it (assigned_by), so hand-picking cannot be told from skill: "
            "the verdict cannot get past `unconfirmed`. A randomised trial would settle it."
        )
    if dataset.has_reps and dataset.assignments["lead_id"].is_unique and not spells.reasons_logged:
        said.append(
            "Each lead has one owner. Where the export keeps only the last owner, wins belong to the closer, "
            "not to the rep the lead was first given to."
        )
    if spells.labels.window_days == 0 and dataset.dated and not dataset.description.outcome_is_final:
        said.append("No row has a closing date, so outcomes are taken as final and open rows are left out.")
    if spells.labels.undated:
        said.append(
            f"{spells.labels.undated:,} rows converted without a closing date. Nobody can say whether that was within "
            "the window, so they are left out: give them `closed_at`, or state `outcome_is_final: true`."
        )
    said += no_numbers(prepared)
    rejected = len(dataset.rejects)
    if rejected:
        said.append(f"{rejected:,} rows were refused; rejects.csv beside the data says which and why.")
    return said


def no_numbers(prepared: Prepared) -> list[str]:
    """A sentence for each number column with cells that hold something else: text, or a number beyond all bounds."""
    leads, contract = prepared.dataset.leads, prepared.contract
    matrix, said = lead_matrix(leads, contract), []
    for column in contract.columns:
        if column.kind != "number" or column.name not in leads:
            continue
        lost = leads[column.name].notna().to_numpy() & np.isnan(matrix[:, contract.position(column.name)])
        if lost.any():
            said.append(f"{column.name}: {lost.sum():,} cells hold no finite number; they count as missing.")
    return said
