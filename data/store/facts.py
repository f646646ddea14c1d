"""What reports count: one narrow row a decision, kept up to date from the ledger's rows without anybody's waiting.

A decision's own row holds everything a replay needs and is some kilobytes wide; a report over a million of them
reads these instead. They follow the append-only rows by four marks, so that they can be thrown away and made again.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, Select, bindparam, delete, insert, select, text, tuple_, type_coerce
from sqlalchemy.engine import Connection

from data.roster import Rep
from data.store import decisions as ledger_rows
from data.store import roster
from data.store.columns import Instant
from data.store.decision_row import Decision
from data.store.engines import allow_long_reads
from data.store.leads import LeadKey
from data.store.quick import Quick
from data.store.tables import chance_sums, decision_facts, decisions, endings, fact_marks, outcome_events, overrides

PAGE = 500  # leads whose decisions are read at once
AT_ONCE = 2_000  # facts that are taken into memory before other threads have a turn
# A row written before another may be committed after it, on PostgreSQL; a gap older than this is a rollback's.
SETTLED_AFTER = timedelta(seconds=30)
MOST_CHARACTERS = 200  # of a source or reason that is kept to group by

_DECIDED = (decisions.c.client_id, decisions.c.lead_id)
SOURCES: dict[str, Select] = {  # mark -> (seq, moment, client_id, lead_id) of the rows that it follows
    "decisions": select(decisions.c.seq, decisions.c.decided_at.label("at"), *_DECIDED),
    "events": select(
        outcome_events.c.seq, outcome_events.c.received_at.label("at"), outcome_events.c.client_id,
        outcome_events.c.lead_id,
    ),
    "overrides": select(overrides.c.seq, overrides.c.at, *_DECIDED).join(
        decisions, decisions.c.decision_id == overrides.c.decision_id
    ),
    "endings": select(endings.c.seq, endings.c.at, *_DECIDED).join(
        decisions, decisions.c.decision_id == endings.c.decision_id
    ),
}  # fmt: skip
SEQ = {
    "decisions": decisions.c.seq,
    "events": outcome_events.c.seq,
    "overrides": overrides.c.seq,
    "endings": endings.c.seq,
}
_MARK = text("""
    INSERT INTO fact_marks (name, number) VALUES (:name, :number)
    ON CONFLICT (name) DO UPDATE SET number = excluded.number
""")
# Whoever takes the next revision writes alone until the transaction ends.
_NEXT_REVISION = text("""
    INSERT INTO fact_marks (name, number) VALUES ('revision', 1)
    ON CONFLICT (name) DO UPDATE SET number = fact_marks.number + 1 RETURNING number
""")
_ADD_CHANCES = Quick(text("""
    INSERT INTO chance_sums
        (day, source, rep_id, asked, control, policy, mixture, variance, value_control, value_mixture)
    VALUES (:day, :source, :rep_id, :asked, :control, :policy, :mixture, :variance, :value_control, :value_mixture)
    ON CONFLICT (day, source, rep_id) DO UPDATE SET asked = chance_sums.asked + excluded.asked,
        control = chance_sums.control + excluded.control, policy = chance_sums.policy + excluded.policy,
        mixture = chance_sums.mixture + excluded.mixture, variance = chance_sums.variance + excluded.variance,
        value_control = chance_sums.value_control + excluded.value_control,
        value_mixture = chance_sums.value_mixture + excluded.value_mixture
"""))  # fmt: skip
SUMMED = ("asked", "control", "policy", "mixture", "variance", "value_control", "value_mixture")


_REMOVE = delete(decision_facts).where(decision_facts.c.seq == bindparam("old"))
Place = tuple[int, int]  # (revision, decision) up to which a reader has read
BEGINNING: Place = (0, 0)
# As numbers: a million moments need not become objects first.
_PLAIN = [type_coerce(c, BigInteger) if isinstance(c.type, Instant) else c for c in decision_facts.c]


@dataclass(frozen=True)
class Batch:
    """Facts made from the ledger and not written yet, and the marks between which its rows lie."""

    begin: dict[str, int]
    end: dict[str, int]
    facts: list[dict[str, Any]]
    sums: list[dict[str, Any]]
    more: bool  # rows of the ledger are left for the next batch


def prepare(conn: Connection, *, at: datetime, most: int = 1_000) -> Batch | None:
    """The facts that follow from at most so many new rows of each kind; None where there is no new row.

    Only reads: making facts takes a while, and a writer must not keep decisions waiting.
    """
    allow_long_reads(conn)
    keys: set[LeadKey] = set()
    begin, end, more = {}, {}, False
    marks = marks_of(conn)
    for name, rows_after in SOURCES.items():
        mark, seq = marks[name], SEQ[name]
        found = conn.execute(rows_after.where(seq > mark).order_by(seq).limit(most)).all()
        keys |= {(row.client_id, row.lead_id) for row in found}
        begin[name], end[name] = mark, _settled([(row.seq, row.at) for row in found], mark, at)
        more |= len(found) == most and end[name] != mark
    if not keys:
        return None
    ordered, sums = sorted(keys), Sums()
    facts: list[dict[str, Any]] = []
    teams = Teams(conn)
    for start in range(0, len(ordered), PAGE):
        _gather(conn, ordered[start : start + PAGE], teams, facts, sums)
    return Batch(begin, end, facts, sums.rows(), more)


def write(tx: Connection, batch: Batch) -> bool:
    """Put a batch in its place; False, and nothing is written, where another process was quicker."""
    number = tx.execute(_NEXT_REVISION).scalar_one()
    if marks_of(tx) != batch.begin:
        return False
    if batch.facts:
        tx.execute(_REMOVE, [{"old": fact["seq"]} for fact in batch.facts])
        tx.execute(insert(decision_facts), [{**fact, "revision": number} for fact in batch.facts])
    if batch.sums:
        _ADD_CHANCES.run_many(tx, batch.sums)
    for name, mark in batch.end.items():
        if mark != batch.begin[name]:
            tx.execute(_MARK, {"name": name, "number": mark})
    return True


def forget(tx: Connection) -> None:
    """Throw all facts away; the next `catch_up` begins anew."""
    tx.execute(delete(decision_facts))
    tx.execute(delete(chance_sums))
    tx.execute(delete(fact_marks).where(fact_marks.c.name.in_(SOURCES)))


def changed_since(conn: Connection, place: Place, *, most: int = 50_000) -> tuple[dict[str, list[Any]], Place]:
    """A page of the facts that changed after a place, as columns, and the place that it ends at.

    Sorted by decision; instants in microseconds. An empty page: that was all.
    """
    allow_long_reads(conn)
    key = tuple_(decision_facts.c.revision, decision_facts.c.seq)
    page = select(*_PLAIN).where(key > tuple_(*place)).order_by(decision_facts.c.revision, decision_facts.c.seq)
    columns: dict[str, list[Any]] = {column.name: [] for column in decision_facts.c}
    for part in conn.execute(page.limit(most)).partitions(AT_ONCE):
        for column, values in zip(columns.values(), zip(*part, strict=True), strict=True):
            column.extend(values)
    revision, seq = columns["revision"], columns["seq"]
    if not seq:
        return {}, place
    end = (revision[-1], seq[-1])
    order = sorted(range(len(seq)), key=seq.__getitem__)
    if order != list(range(len(seq))):
        columns = {name: [column[number] for number in order] for name, column in columns.items()}
    return columns, end


def named(conn: Connection, numbers: Sequence[int]) -> dict[int, tuple[str, str]]:
    """(decision_id, lead_id) of decisions by their number."""
    asked = select(decisions.c.seq, decisions.c.decision_id, decisions.c.lead_id).where(decisions.c.seq.in_(numbers))
    return {row.seq: (row.decision_id, row.lead_id) for row in conn.execute(asked)}


@dataclass(frozen=True)
class ChanceSums:
    """What a rep could expect in a stretch of time: sums over the leads that were drawn, by source."""

    source: str
    rep_id: str
    asked: float  # leads that the rep was available for
    control: float  # leads that the control would have given
    policy: float
    mixture: float  # expected before the draw: what chance made of it is `given` less this
    variance: float  # of the leads given, by the draw alone
    value_control: float  # the same leads, each counted with its rotation probability
    value_mixture: float


def chances(conn: Connection, since: datetime | None, until: datetime | None) -> list[ChanceSums]:
    """The sums by source and rep over whole UTC days from that of `since` to that of `until`."""
    given = {"since": _day(since) if since else "", "until": _day(until) if until else "9999"}
    summed = ", ".join(f"SUM({name})" for name in SUMMED)
    rows = conn.execute(
        text(
            f"SELECT source, rep_id, {summed} FROM chance_sums "  # noqa: S608 - names from above
            "WHERE day >= :since AND day <= :until GROUP BY source, rep_id ORDER BY source, rep_id"
        ),
        given,
    )
    return [ChanceSums(*row) for row in rows]


def marks_of(conn: Connection) -> dict[str, int]:
    """The number of the last row of each kind that the facts follow."""
    known = {row.name: row.number for row in conn.execute(select(fact_marks))}
    return {name: known.get(name, 0) for name in SOURCES}


def _settled(rows: Sequence[tuple[int, datetime]], mark: int, at: datetime) -> int:
    """The last number before which nothing can still appear."""
    for seq, moment in rows:
        if seq != mark + 1 and moment > at - SETTLED_AFTER:
            return mark
        mark = seq
    return mark


def _gather(
    conn: Connection, keys: Sequence[LeadKey], teams: "Teams", facts: list[dict[str, Any]], sums: "Sums"
) -> None:
    """Add the facts of all decisions about these leads, made anew, and the chances of those not counted yet."""
    rows = ledger_rows.spells_of(conn, keys)
    known = decision_facts.c.seq.in_([seq for seq, _ in rows])
    counted = set(conn.execute(select(decision_facts.c.seq).where(known)).scalars())
    by_lead: dict[LeadKey, list[tuple[int, Decision]]] = defaultdict(list)
    for seq, decision in rows:
        by_lead[decision.row.client_id, decision.row.lead_id].append((seq, decision))
        if seq not in counted:
            sums.add(decision)
    for spells in by_lead.values():
        facts += of_lead(spells, teams)


class Teams:
    """The team of every rep as of a roster's version; each version is read once."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._known: dict[int, dict[str, str | None]] = {}

    def only(self, version: int, rep_ids: Sequence[str]) -> str | None:
        """The one team that all of these reps are of, one at least; None where they are of several, or of none."""
        if version not in self._known:
            reps: tuple[Rep, ...] = roster.read_roster(self._conn, version).reps
            self._known[version] = {rep.rep_id: rep.team for rep in reps}
        team_of = self._known[version]
        team = team_of.get(rep_ids[0])
        return team if all(team_of.get(rep_id) == team for rep_id in rep_ids) else None


def of_lead(
    spells: Sequence[tuple[int, Decision]], teams: Teams
) -> list[dict[str, Any]]:
    """One fact a spell of one lead, oldest first."""
    won = [each.state.closed_at for _, each in spells if each.state.status == "won" and each.state.closed_at]
    qualified = [each.state.qualified_at for _, each in spells if each.state.qualified_at]
    of_lead = {
        "lead_won_at": min(won, default=None),
        "lead_qualified_at": min([*qualified, *won], default=None),
        "lead_value": next((each.state.value for _, each in spells if each.state.status == "won"), None),
    }
    facts, drawn_before = [], False
    for seq, decision in spells:
        fact = {"seq": seq, **_fact(decision, teams), **of_lead}
        fact["first_draw"] = fact["share"] is not None and not drawn_before
        drawn_before |= fact["first_draw"]
        facts.append(fact)
    return facts


def _fact(decision: Decision, teams: Teams) -> dict[str, Any]:
    row, state = decision.row, decision.state
    source = row.lead_snapshot.get("source")
    fact = {
        "decided_at": row.decided_at,
        "mode": row.mode,
        "arm": row.arm,
        "policy_version": row.policy_version or 0,
        "source": None if source is None else str(source)[:MOST_CHARACTERS],
        "grade": row.grade,
        "lead_score": row.lead_score,
        "baseline": row.baseline,
        "rep_drawn": row.rep_drawn,
        "probability": row.probability_chosen,
        "uplift": row.uplift,
        "unassigned": row.rep_id is None,
        "eligible_team": None,
        "rep_id": state.rep_id,
        "status": state.status,
        "version": state.version,
        "given_at": state.given_at,
        "contacted_at": state.contacted_at,
        "qualified_at": state.qualified_at,
        "closed_at": state.closed_at,
        "value": state.value,
        "lost_reason": state.lost_reason and state.lost_reason[:MOST_CHARACTERS],
    }
    return {**fact, **dict.fromkeys(_DRAW, None), **(_draw(decision) if drawn(decision) else {})} | {
        "eligible_team": teams.only(row.roster_version, row.candidates) if row.candidates else None
    }


_DRAW = (
    "share", "propensity", "propensity_policy", "propensity_control", "expected_policy", "expected_control",
    "order_gap", "order_variance",
)  # fmt: skip


def drawn(decision: Decision) -> bool:
    """Whether chance, with known chances, said who got the lead: only then may it count in a trial or a replay."""
    row = decision.row
    return row.propensity is not None and row.holdout_share is not None and row.rep_drawn in row.candidates


def _draw(decision: Decision) -> dict[str, Any]:
    """The draw in single numbers: the drawn rep's chances, what each arm could expect, and the drawn rep's place."""
    row = decision.row
    place = row.candidates.index(str(row.rep_drawn))
    mixture, policy, control = row.propensity, row.propensity_policy, row.propensity_control
    assert mixture is not None and policy is not None and control is not None  # noqa: PT018 - `drawn` says so
    told = row.probability is not None and bool(np.isfinite(row.probability).all())
    rank = np.arange(len(mixture)) / max(len(mixture) - 1, 1)
    mean = float(mixture @ rank)
    return {
        "share": row.holdout_share,
        "propensity": float(mixture[place]),
        "propensity_policy": float(policy[place]),
        "propensity_control": float(control[place]),
        "expected_policy": float(policy @ row.probability) if told else None,
        "expected_control": float(control @ row.probability) if told else None,
        "order_gap": float(rank[place] - mean),
        "order_variance": float(mixture @ rank**2 - mean**2),
    }


class Sums:
    """What to add to the sums of chances."""

    def __init__(self) -> None:
        # By day, source and candidates, who are mostly the same: one array of them all takes what a thousand would.
        self._sums: dict[tuple[str, str], dict[tuple[str, ...], np.ndarray]] = defaultdict(dict)

    def add(self, decision: Decision) -> None:
        """Count one decision's chances, where it was drawn and counted."""
        row = decision.row
        if not drawn(decision) or row.mode == "shadow":
            return
        mixture, value = np.asarray(row.propensity), row.baseline or 0.0
        control, policy = np.asarray(row.propensity_control), np.asarray(row.propensity_policy)
        asked = np.asarray(row.available, dtype=float)
        parts = (asked, control, policy, mixture, mixture * (1 - mixture), control * value, mixture * value)
        source = str(row.lead_snapshot.get("source") or "")[:MOST_CHARACTERS]
        by_candidates = self._sums[_day(row.decided_at), source]
        by_candidates[row.candidates] = by_candidates.get(row.candidates, 0.0) + np.stack(parts, axis=1)

    def rows(self) -> list[dict[str, Any]]:
        """One row a day, source and rep."""
        return [
            {"day": day, "source": source, "rep_id": rep_id, **dict(zip(SUMMED, own, strict=True))}
            for (day, source), by_candidates in sorted(self._sums.items())
            for rep_id, own in _by_rep(by_candidates).items()
        ]


def _by_rep(by_candidates: dict[tuple[str, ...], np.ndarray]) -> dict[str, list[float]]:
    """The sums of each rep over all the groups of candidates that she was one of, in the order of the ids."""
    place = {rep_id: number for number, rep_id in enumerate(sorted(set().union(*by_candidates)))}
    summed = np.zeros((len(place), len(SUMMED)))
    for candidates, own in by_candidates.items():
        summed[[place[rep_id] for rep_id in candidates]] += own  # nobody is a candidate twice
    return dict(zip(place, summed.tolist(), strict=True))


def _day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()
