"""A file of leads, however long, a block at a time: checked as a data set's leads are, in bounded memory.

Parquet is read as it stands. CSV is turned into Parquet first, line by line; a CSV that is not UTF-8 is decoded
as a whole, for only the whole of it tells its encoding.
"""

import gzip
import io
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data.description import Description
from data.errors import InputError
from data.intake.cleaning import settle_day_order, take_ids
from data.intake.encoding import is_utf8
from data.intake.lead_table import clean_leads, dates_of_leads
from data.intake.moments import day_order
from data.intake.parquet import table_frame
from data.intake.reading import MISSING, Source, opened, read_source, texts, tidied
from data.intake.renaming import rename, require
from data.intake.rows import Rows, gathered, joined
from data.names import plain

SPOOLED_ROWS = 20_000  # of a CSV, in memory at once
READ_ROWS = 20_000  # that are read and checked at once, in whole blocks
LINE = "\ue000line"  # the spool's column of line numbers: no file has a column of this name
AHEAD = 1_000  # lines read at once


@dataclass(frozen=True)
class Block:
    """Some rows of the file, in its order."""

    leads: pd.DataFrame  # lead_id, created_at (NaT: not given), at_days, the attributes asked for as they were written
    line: np.ndarray  # int (n,): where each lead stands
    refused: pd.DataFrame  # file, line, reason

    def cut(self, begins: np.ndarray) -> Iterator["Block"]:
        """The block in parts, each from one of the lines given to the next."""
        kept = [*np.searchsorted(self.line, begins), len(self.line)]
        refused = [*np.searchsorted(self.refused["line"], begins), len(self.refused)]
        for (begin, end), (first, last) in zip(pairwise(kept), pairwise(refused), strict=True):
            leads = self.leads.iloc[begin:end].reset_index(drop=True)
            yield Block(leads, self.line[begin:end], self.refused.iloc[first:last])


class LeadFile:
    """A file of leads to be matched; `created_at` may be missing or empty."""

    def __init__(self, file: Path, description: Description, scratch: Path, asked: Collection[str]) -> None:
        """`scratch` : a folder for the copy of a CSV; `asked` : the attributes that are read, by our names.

        Raises InputError where the file is of no use.
        """
        self.name = file.name
        self._description = description.model_copy(update={"order_by": None})
        self._refused: list[tuple[int, str]] = []
        if _is_parquet(file):
            self._path = file
        else:
            self._path = scratch / "leads.parquet"
            self._refused = _spool(file, self._path, self._description, asked)
        try:
            self._file = pq.ParquetFile(self._path)
        except (pa.ArrowException, OSError, ValueError):
            damaged = "is not readable as Parquet, damaged or cut short; write it again."
            raise InputError(f"{self.name}: {damaged}") from None
        self.rows = int(self._file.metadata.num_rows)
        if not self.rows and not self._refused:
            raise InputError(f"{self.name}: no rows; write it again.")
        header = self._file.schema_arrow
        needed, self.there = _needed(self._source(header.empty_table(), 0), self._description, asked)
        self._columns = [name for name in header.names if name == LINE or name.strip() in needed]
        self._description = self._description.model_copy(update={"day_first": self._day_first()})

    def blocks(self, rows: int) -> Iterator[Block]:
        """The file in blocks of at most so many rows; a lead that stood in an earlier block is set aside."""
        known = np.empty(0, dtype=np.uint64)
        lost = gathered([Source(self.name, pd.DataFrame(), np.empty(0, dtype=np.int64), tuple(self._refused))]).refused
        # Several blocks are read at once, for a column of a block costs about as much as that of many.
        for source in self._sources(rows * max(READ_ROWS // rows, 1)):
            cleaned, ids = self._clean(source, known)
            known = np.sort(np.concatenate([known, np.sort(ids)]), kind="stable")  # a merge of two sorted runs
            for block in cleaned.cut(source.line[::rows]):
                yield replace(block, refused=joined([*lost, block.refused]))
                lost = []

    def sample(self, rows: np.ndarray) -> pd.DataFrame:
        """The leads on the given rows of the file, rising; without those that are set aside."""
        kept, first = [], 0
        for batch in self._file.iter_batches(SPOOLED_ROWS, columns=self._columns):
            inside = rows[(rows >= first) & (rows < first + len(batch))] - first
            first += len(batch)
            if len(inside):
                kept.append(pa.Table.from_batches([batch]).take(pa.array(inside)))
        return self._clean(self._source(pa.concat_tables(kept), 0), np.empty(0, dtype=np.uint64))[0].leads

    def _sources(self, rows: int) -> Iterator[Source]:
        first = 0
        for batch in self._file.iter_batches(rows, columns=self._columns):
            yield self._source(pa.Table.from_batches([batch]), first)
            first += len(batch)

    def _source(self, table: pa.Table, first: int) -> Source:
        if LINE in table.column_names:
            line = table[LINE].to_numpy()
            return Source(self.name, _texts(table.drop_columns([LINE]), None), line)
        missing = MISSING | set(self._description.missing)
        return Source(self.name, _texts(table, missing, self.name), np.arange(first + 1, first + 1 + len(table)))

    def _clean(self, source: Source, known: np.ndarray) -> tuple[Block, np.ndarray]:
        rows = gathered([source])
        renamed = rename(rows, "leads", self._description)
        require(rows, "leads", ["lead_id"], renamed, self._description)
        take_ids(rows, "lead_id")
        ids = _hashes(rows)
        again = known.take(np.searchsorted(known, ids), mode="clip") == ids if len(known) else np.zeros(len(ids), bool)
        rows.refuse(again, "duplicate lead_id: it stands already on an earlier row")
        leads = clean_leads(rows, renamed, self._description, dates_needed=False)
        return Block(leads, rows.line, joined(rows.refused)), ids

    def _day_first(self) -> bool | None:
        """Whether numeric dates are day first, from the whole file; as stated where it is stated."""
        stated = self._description
        if stated.day_first is not None or stated.date_formats:
            return stated.day_first
        proofs: list[Rows] = []
        columns: list[str] = []
        for source in self._sources(SPOOLED_ROWS):
            rows = gathered([source])
            columns = dates_of_leads(stated, rename(rows, "leads", stated))
            written = [rows.table[c] for c in columns if c in rows.table]
            if not any(pd.api.types.is_string_dtype(column.dtype) for column in written):
                break  # moments already, here and in every other block
            seen = day_order(written)
            at = [one for one in vars(seen).values() if one is not None]
            proofs.append(replace(rows, table=rows.table.iloc[at], line=rows.line[at], file=rows.file[at]))
        if not proofs:
            return None
        every = replace(
            proofs[0],
            table=pd.concat([one.table for one in proofs], ignore_index=True),
            line=np.concatenate([one.line for one in proofs]),
            file=np.concatenate([one.file for one in proofs]),
        )
        settle_day_order(every, columns, stated)
        return every.day_first


def _needed(
    header: Source, description: Description, asked: Collection[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """The columns from which `asked`, ids and dates are read, and which of these, by our names, there are.

    Who the leads are, say, is not asked for.
    """
    rows, names = gathered([header]), list(header.table.columns)
    renamed = rename(rows, "leads", description)
    require(rows, "leads", ["lead_id"], renamed, description)
    wanted = {*asked, "lead_id", *dates_of_leads(description, renamed)}
    read = {ours: {plain(column) for column in renamed.theirs.get(ours, [ours])} for ours in wanted}
    forms = frozenset().union(*read.values())  # alike in form: which of them gives the name is settled by order
    found = frozenset(name for name in names if plain(name) in forms)
    given = {plain(name) for name in found}
    return found, frozenset(ours for ours, columns in read.items() if columns & given)


def _is_parquet(file: Path) -> bool:
    if not file.is_file() or not file.stat().st_size:
        read_source(file)  # says what is wrong with it
    with file.open("rb") as stream:
        return stream.read(4) == b"PAR1" or file.name.casefold().endswith(".parquet")


def _hashes(rows: Rows) -> np.ndarray:
    """A number for each lead's id, uint64 (n,): 8 bytes a lead instead of the id."""
    return pd.util.hash_array(rows.table["lead_id"].to_numpy(dtype=object), categorize=False)


def _texts(table: pa.Table, missing: frozenset[str] | None, name: str = "") -> pd.DataFrame:
    """The rows as texts, numbers and instants; `missing` : texts that say nothing (None: taken out already)."""
    frame = table_frame(name, table)
    if missing is None:
        return frame
    for column in frame.columns:
        if pd.api.types.is_string_dtype(frame[column].dtype):
            frame[column] = tidied(frame[column], missing)
    return frame


def _spool(file: Path, spool: Path, description: Description, asked: Collection[str]) -> list[tuple[int, str]]:
    """Copy what is needed of a CSV into a Parquet file of texts; malformed records are returned: (line, reason)."""
    try:
        with _stream(file) as raw:
            streams = is_utf8(raw)
    except (OSError, EOFError, zlib.error):
        streams = False  # a damaged gzip
    if not streams:
        source = read_source(file, description)  # as a whole, or the reason why it cannot be read
        needed, _ = _needed(source, description, asked)
        _write(spool, [_table(source.table[[name for name in source.table if name in needed]], source.line)])
        return list(source.refused)
    with _stream(file) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as stream:
        lines = _Lines(stream)
        records, header = opened(file.name, lines, description)
        missing = MISSING | set(description.missing)
        empty = pd.DataFrame({name: texts([], missing) for name in header})
        needed, _ = _needed(Source(file.name, empty, np.empty(0, dtype=np.int64)), description, asked)

        def tables() -> Iterator[pa.Table]:
            while True:
                rows = [one for _, one in zip(range(SPOOLED_ROWS), records, strict=False)]
                if not rows:
                    return
                lines.forget(records.next_line)
                cells = zip(header, zip(*(row for _, row in rows), strict=True), strict=True)
                frame = pd.DataFrame({name: texts(cell, missing) for name, cell in cells if name in needed})
                yield _table(frame, np.array([at for at, _ in rows], dtype=np.int64))

        if not _write(spool, tables()) and not records.refused:
            raise InputError(f"{file.name}: no rows under the header; export it again.")
        if not spool.exists():
            _write(spool, [_table(empty, np.empty(0, np.int64))])
        return records.refused


def _stream(file: Path) -> BinaryIO:
    opened_file = file.open("rb")
    if opened_file.read(2) == b"\x1f\x8b":
        opened_file.close()
        return gzip.open(file, "rb")  # type: ignore[return-value]
    opened_file.seek(0)
    return opened_file


def _table(frame: pd.DataFrame, line: np.ndarray) -> pa.Table:
    columns = {name: pa.array(frame[name], type=pa.string(), from_pandas=True) for name in frame.columns}
    return pa.table({**columns, LINE: pa.array(line)})


def _write(spool: Path, tables: Sequence[pa.Table] | Iterator[pa.Table]) -> int:
    rows, writer = 0, None
    for table in tables:
        writer = writer or pq.ParquetWriter(spool, table.schema)
        writer.write_table(table)
        rows += len(table)
    if writer:
        writer.close()
    return rows


class _Lines(Sequence[str]):
    """The lines of a stream, read as they are asked for and forgotten once they are done with."""

    def __init__(self, stream: io.TextIOBase) -> None:
        self._stream = stream
        self._held: list[str] = []
        self._first = 0
        self._read_to(1)

    def __len__(self) -> int:
        """How many lines there are as far as is known: at least one more than was asked for, if there is one."""
        return self._first + len(self._held)

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        last = (at.stop or 0) if isinstance(at, slice) else at + 1
        self._read_to(last + 1)
        if isinstance(at, slice):
            return self._held[: last - self._first]
        return self._held[at - self._first]

    def forget(self, before: int) -> None:
        """Drop the lines before one."""
        del self._held[: before - self._first]
        self._first = before
        self._read_to(before + 1)

    def _read_to(self, last: int) -> None:
        while self._first + len(self._held) < last:
            piece = [line for _, line in zip(range(AHEAD), self._stream, strict=False)]
            if not piece:
                return
            self._held += piece
