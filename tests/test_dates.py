"""Dates and times as people and CRMs write them; what is none is never guessed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.description import Description
from data.intake import moments
from data.intake.moments import days, read_moments


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def test_an_instant_in_days_by_hand():
    assert days(pd.Series([at("1970-01-02 12:00"), pd.NaT]))[0] == 1.5
    assert np.isnan(days(pd.Series([at("1970-01-02"), pd.NaT]))[1])


DATES = {
    "2024-03-05": "2024-03-05",
    "2024-03-05T10:20:30Z": "2024-03-05 10:20:30",
    "2024-03-05 10:20": "2024-03-05 10:20",
    "2024-03-05T10:00:00+0230": "2024-03-05 07:30",
    "2024-03-05T10:00:00.25-01": "2024-03-05 11:00:00.25",
    "2024/3/5 9:05": "2024-03-05 09:05",
    "2024年3月5日": "2024-03-05",
    "2024.3.5": "2024-03-05",
    "20240305": "2024-03-05",
    "27-Mar-12": "2012-03-27",
    "1 May 99": "1999-05-01",
    "Mar 5, 2024 5:06 PM": "2024-03-05 17:06",
    "5th March 2024": "2024-03-05",
    "March 5 2024 12:00 am": "2024-03-05",
    "31.12.2024 23:59": "2024-12-31 23:59",
    "1709600000000": "2024-03-05 00:53:20",
    "13/02/2024": "2024-02-13",
    "3/4/24 1:00 p.m.": "2024-04-03 13:00",
    "5-Sept-1999": "1999-09-05",
}


@pytest.mark.parametrize(("written", "meant"), DATES.items())
def test_dates_as_people_write_them(written, meant):
    moments = read_moments(pd.Series([written], dtype="str"), Description(), True)
    assert moments.at[0] == at(meant)
    assert moments.date_only[0] == (":" not in written and not written.startswith("17"))


@pytest.mark.parametrize(
    "written", ["02/13/2024", "2024-02-30", "2024-13-01", "5 Foo 2024", "0:30", "45000", "soon", "13:00 PM"]
)
def test_what_is_no_date_is_not_guessed(written):
    assert read_moments(pd.Series([written], dtype="str"), Description(), True).unreadable[0]


def test_times_without_offset_are_of_the_stated_zone(tmp_path):
    berlin = Description(time_zone="Europe/Berlin")
    written = pd.Series(["2024-07-01 12:00", "2024-01-01 12:00", "2024-07-01T12:00Z", "2024-03-31 02:30"], dtype="str")
    read = read_moments(written, berlin, None).at.tolist()
    # The last one does not exist: clocks went from 2 to 3 o'clock.
    assert read == [at("2024-07-01 10:00"), at("2024-01-01 11:00"), at("2024-07-01 12:00"), at("2024-03-31 01:00")]


@given(
    st.lists(
        st.from_regex(
            r"(19|20|[0-9\u0660]{2})[0-9]{2}-[01][0-9]-[0-3][0-9]"
            r"([T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9]([.,][0-9]{1,10})?)? ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)?)?",
            fullmatch=True,
        ),
        max_size=20,
    )
)
def test_texts_in_iso_form_are_read_as_they_would_be_part_by_part(written):
    values = pd.Series(written, dtype="str")
    at_once = moments.read_moments(values, Description(), None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "_ISO", "never")
        by_parts = moments.read_moments(values, Description(), None)
    pd.testing.assert_series_equal(at_once.at, by_parts.at)
    np.testing.assert_array_equal(at_once.unreadable, by_parts.unreadable)
    np.testing.assert_array_equal(at_once.date_only, by_parts.date_only)
