"""Lists of decisions for people: any filter, newest first, quick at any cursor over a million rows.

A list is made in two steps. Which decisions are on the page is found in narrow indexes alone; only those few rows are
then read. Filters by who works the lead, and searches, are streams of their own, merged here. Where hardly any decision
fits a filter, a page looks back over so many and no further: the next page goes on from there.
"""

import heapq
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, literal, or_, select, true, tuple_
from sqlalchemy.engine import Connection

from data.errors import InputError
from data.store.columns import from_microseconds, to_microseconds
from data.store.personal import folded
from data.store.tables import decision_states, decisions, personal_data

NOBODY = ""  # in `rep_ids`: leads that nobody works
FEW = 4_000  # a search that finds more leads than this walks the list itself
SHORTEST_SEARCH = 2
LOOKED_AT = 200_000  # decisions that one page looks at for those that fit a filter, where one index holds it all
LOOKED_UP = 10_000  # and where each has to be looked up elsewhere
LEAST_LOOKED_UP = 500  # for each rep of a team, however large
NEWEST_LOOKED_AT = 5_000  # of the decisions, for the sources to choose from

Place = tuple[datetime, str]  # where a decision stands in the list: newest first, equals by id


@dataclass(frozen=True)
class Wanted:
    """What a list is asked for; None means any."""

    rep_ids: frozenset[str] | None = None  # who works the lead now
    sources: frozenset[str] | None = None
    grade: str | None = None
    arm: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""  # part of a company's or person's name, or a lead's whole id
    rep_ids_of_text: frozenset[str] = frozenset()  # reps whom the text means


@dataclass(frozen=True)
class Listed:
    """One row of a list."""

    decision_id: str
    client_id: str
    lead_id: str
    decided_at: datetime
    arm: str
    grade: str | None
    lead_score: int | None
    source: str | None
    rep_decided: str | None
    rep_id: str | None  # who works it now
    probability: float | None
    uplift: float | None
    uplift_low: float | None
    uplift_high: float | None
    unassigned_reason: str | None
    degraded: str | None
    status: str
    version: int
    given_at: datetime | None
    contacted_at: datetime | None
    feedback: str | None


@dataclass(frozen=True)
class Page:
    """A page of the list."""

    rows: list[Listed]
    following: str | None  # the next page's cursor; None: no more
    looked_to: datetime | None = None  # the page is short because it looked back no further than this


@dataclass(frozen=True)
class _Stream:
    """Places, newest first, and how far back was looked for them; None: as far as was needed."""

    places: list[Place]
    looked_to: Place | None = None


def page(conn: Connection, wanted: Wanted, *, cursor: str | None = None, limit: int = 50) -> Page:
    """A page of the list, newest first.

    Raises InputError for a cursor that is not one of ours.
    """
    after = _place_of(cursor) if cursor else None
    streams = _streams(conn, wanted, after, limit + 1)
    # What lies further back than a stream looked may have to stand between others' places.
    looked_to = max((each.looked_to for each in streams if each.looked_to is not None), default=None)
    merged = heapq.merge(*(each.places for each in streams), reverse=True)
    known = (place for place in _once(merged) if looked_to is None or place >= looked_to)
    places = list(islice(known, limit + 1))
    rows = rows_of(conn, [decision_id for _, decision_id in places[:limit]])
    if len(places) > limit:
        return Page(rows, _cursor_of(places[limit - 1]))
    if looked_to is None:
        return Page(rows, None)
    return Page(rows, _cursor_of(looked_to), looked_to[0] if len(rows) < limit else None)


def sources(conn: Connection) -> list[str]:
    """The sources of the newest leads, in their order."""
    newest = select(decisions.c.source).order_by(decisions.c.decided_at.desc()).limit(NEWEST_LOOKED_AT).subquery()
    found = select(newest.c.source).where(newest.c.source.is_not(None)).distinct()
    return sorted(conn.execute(found).scalars())


def _streams(conn: Connection, wanted: Wanted, after: Place | None, most: int) -> list[_Stream]:
    """Up to `most` places of each stream, newest first."""
    if not wanted.text:
        return _of_reps(conn, wanted, after, most, wanted.rep_ids)
    named = wanted.rep_ids_of_text if wanted.rep_ids is None else wanted.rep_ids_of_text & wanted.rep_ids
    found = _of_reps(conn, wanted, after, most, named) if named else []
    return [*found, *_of_search(conn, wanted, after, most)]


def _of_reps(
    conn: Connection,
    wanted: Wanted,
    after: Place | None,
    most: int,
    rep_ids: Collection[str] | None,
    part: ColumnElement[bool] | None = None,
) -> list[_Stream]:
    """The list of everybody; or a stream for each rep. With `part`, only leads of whose personal data it is true."""
    named = and_(personal_data.c.client_id == decisions.c.client_id, personal_data.c.lead_id == decisions.c.lead_id)
    filtered = bool(wanted.grade or wanted.arm or wanted.sources is not None)
    if rep_ids is None:
        at = (decisions.c.decided_at, decisions.c.decision_id)
        every = select(*at)
        if part is None:
            return [_narrowed(conn, every, every, wanted, after, most, LOOKED_AT if filtered else None)]
        fitting = every.join(personal_data, named).where(part)
        return [_narrowed(conn, every, fitting, wanted, after, most, LOOKED_UP)]
    at = (decision_states.c.decided_at, decision_states.c.decision_id)
    share = max(LOOKED_UP // max(len(rep_ids), 1), LEAST_LOOKED_UP) if filtered or part is not None else None
    found = []
    for rep_id in rep_ids:
        works = decision_states.c.rep_id.is_(None) if rep_id == NOBODY else decision_states.c.rep_id == rep_id
        every = theirs = select(*at).where(works)
        if share is not None:
            # By the moment, too: then the narrow index holds all that is asked, and no wide row is read.
            same = (decisions.c.decision_id, decisions.c.decided_at)
            theirs = theirs.join(decisions, and_(*(each == decision_states.c[each.name] for each in same)))
        if part is not None:
            theirs = theirs.join(personal_data, named).where(part)
        found.append(_narrowed(conn, every, theirs, wanted, after, most, share))
    return found


def _narrowed(
    conn: Connection,
    every: Select[Any],
    fitting: Select[Any],
    wanted: Wanted,
    after: Place | None,
    most: int,
    looked_at: int | None,
) -> _Stream:
    """The newest places of `fitting` that pass the filters, among the first `looked_at` of `every` (None: all)."""
    at = tuple(every.selected_columns)
    newest = [each.desc() for each in at]
    stretch = _between(wanted, after, at)
    last = None
    if looked_at is not None:
        row = conn.execute(every.where(stretch).order_by(*newest).limit(1).offset(looked_at - 1)).first()
        last = None if row is None else (row[0], row[1])
    near = stretch if last is None else and_(stretch, at[0] >= last[0], tuple_(*at) >= _literal(last, at))
    places = _places(conn, fitting.where(near, _fits(wanted)).order_by(*newest).limit(most))
    return _Stream(places, None if len(places) == most else last)


def _of_search(conn: Connection, wanted: Wanted, after: Place | None, most: int) -> list[_Stream]:
    """Leads of this id, and leads whose person or company the text is a part of."""
    sought = folded(wanted.text)
    at = (decisions.c.decided_at, decisions.c.decision_id)
    part = personal_data.c.search.contains(sought, autoescape=True) if len(sought) >= SHORTEST_SEARCH else false()
    names = select(personal_data.c.client_id, personal_data.c.lead_id).where(part).limit(FEW + 1)
    keys = [tuple(row) for row in conn.execute(names)]
    if len(keys) > FEW:  # so many that the page is soon full
        return _of_reps(conn, wanted, after, most, wanted.rep_ids, part)
    mine = (decisions.c.client_id, decisions.c.lead_id)
    clients = {client for client, _ in keys} | set(_clients(conn))
    of_id = [(client, wanted.text.strip()) for client in sorted(clients)]
    listed = select(*at).where(tuple_(*mine).in_([*keys, *of_id]))
    if wanted.rep_ids is not None:
        listed = listed.join(decision_states, decision_states.c.decision_id == decisions.c.decision_id)
        listed = listed.where(_worked_by(wanted.rep_ids))
    return [_narrowed(conn, listed, listed, wanted, after, most, None)]


def _worked_by(rep_ids: frozenset[str]) -> ColumnElement[bool]:
    nobody = decision_states.c.rep_id.is_(None) if NOBODY in rep_ids else false()
    return or_(decision_states.c.rep_id.in_(sorted(rep_ids)), nobody)


def _clients(conn: Connection) -> Sequence[str]:
    """Every client, by skipping through the index from one to the next."""
    found: list[str] = []
    while True:
        after = found[-1] if found else ""
        following = conn.execute(select(func.min(decisions.c.client_id)).where(decisions.c.client_id > after)).scalar()
        if following is None:
            return found
        found.append(following)


def _between(wanted: Wanted, after: Place | None, at: tuple[ColumnElement, ...]) -> ColumnElement[bool]:
    """After the cursor, and within the wanted stretch of time."""
    decided_at, _ = at
    limits: list[ColumnElement[bool]] = [decided_at.is_not(None)]
    if after is not None:
        # The first comparison is what the index is entered by; the second settles those of one instant.
        limits += [decided_at <= after[0], tuple_(*at) < _literal(after, at)]
    if wanted.since is not None:
        limits.append(decided_at >= wanted.since)
    if wanted.until is not None:
        limits.append(decided_at < wanted.until)
    return and_(*limits)


def _literal(place: Place, at: tuple[ColumnElement, ...]) -> ColumnElement[Any]:
    return tuple_(literal(place[0], at[0].type), place[1])


def _fits(wanted: Wanted) -> ColumnElement[bool]:
    limits: list[ColumnElement[bool]] = [true()]
    if wanted.grade is not None:
        limits.append(decisions.c.grade == wanted.grade)
    if wanted.arm is not None:
        limits.append(decisions.c.arm == wanted.arm)
    if wanted.sources is not None:
        limits.append(decisions.c.source.in_(sorted(wanted.sources)))
    return and_(*limits)


def _places(conn: Connection, statement: Any) -> list[Place]:
    return [(row[0], row[1]) for row in conn.execute(statement)]


def _once(places: Iterable[Place]) -> Iterable[Place]:
    """Each place once: two streams may hold the same."""
    last = None
    for place in places:
        if place != last:
            yield place
        last = place


def open_of_rep(conn: Connection, rep_id: str, *, limit: int) -> list[str]:
    """The ids of decisions whose leads the rep works now and are open: those not called yet first, the oldest first."""
    theirs = select(decision_states.c.decision_id).where(
        decision_states.c.rep_id == rep_id, decision_states.c.status == "open"
    )
    called = decision_states.c.contacted_at.is_not(None)
    return list(conn.execute(theirs.order_by(called, decision_states.c.given_at).limit(limit)).scalars())


def rows_of(conn: Connection, decision_ids: Sequence[str]) -> list[Listed]:
    """The rows of a list, in this order; a duplicate has the state of the decision that it repeats."""
    ours = (
        "decision_id", "client_id", "lead_id", "decided_at", "arm", "grade", "lead_score", "source",
        "uplift", "uplift_low", "uplift_high", "unassigned_reason", "degraded",
    )  # fmt: skip
    state = ("rep_id", "version", "given_at", "contacted_at", "feedback")
    found = (
        select(
            *(decisions.c[name] for name in ours),
            *(decision_states.c[name] for name in state),
            func.coalesce(decision_states.c.status, "open").label("status"),
            decisions.c.rep_id.label("rep_decided"),
            decisions.c.probability_chosen.label("probability"),
        )
        .select_from(decisions)
        .outerjoin(
            decision_states,
            decision_states.c.decision_id == func.coalesce(decisions.c.duplicate_of, decisions.c.decision_id),
        )
        .where(decisions.c.decision_id.in_(decision_ids))
    )
    known = {row.decision_id: Listed(**row._mapping) for row in conn.execute(found)}
    return [known[decision_id] for decision_id in decision_ids]


def _cursor_of(place: Place) -> str:
    return f"{to_microseconds(place[0])}-{place[1]}"


def _place_of(cursor: str) -> Place:
    moment, _, decision_id = cursor.partition("-")
    if not (moment.isascii() and moment.isdigit() and len(moment) < 18 and decision_id):
        raise InputError("cursor: give the one of the page before, unchanged.")
    return from_microseconds(int(moment)), decision_id
