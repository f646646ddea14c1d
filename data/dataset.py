"""A data set: leads, reps and assignments as checked tables, read from a folder, a few files, or frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from data.description import Description
from data.errors import InputError
from data.intake.assembly import Assembled, assemble, exported_at
from data.intake.files import DESCRIPTION, Chosen, among, in_folder
from data.intake.frames import frame_source
from data.intake.lead_table import is_dated
from data.intake.moments import days
from data.intake.reading import read_source
from data.intake.rep_table import roster_of
from data.intake.saving import keep_rejects, write_dataset
from data.mapping import described
from data.names import TABLES
from data.personal import PERSONAL, is_personal
from data.roster import Rep

__all__ = [
    "PERSONAL", "Dataset", "dataset_from_tables", "is_personal", "load_dataset", "load_files", "save_dataset",
    "set_aside",
]  # fmt: skip


@dataclass(frozen=True)
class Dataset:
    """Checked tables of one data set, and what was refused on the way to them.

    leads : lead_id, created_at, at_days; every other column is an attribute as it was written.
    reps : rep_id and whatever else is known of a rep.
    assignments : data.intake.assignment_table.COLUMNS, in time order; one row a spell.
    Without dates, `at_days` is the rank in the order that stands for time.
    """

    leads: pd.DataFrame
    reps: pd.DataFrame
    assignments: pd.DataFrame
    description: Description
    rejects: pd.DataFrame
    counts: Mapping[str, Mapping[str, int]]  # file -> rows read, accepted, rejected
    notes: tuple[str, ...] = ()
    recognised: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # our column -> the file's
    unknown: tuple[str, ...] = ()  # columns that no alias names; they are attributes
    earlier: tuple[frozenset[str], float] | None = None  # leads last looked at before the rest, and when (days)

    @property
    def dated(self) -> bool:
        """Whether moments are known, rather than an order that stands for time."""
        return is_dated(self.description)

    @property
    def has_reps(self) -> bool:
        """Whether anything says who worked the leads."""
        return self.description.reps != "none"

    @cached_property
    def personal_columns(self) -> tuple[str, ...]:
        """The leads' columns of personal data: never features."""
        stated = set(self.description.personal)
        return tuple(c for c in self.leads.columns if c != "lead_id" and (c in stated or is_personal(c)))

    def roster(self) -> tuple[Rep, ...]:
        """The reps as records, in the order of the table."""
        return roster_of(self.reps)

    def now_days(self) -> float:
        """When the data were taken: `exported_at`, else the latest moment in them."""
        stated = exported_at(self.description)
        if stated is not None and self.dated:
            return float(days(pd.Series([stated]))[0])
        moments = [self.leads["at_days"], self.assignments["at_days"], self.assignments["closed_days"]]
        if self.dated:
            moments.append(pd.Series(days(self.assignments["first_contact_at"])))
        return float(np.nanmax(np.concatenate([column.to_numpy(dtype=float) for column in moments])))

    def looked_at_days(self) -> np.ndarray:
        """Until when each assignment was watched, (n,): an outcome after that could not be seen here."""
        now = np.full(len(self.assignments), self.now_days())
        if self.earlier is not None:
            leads, then = self.earlier
            now[self.assignments["lead_id"].isin(leads).to_numpy()] = then
        return now


def load_dataset(folder: Path | str) -> Dataset:
    """The data set in a folder (with or without dataset.yaml), or in one flat file.

    Raises InputError, one line, where a file or its description is of no use.
    """
    place = Path(folder)
    if not place.exists():
        raise InputError(f"{place}: there is no such folder or file; check the path.")
    home = place if place.is_dir() else place.parent
    stated = home / DESCRIPTION
    description = described(stated) if stated.is_file() else Description()
    chosen = in_folder(place, description) if place.is_dir() else among([place], description)
    return _load(chosen, description)


def load_files(files: Sequence[Path], description: Description) -> Dataset:
    """The data set in the named files, read as a mapping describes them."""
    chosen = among(files, description)
    dataset = _load(chosen, description)
    if chosen.absent:
        note = f"{', '.join(chosen.absent)}: not given, so its columns are not there."
        return _with_notes(dataset, (*dataset.notes, note))
    return dataset


def dataset_from_tables(
    leads: pd.DataFrame, reps: pd.DataFrame, assignments: pd.DataFrame, description: Description | None = None
) -> Dataset:
    """The data set in three frames with the columns of a folder's files; checked as if it had been read from there."""
    tables = {"leads": leads, "reps": reps, "assignments": assignments}
    sources = {name: [frame_source(name, table)] for name, table in tables.items() if len(table)}
    return _dataset(assemble(sources, [], description or Description()))


def set_aside(dataset: Dataset, folder: Path | str) -> Path | None:
    """Write the rows that were refused while `folder` was read to its rejects.csv; None where there are none."""
    place = Path(folder)
    return keep_rejects(dataset.rejects, place if place.is_dir() else place.parent)


def save_dataset(dataset: Dataset, folder: Path | str) -> None:
    """Write leads, reps and assignments as CSV, dataset.yaml and rejects.csv; `load_dataset` reads them back."""
    write_dataset(dataset, Path(folder))


def _load(chosen: Chosen, description: Description) -> Dataset:
    tables = [(table, chosen.tables[table]) for table in ("flat", *TABLES) if table in chosen.tables]
    sources = {table: [read_source(path, description) for path in paths] for table, paths in tables}
    lookups = [(lookup, read_source(path, description)) for lookup, path in chosen.lookups]
    try:
        return _dataset(assemble(sources, lookups, description))
    except InputError as error:
        if chosen.no_assignments:
            raise InputError(f"{error} There is no file of assignments, so leads was read as one flat table.") from None
        raise


def _dataset(assembled: Assembled) -> Dataset:
    return Dataset(**{name: getattr(assembled, name) for name in Assembled.__dataclass_fields__})


def _with_notes(dataset: Dataset, notes: tuple[str, ...]) -> Dataset:
    parts = {name: getattr(dataset, name) for name in Dataset.__dataclass_fields__}
    return Dataset(**{**parts, "notes": notes})
