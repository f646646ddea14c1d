"""A frame from elsewhere in the program -> rows such as a file's: texts, numbers, flags and instants only."""

from typing import Any

import numpy as np
import pandas as pd

from data.intake.cleaning import as_text
from data.intake.reading import MISSING, Source, texts


def frame_source(name: str, table: pd.DataFrame) -> Source:
    """The frame's rows, counted from 1, under the name that rejects give for their file."""
    columns = {str(column): _plain(table[column].reset_index(drop=True)) for column in table.columns}
    return Source(name, pd.DataFrame(columns, index=range(len(table))), np.arange(1, len(table) + 1))


def _plain(values: pd.Series) -> pd.Series:
    kind = values.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return _plain(values.astype(kind.categories.dtype))
    if isinstance(kind, pd.DatetimeTZDtype):
        return values.dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    if kind.kind == "M":
        return values.astype("datetime64[us]")
    if kind.kind in "iufb" and isinstance(kind, np.dtype):
        return values
    if kind.kind in "iufb":  # pandas' own nullable types
        return pd.Series(values.to_numpy(dtype=float, na_value=np.nan))
    inferred = pd.api.types.infer_dtype(values, skipna=True)
    if inferred in ("datetime", "datetime64"):
        return pd.to_datetime(values, utc=True).astype("datetime64[us, UTC]")
    if inferred in ("string", "empty"):
        return texts(values.tolist(), MISSING)
    return as_text(values.map(_joined, na_action="ignore"))


def _joined(value: Any) -> Any:
    return ";".join(map(str, value)) if isinstance(value, list | tuple | set | frozenset) else value
