"""The ledger as a data set, by itself (`leadmatch export`) or added to a history (`train --ledger`)."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from data.dataset import Dataset, dataset_from_tables, save_dataset
from data.description import Description
from data.errors import InputError
from data.store.history import export_tables
from data.store.ledger import Ledger
from data.store.privacy import erased_leads


def export(ledger: Ledger, out: Path, *, since: datetime | None = None) -> dict[str, Any]:
    """Write the ledger's decisions and outcomes as a data set folder, and say how much there was.

    Raises InputError where the ledger holds no decision yet.
    """
    with ledger.reading() as conn:
        tables = export_tables(conn, since)
    if tables[2].empty:
        raise InputError("The ledger holds no assignment in that time: let the service decide some leads first.")
    dataset = dataset_from_tables(*tables)
    save_dataset(dataset, out)
    names = ("leads", "reps", "assignments")
    return {"out": str(out), "tables": {name: len(table) for name, table in zip(names, tables, strict=True)}}


def with_ledger(dataset: Dataset, ledger: Ledger) -> Dataset:
    """The history and, after it, what the ledger has seen; a lead that is in both is taken from the ledger.

    Leads that were erased from the ledger are left out of the history, too.

    Raises InputError for a history without dates or without reps: the ledger's decisions have both.
    """
    if not dataset.dated or not dataset.has_reps:
        raise InputError("--ledger: a history without dates, or without reps, cannot be joined with the ledger.")
    with ledger.reading() as conn:
        leads, reps, assignments = export_tables(conn)
        erased = {lead_id for _, lead_id in erased_leads(conn)}
    if assignments.empty and erased.isdisjoint(dataset.leads["lead_id"]):
        return dataset
    known = set(leads["lead_id"]) | erased
    earlier = dataset.leads[~dataset.leads["lead_id"].isin(known)].drop(columns="at_days")
    gone = dataset.reps[~dataset.reps["rep_id"].isin(set(reps["rep_id"]))]
    past = dataset.assignments[~dataset.assignments["lead_id"].isin(known)]
    keep = dataset.description.model_dump(
        include={
            "target", "window", "outcome_is_final", "post_assignment", "personal", "keep", "types", "drop", "currency",
            "time_zone", "notes", "labels",
        }  # not `exported_at`: the ledger has seen more since
    )
    joined = dataset_from_tables(
        _below(earlier, leads), _below(gone, reps), _below(past, assignments), Description(**keep)
    )
    # Nobody has looked at the history's leads since it was exported: what is open there may be won by now.
    return replace(joined, earlier=(frozenset(earlier["lead_id"]), dataset.now_days()))


def _below(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Both tables, one below the other, with the columns of either, as text or moments that read back the same."""
    return pd.concat([first.astype(object), second.astype(object)], ignore_index=True)
