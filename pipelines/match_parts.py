"""What a long `match` has done so far, beside its output: finished parts and how things stood after the last one."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from pipelines.match_block import Standing
from serving.models.signing import write_atomically

STATE = "state.json"
RECURRING = ("rep_id", "lead_score", "grade", "arm", "unassigned_reason")  # columns of few values, kept in a dictionary


class Parts:
    """A folder of finished blocks; the same job begun again goes on after the last of them."""

    def __init__(self, out: Path, job: str, at: datetime) -> None:
        """`job` : a digest of everything that the result depends on; parts of another job are thrown away.

        `at` : the moment of the decisions, unless there are parts: then it is theirs.
        """
        self.folder = out.with_name(out.name + ".parts")
        self._out, self._job = out, job
        state = self._read()
        if state is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
        self.at = datetime.fromisoformat(state["at"]) if state else at
        self.finished = int(state["finished"]) if state else 0
        self.counts: dict[str, int] = state["counts"] if state else {}
        self.standing = _standing(state["standing"]) if state and state["standing"] else None

    def begin(self, standing: Standing) -> None:
        """Note how things stand before the first block."""
        self.standing = standing
        self._write()

    def add(self, table: pa.Table, standing: Standing, counts: dict[str, int], refused: pd.DataFrame) -> None:
        """Keep the next block's rows; from here on they are not computed again. refused : file, line, reason."""
        # To be read once, by us: what would make it smaller costs more than it saves.
        pq.write_table(table, self._part(self.finished), compression="none", use_dictionary=False)
        if len(refused):
            refused.to_parquet(self._refused(self.finished))
        self.finished += 1
        self.standing = standing
        self.counts = {name: self.counts.get(name, 0) + count for name, count in counts.items()}
        self._write()

    def refused(self) -> pd.DataFrame:
        """The rows of all finished blocks that were set aside, with file, line and reason."""
        kept = [file for file in map(self._refused, range(self.finished)) if file.exists()]
        return pd.concat(map(pd.read_parquet, kept)) if kept else pd.DataFrame()

    def discard(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder)

    def assemble(self, schema: pa.Schema) -> None:
        """Put the parts under one another: Parquet where the name ends so, else CSV (gzip by its ending)."""
        unfinished = self.folder / "whole"
        write, close = _writer(self._out, unfinished, schema)
        for number in range(self.finished):
            write(pq.read_table(self._part(number), schema=schema))
        close()
        unfinished.replace(self._out)
        self.discard()

    def _part(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.parquet"

    def _refused(self, number: int) -> Path:
        return self.folder / f"refused-{number:06d}.parquet"

    def _read(self) -> dict[str, Any] | None:
        try:
            state = json.loads((self.folder / STATE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return state if state["job"] == self._job else None

    def _write(self) -> None:
        standing = asdict(self.standing) if self.standing else None
        state = {
            "job": self._job, "at": self.at.isoformat(), "finished": self.finished, "counts": self.counts,
            "standing": standing,
        }  # fmt: skip
        # Floats are written so that they read back the same; a slot without limit as Infinity.
        text = json.dumps(state, default=lambda value: value.tolist())
        write_atomically(self.folder / STATE, text.encode("utf-8"))


def _standing(state: dict[str, Any]) -> Standing:
    arrays = {name: np.array(value, dtype=float) for name, value in state.items() if isinstance(value, list)}
    return Standing(**{**state, **arrays})


def _writer(out: Path, file: Path, schema: pa.Schema) -> tuple[Callable[[pa.Table], Any], Callable[[], Any]]:
    ending = out.suffix.casefold()
    if ending == ".parquet":
        parquet = pq.ParquetWriter(file, schema, use_dictionary=list(RECURRING))
        return parquet.write_table, parquet.close
    stream = pa.CompressedOutputStream(str(file), "gzip") if ending == ".gz" else pa.OSFile(str(file), "wb")
    text = pc.CSVWriter(stream, schema, write_options=pc.WriteOptions(quoting_style="needed"))

    def close() -> None:
        text.close()
        stream.close()

    return text.write_table, close
