"""Files -> rows as they stand: CSV (plain or gzip) and Parquet, each row with its line and nothing guessed."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.description import Description
from data.errors import InputError
from data.intake.encoding import decoded
from data.intake.parquet import parquet_frame
from data.names import ASSIGNMENT_COLUMNS, LEAD_COLUMNS, REP_COLUMNS, listed, one_line, plain

MOST_COLUMNS = 2_000
SUFFIXES = (".csv", ".csv.gz", ".parquet")
MISSING = frozenset({"", "NULL", "null", "NaN", "nan", "N/A", "n/a", "#N/A", "\\N"})
_DELIMITERS = (",", ";", "\t", "|")
_WORDS = {",": "','", ";": "';'", "\t": "tab", "|": "'|'"}
_SNIFFED_ROWS = 50
_KNOWN = frozenset(plain(name) for name in (*LEAD_COLUMNS, *ASSIGNMENT_COLUMNS, *REP_COLUMNS))
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}")


@dataclass(frozen=True)
class Source:
    """One file's rows. `refused` are those that could not be read at all: (line, reason)."""

    file: str
    table: pd.DataFrame
    line: np.ndarray  # 1-based line where the row begins; for Parquet the row's number
    refused: tuple[tuple[int, str], ...] = ()

    @property
    def read(self) -> int:
        """How many rows the file holds, readable or not."""
        return len(self.table) + len(self.refused)


def stem(file: Path | str) -> str:
    """The file's name without its suffix: `leads` for leads.csv.gz."""
    name = Path(file).name
    return next((name[: -len(suffix)] for suffix in SUFFIXES if name.casefold().endswith(suffix)), Path(name).stem)


def read_source(file: Path, description: Description | None = None) -> Source:
    """The rows of one file; texts are stripped, missing ones are NaN.

    Raises InputError, one line that names the file and what to do, where the file is of no use at all.
    """
    description = description or Description()
    data = _bytes_of(file)
    if data[:4] == b"PAR1" or file.name.casefold().endswith(".parquet"):
        source = _read_parquet(file, data, description)
    else:
        source = _read_text(file.name, decoded(file.name, data, description.encoding), description)
    if len(source.table.columns) > MOST_COLUMNS:
        raise InputError(
            f"{file.name}: {len(source.table.columns)} columns, more than {MOST_COLUMNS}; leave out those not needed."
        )
    return source


def _bytes_of(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{file.name}: there is no such file; check the path.") from None
    except IsADirectoryError:
        raise InputError(f"{file.name}: is a folder, not a file; name the file.") from None
    except OSError as error:
        raise InputError(f"{file.name}: cannot be read ({error.strerror}); check its permissions.") from None
    if not data.strip():
        raise InputError(f"{file.name}: is empty; export it again.")
    if data[:2] == b"\x1f\x8b":
        try:
            return gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise InputError(f"{file.name}: the gzip is damaged or cut short; copy or export it again.") from None
    if file.name.casefold().endswith(".gz"):
        raise InputError(f"{file.name}: is not gzip; rename it or compress it.")
    return data


def _read_parquet(file: Path, data: bytes, description: Description) -> Source:
    missing = MISSING | set(description.missing)
    frame = parquet_frame(file.name, data)
    for column in frame.columns:
        if pd.api.types.is_string_dtype(frame[column].dtype):
            frame[column] = tidied(frame[column], missing)
    return Source(file.name, frame, np.arange(1, len(frame) + 1))


def _read_text(name: str, text: str, description: Description) -> Source:
    records, header = opened(name, list(io.StringIO(text, newline="")), description)
    kept, line = [], []
    for at, row in records:
        line.append(at)
        kept.append(row)
    if not kept and not records.refused:
        raise InputError(f"{name}: no rows under the header; export it again.")
    missing = MISSING | set(description.missing)
    cells = zip(*kept, strict=True) if kept else ([] for _ in header)
    table = pd.DataFrame({column: texts(values, missing) for column, values in zip(header, cells, strict=True)})
    return Source(name, table, np.array(line, dtype=np.int64), tuple(records.refused))


def opened(name: str, lines: Sequence[str], description: Description) -> tuple["Records", list[str]]:
    """The records under a CSV text's header, and the header."""
    delimiter = description.delimiter or _sniffed(name, lines[: 4 * _SNIFFED_ROWS])
    records = Records(lines, delimiter)
    header = _header(name, next(records, None), delimiter, lines)
    records.width = len(header)
    return records, header


def texts(values: Iterable[object], missing: frozenset[str]) -> pd.Series:
    """The values that are texts, `tidied`; NaN for all others."""
    return tidied(pd.Series([value if isinstance(value, str) else None for value in values], dtype="str"), missing)


def tidied(values: pd.Series, missing: frozenset[str]) -> pd.Series:
    """A text column stripped; NaN where a value is one of `missing`."""
    # A lone carriage return within a cell would end the row once the cell is written again.
    broken = pc.replace_substring(pc.replace_substring(pa.array(values), "\r\n", "\n"), "\r", "\n")
    stripped = pc.utf8_trim_whitespace(broken)
    absent = pc.is_in(stripped, value_set=pa.array(sorted(missing), type=stripped.type))
    return pd.Series(pc.if_else(absent, None, stripped), index=values.index, dtype="str")


class Records(Iterator[tuple[int, list[str]]]):
    """The records of a CSV text with the line each begins on; malformed ones are set aside.

    A stray quote swallows the lines after it. When a record of several lines turns out malformed, only
    its first line is set aside and reading goes on with the next.
    """

    def __init__(self, lines: Sequence[str], delimiter: str) -> None:
        self.lines = lines
        self.next_line = 0
        self.width: int | None = None  # cells a record must have; None: any number
        self.refused: list[tuple[int, str]] = []
        self.reader = csv.reader(self._feed(), delimiter=delimiter, strict=True)
        self.delimiter = delimiter

    def _feed(self) -> Iterator[str]:
        while self.next_line < len(self.lines):
            self.next_line += 1
            yield self.lines[self.next_line - 1]

    def __next__(self) -> tuple[int, list[str]]:
        while self.next_line < len(self.lines):
            start = self.next_line
            try:
                row = next(self.reader)
                problem = None
            except csv.Error as error:
                row, problem = [], _said_of(error)
            except StopIteration:
                break
            if not problem and not row:  # an empty line
                continue
            if not problem and self.width not in (None, len(row)):
                problem = f"wrong field count: {len(row)} cells, the header has {self.width}"
            if not problem:
                return start + 1, row
            self.refused.append((start + 1, problem))
            self.next_line = start + 1
            self.reader = csv.reader(self._feed(), delimiter=self.delimiter, strict=True)
        raise StopIteration


def _said_of(error: csv.Error) -> str:
    if "field larger" in str(error):
        return "malformed quotes: a cell is longer than 131072 characters"
    return "malformed quotes: a quoted cell is not closed, or something follows its closing quote"


def _sniffed(name: str, lines: Sequence[str]) -> str:
    """The delimiter under which the first rows agree best with the header, then the one with most columns."""
    best, best_score = "", (0.0, 0)
    for delimiter in _DELIMITERS:
        records = Records(lines, delimiter)
        rows = [row for _, row in zip(range(_SNIFFED_ROWS), (row for _, row in records), strict=False)]
        width = len(rows[0]) if rows else 0
        if width < 2:
            continue
        score = (sum(len(row) == width for row in rows) / len(rows), width)
        if score == best_score:
            raise InputError(
                f"{name}: {_WORDS[best]} and {_WORDS[delimiter]} fit equally well between the cells; "
                "set delimiter: in dataset.yaml."
            )
        if score > best_score:
            best, best_score = delimiter, score
    if not best and lines and _alone(lines[0]):
        return ","
    if not best:
        raise InputError(
            f"{name}: only one column was found; the cells are divided by none of ',' ';' tab '|': "
            "set delimiter: in dataset.yaml."
        )
    return best


def _header(name: str, first: tuple[int, list[str]] | None, delimiter: str, lines: Sequence[str]) -> list[str]:
    if first is None:
        raise InputError(f"{name}: is empty or its first line is malformed; export it again.")
    header = [one_line(cell) or f"column {i}" for i, cell in enumerate(first[1], start=1)]
    if len(header) == 1 and not _alone(header[0]):
        shown = _WORDS.get(delimiter, f"'{delimiter}'")
        fits = [_WORDS[each] for each in _DELIMITERS if each in lines[first[0] - 1]]
        hint = f"it looks like {fits[0]}" if fits else "use the one in the file"
        raise InputError(f"{name}: only one column with the delimiter {shown}; {hint}: set delimiter: in dataset.yaml.")
    if _looks_like_data(header):
        raise InputError(f"{name}: line {first[0]} holds data, not column names; put a header above it.")
    repeated = [cell for i, cell in enumerate(header) if cell in header[:i]]
    if repeated:
        raise InputError(f"{name}: two columns are called {listed(dict.fromkeys(repeated))}; rename one.")
    return header


def _alone(header: str) -> bool:
    """Whether a file of one column may be meant: a list of ids, say."""
    return plain(header.strip().strip('"')) in _KNOWN


def _looks_like_data(header: list[str]) -> bool:
    numbers = sum(bool(_NUMBER.fullmatch(cell)) for cell in header)
    return numbers > len(header) / 3 or any("@" in cell or _DATE.match(cell) for cell in header)
