"""Sources -> the three checked tables, the rows refused on the way, and what is worth telling."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from data.description import Description, Lookup
from data.errors import InputError
from data.intake.assignment_table import clean_assignments
from data.intake.flat import split
from data.intake.lead_table import clean_leads, is_dated, types_by_column
from data.intake.lookups import join_lookup
from data.intake.moments import read_moments
from data.intake.reading import Source
from data.intake.renaming import Renamed, rename
from data.intake.rep_table import clean_reps
from data.intake.rows import Rows, gathered, joined
from data.names import listed
from data.personal import is_personal, looks_personal
from data.schema import check_tables


@dataclass(frozen=True)
class Assembled:
    """Everything that a data set is made of."""

    leads: pd.DataFrame
    reps: pd.DataFrame
    assignments: pd.DataFrame
    description: Description
    rejects: pd.DataFrame
    counts: dict[str, dict[str, int]]
    notes: tuple[str, ...]
    recognised: dict[str, tuple[str, ...]]  # our column -> theirs, where the names differ
    unknown: tuple[str, ...]  # columns that nothing names


def assemble(
    sources: Mapping[str, Sequence[Source]], lookups: Sequence[tuple[Lookup, Source]], description: Description
) -> Assembled:
    """The data set in the rows of its files.

    sources : by table: `flat`, or `leads` and `assignments`; `reps` beside either.
    Raises InputError where a column is missing, or where no row of a table can be used.
    """
    rows: dict[str, Rows] = {}
    named: dict[str, Renamed] = {}
    for table, parts in sources.items():
        rows[table] = gathered(parts)
        named[table] = rename(rows[table], table, description)
    main = "flat" if "flat" in rows else "leads"
    further = []
    for lookup, source in lookups:
        further.append(gathered([source]))
        join_lookup(rows[main], named[main], lookup, further[-1], description)
    leads, reps, assignments = _tables(rows, named, description)
    everything = [*rows.values(), *further]
    for each in rows.values():
        _refuse_emptied(each)
    description, personal_notes = _resolved(description, named[main], leads)
    check_tables(leads, reps, assignments)
    return Assembled(
        leads=leads,
        reps=reps,
        assignments=assignments,
        description=description,
        rejects=joined([part for one in everything for part in one.refused]),
        counts=_counts(everything),
        notes=_notes(description, everything, personal_notes, assignments),
        recognised={ours: old for one in named.values() for ours, old in one.theirs.items() if old != (ours,)},
        unknown=tuple(dict.fromkeys(column for one in named.values() for column in one.unknown)),
    )


def _tables(
    rows: dict[str, Rows], named: dict[str, Renamed], description: Description
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    queues: frozenset[str] = frozenset()
    reps, refused_reps = pd.DataFrame({"rep_id": pd.Series(dtype="str")}), frozenset[str]()
    if "reps" in rows and description.reps != "none":
        every = _ids(rows["reps"], "rep_id")
        reps, queues = clean_reps(rows["reps"], named["reps"], description)
        _refuse_emptied(rows["reps"])
        refused_reps = every - set(reps["rep_id"])
    if "flat" in rows:
        own = reps if "reps" in rows else None
        file = rows["reps"].files if "reps" in rows else ""
        return split(rows["flat"], named["flat"], description, reps=own, queues=queues, reps_file=file)
    every = _ids(rows["leads"], "lead_id")
    leads = clean_leads(rows["leads"], named["leads"], description)
    _refuse_emptied(rows["leads"])
    assignments = clean_assignments(
        rows["assignments"],
        named["assignments"],
        description,
        leads=leads,
        reps=reps,
        refused=(every - set(leads["lead_id"]), refused_reps),
        files=(rows["leads"].files, rows["reps"].files if "reps" in rows else "reps"),
    )
    return leads, reps, assignments


def _ids(rows: Rows, column: str) -> frozenset[str]:
    return frozenset(rows.table[column].dropna().astype("str")) if column in rows.table else frozenset()


def _refuse_emptied(rows: Rows) -> None:
    """Raise InputError where not one row is left: whatever is wrong is wrong with the file."""
    if len(rows):
        return
    kinds = Counter(reason.split(":")[0] for reason in rows.rejects()["reason"])
    example = rows.rejects().iloc[0]
    read = sum(rows.read.values())
    kind = kinds.most_common(1)[0][0]
    raise InputError(
        f"{rows.files}: none of the {read:,} rows can be used, mostly '{kind}' (line {example['line']}: "
        f"{example['reason']}); mend the file or say in dataset.yaml how to read it."
    )


def _resolved(description: Description, renamed: Renamed, leads: pd.DataFrame) -> tuple[Description, list[str]]:
    """The description in the names that the columns go by now, with personal columns found by their content."""
    attributes = [column for column in leads.columns if column not in ("lead_id", "created_at", "at_days")]
    stated = {renamed.ours(name) for name in description.personal}
    found = [c for c in attributes if c not in stated and not is_personal(c) and looks_personal(leads[c])]
    notes = (
        [f"{listed(found)}: looks like e-mail addresses or telephone numbers; treated as personal data."]
        if found
        else []
    )
    personal = [column for column in attributes if column in stated or is_personal(column) or column in found]
    after = tuple(dict.fromkeys(renamed.ours(name) for name in description.post_assignment))
    types = types_by_column(description, renamed)
    return description.model_copy(update={"personal": tuple(personal), "post_assignment": after, "types": types}), notes


def _counts(everything: Sequence[Rows]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for rows in everything:
        refused = rows.rejects()["file"].value_counts()
        accepted = pd.Series(rows.file).value_counts()
        for file, read in rows.read.items():
            kept, set_aside = int(accepted.get(file, 0)), int(refused.get(file, 0))
            counts[file] = {"read": read, "accepted": kept, "rejected": set_aside}
    return counts


def _notes(
    description: Description, everything: Sequence[Rows], personal: list[str], assignments: pd.DataFrame
) -> tuple[str, ...]:
    notes = [*description.notes, *(note for rows in everything for note in rows.notes), *personal]
    decided = assignments["outcome"].isin(["won", "lost", "qualified"])
    undated = int((decided & assignments["closed_at"].isna()).sum())
    if is_dated(description) and not description.outcome_is_final and undated:
        notes.append(
            f"{undated:,} of {int(decided.sum()):,} decided assignments have no closed_at: when they were decided is "
            "not known."
        )
    exported = exported_at(description)
    if exported is not None:
        late = int((assignments["assigned_at"] > exported).sum() + (assignments["closed_at"] > exported).sum())
        if late:
            notes.append(f"{late:,} moments are later than exported_at; check time_zone and exported_at.")
    return tuple(dict.fromkeys(notes))


def exported_at(description: Description) -> pd.Timestamp | None:
    """When the data were taken, as dataset.yaml says. Raises InputError where that is no moment."""
    if description.exported_at is None:
        return None
    plainly = description.model_copy(update={"date_formats": ()})
    moments = read_moments(pd.Series([description.exported_at], dtype="str"), plainly, description.day_first)
    if moments.at.isna().any():
        raise InputError("dataset.yaml: exported_at is no moment; write it as 2024-12-31 or 2024-12-31T18:00:00Z.")
    moment: pd.Timestamp = moments.at.iloc[0]
    return moment
