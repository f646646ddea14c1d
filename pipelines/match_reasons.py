"""The reasons of a block of leads, in columns: each wording is made once, names and points are put in for all rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.roster import Rep
from features.columns import by_value, tokens_of
from serving.reasons import NAME_HERE, POINTS_HERE, Language, ReasonTexts, points_text, stated
from training.explain import Term

POINT_STEP = 0.0005  # in probability: between multiples of it all differences have the same figure


@dataclass(frozen=True)
class Seen:
    """The values behind each term, each value of a term once."""

    codes: np.ndarray  # int (n_terms, n): which of `values` a lead has
    values: list[Any]  # of all terms under one another; None: missing
    term: np.ndarray  # int (n_values,): whose value it is


class ReasonColumns:
    """What `ReasonTexts` says of one lead's parts, for many leads at once; wordings are kept from block to block."""

    def __init__(self, reps: Sequence[Rep], terms: Sequence[Term], language: Language) -> None:
        self._terms, self._language = terms, language
        self._writer = ReasonTexts(reps, terms, language)
        self._names = pa.array(self._writer.names, type=pa.string())
        self._stating = _stating(reps)

    def columns(
        self, leads: pd.DataFrame, rep: np.ndarray, shares: np.ndarray, days_here: Sequence[int | None], *, most: int
    ) -> list[pa.Array]:
        """The sentences of the largest parts of each lead's uplift, `most` columns of texts.

        rep : int (n,), -1 where nobody was chosen; shares : (n, n_terms), in probability; days_here : of each rep,
        None where they are not known. Null where there is nothing to say.
        """
        largest = np.argsort(-np.abs(shares), axis=1, kind="stable")[:, :most]
        parts = np.take_along_axis(shares, largest, axis=1)
        row, place = np.nonzero((rep >= 0)[:, None] & (parts != 0))
        seen = self._seen(leads, rep, days_here)
        texts = self._texts(seen, rep[row], seen.codes[largest[row, place], row], parts[row, place])
        which = np.full((len(rep), most), -1)
        which[row, place] = np.arange(len(row))
        return [texts.take(pa.array(column, mask=column < 0)) for column in which.T]

    def _seen(self, leads: pd.DataFrame, rep: np.ndarray, days_here: Sequence[int | None]) -> Seen:
        each = [_values(leads, term, rep, days_here) for term in self._terms]
        sizes = [len(values) for _, values in each]
        codes = [codes + begin for (codes, _), begin in zip(each, np.cumsum([0, *sizes]), strict=False)]
        values = list(chain.from_iterable(values for _, values in each))
        return Seen(np.array(codes), values, np.repeat(np.arange(len(self._terms)), sizes))

    def _texts(self, seen: Seen, rep: np.ndarray, code: np.ndarray, share: np.ndarray) -> pa.Array:
        """The sentence of each part, (n,); `code` : which of the values seen stands behind it."""
        good = share >= 0
        alike = (code * 2 + good) * (len(self._stating) + 1) + self._fits(seen, code)[code, rep]
        _, first, wording = np.unique(alike, return_index=True, return_inverse=True)
        pieces = [self._pieces(seen, *one) for one in zip(code[first], good[first], rep[first], strict=True)]
        before, between, after = (
            pa.array([each[place] for each in pieces], type=pa.string()).take(pa.array(wording)) for place in range(3)
        )
        name = self._names.take(pc.if_else(between.is_valid(), pa.array(rep), None))
        points = _points(share, self._language)
        return pc.binary_join_element_wise(before, name, between, points, after, "", null_handling="skip")

    def _fits(self, seen: Seen, code: np.ndarray) -> np.ndarray:
        """In which column each rep states what a match asks for, int (n_values, n_reps), 0: in none.

        Nothing else of a rep but her name changes a wording.
        """
        fits = np.zeros((len(seen.values), len(self._names)), dtype=np.int8)
        for one in np.unique(code):
            if self._terms[seen.term[one]].kind == "match":
                asked = [token.casefold() for token in tokens_of(seen.values[one]) or ()]
                for place, by_word in self._stating:
                    for word in asked:
                        fits[one, by_word.get(word, [])] = place
        return fits

    def _pieces(self, seen: Seen, code: int, good: bool, rep: int) -> tuple[str, str | None, str]:
        """A wording around the name and the points, in this order; without a name the second piece is None."""
        wording = self._writer.wording(rep, seen.term[code], seen.values[code], good)
        start, _, after = wording.partition(POINTS_HERE)
        before, name, between = start.partition(NAME_HERE)
        return before, between if name else None, after


def _stating(reps: Sequence[Rep]) -> list[tuple[int, dict[str, list[int]]]]:
    """Who states which word in each of the roster's columns, numbered from 1; the first column comes last."""
    by_column: dict[str, dict[str, list[int]]] = {}
    for place, rep in enumerate(reps):
        for column, words in stated(rep).items():
            by_word = by_column.setdefault(column, {})
            for word in words:
                by_word.setdefault(word, []).append(place)
    return list(enumerate(by_column.values(), start=1))[::-1]


def _values(
    leads: pd.DataFrame, term: Term, rep: np.ndarray, days_here: Sequence[int | None]
) -> tuple[np.ndarray, list[Any]]:
    """The value behind a term for each lead, its own or for tenure the chosen rep's days here: codes and values."""
    if term.kind == "tenure":
        return rep, [*days_here]
    if term.kind == "overall" or term.feature not in leads:
        return np.zeros(len(leads), dtype=np.intp), [None]
    codes, distinct = by_value(leads[term.feature])
    values = pd.Series(distinct, dtype=object).to_numpy(copy=True)
    values[pd.isna(values)] = None
    return np.where(codes < 0, len(values), codes), [*values, None]


def _points(share: np.ndarray, language: Language) -> pa.Array:
    """`points_text` of many differences, (n,), each figure written once."""
    steps = share / POINT_STEP
    # On a multiple itself rounding could tell wrongly on which side it lies: such a difference is one of its own.
    near = np.abs(steps - np.rint(steps)) < 1e-6
    figures = np.where(near, share, np.floor(steps) + 2 / POINT_STEP)  # a difference is never above 1
    _, first, figure = np.unique(figures, return_index=True, return_inverse=True)
    written = [points_text(one, language) for one in share[first].tolist()]
    return pa.array(written, type=pa.string()).take(pa.array(figure))
