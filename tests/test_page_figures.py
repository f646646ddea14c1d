"""What the pages of figures work out by themselves: scales, places in a calendar, stretches of time."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.roster import Rep
from serving.pages.axis import axis_of
from serving.pages.figures import Figures
from serving.pages.span import span_of
from serving.pages.team import calendar
from serving.pages.visitor import Visitor
from serving.pages.words import Say

NOW = datetime(2026, 3, 2, 20, tzinfo=UTC)  # in Shanghai it is the third already
SHANGHAI = Visitor(None, "", "en", "auto", ZoneInfo("Asia/Shanghai"), NOW)
numbers = st.floats(-1, 1, allow_nan=False)


def test_a_scale_by_hand():
    axis = axis_of([{"value": 0.1, "low": 0.0, "high": 0.2}])
    assert axis.place(0.0) == 0
    assert axis.place(0.104) == 50  # 4 % of room beyond the highest
    assert axis.zero == 0


@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=8))
def test_every_end_lies_on_the_scale_in_its_order(triples):
    rows = [dict(zip(("low", "value", "high"), sorted(each), strict=True)) for each in triples]
    axis = axis_of([*rows, None, {"value": None, "low": None, "high": None}])
    for row in rows:
        assert 0 <= axis.place(row["low"]) <= axis.place(row["value"]) <= axis.place(row["high"]) <= 100
    assert axis.zero is not None


def test_nothing_to_show_still_has_a_scale():
    assert axis_of([None]).zero == 0


def test_a_scale_without_zero_uses_its_whole_width():
    axis = axis_of([{"value": 0.33, "low": 0.32, "high": 0.34}], zero=False)
    assert axis.zero is None
    assert axis.place(0.33) == pytest.approx(50, abs=0.1)


def test_absences_begin_and_end_on_the_readers_days():
    reps = [
        Rep("R-1", absent_from=datetime(2026, 3, 4, 16, tzinfo=UTC), absent_until=datetime(2026, 3, 6, 16, tzinfo=UTC)),
        Rep("R-2", absent_until=datetime(2026, 3, 1, tzinfo=UTC)),  # over
        Rep("R-3", absent_from=datetime(2026, 3, 1, tzinfo=UTC)),  # until further notice
        Rep("R-4"),
    ]
    made = calendar(reps, SHANGHAI)
    assert made["days"][0].isoformat() == "2026-03-03"
    assert [(row["rep"].rep_id, row["left"], row["width"]) for row in made["away"]] == [("R-1", 2, 2), ("R-3", 0, 28)]


def test_a_range_begins_at_the_readers_midnight():
    span = span_of("/worth", {"range": "7d", "team": "East"}, [Rep("R-1", team="East")], SHANGHAI)
    assert span.since == datetime(2026, 2, 24, 16, tzinfo=UTC)
    assert span.address() == "/worth?range=7d&team=East"
    assert span_of("/worth", {"range": "ever", "team": "West"}, [], SHANGHAI).address() == "/worth"


def test_an_interval_of_probabilities_says_its_unit_once():
    fig = Figures(Say("en"), ZoneInfo("UTC"), NOW)
    assert fig.percent_interval(0.042, 0.31) == "4.2 to 31 %"
