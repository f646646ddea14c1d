"""How reps stood at each moment: by hand, and against a slow count."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.standing import Past, standing

NEVER = np.nan


def past(*rows):
    """Rows of (rep, assigned, ended, known, won, contacted)."""
    rep, assigned, ended, known, won, contacted = (np.array(column) for column in zip(*rows, strict=True))
    return Past(rep.astype(int), assigned, ended, known, won.astype(bool), contacted)


def test_standing_by_hand():
    events = past(
        (0, 1.0, 3.0, 3.0, True, 1.5),  # won on day 3, called after 12 hours
        (0, 2.0, NEVER, NEVER, False, NEVER),  # open, never called
        (0, 2.6, 2.8, 2.8, False, 2.7),  # lost, called after 2.4 hours
        (1, 2.5, 2.9, 2.9, True, NEVER),
    )
    at = np.array([1.0, 2.7, 3.0, 3.5])
    found = standing(events, at, 3, midnight_days=np.floor(at))
    np.testing.assert_array_equal(found.open_leads, [[0, 0, 0], [3, 1, 0], [2, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(found.today, [[0, 0, 0], [2, 1, 0], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(found.closed, [[0, 0, 0], [0, 0, 0], [1, 1, 0], [2, 1, 0]])
    np.testing.assert_array_equal(found.won, [[0, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 0]])
    np.testing.assert_allclose(
        found.response_hours[:, 0], [np.nan, 12, np.sqrt(12 * 2.4), np.sqrt(12 * 2.4)], rtol=1e-5
    )
    assert np.isnan(found.response_hours[:, 1:]).all()


moments = st.integers(0, 12).map(float)
later = st.one_of(st.just(NEVER), moments)
events = st.lists(st.tuples(st.integers(0, 2), moments, later, later, st.booleans(), later), min_size=1, max_size=25)


@given(events, st.lists(moments, min_size=1, max_size=6))
def test_counts_equal_a_slow_count(rows, asked):
    rows = [(rep, a, *(max(x, a) for x in (e, k)), w, max(c, a)) for rep, a, e, k, w, c in rows]
    found = standing(past(*rows), np.array(asked), 3, midnight_days=np.array(asked) - 2)
    for row, at in enumerate(asked):
        for rep in range(3):
            own = [each for each in rows if each[0] == rep]
            assert found.open_leads[row, rep] == sum(a < at and not e < at for _, a, e, *_ in own)
            assert found.today[row, rep] == sum(at - 2 <= a < at for _, a, *_ in own)
            assert found.closed[row, rep] == sum(k < at for _, _, _, k, *_ in own)
            hours = [max((c - a) * 24, 1e-3) for _, a, _, _, _, c in own if c < at]
            expected = np.exp(np.mean(np.log(hours))) if hours else np.nan
            np.testing.assert_allclose(found.response_hours[row, rep], expected, rtol=1e-5)
            assert found.won[row, rep] == sum(k < at and w for _, _, _, k, w, _ in own)
