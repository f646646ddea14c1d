"""A file's own column names -> ours, by lists of aliases; and the values and constants that a description sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from data.description import Description
from data.errors import InputError
from data.intake.rows import Rows
from data.names import ASSIGNMENT_COLUMNS, LEAD_COLUMNS, PERSONAL_COLUMNS, REP_COLUMNS, listed, plain

OWN_COLUMNS = {
    "leads": (*LEAD_COLUMNS, *PERSONAL_COLUMNS),
    "reps": tuple(sorted(REP_COLUMNS)),
    "assignments": ASSIGNMENT_COLUMNS,
    "flat": (*LEAD_COLUMNS, *PERSONAL_COLUMNS, *ASSIGNMENT_COLUMNS[1:]),
}
_IDS = frozenset({"lead_id", "rep_id"})


@dataclass(frozen=True)
class Renamed:
    """What became of a table's columns."""

    header: tuple[str, ...]  # the columns as the file has them
    theirs: Mapping[str, tuple[str, ...]]  # our name -> the file's columns it was read from
    unknown: tuple[str, ...]  # columns that nothing names; they become attributes

    def ours(self, name: str) -> str:
        """The name that a column goes by now; the same where it was not renamed."""
        form = plain(name)
        return next((new for new, old in self.theirs.items() if form in (plain(new), *map(plain, old))), name)


def rename(rows: Rows, table: str, description: Description) -> Renamed:
    """Give the columns of one table our names, drop what the description drops, set its values and constants.

    Where several aliases of a name are in the file, each row takes the first that has a value; ids come
    from the first column alone, for two columns may number people differently.
    """
    aliases = {**dict.fromkeys(OWN_COLUMNS[table], ()), **_aliases(table, description)}
    header = tuple(map(str, rows.table.columns))
    by_form: dict[str, str] = {}
    for column in rows.table.columns:
        by_form.setdefault(plain(column), column)
    theirs: dict[str, tuple[str, ...]] = {}
    other_ids: list[str] = []
    for ours, names in sorted(aliases.items(), key=lambda item: not item[1]):  # stated aliases choose first
        found = _claim(by_form, names, most=1 if ours in _IDS else None)
        other_ids += names if ours in _IDS else ()
        same = _claim(by_form, [ours])
        if found or same:
            theirs[ours] = found or same
        if found and same and same != found:
            rows.notes.append(f"{rows.files}: column {same[0]} is left out, for {ours} is read from {listed(found)}.")
            rows.table = rows.table.drop(columns=list(same))
    # Another column of the owner ("Lead Owner" beside its id) would as an attribute tell who worked the lead.
    rows.table = rows.table.drop(columns=list(_claim(by_form, other_ids)))
    _take(rows, theirs)
    renamed = Renamed(header, theirs, _unknown(by_form.values(), description))
    _drop(rows, renamed, description)
    _replace(rows, renamed, description)
    for column, value in description.constants.items():
        if column in OWN_COLUMNS[table] and column not in rows.table:
            rows.table[column] = pd.Series(value, index=rows.table.index, dtype="str")
    return renamed


def require(rows: Rows, table: str, columns: Iterable[str], renamed: Renamed, description: Description) -> None:
    """Raise InputError for a column that is not there, saying what was looked for and what there is."""
    for column in columns:
        if column in rows.table:
            continue
        aliases = _aliases(table, description)
        looked = f" (looked for {listed((*aliases[column], column))})" if aliases.get(column) else ""
        others = ((ours, names) for ours, names in aliases.items() if plain(ours) != plain(column))
        turned = next((ours for ours, names in others if plain(column) in map(plain, names)), None)
        if turned:
            remedy = f"columns: is written ours: theirs, so '{column}: {turned}'"
        else:
            remedy = f"name it under columns: in dataset.yaml or the mapping ('{column}: YOUR COLUMN')"
        # A file without a header has cells where its column names should be: those are not repeated.
        known = [*renamed.theirs, *(name for name in rows.table.columns if name in description.types)]
        seen = f"its columns are {listed(renamed.header, 20)}" if known else (
            f"none of its {len(renamed.header)} columns is known, and line 1 must hold the column names"
        )  # fmt: skip
        raise InputError(f"{rows.files}: no column {column}{looked}; {seen}: {remedy}.")


def _aliases(table: str, description: Description) -> dict[str, Sequence[str]]:
    own = description.table_columns.get("leads" if table == "flat" else table)
    if table == "flat":
        parts = [description.columns, *(description.table_columns.get(part, {}) for part in ("leads", "assignments"))]
        return {name: names for part in parts for name, names in part.items()}
    return dict(own if own is not None else description.columns)


def _claim(by_form: dict[str, str], names: Iterable[str], most: int | None = None) -> tuple[str, ...]:
    """The columns of these names (the first `most` of them), each taken out of what is left to claim."""
    there = list(dict.fromkeys(plain(name) for name in names if plain(name) in by_form))
    return tuple(by_form.pop(form) for form in there[:most])


def _take(rows: Rows, theirs: Mapping[str, tuple[str, ...]]) -> None:
    table = rows.table
    for first, *others in theirs.values():
        if others:
            filled = table[first]
            for other in others:
                filled = filled.where(filled.notna(), table[other])
            table = table.assign(**{first: filled})
    surplus = [name for _, *others in theirs.values() for name in others]
    rows.table = table.drop(columns=surplus).rename(columns={names[0]: ours for ours, names in theirs.items()})


def _unknown(left: Iterable[str], description: Description) -> tuple[str, ...]:
    named = (*description.drop, *description.post_assignment, *description.personal, *description.types)
    outcome = tuple(name for each in description.outcome_from for name in each.column)
    order = (description.order_by,) if description.order_by else ()
    keys = tuple(lookup.key for lookup in description.lookups.values())
    forms = {plain(name) for name in (*named, *outcome, *order, *keys, *description.values)}
    return tuple(column for column in left if plain(column) not in forms)


def _drop(rows: Rows, renamed: Renamed, description: Description) -> None:
    needed = {*LEAD_COLUMNS, *ASSIGNMENT_COLUMNS, "rep_id"}
    unwanted = {plain(renamed.ours(name)) for name in description.drop}
    rows.table = rows.table.drop(columns=[c for c in rows.table.columns if plain(c) in unwanted and c not in needed])


def _replace(rows: Rows, renamed: Renamed, description: Description) -> None:
    for name, replacements in description.values.items():
        form = plain(renamed.ours(name))
        for column in (column for column in rows.table.columns if plain(column) == form):
            values = rows.table[column]
            if pd.api.types.is_string_dtype(values.dtype):
                rows.table[column] = values.replace(dict(replacements))
