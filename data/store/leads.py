"""All rows about a lead, as the fold wants them: for one lead, or for every lead in turn."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, and_, bindparam, select, true, tuple_, union
from sqlalchemy.engine import Connection

from data.store.fold import Happening, LeadState, Spell, fold, waits
from data.store.tables import decisions, endings, outcome_events, overrides

LeadKey = tuple[str, str]  # (client_id, lead_id)
Rows = Sequence[Any]

_SPELLS = (
    select(
        decisions.c.client_id,
        decisions.c.lead_id,
        decisions.c.decision_id,
        decisions.c.rep_id,
        decisions.c.decided_at,
        decisions.c.mode,
        decisions.c.arm,
    )
    .where(decisions.c.duplicate_of.is_(None))
    .order_by(decisions.c.seq)
)
_EVENTS = select(
    outcome_events.c.client_id,
    outcome_events.c.lead_id,
    outcome_events.c.occurred_at,
    outcome_events.c.event_id,
    outcome_events.c.event,
    outcome_events.c.rep_id,
    outcome_events.c.value,
    outcome_events.c.reason,
    outcome_events.c.into_lead_id,
)
_OVERRIDES = select(
    decisions.c.client_id,
    decisions.c.lead_id,
    overrides.c.at,
    overrides.c.seq,
    overrides.c.decision_id,
    overrides.c.rep_id,
).join(decisions, decisions.c.decision_id == overrides.c.decision_id)
_ENDINGS = select(
    decisions.c.client_id,
    decisions.c.lead_id,
    endings.c.at,
    endings.c.seq,
    endings.c.kind,
    endings.c.decision_id,
).join(decisions, decisions.c.decision_id == endings.c.decision_id)


@dataclass
class LeadRows:
    """What lies in the ledger about one lead."""

    spells: list[Spell] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)

    def state(self) -> LeadState:
        """What follows from the rows."""
        return fold(self.spells, self.happenings)


def _one(statement: Select, table_client: ColumnElement, table_lead: ColumnElement) -> Select:
    return statement.where(table_client == bindparam("client_id"), table_lead == bindparam("lead_id"))


_OF_DECISIONS = (decisions.c.client_id, decisions.c.lead_id)
_OF_EVENTS = (outcome_events.c.client_id, outcome_events.c.lead_id)
_READS = ((_SPELLS, _OF_DECISIONS), (_EVENTS, _OF_EVENTS), (_OVERRIDES, _OF_DECISIONS), (_ENDINGS, _OF_DECISIONS))
_READS_OF_ONE = tuple(_one(statement, *of) for statement, of in _READS)


def rows_of(conn: Connection, client_id: str, lead_id: str) -> LeadRows:
    """The rows of one lead."""
    given = {"client_id": client_id, "lead_id": lead_id}
    return _gathered(*(conn.execute(read, given).all() for read in _READS_OF_ONE))[(client_id, lead_id)]


def every_lead(conn: Connection, page: int = 500) -> Iterator[tuple[LeadKey, LeadRows]]:
    """Each lead that has a decision or an event, with its rows; a page of leads at a time."""
    last: LeadKey | None = None
    while True:
        known = union(*(_next_keys(of, last, page) for of in (_OF_DECISIONS, _OF_EVENTS))).subquery()
        ordered = select(known).order_by(known.c.client_id, known.c.lead_id).limit(page)
        keys = [(row.client_id, row.lead_id) for row in conn.execute(ordered)]
        if not keys:
            return
        found = _gathered(
            *(
                conn.execute(read.where(and_(tuple_(*of) >= keys[0], tuple_(*of) <= keys[-1]))).all()
                for read, of in _READS
            )
        )
        yield from ((key, found[key]) for key in keys)
        last = keys[-1]


def _next_keys(of: tuple[Column, Column], last: LeadKey | None, page: int) -> Select:
    """A page of the keys after `last`, found in one table alone: an index gives them in order."""
    keys = select(*of).where(true() if last is None else tuple_(*of) > last).distinct().order_by(*of).limit(page)
    return select(keys.subquery())


def _gathered(spells: Rows, events: Rows, changed: Rows, ended: Rows) -> dict[LeadKey, LeadRows]:
    found: dict[LeadKey, LeadRows] = defaultdict(LeadRows)
    for client, lead, decision, rep, at, mode, arm in spells:
        spell = Spell(decision, rep, at, shadow=mode == "shadow", waits=waits(arm, rep))
        found[client, lead].spells.append(spell)
    for client, lead, at, event_id, event, rep, value, reason, into in events:
        found[client, lead].happenings.append(
            Happening(at, event_id, event, rep_id=rep, value=value, reason=reason, into=into)
        )
    # Numbers are padded, so that two rows of one instant keep the order in which they were written.
    for client, lead, at, seq, decision, rep in changed:
        found[client, lead].happenings.append(Happening(at, f"override {seq:020d}", "override", decision, rep))
    for client, lead, at, seq, kind, decision in ended:
        found[client, lead].happenings.append(Happening(at, f"ending {seq:020d}", kind, decision))
    return found
