"""The facts of all decisions as columns in memory, kept up to date in place, and the part of them that is asked for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]

WORDS: Final = (
    "mode", "arm", "source", "grade", "eligible_team", "rep_drawn", "rep_id", "status", "lost_reason",
)  # fmt: skip
MOMENTS: Final = (
    "decided_at", "given_at", "contacted_at", "qualified_at", "closed_at", "lead_won_at", "lead_qualified_at",
)  # fmt: skip
NUMBERS: Final = (
    "policy_version", "lead_score", "baseline", "unassigned", "probability", "uplift", "first_draw", "share",
    "propensity", "propensity_policy", "propensity_control", "expected_policy", "expected_control", "order_gap",
    "order_variance", "version", "value", "lead_value",
)  # fmt: skip
MICROSECONDS_A_DAY: Final = 86_400e6
NOTHING: Final = -1  # code of a word that is not there


_EMPTY: Final[Mapping[str, NDArray[Any]]] = {
    **{name: np.zeros(0, dtype=np.int32) for name in WORDS},
    **{name: np.zeros(0, dtype=np.float64) for name in MOMENTS},
    **{name: np.zeros(0, dtype=np.float32) for name in NUMBERS},
}


@dataclass(frozen=True)
class Columns:
    """All facts, by decision number: numbers (NaN: none), moments in days since 1970, words as codes.

    Never changed: `with_changes` makes new ones, so whoever holds these sees one state of things.
    """

    seq: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    values: Mapping[str, NDArray[Any]] = field(default_factory=lambda: dict(_EMPTY))
    words: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict.fromkeys(WORDS, ()))

    def with_changes(self, changed: Mapping[str, Sequence[Any]]) -> "Columns":
        """These with facts that are new or have changed, sorted by `seq`."""
        seq = np.array(changed["seq"], dtype=np.int64)
        place = np.searchsorted(self.seq, seq)
        known = np.zeros(len(seq), dtype=bool)
        inside = place < len(self.seq)
        known[inside] = self.seq[place[inside]] == seq[inside]
        merged = np.concatenate([self.seq, seq[~known]])
        place[~known] = np.arange(len(self.seq), len(merged))
        order = slice(None) if np.all(merged[1:] > merged[:-1]) else np.argsort(merged, kind="stable")
        values, words = {}, dict(self.words)
        for name in (*WORDS, *MOMENTS, *NUMBERS):
            fresh, words_of = _encoded(name, changed[name], self.words.get(name, ()))
            if name in WORDS:
                words[name] = words_of
            made = np.empty(len(merged), dtype=fresh.dtype)
            made[: len(self.seq)] = self.values[name]
            made[place] = fresh
            values[name] = made[order]
        return Columns(merged[order], values, words)


def _encoded(name: str, column: Sequence[Any], words: Sequence[str]) -> tuple[NDArray[Any], Sequence[str]]:
    if name in WORDS:
        known = {word: code for code, word in enumerate(words)}
        for word in dict.fromkeys(column):
            if word is not None:
                known.setdefault(word, len(known))
        codes = np.array([NOTHING if word is None else known[word] for word in column], dtype=np.int32)
        return codes, tuple(known)
    numbers = np.array(column, dtype=np.float64)
    # Half the size does for chances and rates; a moment to the second needs more digits.
    return numbers / MICROSECONDS_A_DAY if name in MOMENTS else numbers.astype(np.float32), ()


@dataclass(frozen=True)
class Facts:
    """Some of the decisions, oldest first. Columns are taken as they are asked for."""

    _seq: NDArray[np.int64]
    _values: Mapping[str, NDArray[Any]]
    _words: Mapping[str, Sequence[str]]
    rows: Places

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def seq(self) -> NDArray[np.int64]:
        """The decisions' numbers."""
        return self._seq[self.rows]

    def number(self, name: str) -> Floats:
        """A column of numbers or moments (days since 1970); NaN where there is none."""
        return self._values[name][self.rows].astype(np.float64)

    def flag(self, name: str) -> Flags:
        """A column that is true or not."""
        return self._values[name][self.rows] > 0

    def codes(self, name: str) -> NDArray[np.int32]:
        """A column of words as codes into `words(name)`; NOTHING where there is none."""
        codes: NDArray[np.int32] = self._values[name][self.rows]
        return codes

    def words(self, name: str) -> Sequence[str]:
        """The words that the codes of a column stand for."""
        return self._words[name]

    def is_one_of(self, name: str, *words: str) -> Flags:
        """Whether a column holds one of these words."""
        codes = [code for code, word in enumerate(self._words[name]) if word in words]
        return np.isin(self._values[name][self.rows], codes)

    def same(self, one: str, other: str) -> Flags:
        """Whether two columns hold the same word; two that hold none are not the same."""
        place = {word: code for code, word in enumerate(self._words[other])}
        translated = np.array([*(place.get(word, NOTHING) for word in self._words[one]), NOTHING], dtype=np.int32)
        found = translated[self.codes(one)]
        return (found >= 0) & (found == self.codes(other))

    def by(self, name: str) -> Iterator[tuple[str | None, "Facts"]]:
        """The decisions apart by a column's word, the most frequent first; None: those that hold none."""
        codes = self.codes(name)
        if not len(codes):
            return
        order = np.argsort(codes, kind="stable")
        found, first = np.unique(codes[order], return_index=True)
        parts = [
            (self._words[name][code] if code >= 0 else None, rows)
            for code, rows in zip(found, np.split(order, first[1:]), strict=True)
        ]
        for word, rows in sorted(parts, key=lambda part: -len(part[1])):
            yield word, Facts(self._seq, self._values, self._words, self.rows[rows])

    def where(self, wanted: Flags) -> "Facts":
        """Only these."""
        return Facts(self._seq, self._values, self._words, self.rows[wanted])


def facts_of(columns: Columns, since_days: float = -np.inf, until_days: float = np.inf) -> Facts:
    """The facts of the decisions made in [since, until)."""
    decided = columns.values["decided_at"]
    rows = np.flatnonzero((decided >= since_days) & (decided < until_days))
    return Facts(columns.seq, columns.values, columns.words, rows)
