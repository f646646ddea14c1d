"""The outcome of an assignment, from one column or from several that tell it together."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from data.description import ANY_OTHER, Description
from data.intake.cleaning import as_text
from data.intake.rows import Rows
from data.names import listed, one_line, plain

OUTCOMES = ("won", "lost", "open", "qualified")
_SHOWN = 5
_LONGEST = 40


def take_outcomes(rows: Rows, description: Description) -> None:
    """Give the rows the column `outcome`: won, lost, open or qualified (empty is open); unknown values set rows aside.

    Of several columns the first that says something other than open decides.
    """
    told = np.full(len(rows), "open", dtype=object)
    unknown = np.full(len(rows), None, dtype=object)
    used = _columns(rows, description)
    for column, meanings in used:
        said, strange = _read(as_text(rows.table[column]), column, meanings, rows)
        told = np.where(told == "open", said, told)
        unknown = np.where(strange, _reasons(rows.table[column], column, strange), unknown)
    rows.table = rows.table.drop(columns=[column for column, _ in used])
    rows.table["outcome"] = pd.Series(told, index=rows.table.index, dtype="str")
    bad = pd.notna(unknown) & (told == "open")  # where another column decides, a strange value does no harm
    if bad.any():
        counted = [
            f"{reason.removeprefix('unknown outcome: ')} ({n:,} rows)"
            for reason, n in Counter(unknown[bad]).most_common()
        ]
        rows.notes.append(
            f"{rows.files}: outcomes that outcomes: in dataset.yaml does not name: {listed(counted, _SHOWN)}."
        )
    rows.refuse(bad, unknown[bad])


def outcome_columns(rows: Rows, description: Description) -> list[str]:
    """The columns in these rows that tell the outcome."""
    return [column for column, _ in _columns(rows, description)]


def _columns(rows: Rows, description: Description) -> list[tuple[str, Mapping[str, str]]]:
    by_form = {plain(column): column for column in rows.table.columns}
    found: list[tuple[str, Mapping[str, str]]] = []
    if "outcome" in rows.table:
        found.append(("outcome", {**{each: each for each in OUTCOMES}, **_meanings(description.outcomes)}))
    for part in description.outcome_from:
        present = [by_form[plain(name)] for name in part.column if plain(name) in by_form]
        found += [(column, _meanings(part.values)) for column in present[:1]]
    return found


def _meanings(values: Mapping[str, str]) -> dict[str, str]:
    return {value.strip().casefold(): meaning for value, meaning in values.items()}


def _read(values: pd.Series, column: str, meanings: Mapping[str, str], rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """(the outcome that each value says, which values say none that is known)."""
    codes, uniques = pd.factorize(values)
    said = [meanings.get(one.casefold()) for one in uniques]
    other = meanings.get(ANY_OTHER)
    if other is not None and None in said:
        rest = Counter(codes.tolist())
        counted = [f"{_shown(one)} ({rest[i]:,})" for i, one in enumerate(uniques) if said[i] is None]
        shown = listed(counted, _SHOWN)
        rows.notes.append(f"{rows.files}: values of {column} read as {other}, for nothing else is said: {shown}.")
        said = [other if each is None else each for each in said]
    by_code = np.array([*(each or "open" for each in said), "open"], dtype=object)
    strange = np.array([*(each is None for each in said), False], dtype=bool)
    return by_code[codes], strange[codes]


def _reasons(values: pd.Series, column: str, strange: np.ndarray) -> np.ndarray:
    reasons = np.full(len(values), None, dtype=object)
    reasons[strange] = [f"unknown outcome: {_shown(one)} in {column}" for one in values[strange]]
    return reasons


def _shown(value: object) -> str:
    """The value in quotes, unless it may be somebody's address or number: cells do slip into the wrong column."""
    text = one_line(str(value))
    digits = sum(character.isdigit() for character in text)
    return "a value" if "@" in text or digits > 4 or len(text) > _LONGEST else f"'{text}'"
