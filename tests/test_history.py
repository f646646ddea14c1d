"""The rep's load at each assignment, as known then."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.history import LOAD_CLIP, open_leads, relative_load

STILL_OPEN = np.nan


def slow_open_leads(rep, assigned, ended):
    """The same by looking at every pair of spells."""
    counts = []
    for mine, at in zip(rep, assigned, strict=True):
        spells = zip(rep, assigned, ended, strict=True)
        counts.append(sum(r == mine and begun < at and not end < at for r, begun, end in spells))
    return np.array(counts, dtype=float)


@st.composite
def spells(draw):
    """Few distinct moments, so that ties are the rule; some end at once, some never."""
    rows = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.one_of(st.none(), st.integers(0, 5)))))
    rep = np.array([r for r, _, _ in rows], dtype=int)
    assigned = np.array([a for _, a, _ in rows], dtype=float)
    ended = np.array([STILL_OPEN if length is None else a + length for _, a, length in rows], dtype=float)
    return rep, assigned, ended


@given(spells())
def test_open_leads_are_those_begun_before_and_not_ended_before(floor_of_spells):
    np.testing.assert_array_equal(open_leads(*floor_of_spells), slow_open_leads(*floor_of_spells))


def test_open_leads_by_hand():
    rep = np.array([0, 0, 1, 0, 0])
    assigned = np.array([1.0, 2.0, 2.0, 3.0, 3.0])
    ended = np.array([2.5, 3.0, STILL_OPEN, STILL_OPEN, STILL_OPEN])
    # At 3 the first has ended; the second ends at that very moment, so just before it was open; the two of 3
    # do not count each other; the other rep's lead is not mine.
    assert open_leads(rep, assigned, ended).tolist() == [0, 1, 0, 1, 1]


def test_relative_load_by_hand():
    # One rep opens a lead a day and closes none; another has none open when her only lead comes.
    rep = np.array([0, 0, 0, 0, 1])
    assigned = np.array([0.0, 1.0, 2.0, 3.0, 3.0])
    load = relative_load(rep, assigned, np.full(5, STILL_OPEN))
    usual = (0 + 1 + 2 + 3 + 0) / 5
    np.testing.assert_allclose(load, (np.array([0, 1, 2, 3, 0]) - usual) / usual)


def test_each_month_has_its_own_usual_load():
    quiet, busy = np.arange(0, 28.0, 7), np.repeat(np.arange(30, 58.0), 10)
    assigned = np.concatenate([quiet, busy])
    load = relative_load(np.zeros(len(assigned), dtype=int), assigned, assigned + 7.5)
    for month in (assigned < 30, assigned >= 30):
        assert load[month].mean() == pytest.approx(0, abs=1e-9)


@given(spells())
def test_relative_load_is_nothing_on_average_and_never_wild(floor_of_spells):
    rep, assigned, ended = floor_of_spells
    load = relative_load(rep, assigned, ended)
    assert len(load) == len(rep)
    assert np.all((load >= -1) & (load <= LOAD_CLIP))
    if len(rep) and load.max() < LOAD_CLIP:  # also where hardly anything is ever open
        assert load.mean() == pytest.approx(0, abs=1e-9)
