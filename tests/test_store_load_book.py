"""The loads that a worker keeps are those that the ledger holds, whoever changed them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from data.roster import Rep
from data.store import capacity, roster
from data.store.load_book import LoadBook, read_loads

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
REPS = (
    Rep("R-1", open_count=2), Rep("R-2", time_zone="Asia/Shanghai"), Rep("R-3", time_zone="Asia/Shanghai"),
)  # fmt: skip


def told(loads):
    return {rep_id: (load.open, load.today, load.last_assigned_at) for rep_id, load in loads.items()}


def slowly(conn, reps, at):
    return told(capacity.loads(conn, {rep.rep_id: capacity.local_day(rep, at) for rep in reps}))


@pytest.fixture
def people(floor):
    floor.reps(*REPS)
    with floor.ledger.reading() as conn:
        return roster.read_roster(conn).reps


def minutes(at):
    return (at - AT) // timedelta(minutes=1)


def give(floor, lead, rep, at):
    """The lead given to the rep at a moment, on her own local day."""
    day = capacity.local_day(next(one for one in REPS if one.rep_id == rep), at)
    assert floor.decide(lead, rep, after=minutes(at), window=day)


def test_a_book_keeps_up_with_every_change(floor, people, rng):
    book, at = LoadBook(), AT
    held = []
    for step in range(30):
        at += timedelta(minutes=int(rng.integers(0, 90)))
        if step % 4 == 3 and held:
            lead = held.pop(int(rng.integers(len(held))))
            floor.tell(kind=str(rng.choice(["won", "lost"])), lead=lead, after=minutes(at))
        else:
            rep = str(rng.choice(["R-1", "R-2", "R-3"]))
            give(floor, f"L-{step}", rep, at)
            held.append(f"L-{step}")
        if step % 3:
            with floor.ledger.reading() as conn:
                slow = slowly(conn, people, at)
                assert told(book.look(conn, people, at)) == told(read_loads(conn, people, at)) == slow


def test_what_one_reader_holds_does_not_change_under_it(floor, people):
    book = LoadBook()
    with floor.ledger.reading() as conn:
        before = book.look(conn, people, AT)
    give(floor, "L-1", "R-1", AT)
    with floor.ledger.reading() as conn:
        after = book.look(conn, people, AT)
    assert (before["R-1"].open, after["R-1"].open) == (2, 3)
    np.testing.assert_array_equal(after.open, [3, 0, 0])


def test_a_new_day_and_a_new_roster_begin_anew(floor, people):
    book = LoadBook()
    late = datetime(2026, 3, 2, 15, 59, tzinfo=UTC)  # a minute to midnight in Shanghai
    give(floor, "L-1", "R-2", late)
    give(floor, "L-2", "R-1", late)
    with floor.ledger.reading() as conn:
        assert [load.today for load in book.look(conn, people, late).values()] == [1, 1, 0]
        later = late + timedelta(minutes=2)
        assert [load.today for load in book.look(conn, people, later).values()] == [1, 0, 0]
    fewer = people[1:]
    with floor.ledger.reading() as conn:
        assert list(book.look(conn, fewer, late)) == ["R-2", "R-3"]
