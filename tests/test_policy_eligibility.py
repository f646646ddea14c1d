"""Eligibility and availability: who could get a lead, who has room now, and the reasons for the others."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.roster import Rep
from data.store.capacity import Load
from data.store.load_book import RosterLoads
from serving.policy.eligibility import FULL, Screener, away
from serving.policy.hours import parse_hours, works_between, zone
from serving.policy.rulebook import HardRules, RuleBook, parse_rule_book

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Result:
    """What a screening and a look at the loads say together."""

    eligible: np.ndarray
    available: np.ndarray
    excluded: dict


def laid_out(reps, loads):
    """The loads of these reps; one who is not named has none of our leads."""
    found = [loads.get(rep.rep_id, Load(rep.open_count, 0)) for rep in reps]
    opened = np.array([load.open for load in found], dtype=np.int64)
    today = np.array([load.today for load in found], dtype=np.int64)
    places = {rep.rep_id: place for place, rep in enumerate(reps)}
    return RosterLoads(places, opened, today, np.full(len(reps), -1), tuple(rep.time_zone for rep in reps))


def screened(lead, reps, loads=None, *, rules=None, at=MONDAY, minutes=120, minutes_for=None, **book):
    screener = Screener(RuleBook(eligibility=rules or HardRules(), **book), reps)
    found = screener.screen(lead, at=at, minutes_for=minutes_for or (lambda eligible: minutes))
    room = screener.room(np.arange(len(reps)), laid_out(reps, loads or {}), at)
    full = tuple(rep.rep_id for rep, held in zip(reps, found.eligible & ~room, strict=True) if held)
    return Result(found.eligible, found.eligible & room, {**found.excluded, **({FULL: full} if full else {})})


@pytest.mark.parametrize(
    ("rep", "why"),
    [
        (Rep("a"), None),
        (Rep("a", active=False), "inactive"),
        (Rep("a", left_at=MONDAY), "left"),
        (Rep("a", left_at=MONDAY + DAY), None),
        (Rep("a", hired_at=MONDAY + DAY), "not hired yet"),
        (Rep("a", hired_at=MONDAY), None),
        (Rep("a", absent_from=MONDAY - DAY, absent_until=MONDAY + DAY), "absent"),
        (Rep("a", absent_from=MONDAY - DAY, absent_until=MONDAY), None),
        (Rep("a", absent_from=MONDAY + DAY, absent_until=MONDAY + 2 * DAY), None),
        (Rep("a", absent_until=MONDAY + DAY), "absent"),
        (Rep("a", absent_from=MONDAY), "absent"),
        (Rep("a", region="south"), "another region"),
        (Rep("a", region="south", regions=("North ", "east")), None),
        (Rep("a", hours="09:00-18:00"), None),
        (Rep("a", hours="sat-sun 09:00-18:00"), "off hours"),
        (Rep("a", hours="09:00-17:00", time_zone="Asia/Shanghai"), "off hours"),  # 17:00 there
        (Rep("a", capacity=5, open_count=5), "at capacity"),
        (Rep("a", capacity=0), "at capacity"),
        (Rep("a", daily_limit=0), "at capacity"),
    ],
)
def test_why_a_rep_is_not_asked(rep, why):
    result = screened({"lead_id": "L-1", "region": "north"}, [rep])
    assert result.excluded == ({} if why is None else {why: ("a",)})
    assert result.eligible.tolist() == [why in (None, "at capacity")]
    assert result.available.tolist() == [why is None]


def test_a_full_rep_stays_eligible_and_only_loses_this_moment():
    reps = [Rep("open", capacity=10), Rep("today", daily_limit=3), Rep("free", capacity=10, daily_limit=3)]
    loads = {"open": Load(10, 1), "today": Load(2, 3), "free": Load(9, 2)}
    result = screened({"lead_id": "L-1"}, reps, loads)
    assert result.eligible.all()
    assert result.available.tolist() == [False, False, True]
    assert result.excluded == {"at capacity": ("open", "today")}


def test_the_first_reason_in_the_order_of_the_rules_is_told():
    everything = Rep("a", active=False, left_at=MONDAY, region="south", hours="sat 01:00-02:00", capacity=0)
    assert screened({"lead_id": "L-1", "region": "north"}, [everything]).excluded == {"inactive": ("a",)}


@pytest.mark.parametrize("region", [None, "", "  ", 7])
def test_a_lead_without_a_region_fits_every_rep(region):
    assert screened({"lead_id": "L-1", "region": region}, [Rep("a", region="south")]).eligible.all()


def test_switched_off_rules_exclude_nobody():
    reps = [Rep("a", region="south"), Rep("b", hours="sat 09:00-10:00")]
    rules = HardRules(region=False, working_hours=False)
    assert screened({"lead_id": "L-1", "region": "north"}, reps, rules=rules).available.all()


def test_an_empty_roster_has_nobody():
    result = screened({"lead_id": "L-1"}, [])
    assert len(result.eligible) == len(result.available) == 0
    assert result.excluded == {}


def test_the_deadline_follows_from_those_who_are_eligible_at_any_hour():
    seen = []
    reps = [Rep("a", region="south"), Rep("b", hours="sat 09:00-10:00"), Rep("c")]

    def minutes_for(eligible):
        seen.append(eligible.tolist())
        return 6 * 24 * 60  # Saturday is within reach

    result = screened({"region": "north"}, reps, minutes_for=minutes_for)
    assert seen == [[False, True, True]]
    assert result.eligible.tolist() == [False, True, True]


roster = st.lists(
    st.builds(
        Rep,
        rep_id=st.uuids().map(str),
        region=st.sampled_from([None, "north", "south"]),
        active=st.booleans(),
        capacity=st.one_of(st.none(), st.integers(0, 3)),
        open_count=st.integers(0, 3),
        hours=st.sampled_from([None, "mon-fri 09:00-18:00", "sun 00:00-24:00"]),
    ),
    max_size=8,
)


@given(roster)
def test_every_rep_is_available_or_has_exactly_one_reason(reps):
    result = screened({"lead_id": "L-1", "region": "north"}, reps)
    named = [rep_id for ids in result.excluded.values() for rep_id in ids]
    free = [rep.rep_id for rep, flag in zip(reps, result.available, strict=True) if flag]
    assert sorted(named + free) == sorted(rep.rep_id for rep in reps)
    assert np.all(result.eligible | ~result.available)


@given(roster)
def test_what_a_rep_gains_never_takes_the_lead_from_her(reps):
    before = screened({"lead_id": "L-1", "region": "north"}, reps)
    freed = [replace(rep, capacity=None, regions=(*rep.regions, "north"), hours=None) for rep in reps]
    after = screened({"lead_id": "L-1", "region": "north"}, freed)
    assert np.all(after.available | ~before.available)


def test_regions_are_compared_without_case_and_blanks():
    reps = [Rep("a", regions=("North",)), Rep("b"), Rep("c", region="northeast")]
    assert screened({"region": " north "}, reps).eligible.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("hours", "time_zone", "begin", "minutes", "works"),
    [
        ("mon-fri 09:00-18:00", "UTC", "2026-03-02T08:00", 59, False),
        ("mon-fri 09:00-18:00", "UTC", "2026-03-02T08:00", 60, True),
        ("mon-fri 09:00-18:00", "UTC", "2026-03-02T17:59", 0, True),
        ("mon-fri 09:00-18:00", "UTC", "2026-03-02T18:00", 60, False),  # an end is no longer worked
        ("mon-fri 09:00-18:00", "UTC", "2026-03-06T18:00", 60 * 63, True),  # Friday evening to Monday morning
        ("mon-fri 09:00-18:00", "UTC", "2026-03-06T18:00", 60 * 63 - 1, False),
        ("mon 22:00-06:00", "UTC", "2026-03-03T05:59", 0, True),  # a night shift reaches into Tuesday
        ("mon 22:00-06:00", "UTC", "2026-03-03T06:00", 600, False),
        ("sat-mon 10:00-11:00", "UTC", "2026-03-01T10:30", 0, True),  # days run over the week's end
        ("mon-fri 9:00-12:00; sat 10:00-14:00", "UTC", "2026-03-07T13:00", 0, True),
        ("09:00-18:00", "Pacific/Kiritimati", "2026-03-01T19:00", 0, True),  # 09:00 on Monday, fourteen hours ahead
        ("00:00-24:00", "America/New_York", "2026-03-08T06:30", 0, True),
        ("02:15-02:45", "America/New_York", "2026-03-08T07:16", 0, True),  # the hour that is skipped in spring
        ("wed 00:00-01:00", "UTC", "2026-03-05T00:00", 60 * 24 * 90, True),  # a far deadline ends in finite time
    ],
)
def test_working_hours_by_hand(hours, time_zone, begin, minutes, works):
    start = datetime.fromisoformat(begin).replace(tzinfo=UTC)
    assert works_between(hours, time_zone, start, start + timedelta(minutes=minutes)) is works


@given(
    st.sampled_from(["mon-fri 09:00-18:00", "sat 22:00-04:00", "07:30-08:00", "fri-mon 00:00-24:00"]),
    st.sampled_from(["UTC", "Asia/Kathmandu", "America/St_Johns", "Europe/Berlin"]),
    st.integers(0, 366 * 24 * 60),
    st.integers(0, 48 * 60),
)
def test_working_hours_agree_with_asking_every_minute(hours, time_zone, begin, minutes):
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=begin)
    days = {"mon-fri 09:00-18:00": range(5), "sat 22:00-04:00": [5], "07:30-08:00": range(7)}
    days["fri-mon 00:00-24:00"] = [4, 5, 6, 0]
    begins, ends = {"mon": (540, 1080), "sat": (1320, 1680), "07:": (450, 480), "fri": (0, 1440)}[hours[:3]]

    def at_work(moment: datetime) -> bool:
        local = moment.astimezone(ZoneInfo(time_zone))
        minute = local.hour * 60 + local.minute
        today = local.weekday() in days[hours] and begins <= minute < ends
        return today or ((local.weekday() - 1) % 7 in days[hours] and begins <= minute + 1440 < ends)

    slow = any(at_work(start + timedelta(minutes=step)) for step in range(minutes + 1))
    assert works_between(hours, time_zone, start, start + timedelta(minutes=minutes)) is slow


@pytest.mark.parametrize(
    "text", ["", "9-18", "mon-fri", "mon-fry 09:00-18:00", "25:00-26:00", "09:00-18:75", "24:30-01:00"]
)
def test_hours_that_cannot_be_read_say_what_was_expected(text):
    with pytest.raises(ValueError, match=r"."):
        parse_hours(text)


@pytest.mark.parametrize("name", ["Mars/Base", "", "../../etc/passwd", "UTC\0"])
def test_a_time_zone_that_does_not_exist_is_refused(name):
    with pytest.raises(ValueError, match="time zone"):
        zone(name)


@given(roster)
def test_the_screener_agrees_with_asking_one_rep_after_the_other(reps):
    found = screened({"lead_id": "L-1"}, reps, rules=HardRules(working_hours=False))
    asked = {rep.rep_id: away(rep, MONDAY) for rep in reps}
    assert {why: set(ids) for why, ids in found.excluded.items() if why != FULL} == {
        why: {rep_id for rep_id, said in asked.items() if said == why} for why in {*asked.values()} - {None}
    }


def rule(line, reps, lead):
    book = parse_rule_book("eligibility:\n  rules:\n    - {why: it, " + line + "}\n")
    found = Screener(book, reps).screen({"lead_id": "L-1", **lead}, at=MONDAY, minutes_for=lambda _: 120)
    return "".join(rep.rep_id for rep, kept in zip(reps, found.eligible, strict=True) if kept)


STAFF = (
    Rep("a", team="key accounts", skills=("steel", "rail"), languages=("zh", "en"), attributes={"level": 3}),
    Rep("b", team="north", skills=("steel",), languages=("EN",), attributes={"level": 1, "accounts": "K-1;K-2"}),
    Rep("c", team="north", attributes={"product_line": "pumps"}),
)


@pytest.mark.parametrize(
    ("line", "lead", "kept"),
    [
        ("lead: language, rep: languages", {"language": "en"}, "abc"),  # c states none
        ("lead: language, rep: languages, unstated: fails", {"language": "En"}, "ab"),
        ("lead: language, rep: languages, unstated: fails", {}, "abc"),  # the lead does not say
        ("lead: needs, rep: skills, must: include_all", {"needs": "steel;rail"}, "ac"),
        ("lead: needs, rep: skills", {"needs": ["rail", "road"]}, "ac"),
        ("lead: level, must: at_least", {"level": 2}, "ac"),
        ("lead: level, must: at_most, unstated: fails", {"level": "2"}, "b"),
        ("lead: product_line, unstated: fails", {"product_line": "Pumps"}, "c"),
        ("lead: team, must: differ", {"team": "north"}, "a"),
        ("when: {segment: big}, reps: {team: key accounts}", {"segment": "Big"}, "a"),
        ("when: {segment: big}, reps: {team: key accounts}", {"segment": "small"}, "abc"),
        ("lead: account, rep: accounts, unstated: fails, waived_if_nobody: true", {"account": "K-2"}, "b"),
        ("lead: account, rep: accounts, unstated: fails, waived_if_nobody: true", {"account": "K-9"}, "abc"),
        ("reps: {level: {at_least: 3}}", {}, "a"),
    ],
)
def test_rules_over_any_columns_by_hand(line, lead, kept):
    assert rule(line, STAFF, lead) == kept
