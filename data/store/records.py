"""What came of each rep's leads: results, promptness, and what still waits."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from data.store.tables import decision_states as states


def closed_leads(conn: Connection) -> dict[str, tuple[int, int]]:
    """Leads won and leads closed (won or lost) of every rep who works or worked one; a full look at the states."""
    counted = conn.execute(
        select(states.c.rep_id, states.c.status, func.count())
        .where(states.c.rep_id.is_not(None), states.c.status.in_(("won", "lost")))
        .group_by(states.c.rep_id, states.c.status)
    )
    records: dict[str, tuple[int, int]] = {}
    for rep_id, status, count in counted:
        won, closed = records.get(rep_id, (0, 0))
        records[rep_id] = (won + (count if status == "won" else 0), closed + count)
    return records


def response_hours(conn: Connection, *, at: datetime, days: int = 90, most: int = 20_000) -> dict[str, float]:
    """Median hours from being given a lead to the first contact, by rep, over the contacts of the last days.

    Of these, the `most` leads given last. A rep who contacted nobody in that time is not named.
    """
    contacted = (
        select(states.c.rep_id, states.c.given_at, states.c.contacted_at)
        .where(
            states.c.rep_id.is_not(None),
            states.c.contacted_at.is_not(None),
            states.c.given_at.is_not(None),
            states.c.decided_at >= at - timedelta(days=days),
        )
        .order_by(states.c.decided_at.desc())
        .limit(most)
    )
    hours: dict[str, list[float]] = {}
    for rep_id, given_at, contacted_at in conn.execute(contacted):
        hours.setdefault(rep_id, []).append(max((contacted_at - given_at) / timedelta(hours=1), 0.0))
    return {rep_id: median(each) for rep_id, each in hours.items()}


def uncontacted(conn: Connection) -> dict[str, int]:
    """Open leads that wait for a first contact, by rep."""
    counted = conn.execute(
        select(states.c.rep_id, func.count().label("leads"))
        .where(states.c.rep_id.is_not(None), states.c.status == "open", states.c.contacted_at.is_(None))
        .group_by(states.c.rep_id)
    )
    return {row.rep_id: row.leads for row in counted}


@dataclass(frozen=True)
class Closings:
    """When a rep's leads were closed, and how many of them had been won by then."""

    at: list[datetime]  # in order
    won: list[int]  # among the first so many, one more entry than `at`

    def before(self, moment: datetime) -> tuple[int, int]:
        """(won, closed) of what was closed before a moment."""
        closed = bisect_left(self.at, moment)
        return self.won[closed], closed


def closings(conn: Connection) -> dict[str, Closings]:
    """The closed leads of every rep who works or worked one; a full look at the states."""
    wanted = select(states.c.rep_id, states.c.status, states.c.closed_at).where(
        states.c.rep_id.is_not(None), states.c.status.in_(("won", "lost")), states.c.closed_at.is_not(None)
    )
    found: dict[str, list[tuple[datetime, bool]]] = {}
    for rep_id, status, closed_at in conn.execute(wanted.order_by(states.c.closed_at)):
        found.setdefault(rep_id, []).append((closed_at, status == "won"))
    return {
        rep_id: Closings([at for at, _ in each], [0, *accumulate(won for _, won in each)])
        for rep_id, each in found.items()
    }
