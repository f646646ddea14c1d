"""Further files whose columns are joined to the leads by a key; keys that are not found are reported."""

import pandas as pd

from data.description import Description, Lookup
from data.intake.cleaning import as_text
from data.intake.renaming import Renamed, require
from data.intake.rows import Rows
from data.names import ASSIGNMENT_COLUMNS, LEAD_COLUMNS, listed, nearest, plain
from data.personal import is_personal

_SHOWN = 3


def join_lookup(rows: Rows, renamed: Renamed, lookup: Lookup, further: Rows, description: Description) -> None:
    """Put the columns of `further` beside the leads whose key it holds; the leads all stay."""
    key = next((c for c in rows.table.columns if plain(c) == plain(renamed.ours(lookup.key))), None)
    if key is None:
        require(rows, "leads", [lookup.key], renamed, description)
        return
    their_key = _shape(further, lookup, description)
    table = further.table.set_index(their_key)
    keys = as_text(rows.table[key])
    taken = {*rows.table.columns, *LEAD_COLUMNS, *ASSIGNMENT_COLUMNS}
    prefix = f"{lookup.key}_"
    for column in table.columns:
        name = f"{prefix}{column}" if column in taken else column
        rows.table[name] = keys.map(table[column])
    _report(rows, key, keys, table.index, further, description)


def _shape(further: Rows, lookup: Lookup, description: Description) -> str:
    """Rename the lookup's columns, make its key unique text, and return the key's name."""
    by_form = {plain(column): column for column in further.table.columns}
    new_names: dict[str, str] = {}
    for ours, names in lookup.columns.items():
        found = [by_form[plain(name)] for name in names if plain(name) in by_form]
        new_names.update(dict.fromkeys(found[:1], ours))
    wanted = plain(lookup.lookup_key or lookup.key)
    table = further.table.rename(columns=new_names)
    key = next((c for c in table.columns if plain(c) == wanted), None)
    if key is None:
        require(
            further,
            "lookups",
            [lookup.lookup_key or lookup.key],
            Renamed(
                tuple(map(str, further.table.columns)), {ours: (theirs,) for theirs, ours in new_names.items()}, ()
            ),
            description,
        )
        raise AssertionError("unreachable: require raises for a column that is not there")
    table[key] = as_text(table[key])
    for name, replacements in description.values.items():
        for column in (
            c for c in table.columns if plain(c) == plain(name) and pd.api.types.is_string_dtype(table[c].dtype)
        ):
            table[column] = table[column].replace(dict(replacements))
    further.table = table
    further.refuse(table[key].isna().to_numpy(), f"no {key}: the cell is empty")
    # The key may be a company's name: the reason does not repeat it.
    further.refuse(further.table[key].duplicated().to_numpy(), f"duplicate {key}: stands already on an earlier line")
    return key


def _report(rows: Rows, key: str, keys: pd.Series, known: pd.Index, further: Rows, description: Description) -> None:
    empty = int(keys.isna().sum())
    if empty:
        rows.notes.append(f"{rows.files}: {empty:,} rows have no {key}, so nothing from {further.files} beside them.")
    strange = keys[keys.notna() & ~keys.isin(known)]
    if strange.empty:
        return
    counted = strange.value_counts()
    said = f"{rows.files}: {len(strange):,} rows have a {key} that is not in {further.files}"
    if is_personal(key) or key in description.personal:
        rows.notes.append(f"{said} ({len(counted):,} different ones); the key's spelling must be the same in both.")
        return
    hints = []
    for value, n in counted.head(_SHOWN).items():
        near = nearest(str(value), [str(one) for one in known])
        hints.append(
            f"'{value}' ({n:,})" + (f", nearest '{near}': values: {{{key}: {{{value}: {near}}}}}" if near else "")
        )
    rows.notes.append(f"{said}: {listed(hints, _SHOWN)}.")
