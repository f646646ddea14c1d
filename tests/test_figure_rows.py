"""Rows of figures as JSON: what a reader gets back is what was there."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.figure_rows import rows_of

SMALL = st.floats(-9.99, 9.99)


def test_a_row_by_hand():
    figures = np.array([[0.25, 1.0], [-0.5, 0.0]])
    assert rows_of(figures, [b',"value":', b"}"]) == [
        b' 0.2500000000000000,"value":-0.5000000000000000}',
        b' 1.0000000000000000,"value": 0.0000000000000000}',
    ]


@given(st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=20))
def test_a_reader_gets_the_figures_back_to_sixteen_decimals(rows):
    figures = np.array(rows).T
    read = [json.loads(b"[" + row[:-1] + b"]") for row in rows_of(figures, [b",", b","])]
    # One step of the last decimal, and what a double near 10 cannot tell apart.
    np.testing.assert_allclose(np.array(read).T, figures, rtol=0, atol=1e-16 + 2 * np.spacing(10.0))
    below_one = np.abs(figures.T) < 1
    np.testing.assert_allclose(np.array(read)[below_one], figures.T[below_one], rtol=0, atol=2.3e-16)


@pytest.mark.parametrize(("odd", "read"), [(np.nan, None), (np.inf, None), (-1234.5, -1234.5), (10.0, 10.0)])
def test_what_has_no_such_form_is_written_as_it_is(odd, read):
    first, second = rows_of(np.array([[odd, 0.125]]), [b""])
    assert json.loads(first) == read
    assert json.loads(second) == 0.125


def test_no_rows_are_none():
    assert rows_of(np.empty((2, 0)), [b",", b""]) == []
