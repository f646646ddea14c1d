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
from serving.telling.reasons import (
    NAME_HERE,
    POINTS_HERE,
    Language,
    kept_apart,
    name_of,
    points_text,
    stated,
    wording,
)
from training.explain import DUST, Contribution, Term

Pieces = tuple[str, str | None, str]  # before the rep's name, between it and the points (None: no name), after them
NOBODY = np.empty(0, dtype=np.intp)
POINT_STEP = 0.0005  # in probability: between multiples of it all differences have the same figure


@dataclass(frozen=True)
class Seen:
    """The values behind each term, each value of a term once."""

    codes: np.ndarray  # int (n_terms, n): which of `values` a lead has
    values: list[Any]  # of all terms under one another; None: missing
    term: list[int]  # whose value it is

MOST_WORDINGS = 200_000  # kept for a batch


class ReasonColumns:
    """What `reason_text` says of one lead's parts, for many leads at once; wordings are kept from block to block."""

    def __init__(self, reps: Sequence[Rep], terms: Sequence[Term], language: Language) -> None:
        self._reps, self._terms, self._language = reps, terms, language
        self._names = pa.array([name_of(rep) for rep in reps], type=pa.string())
        self._stating = _stating(reps)
        self._known: dict[tuple[Any, ...], Pieces] = {}

    def columns(
        self, leads: pd.DataFrame, rep: np.ndarray, shares: np.ndarray, days_here: Sequence[int | None], *, most: int
    ) -> list[pa.Array]:
        """The sentences of the largest parts of each lead's uplift, `most` columns of texts.

        rep : int (n,), -1 where nobody was chosen; shares : (n, n_terms), in probability; days_here : of each rep,
        None where they are not known. Null where there is nothing to say.
        """
        largest = np.argsort(-np.abs(shares), axis=1, kind="stable")[:, :most]
        parts = np.take_along_axis(shares, largest, axis=1)
        row, place = np.nonzero((rep >= 0)[:, None] & (np.abs(parts) > DUST))
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
        return Seen(np.array(codes), values, np.repeat(np.arange(len(self._terms)), sizes).tolist())

    def _texts(self, seen: Seen, rep: np.ndarray, code: np.ndarray, share: np.ndarray) -> pa.Array:
        """The sentence of each part, (n,); `code` : which of the values seen stands behind it."""
        good, fit = share >= 0, self._fits(seen, code)[code, rep]
        one, which = _one_each((code * 2 + good) * (len(self._stating) + 1) + fit)
        alike = zip(code[one].tolist(), good[one].tolist(), fit[one].tolist(), rep[one].tolist(), strict=True)
        pieces = [self._pieces(seen, *each) for each in alike]
        before, between, after = (
            pa.array([each[place] for each in pieces], type=pa.string()).take(which) for place in range(3)
        )
        name = self._names.take(pc.if_else(between.is_valid(), pa.array(rep), None))
        points = _points(share, self._language)
        return pc.binary_join_element_wise(before, name, between, points, after, "", null_handling="skip")

    def _fits(self, seen: Seen, code: np.ndarray) -> np.ndarray:
        """In which column each rep states what a match asks for, int (n_values, n_reps), 0: in none.

        Nothing else of a rep but her name changes a wording.
        """
        fits = np.zeros((len(seen.values), len(self._names)), dtype=np.int8)
        for one in np.flatnonzero(np.bincount(code, minlength=len(fits))).tolist():
            if self._terms[seen.term[one]].kind == "match":
                asked = [token.casefold() for token in tokens_of(seen.values[one]) or ()]
                for place, by_word in self._stating:
                    for word in asked:
                        fits[one, by_word.get(word, NOBODY)] = place
        return fits

    def _pieces(self, seen: Seen, code: int, good: bool, fit: int, rep: int) -> Pieces:
        """The wording of a value's part; `rep` : one of those with this fit."""
        value, term = seen.values[code], seen.term[code]
        key = (term, good, fit, *kept_apart(value))
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MOST_WORDINGS:
                self._known.clear()
            feature, kind = self._terms[term]
            part = Contribution(feature, value, 1.0 if good else -1.0, kind)
            known = self._known[key] = _cut(wording(part, self._reps[rep], self._language))
        return known


def _cut(worded: str) -> Pieces:
    start, _, after = worded.partition(POINTS_HERE)
    before, name, between = start.partition(NAME_HERE)
    return before, between if name else None, after


def _one_each(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct key stands at one of its places, (k,), and which of them each place has, (n,)."""
    which, distinct = pd.factorize(keys)
    one = np.empty(len(distinct), dtype=np.intp)
    one[which] = np.arange(len(keys))
    return one, which


def _stating(reps: Sequence[Rep]) -> list[tuple[int, dict[str, np.ndarray]]]:
    """Who states which word in each of the roster's columns, numbered from 1; the first last, so that it counts."""
    by_column: dict[str, dict[str, list[int]]] = {}
    for place, rep in enumerate(reps):
        for column, words in stated(rep).items():
            by_word = by_column.setdefault(column, {})
            for word in words:
                by_word.setdefault(word, []).append(place)
    arrays = [{word: np.array(places) for word, places in by_word.items()} for by_word in by_column.values()]
    return list(enumerate(arrays, start=1))[::-1]


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
    one, which = _one_each(figures)
    return pa.array([points_text(each, language) for each in share[one].tolist()], type=pa.string()).take(which)
