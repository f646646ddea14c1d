"""Splits in time order: nothing is learned from what it is judged on, or from later."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.splits import cross_folds, known_before, newest, time_folds

moments = st.lists(st.integers(0, 12), min_size=1, max_size=60).map(lambda days: np.array(days, dtype=float))


def test_the_newest_fifth_by_hand():
    assert newest(np.arange(10.0), 0.2).tolist() == [False] * 8 + [True] * 2
    assert newest(np.array([3.0, 1, 2, 0, 4]), 0.2).tolist() == [False, False, False, False, True]


def test_rows_of_one_moment_are_not_torn_apart():
    assert newest(np.array([0.0] * 5 + [1.0] * 5), 0.2).sum() == 5
    assert newest(np.array([0.0] * 70 + [1.0] * 29 + [2.0]), 0.2).sum() == 30  # and not the one last row alone
    assert newest(np.zeros(4), 0.2).all()  # then there is no earlier


@pytest.mark.parametrize("share", [0, 1, -0.1, 2])
def test_a_share_lies_between_nothing_and_all(share):
    with pytest.raises(ValueError, match="share must lie between 0 and 1"):
        newest(np.arange(3.0), share)


@given(moments, st.floats(0.01, 0.99))
def test_the_newest_rows_are_newer_than_all_others(at_days, share):
    late = newest(at_days, share)
    assert late.any()
    if not late.all():
        assert at_days[late].min() > at_days[~late].max()


def test_known_before_leaves_out_labels_that_were_not_mature():
    at = np.array([0.0, 1, 2, 3, 8, 10, 11])
    assert known_before(at, 10.0, 7.0).tolist() == [1, 1, 1, 1, 0, 0, 0]
    assert known_before(at, 10.0, 9.5).tolist() == [1, 1, 1, 1, 1, 0, 0]  # one of five: a short history keeps them all


@given(moments, st.integers(0, 12), st.integers(0, 12))
def test_what_is_judged_is_never_learned_from(at_days, start, window):
    # Outcomes that are final at once have a window of 0: then a row at the very start must still not be taken.
    assert not np.any(known_before(at_days, start, window) & (at_days >= start))


@given(moments, st.integers(1, 5))
def test_each_block_is_tested_on_what_came_before(at_days, folds):
    tested = []
    for train, test in time_folds(at_days, folds):
        if len(train) and len(test):
            assert at_days[train].max() <= at_days[test].min()
        assert not set(train) & set(test)
        tested += list(test)
    assert len(tested) == len(set(tested))
    assert len(tested) == sum(len(block) for block in np.array_split(at_days, folds + 1)[1:])


def test_cross_folds_are_balanced_and_shuffled(rng):
    folds = cross_folds(103, 4, rng)
    assert sorted(np.bincount(folds)) == [25, 26, 26, 26]
    assert folds.tolist() != sorted(folds)
