"""A table written as JSON from its columns: what a reader gets back is what was there, to 16 decimals or better."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.telling import json_rows, score_listing
from serving.telling.json_rows import Picked
from tests.conftest import absent

COMPILED = score_listing.written is not json_rows.written
figures = st.floats(-9.99, 9.99)
larger = st.floats(-999_999_999, 999_999_999) | st.sampled_from([10.0, 99.99999999999999, 999.9999999999999, 1e8])


@pytest.fixture(scope="module")
def compiled():
    """The compiled way."""
    if not COMPILED:
        absent("a C compiler, when leadmatch was installed,")
    return score_listing.written


@pytest.fixture(scope="module", params=["plain", "compiled"])
def written(request):
    """Each of both ways."""
    return json_rows.written if request.param == "plain" else request.getfixturevalue("compiled")


def test_a_table_by_hand(compiled):
    columns = [[b'{"a":', b'{"b":'], np.array([0.25, -1.5]), b',"x":', np.array([3.0, 0.0]), b"}"]
    assert compiled(columns, 2) == (
        b'[{"a":0.2500000000000000,"x":3.0000000000000000},{"b":-1.5000000000000000,"x":0.0000000000000000}]'
    )
    assert json_rows.written(columns, 2) == b'[{"a":0.25,"x":3.0},{"b":-1.5,"x":0.0}]'


def test_texts_picked_from_a_block_by_hand(written):
    block = Picked.all_of([b"1", b'"two"', b"[]"])
    assert written([block], 3) == b'[1,"two",[]]'
    again = block._replace(which=np.array([2, 0, 1, 1]))
    assert written([b"[", again, b"]"], 4) == b'[[[]],[1],["two"],["two"]]'
    assert written([block._replace(which=np.zeros(0, dtype=np.intp))], 0) == b"[]"


@pytest.mark.parametrize("which", [[3], [-1]])
def test_a_text_that_is_not_in_the_block_is_refused(compiled, which):
    with pytest.raises(ValueError, match=f"no text {which[0]} in the block"):
        compiled([Picked.all_of([b"1", b"2", b"3"])._replace(which=np.array(which))], 1)


def test_a_block_that_is_shorter_than_it_says_is_refused(compiled):
    with pytest.raises(ValueError, match="no text 1 in the block"):
        compiled([Picked(b"1", np.array([0, 1, 99]), np.array([0, 1]))], 2)


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


@given(column=st.lists(larger, max_size=20).map(np.array))
def test_larger_figures_have_every_digit_too(written, column):
    read = json.loads(written([column.astype(float)], len(column)))
    np.testing.assert_allclose(read, column, rtol=2.3e-16, atol=1.1e-16)


@pytest.mark.parametrize(("odd", "read"), [(np.nan, None), (np.inf, None), (-1e9, -1e9), (1e300, 1e300)])
def test_what_has_no_such_form_is_written_as_it_is(written, odd, read):
    assert json.loads(written([np.array([odd, 0.125])], 2)) == [read, 0.125]


def test_no_rows_are_an_empty_list(written):
    assert written([b"x", [], np.empty(0)], 0) == b"[]"


@pytest.mark.parametrize("column", [[b"1"], np.zeros(3)], ids=["texts", "figures"])
def test_a_column_of_another_length_is_refused(written, column):
    with pytest.raises(ValueError, match="must have 2 rows"):
        written([column], 2)


def test_texts_that_are_not_bytes_are_refused(compiled):
    with pytest.raises(TypeError, match="must be bytes, got str"):
        compiled([["1"]], 1)


def test_figures_lie_anywhere_in_memory(written):
    table = np.array([[0.5, 1.0], [0.25, 2.0]])
    assert json.loads(written([table[:, 0]], 2)) == [0.5, 0.25]


def test_fewer_rows_than_none_are_refused(compiled):
    with pytest.raises(ValueError, match="0 rows or more, got -1"):
        compiled([b"x"], -1)
