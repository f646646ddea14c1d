"""A data set -> a folder in the canonical form: CSV files, dataset.yaml, rejects.csv."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from data.description import Description
from data.errors import InputError
from data.intake.files import DESCRIPTION, REJECTS
from data.intake.reading import SUFFIXES
from data.names import TABLES

if TYPE_CHECKING:
    from data.dataset import Dataset

_DERIVED = ("at_days", "closed_days", "spell", "last_spell")
_KEPT = (
    "name", "notes", "time_zone", "target", "window", "outcome_is_final", "exported_at", "reps", "post_assignment",
    "personal", "keep", "labels", "types", "currency",
)  # fmt: skip


def write_dataset(dataset: "Dataset", folder: Path) -> None:
    """Write the files of a data set, each whole or not at all; older ones of the same name are replaced."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another folder.") from None
    others = [folder / f"{table}{suffix}" for table in TABLES for suffix in SUFFIXES if suffix != ".csv"]
    clash = [path.name for path in others if path.exists()]
    if clash:
        raise InputError(f"{folder.resolve().name}: {', '.join(clash)} lies there already; choose another folder.")
    leads = dataset.leads if dataset.dated else dataset.leads.sort_values("at_days", kind="stable")
    _write_csv(_written(leads, dataset.dated), folder / "leads.csv")
    if dataset.has_reps:
        _write_csv(_written(dataset.reps, True), folder / "reps.csv")
    _write_csv(_written(dataset.assignments, dataset.dated, has_reps=dataset.has_reps), folder / "assignments.csv")
    _write_csv(dataset.rejects, folder / REJECTS)
    _write(yaml.safe_dump(description_of(dataset), allow_unicode=True, sort_keys=False), folder / DESCRIPTION)


def keep_rejects(rejects: pd.DataFrame, folder: Path) -> Path | None:
    """Add refused rows to the folder's rejects.csv, each once; None where there are none or it cannot be written."""
    if rejects.empty or not os.access(folder, os.W_OK):
        return None
    path = folder / REJECTS
    earlier = pd.read_csv(path, dtype=str) if path.is_file() else rejects.iloc[:0].astype(str)
    _write_csv(pd.concat([earlier, rejects.astype(str)]).drop_duplicates(), path)
    return path


def description_of(dataset: "Dataset") -> dict[str, Any]:
    """What dataset.yaml says of a folder in the canonical form: what the tables themselves do not show."""
    stated: Description = dataset.description
    dumped = stated.model_dump(mode="json", exclude_defaults=True)
    kept = {key: dumped[key] for key in _KEPT if dumped.get(key) not in (None, [], {})}
    if dataset.notes:
        kept["notes"] = list(dataset.notes)
    if not dataset.dated:
        kept["order_by"] = "file"
    return kept


def _written(table: pd.DataFrame, dated: bool, *, has_reps: bool = True) -> pd.DataFrame:
    """The table as it is written: instants in ISO 8601 with Z, nothing that reading derives again."""
    unwritten = {*_DERIVED, *(() if dated else ("created_at", "assigned_at", "closed_at", "first_contact_at"))}
    unwritten |= set() if has_reps else {"rep_id"}
    columns = [column for column in table.columns if column not in unwritten]
    return pd.DataFrame({column: _texts(table[column]) for column in columns}, columns=columns)


def _texts(values: pd.Series) -> pd.Series:
    if not isinstance(values.dtype, pd.DatetimeTZDtype):
        return values
    at = values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    whole = np.all(np.isnat(at) | (at == at.astype("datetime64[s]")))
    written = np.char.add(np.datetime_as_string(at, unit="s" if whole else "us"), "Z")
    return pd.Series(written, index=values.index, dtype="str").mask(np.isnat(at))


def _write_csv(table: pd.DataFrame, file: Path) -> None:
    _write(table.to_csv(index=False, lineterminator="\n"), file)


def _write(text: str, file: Path) -> None:
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_bytes(text.encode("utf-8"))
        os.replace(part, file)
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror}); choose another folder.") from None
