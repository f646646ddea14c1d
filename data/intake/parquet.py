"""A Parquet file -> a frame of texts, numbers, flags and UTC instants."""

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import InputError


def parquet_frame(name: str, data: bytes) -> pd.DataFrame:
    """The rows of a Parquet file. Raises InputError where it is damaged or holds nested columns."""
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError):
        raise InputError(f"{name}: is not readable as Parquet, damaged or cut short; write it again.") from None
    if not table.num_rows:
        raise InputError(f"{name}: no rows; write it again.")
    return table_frame(name, table)


def table_frame(name: str, table: pa.Table) -> pd.DataFrame:
    """The same for rows that were read already, all of the file's or some."""
    repeated = [column for column in dict.fromkeys(table.column_names) if table.column_names.count(column) > 1]
    if repeated:
        raise InputError(f"{name}: two columns are called {', '.join(repeated)}; rename one.")
    return pd.DataFrame({column.strip(): _plain(name, column, table[column]) for column in table.column_names})


def _plain(name: str, column: str, values: pa.ChunkedArray) -> pd.Series:
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _plain(name, column, values.cast(kind.value_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        rows = values.to_pylist()
        return pd.Series([None if row is None else ";".join(map(str, row)) for row in rows], dtype="str")
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise InputError(f"{name}: column '{column}' holds {kind}; write it as text, a number or a date.")
    if pa.types.is_timestamp(kind):
        return _instants(values.to_pandas())
    if pa.types.is_date(kind):
        return pd.Series(values.cast(pa.string()).to_pandas(), dtype="str")
    if pa.types.is_decimal(kind):
        return values.cast(pa.float64()).to_pandas()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return pd.Series(values.cast(pa.large_string()).to_pandas(), dtype="str")
    if pa.types.is_boolean(kind) and values.null_count:
        return values.to_pandas().map({True: 1.0, False: 0.0}).astype(float)
    return values.to_pandas()


def _instants(values: pd.Series) -> pd.Series:
    """Aware instants in UTC; naive ones stay naive, for the data set's time zone to be put to them."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    return values.astype("datetime64[us]")
