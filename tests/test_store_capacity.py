"""No rep gets more than the limits allow, and a slot comes back once."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from data.errors import InputError
from data.roster import Rep
from data.store import capacity, decisions, roster
from data.store.capacity import Load
from data.store.tables import capacity_ledger

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = "2026-03-02"


def entries(floor):
    """(rep, open, day, kind, over the limit) of every entry, oldest first."""
    c = capacity_ledger.c
    with floor.ledger.reading() as conn:
        rows = conn.execute(
            select(c.rep_id, c.open_delta, c.day_delta, c.kind, c.over_limit).order_by(c.seq)
        ).all()
    return [tuple(row) for row in rows]


def release(floor, kind, decision="D-L-1"):
    with floor.ledger.writing() as tx:
        return capacity.release(tx, decision, kind=kind, at=NINE)


def test_open_leads_stop_at_the_capacity(floor):
    floor.reps(Rep("R-1", capacity=2))
    assert [floor.decide(f"L-{n}") for n in range(3)] == ["D-L-0", "D-L-1", None]
    assert floor.load() == (2, 2)


def test_leads_from_elsewhere_count_as_open(floor):
    floor.reps(Rep("R-1", capacity=3, open_count=2))
    assert [floor.decide(f"L-{n}") for n in range(2)] == ["D-L-0", None]
    assert floor.load() == (3, 1)


def test_a_days_leads_stop_at_the_daily_limit_and_begin_anew_tomorrow(floor):
    floor.reps(Rep("R-1", daily_limit=1))
    assert floor.decide("L-1") == "D-L-1"
    assert floor.decide("L-2") is None
    assert floor.decide("L-3", window="2026-03-03") == "D-L-3"
    assert floor.load() == (2, 1)


def test_a_limit_of_nothing_gives_nothing(floor):
    floor.reps(Rep("R-1", daily_limit=0), Rep("R-2", capacity=0))
    assert floor.decide("L-1", "R-1") is None
    assert floor.decide("L-1", "R-2") is None
    assert entries(floor) == []


@pytest.mark.parametrize("reps", [[Rep("R-1", active=False)], [Rep("R-2")]])
def test_whoever_is_inactive_or_left_the_roster_gets_nothing(floor, reps):
    floor.reps(*reps)
    assert floor.decide("L-1", "R-1") is None


def test_a_capacity_below_what_is_used_only_blocks_new_leads(floor):
    for number in range(3):
        floor.decide(f"L-{number}")
    floor.reps(Rep("R-1", capacity=1))
    assert floor.decide("L-9") is None
    assert floor.load() == (3, 3)
    floor.tell(kind="won", lead="L-0")
    floor.tell(kind="won", lead="L-1")
    assert floor.decide("L-9") is None
    floor.tell(kind="won", lead="L-2")
    assert floor.decide("L-9") == "D-L-9"


def test_the_limits_that_count_are_the_ledgers_not_the_callers(floor):
    floor.reps(Rep("R-1", capacity=0))
    with floor.ledger.writing() as tx:
        stale = Rep("R-1", capacity=9)
        assert not capacity.reserve(tx, stale, decision_id="D", window=DAY, at=NINE)


def test_a_forced_slot_is_taken_over_the_limit_and_noted(floor):
    floor.reps(Rep("R-1", capacity=0))
    with floor.ledger.writing() as tx:
        assert capacity.reserve(tx, Rep("R-1"), decision_id="D-L-1", window=DAY, at=NINE, force=True)
        decisions.record(tx, floor.row(), b"{}")
    assert entries(floor) == [("R-1", 1, 1, "assigned", True)]
    assert floor.load() == (1, 1)


def test_a_day_that_fills_up_in_between_leaves_the_open_slot_untouched(floor, monkeypatch):
    from data.store import counters

    floor.reps(Rep("R-1", daily_limit=1, capacity=9))
    floor.decide("L-1")
    # As when another transaction takes the day's last slot between the two statements.
    monkeypatch.setattr(counters, "_TAKE_OPEN", counters._ADD_OPEN)
    assert floor.decide("L-2") is None
    assert floor.load() == (1, 1)


def test_a_slot_without_a_decision_does_not_outlive_its_transaction(floor):
    with pytest.raises(Exception, match=r"(?i)foreign key"), floor.ledger.writing() as tx:
        assert capacity.reserve(tx, Rep("R-1"), decision_id="nothing", window=DAY, at=NINE)
    assert floor.load() == (0, 0)


def test_loads_are_of_those_who_were_asked_for(floor):
    floor.reps(Rep("R-1", open_count=4), Rep("R-2"))
    floor.decide("L-1", "R-1", after=30)
    floor.decide("L-2", "R-1", after=10)
    with floor.ledger.reading() as conn:
        found = capacity.loads(conn, {"R-1": DAY, "R-2": "2026-03-03", "stranger": DAY})
    last = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    assert found == {"R-1": Load(6, 2, last), "R-2": Load(0, 0), "stranger": Load(0, 0)}


@pytest.mark.parametrize(
    ("zone", "at", "day"),
    [
        ("UTC", "2026-03-02T23:59:59+00:00", "2026-03-02"),
        ("Asia/Shanghai", "2026-03-02T16:00:00+00:00", "2026-03-03"),
        ("Pacific/Tongatapu", "2026-03-02T11:00:00+00:00", "2026-03-03"),  # +13
        ("Pacific/Pago_Pago", "2026-03-02T10:59:59+00:00", "2026-03-01"),  # -11
        ("Europe/Berlin", "2026-10-24T22:00:00+00:00", "2026-10-25"),  # a day of 25 hours begins
        ("Europe/Berlin", "2026-10-25T22:59:59+00:00", "2026-10-25"),
        ("Europe/Berlin", "2026-10-25T23:00:00+00:00", "2026-10-26"),
        ("Europe/Berlin", "2027-03-28T21:59:59+00:00", "2027-03-28"),  # a day of 23 hours ends
    ],
)
def test_the_window_is_the_reps_own_date(zone, at, day):
    assert capacity.local_day(Rep("R", time_zone=zone), datetime.fromisoformat(at)) == day


def test_a_recycled_lead_frees_its_slot_once_and_is_decided_anew(floor):
    floor.decide()
    assert release(floor, "recycled")
    assert not release(floor, "recycled")
    assert floor.load() == (0, 1)
    assert floor.standing() is None
    floor.decide(decision="D-2", rep="R-2", after=60)
    assert floor.standing() == "D-2"
    assert (floor.state().status, floor.state("D-2").status) == ("recycled", "open")
    assert (floor.load("R-1"), floor.load("R-2")) == ((0, 1), (1, 1))
    assert not release(floor, "recycled", "D-L-1")
    assert floor.load("R-2") == (1, 1)


def test_a_timed_out_lead_frees_its_slot_and_stays_with_its_rep(floor):
    floor.decide()
    assert release(floor, "timed_out")
    before = floor.state()
    assert not release(floor, "timed_out")
    assert floor.state() == before
    assert floor.load() == (0, 1)
    assert floor.standing() == "D-L-1"
    assert (floor.state().status, floor.state().rep_id) == ("open", "R-1")
    assert release(floor, "recycled")  # nothing left to give back, but the lead goes
    assert floor.standing() is None
    assert [entry[3] for entry in entries(floor)] == ["assigned", "timed_out"]


def test_a_closed_lead_is_not_released_again(floor):
    floor.decide()
    floor.tell(kind="won")
    assert not release(floor, "recycled")
    assert floor.state().status == "won"
    assert floor.load() == (0, 1)


def test_release_needs_a_known_decision_and_kind(floor):
    floor.decide()
    with pytest.raises(ValueError, match="no decision"):
        release(floor, "recycled", "D-9")
    with pytest.raises(ValueError, match="recycled"):
        release(floor, "won")


# The roster -------------------------------------------------------------------------------------------------


def put(floor, *reps, actor="me"):
    with floor.ledger.writing() as tx:
        return roster.put_reps(tx, reps, actor=actor, at=NINE)


def read(floor, version=None):
    with floor.ledger.reading() as conn:
        return roster.read_roster(conn, version)


FULL = Rep(
    "R-9",
    name="Li Na",
    team="east",
    region="Jiangsu",
    regions=("Jiangsu", "上海"),
    skills=("steel",),
    languages=("zh", "en"),
    hired_at=datetime(2020, 1, 1, tzinfo=UTC),
    left_at=datetime(2030, 1, 1, 12, 30, 0, 5, tzinfo=UTC),
    active=False,
    capacity=40,
    daily_limit=5,
    open_count=3,
    time_zone="Asia/Shanghai",
    hours="mon-fri 09:00-18:00",
    absent_from=datetime(2026, 5, 1, tzinfo=UTC),
    absent_until=datetime(2026, 5, 8, tzinfo=UTC),
    attributes={"seniority": 3, "certified": True},
)


def test_a_rep_comes_back_as_she_was_put(floor):
    put(floor, FULL, Rep("R-1"))
    assert read(floor).reps == (FULL, Rep("R-1"))


def test_each_change_is_a_version_and_no_change_is_none(floor):
    first = read(floor).version
    assert put(floor, FULL) == first + 1
    assert put(floor, FULL) == first + 1
    assert put(floor, FULL, Rep("R-1")) == first + 2
    with floor.ledger.reading() as conn:
        assert roster.version(conn) == first + 2


def test_the_roster_can_be_read_as_it_was(floor):
    one = put(floor, Rep("R-1", capacity=1), Rep("R-2"))
    two = put(floor, Rep("R-3"), Rep("R-1", capacity=2))
    assert read(floor, one).reps == (Rep("R-1", capacity=1), Rep("R-2"))
    assert read(floor, two).reps == read(floor).reps == (Rep("R-3"), Rep("R-1", capacity=2))
    assert read(floor, 0).reps == ()


def test_a_patch_changes_what_it_names_and_says_who_did_it(floor):
    put(floor, Rep("R-1", capacity=1, attributes={"a": 1, "b": 2}))
    with floor.ledger.writing() as tx:
        changed = {"capacity": 5, "skills": ["steel"], "attributes": {"a": None, "c": 3}}
        version = roster.patch_rep(tx, "R-1", changed, actor="boss", at=NINE)
    after = Rep("R-1", capacity=5, skills=("steel",), attributes={"b": 2, "c": 3})
    assert read(floor).reps == (after,)
    with floor.ledger.reading() as conn:
        last = roster.changes(conn, rep_id="R-1")[-1]
    assert (last.version, last.actor, last.at, last.after) == (version, "boss", NINE, after)
    assert last.before.capacity == 1


def test_whoever_leaves_the_roster_may_come_back_with_her_load(floor):
    floor.decide("L-1", "R-1")
    put(floor, Rep("R-2"))
    with floor.ledger.reading() as conn:
        assert roster.everybody(conn) == [Rep("R-1", active=False), Rep("R-2")]
    put(floor, Rep("R-1", capacity=1), Rep("R-2"))
    assert floor.decide("L-2", "R-1") is None


def test_a_roster_that_cannot_be_is_refused(floor):
    before = read(floor)
    for wrong, said in (
        ([Rep("R-1"), Rep("R-1")], "twice"),
        ([Rep("R-1", time_zone="Mars/Olympus")], "time zone"),
        ([Rep("R-1", capacity=-1)], "negative capacity"),
    ):
        with pytest.raises(InputError, match=said):
            put(floor, *wrong)
    for rep_id, changes in (("R-9", {"capacity": 1}), ("R-1", {"rep_id": "R-2"}), ("R-1", {"shoe_size": 43})):
        with pytest.raises(InputError), floor.ledger.writing() as tx:
            roster.patch_rep(tx, rep_id, changes, actor="me", at=NINE)
    assert read(floor) == before
