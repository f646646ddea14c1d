"""A table written as JSON from its columns: what a reader gets back is what was there, compiled or not."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import json_rows
from tests.conftest import REQUIRE_ALL

if REQUIRE_ALL:
    from serving import json_kernel
else:
    json_kernel = pytest.importorskip("serving.json_kernel", reason="no compiler was there")

WAYS = (json_rows.written, json_kernel.written)
figures = st.floats(-9.99, 9.99)
ways = pytest.mark.parametrize("written", WAYS, ids=["plain", "compiled"])


def test_a_table_by_hand():
    columns = [[b'{"a":', b'{"b":'], np.array([0.25, -1.5]), b',"x":', np.array([3.0, 0.0]), b"}"]
    assert json_kernel.written(columns, 2) == (
        b'[{"a":0.2500000000000000,"x":3.0000000000000000},{"b":-1.5000000000000000,"x":0.0000000000000000}]'
    )
    assert json_rows.written(columns, 2) == b'[{"a":0.25,"x":3.0},{"b":-1.5,"x":0.0}]'


@ways
@given(rows=st.lists(st.tuples(figures, figures, st.text(max_size=9)), max_size=20))
def test_a_reader_gets_back_what_was_there(written, rows):
    one, other = (np.array([row[place] for row in rows], dtype=float) for place in (0, 1))
    texts = [json.dumps(text).encode() for _, _, text in rows]
    read = json.loads(written([b"[", one, b",", texts, b",", other, b"]"], len(rows)))
    assert [text for _, text, _ in read] == [text for _, _, text in rows]
    for place, column in ((0, one), (2, other)):
        told = np.array([row[place] for row in read])
        # One step of the last decimal, and what a double near 10 cannot tell apart.
        np.testing.assert_allclose(told, column, rtol=0, atol=1e-16 + 2 * np.spacing(10.0))
        below_one = np.abs(column) < 1
        np.testing.assert_allclose(told[below_one], column[below_one], rtol=0, atol=2.3e-16)


@ways
@pytest.mark.parametrize(("odd", "read"), [(np.nan, None), (np.inf, None), (-1234.5, -1234.5), (10.0, 10.0)])
def test_what_has_no_such_form_is_written_as_it_is(written, odd, read):
    assert json.loads(written([np.array([odd, 0.125])], 2)) == [read, 0.125]


@ways
def test_no_rows_are_an_empty_list(written):
    assert written([b"x", [], np.empty(0)], 0) == b"[]"


@ways
@pytest.mark.parametrize("column", [[b"1"], np.zeros(3)], ids=["texts", "figures"])
def test_a_column_of_another_length_is_refused(written, column):
    with pytest.raises(ValueError, match="must have 2 rows"):
        written([column], 2)


def test_texts_that_are_not_bytes_are_refused():
    with pytest.raises(TypeError, match="must be bytes, got str"):
        json_kernel.written([["1"]], 1)


def test_figures_lie_anywhere_in_memory():
    table = np.array([[0.5, 1.0], [0.25, 2.0]])
    for written in WAYS:
        assert json.loads(written([table[:, 0]], 2)) == [0.5, 0.25]
