"""Which outcomes are old enough, and the window W within which a conversion counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.labels import LEAST_CONVERSIONS, label, maturity_window

NAN = np.nan


def labelled(rows, *, now=100.0, window=None, final=False):
    """rows : (assigned, outcome, when it came, taken away) with outcome True, False or None."""
    assigned, outcome, when, ended = (np.array(column, dtype=object) for column in zip(*rows, strict=True))
    return label(
        converted=np.array([one is True for one in outcome]),
        known=np.array([one is not None for one in outcome]),
        assigned_days=assigned.astype(float),
        outcome_days=when.astype(float),
        ended_days=ended.astype(float),
        now_days=now,
        window_days=window,
        final=final,
    )


def test_labels_by_hand():
    rows = [
        (50, True, 60, NAN),  # converted after 10 days
        (50, True, 80, NAN),  # converted after 30 days, and that is too late
        (50, True, 70, NAN),  # on the window's last day
        (50, False, 55, NAN),  # lost
        (50, None, NAN, NAN),  # open for 50 days: not converted within 20
        (80, None, NAN, NAN),  # 20 days old: old enough
        (81, True, 85, NAN),  # 19 days old: too young, though it has converted; its unlucky peers are not known yet
        (50, None, NAN, 60),  # taken away after 10 days: nobody knows what would have been
        (50, None, NAN, 70),  # kept for the whole window
        (50, True, 90, 60),  # converted, but in other hands
        (50, True, NAN, NAN),  # converted nobody knows when
        (101, None, NAN, NAN),  # after the data were taken
    ]
    labels = labelled(rows, window=20.0)
    assert labels.mature.tolist() == [1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0]
    assert labels.converted[labels.mature].tolist() == [1, 0, 1, 0, 0, 0, 0]
    assert labels.window_days == 20.0
    assert labels.immature == 5


def test_final_outcomes_need_no_window():
    rows = [(99, True, NAN, NAN), (100, False, NAN, NAN), (50, None, NAN, NAN), (1, False, NAN, 2)]
    labels = labelled(rows, final=True)
    assert labels.mature.tolist() == [1, 1, 0, 0]
    assert labels.converted.tolist() == [1, 0, 0, 0]
    assert labels.window_days == 0


def test_the_window_is_the_90_percent_quantile_of_old_rows_delays():
    # Forty conversions after 1 ... 40 days, all older than 40 days; younger rows show only quick conversions.
    old, young = np.arange(1, 41, dtype=float), np.ones(500)
    delays = np.concatenate([old, young, [NAN, NAN]])
    ages = np.concatenate([np.full(40, 41.0), np.full(500, 40.0), [200.0, 3.0]])
    assert maturity_window(delays, ages) == pytest.approx(np.quantile(old, 0.9)) == pytest.approx(36.1)


def test_where_few_are_older_than_the_longest_delay_the_oldest_half_is_taken():
    delays = np.array([1.0, 2.0, 3.0, 50.0, 9.0, 9.0])
    ages = np.array([60.0, 50.0, 40.0, 51.0, 10.0, 10.0])  # two are older than 50 days; the median age is 45
    assert maturity_window(delays, ages) == pytest.approx(np.quantile([1, 2, 50], 0.9))
    assert LEAST_CONVERSIONS > 2


def test_conversions_among_the_youngest_alone_still_give_a_window():
    assert maturity_window(np.array([NAN, NAN, NAN, 4.0]), np.array([90.0, 80.0, 70.0, 5.0])) == 4.0


def test_without_a_dated_conversion_the_window_must_be_stated():
    with pytest.raises(ValueError, match="State `window:`"):
        maturity_window(np.array([NAN, NAN]), np.array([1.0, 2.0]))
    assert labelled([(1, True, NAN, NAN), (1, False, 5, NAN)], window=9.0).mature.tolist() == [0, 1]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 100),
            st.sampled_from([True, False, None]),
            st.one_of(st.just(NAN), st.integers(0, 60)),
            st.one_of(st.just(NAN), st.integers(0, 60)),
        ),
        min_size=1,
    ),
    st.integers(1, 50),
)
def test_what_happens_after_the_window_changes_no_label(rows, window):
    rows = [(at, outcome, at + delay, at + kept) for at, outcome, delay, kept in rows]

    def later(moment, at):
        return moment if np.isnan(moment) or moment - at < window else moment + 7

    moved = [(at, o, when if not when > at + window else when + 7, later(end, at)) for at, o, when, end in rows]
    before, after = labelled(rows, window=window), labelled(moved, window=window)
    np.testing.assert_array_equal(before.mature, after.mature)
    np.testing.assert_array_equal(before.converted, after.converted)
    assert not np.any(before.mature & (100 - np.array([at for at, *_ in rows]) < window))
