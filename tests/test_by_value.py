"""A long column read once a distinct value is the column read row by row."""

import numpy as np
import pandas as pd
import pytest

from features import columns
from features.columns import Column, ColumnContract, count_levels, instants, numbers

COLUMNS = {
    "texts": ["a", " b", "c;d", None, "3", "", "1,200"] * 300,
    "numbers": [1.0, 2.5, np.nan, np.inf, 1e9, 3.0] * 300,
    "flags": [True, False, True] * 500,
    "mixed": [1, True, "1", 1.0, None, "yes", [1, "a"]] * 300,
    "flag words": ["yes", "no", None, "maybe"] * 400,
}


def read(values):
    many = ("category", "list", "number", "flag")
    contract = ColumnContract(tuple(Column(kind, kind, ("a", "b", "1", "true", "d")) for kind in many), dated=False)
    return contract.encode(dict.fromkeys(many, values), len(values))


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("plain", [True, False])
def test_reading_by_distinct_value_changes_nothing(name, plain, monkeypatch):
    values = np.array([*COLUMNS[name], None], dtype=object)[:-1] if plain else pd.Series(COLUMNS[name]).to_numpy()
    quick = read(values), numbers(values), count_levels(values, many=False), count_levels(values, many=True)
    monkeypatch.setattr(columns, "MANY_ROWS", 10**9)
    slow = read(values), numbers(values), count_levels(values, many=False), count_levels(values, many=True)
    for one, other in zip(quick[:2], slow[:2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert quick[2:] == slow[2:]
    assert len(instants(values)) == len(values)
