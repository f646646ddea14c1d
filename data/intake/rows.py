"""Rows on their way into a table: renamed, checked, and set aside one by one with the reason."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from data.intake.reading import Source
from data.names import one_line

REJECT_COLUMNS = ("file", "line", "reason")


@dataclass
class Rows:
    """The rows of the files of one table. `table`, `file` and `line` always have the same length."""

    table: pd.DataFrame
    file: np.ndarray
    line: np.ndarray
    read: dict[str, int]
    refused: list[pd.DataFrame] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    day_first: bool | None = None  # the order of numeric dates, once settled

    def __len__(self) -> int:
        return len(self.table)

    @property
    def files(self) -> str:
        """The names of the files, for a message."""
        return ", ".join(self.read)

    def refuse(self, bad: np.ndarray, reasons: str | Iterable[str]) -> None:
        """Set the marked rows aside. `reasons` is one for all, or one for each marked row, "kind: detail"."""
        bad = np.asarray(bad, dtype=bool)
        if not bad.any():
            return
        said = reasons if isinstance(reasons, str) else [one_line(reason) for reason in reasons]
        self.refused.append(pd.DataFrame({"file": self.file[bad], "line": self.line[bad], "reason": said}))
        self.table = self.table[~bad].reset_index(drop=True)
        self.file, self.line = self.file[~bad], self.line[~bad]

    def rejects(self) -> pd.DataFrame:
        """The rows set aside, in the order of their files."""
        return joined(self.refused)

    def places(self) -> np.ndarray:
        """Where each row stands, for a message: "leads.csv line 12"."""
        return np.array([f"{file} line {line}" for file, line in zip(self.file, self.line, strict=True)], dtype=object)


def gathered(sources: Iterable[Source]) -> Rows:
    """The rows of one table's files under one another; columns that a file lacks are missing in its rows."""
    parts = list(sources)
    table = parts[0].table if len(parts) == 1 else pd.concat([part.table for part in parts], ignore_index=True)
    rows = Rows(
        table=table,
        file=np.repeat(np.array([part.file for part in parts], dtype=object), [len(part.table) for part in parts]),
        line=np.concatenate([part.line for part in parts]),
        read={part.file: part.read for part in parts},
    )
    for part in parts:
        if part.refused:
            line, reason = zip(*part.refused, strict=True)
            rows.refused.append(pd.DataFrame({"file": part.file, "line": line, "reason": reason}))
    return rows


def joined(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Rejects of several tables under one another, by file and line."""
    every = [part for part in parts if len(part)]
    if not every:
        return pd.DataFrame(
            {"file": pd.Series(dtype="str"), "line": pd.Series(dtype="int64"), "reason": pd.Series(dtype="str")}
        )
    together = pd.concat(every, ignore_index=True).astype({"file": "str", "line": "int64", "reason": "str"})
    return together.sort_values(["file", "line"], kind="stable", ignore_index=True)
