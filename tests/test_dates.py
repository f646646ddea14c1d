"""Dates and times as people and CRMs write them; what is none is never guessed."""

import numpy as np
import pandas as pd
import pytest

from data.description import Description
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
