"""Raw values -> the lead matrix: one builder for a table and for one lead, levels, clocks, and which columns serve."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.columns import (
    KINDS,
    OTHER,
    Column,
    ColumnContract,
    count_levels,
    instants,
    is_missing,
    level_of,
    numbers,
    tokens_of,
)
from features.infer import LEAST_SUPPORT, MOST_COLUMNS, MOST_LEVELS, infer_contract
from features.one_lead import LeadEncoder
from features.spells import lead_matrix

CONTRACT = ColumnContract(
    (
        Column("industry", "category", ("1", "3", "retail", "true")),
        Column("employees", "number"),
        Column("vip", "flag"),
        Column("founded_at", "date"),
        Column("tags", "list", ("3", "a", "b")),
    ),
    time_zone="Asia/Shanghai",
)
NAMES = [feature.name for feature in CONTRACT.features]
NOTHING = (None, float("nan"), "", "  ")

texts = st.sampled_from(["3", "3.0", "retail", " retail ", "a;b", "a；3", "yes", "NO", "1,200", "1,5", "2024-03-05"])
scalars = st.one_of(
    st.sampled_from(NOTHING), texts, st.booleans(), st.integers(), st.floats(), st.sampled_from([10**400, -0.0, 3.0])
)
values = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)),
    st.dates(date(1971, 1, 1), date(2100, 1, 1)),
)
moments = st.one_of(
    st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(datetime.isoformat),
    st.sampled_from(NOTHING),
)
rows = st.fixed_dictionaries(
    {column.name: values for column in CONTRACT.columns} | {"created_at": moments}
)


def one(contract=CONTRACT, **lead):
    """The encoded lead as feature -> value."""
    matrix = contract.encode({name: [value] for name, value in lead.items()}, 1)
    assert matrix.shape == (1, len(contract.features))
    return dict(zip([feature.name for feature in contract.features], matrix[0], strict=True))


# --- one builder ---


@given(st.lists(rows, min_size=1, max_size=6))
def test_one_lead_is_encoded_as_in_a_table(leads):
    table = {name: [lead[name] for lead in leads] for name in leads[0]}
    together = CONTRACT.encode(table, len(leads))
    alone = np.vstack([CONTRACT.encode({name: [value] for name, value in lead.items()}, 1) for lead in leads])
    np.testing.assert_array_equal(together, alone)
    objects = {name: np.fromiter(column, dtype=object, count=len(leads)) for name, column in table.items()}
    np.testing.assert_array_equal(together, CONTRACT.encode(objects, len(leads)))


@given(values)
def test_whatever_a_value_is_the_matrix_keeps_its_shape_and_holds_no_infinity(value):
    for name in (column.name for column in CONTRACT.columns):
        assert not np.isinf(list(one(**{name: value}).values())).any()


def test_typed_arrays_and_single_values_encode_alike():
    founded = ["2020-03-01T00:00", None, "2021-01-01T10:00", "2022-05-05T00:00"]
    created = ["2024-03-01T10:11:12.131415", "2024-01-01T00:00:00", None, "2024-07-01T23:59:59"]
    frame = pd.DataFrame(
        {
            "industry": [1.0, 3.0, np.nan, 9.0],
            "employees": [1, 2, 3, 4],
            "vip": [True, False, True, False],
            "founded_at": pd.to_datetime(founded, format="ISO8601", utc=True),
            "created_at": pd.to_datetime(created, format="ISO8601", utc=True),
            "tags": ["a;b", None, "", "3"],
        }
    )
    served = [
        {"industry": 1, "employees": 1.0, "vip": "true", "tags": ["b", "a"]},
        {"industry": "3", "employees": "2", "vip": False, "tags": None},
        {"industry": None, "employees": 3, "vip": 1, "tags": []},
        {"industry": 9, "employees": 4, "vip": "no", "tags": "3;"},
    ]
    for lead, *dates in zip(served, founded, created, strict=True):
        lead.update(founded_at=dates[0] and dates[0] + "+00:00", created_at=dates[1] and dates[1] + "+00:00")
    alone = [CONTRACT.encode({name: [value] for name, value in lead.items()}, 1)[0] for lead in served]
    np.testing.assert_array_equal(lead_matrix(frame, CONTRACT), alone)


def test_an_absent_column_counts_as_missing():
    assert np.isnan(list(one().values())).all()
    assert CONTRACT.encode({}, 3).shape == (3, len(NAMES))
    assert CONTRACT.encode({name: [] for name in ("industry", "employees", "created_at")}, 0).shape == (0, len(NAMES))


def test_a_contract_without_columns_or_dates_has_no_features():
    assert ColumnContract((), dated=False).encode({"x": [1, 2]}, 2).shape == (2, 0)


# --- levels ---


def test_three_is_one_level_however_it_is_written():
    for three in (3, 3.0, "3", " 3 ", np.int64(3), np.float32(3.0), np.str_("3")):
        assert level_of(three) == "3"
        assert one(industry=three)["industry"] == 1.0
        assert one(tags=[three])["tags=3"] == 1.0
    assert level_of(True) == level_of(np.bool_(True)) == "true"
    assert level_of(2.5) == "2.5"
    assert level_of(float("inf")) == "inf"


def test_unseen_is_not_missing():
    assert one(industry="shipping")["industry"] == 4.0  # the pooled level stands last
    assert CONTRACT.features[0].levels[4] == OTHER
    for nothing in (*NOTHING, pd.NaT, np.float64("nan")):
        assert is_missing(nothing)
        assert np.isnan(one(industry=nothing)["industry"])


def test_an_empty_list_is_a_missing_one():
    # A file cannot tell them apart, so neither may a request: training and serving would see different leads.
    for nothing in (*NOTHING, [], (), [None, " "], ";"):
        assert tokens_of(nothing) is None
        assert np.isnan(one(tags=nothing)["tags=a"])
    assert [one(tags="zz")[f"tags={tag}"] for tag in "3ab"] == [0, 0, 0]
    assert [one(tags="b; a;c;")[f"tags={tag}"] for tag in "3ab"] == [0, 1, 1]
    assert [one(tags=["a", "a", None])[f"tags={tag}"] for tag in "3ab"] == [0, 1, 0]


def test_levels_are_counted_by_their_text():
    assert count_levels([3, "3", 3.0, None, "x"], many=False) == {"3": 3, "x": 1}
    assert count_levels(["a;b", "b", None, ["b", 3.0]], many=True) == {"a": 1, "b": 3, "3": 1}


# --- numbers, flags, dates ---


def test_numbers_read_thousands_but_do_not_guess_decimal_commas():
    read = numbers(["1,200", "1,234.5", "1,5", " 7 ", "1e3", True, "1_000", "inf", float("inf"), 10**400, "x", [1], {}])
    np.testing.assert_array_equal(read, [1200, 1234.5, np.nan, 7, 1000, 1, *[np.nan] * 7])
    np.testing.assert_array_equal(numbers(np.array([1.0, np.inf, -np.inf])), [1.0, np.nan, np.nan])


def test_a_list_in_a_column_of_numbers_or_dates_is_a_missing_value():
    # As an array it would have brought columns of its own and moved all others.
    lead = one(employees=[1, 2], founded_at=["2020-01-01", "2020-01-02"], vip=[1], tags="a", created_at=["2024-01-01"])
    assert np.isnan([lead["employees"], lead["founded_at"], lead["vip"], lead["created_at:hour"]]).all()
    assert lead["tags=a"] == 1.0


def test_flags_read_yes_and_no_in_two_languages():
    said = ["yes", "T", "on", "是", 1, 1.0, True, "1"], ["No", "f", "off", "否", 0, 0.0, False, "0"]
    assert [{one(vip=value)["vip"] for value in side} for side in said] == [{1.0}, {0.0}]
    assert np.isnan(one(vip="perhaps")["vip"])


def test_a_date_counts_the_days_before_the_leads_arrival():
    lead = {"created_at": "2024-03-05T12:00:00+00:00"}
    assert one(founded_at="2024-03-01", **lead)["founded_at"] == 4.5
    assert one(founded_at=date(2024, 3, 6), **lead)["founded_at"] == -0.5
    assert np.isnan(one(founded_at="2024-03-01")["founded_at"])


@given(st.datetimes(datetime(1971, 1, 1), datetime(2199, 1, 1)))
def test_an_instant_is_one_number_in_whatever_form_it_comes(moment):
    aware = moment.replace(tzinfo=UTC)
    shanghai = aware.astimezone(ZoneInfo("Asia/Shanghai"))
    texts = [aware.isoformat(), shanghai.isoformat()]
    (days,) = set(instants([*texts, aware, shanghai, moment, pd.Timestamp(aware), np.datetime64(moment)]))
    assert days == instants(np.array([moment], dtype="datetime64[us]"))[0]
    assert days == instants(pd.Series([pd.Timestamp(aware)]))[0]
    assert days * 86_400 == pytest.approx(aware.timestamp(), abs=1e-5)


# --- the clock ---


def clock(moment, zone):
    lead = one(ColumnContract((), time_zone=zone), created_at=moment)
    return lead["created_at:hour"], lead["created_at:weekday"]


def test_the_hour_is_local_on_both_sides_of_a_clock_change():
    # Berlin went from +1 to +2 on Sunday, 2024-03-31 at 01:00 UTC.
    assert clock("2024-03-31T00:30:00+00:00", "Europe/Berlin") == (1.5, 6)
    assert clock("2024-03-31T01:30:00+00:00", "Europe/Berlin") == (3.5, 6)
    # Adelaide, half an hour off, changes in the middle of an hour of UTC: from +10:30 to +9:30 at 16:30.
    assert clock("2024-04-06T16:15:00+00:00", "Australia/Adelaide") == (2.75, 6)
    assert clock("2024-04-06T16:45:00+00:00", "Australia/Adelaide") == (2.25, 6)


@given(
    st.datetimes(datetime(1975, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_the_clock_is_the_zones_own(moment, zone):
    moment = moment.replace(microsecond=0)
    local = moment.astimezone(ZoneInfo(zone))
    assert clock(moment, zone) == ((local.hour * 3600 + local.minute * 60 + local.second) / 3600, local.weekday())


def test_a_local_midnight_begins_its_day():
    days = [datetime(2020, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")) + timedelta(days=n) for n in range(3000)]
    encoded = ColumnContract((), time_zone="Asia/Tokyo").encode({"created_at": days}, len(days))
    assert set(encoded[:, 0]) == {0.0}
    assert encoded[:, 1].tolist() == [day.weekday() for day in days]


# --- what a lead is told ---


def test_warnings_name_the_column_and_never_the_value():
    encoder = LeadEncoder(CONTRACT, ignored=frozenset({"lead_id"}))
    _, said = encoder.encode(
        {"employees": "many", "industry": "shipping", "vip": "maybe", "founded_at": 7, "foo": "secret", "tags": "zz",
         "lead_id": "L-1"},
    )  # fmt: skip
    assert said == [
        "unknown attribute ignored: foo",
        "industry: a value the model has not seen often; scored as any other",
        "employees: not a number; scored as missing",
        "vip: not a flag; scored as missing",
        "founded_at: not a date; scored as missing",
    ]
    assert encoder.encode({"employees": None, "industry": "retail", "vip": True})[1] == []


odd_values = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**18), 10**18), st.floats(), st.text(max_size=8),
    st.sampled_from(["retail", " retail ", "food", "3", "1,5", "1_000", "yes", "否", "a;b", "2026-07-02", "NaN", "inf",
                     "2026-07-02T03:04:05+08:00", datetime(2026, 7, 2, 3, 4, 5, tzinfo=UTC), date(2026, 1, 2)]),
    st.lists(st.sampled_from(["a", "b", 3, None]), max_size=3),
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from([*(c.name for c in CONTRACT.columns), "created_at"]), odd_values),
    st.sampled_from(["UTC", "Asia/Kathmandu", "America/New_York"]),
)
def test_one_lead_is_read_as_its_row_in_a_table(lead, zone):
    contract = replace(CONTRACT, time_zone=zone)
    row, _ = LeadEncoder(contract).encode(lead)
    table = contract.encode({name: [value] for name, value in lead.items()}, 1)
    np.testing.assert_array_equal(row, table[0])


def test_a_contract_survives_json():
    again = ColumnContract.from_json(CONTRACT.to_json())
    assert again == CONTRACT
    assert again.features == CONTRACT.features


# --- which type a column has ---


def inferred(values, **how):
    contract, excluded = infer_contract(pd.DataFrame({"x": pd.Series(values, dtype=object)}), **how)
    return (contract.columns[0].kind if contract.columns else None), [one.why for one in excluded]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2.5", "-3", None] * 30, "number"),
        (["1,200", "15"] * 30, "number"),
        (["1,5", "2,25"] * 30, "category"),  # a decimal comma is not guessed
        (["yes", "No", ""] * 30, "flag"),
        ([0, 1] * 30, "flag"),
        (["2024-03-05", "2024-03-06T10:00:00Z"] * 30, "date"),
        (["a;b", "b", "c;a"] * 30, "list"),
        ([["a", "b"], ["b"]] * 30, "list"),
        ([[1, 2], [3, 4]] * 30, "list"),
        (["red", "green", "12"] * 30, "category"),
    ],
)
def test_the_type_is_read_off_the_values(values, kind):
    assert inferred(values) == (kind, [])


def test_a_stated_type_overrides_the_values():
    assert inferred(["1", "2"] * 30, types={"x": "category"}) == ("category", [])
    with pytest.raises(ValueError, match="not a kind of column; expected one of " + ", ".join(KINDS)):
        inferred(["1"], types={"x": "colour"})


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([None, "", " "] * 10, "empty in every row"),
        (["CNY"] * 50, "the same value in every row"),
        ([f"note {i}" for i in range(300)], "300 different values in 300 rows: reads like an identifier or free text"),
        (list(range(7, 107)), "a different whole number in each row, rising with the rows: reads like a row number"),
    ],
)
def test_a_column_that_cannot_serve_is_left_out_with_its_reason(values, why):
    assert inferred(values) == (None, [why])


def test_a_value_that_is_there_or_not_may_serve():
    assert inferred(["yes", None] * 30) == ("flag", [])


def test_rare_levels_are_pooled():
    values = ["common"] * 3000 + ["fair"] * LEAST_SUPPORT + ["rare"] * (LEAST_SUPPORT - 1)
    contract, _ = infer_contract(pd.DataFrame({"x": values}))
    assert contract.columns[0].levels == ("common", "fair")
    many = [f"v{i % (MOST_LEVELS + 50)}" for i in range(20_000)]
    assert len(infer_contract(pd.DataFrame({"x": many}))[0].columns[0].levels) == MOST_LEVELS


def test_only_so_many_columns_are_taken():
    table = pd.DataFrame(np.arange(6).reshape(2, 3).repeat(200, axis=1)).astype(str).rename(columns=str)
    contract, excluded = infer_contract(table)
    assert len(contract.columns) == MOST_COLUMNS
    assert len(excluded) == 600 - MOST_COLUMNS
