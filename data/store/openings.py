"""One narrow fact of each decision that opened a spell, made from the ledger's rows."""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import BigInteger, Row, func, select, tuple_, type_coerce
from sqlalchemy.engine import Connection

from data.store import roster
from data.store.columns import Instant
from data.store.leads import LeadKey
from data.store.packing import unpack
from data.store.tables import decision_facts, decision_states, decisions

MOST_CHARACTERS = 200  # of a reason that is kept to group by
MOST_ROSTERS, MOST_LISTS = 1_000, 64  # that are kept in mind

_now = decision_states.c
Draw = tuple[dict[str, np.ndarray], int]  # the vectors of a draw, and the drawn rep's place among the candidates
# In the order of the table: a wide row lies in a chain of pages, which SQLite follows from the start to go back.
_COLUMNS = (
    decisions.c.seq,
    decisions.c.decision_id,
    decisions.c.client_id,
    decisions.c.lead_id,
    decisions.c.mode,
    decisions.c.decided_at,
    decisions.c.roster_version,
    func.coalesce(decisions.c.policy_version, 0).label("policy_version"),
    decisions.c.candidates,
    decisions.c.vectors,
    decisions.c.arm,
    decisions.c.holdout_share,
    decisions.c.rep_drawn,
    decisions.c.rep_id.is_(None).label("unassigned"),
    decisions.c.probability_chosen.label("probability"),
    decisions.c.baseline,
    decisions.c.uplift,
    decisions.c.lead_score,
    decisions.c.grade,
    decisions.c.source,
    _now.rep_id,
    _now.status,
    _now.version,
    _now.given_at,
    _now.contacted_at,
    _now.qualified_at,
    _now.closed_at,
    _now.value,
    func.substr(_now.lost_reason, 1, MOST_CHARACTERS).label("lost_reason"),
)
# Moments as they are kept, in microseconds: a fact keeps them so, too.
_RAW = [type_coerce(each, BigInteger).label(each.name) if isinstance(each.type, Instant) else each for each in _COLUMNS]
_OPENINGS = (
    select(*_RAW)
    .select_from(decisions)
    .outerjoin(decision_states, _now.decision_id == decisions.c.decision_id)
    .where(decisions.c.duplicate_of.is_(None))
)
_COPIED = [each.name for each in _COLUMNS if each.name in decision_facts.c]  # what a fact says as the rows do
_copied = itemgetter(*(place for place, each in enumerate(_COLUMNS) if each.name in decision_facts.c))
_CHANCES = ("propensity", "propensity_policy", "propensity_control", "probability", "available")
_DRAW = (
    "share", "propensity", "propensity_policy", "propensity_control", "expected_policy", "expected_control",
    "order_gap", "order_variance",
)  # fmt: skip
_NOBODY_DREW: dict[str, Any] = dict.fromkeys(_DRAW)


class Opening(NamedTuple):
    """A decision that opened a spell: as much of its row as reports need, and its draw."""

    row: Row[*tuple[Any, ...]]
    draw: Draw | None  # None: it was not chance, with known chances, that said who got the lead


class Teams:
    """The team of every rep as of a roster's version. Versions never change, so each is read once."""

    def __init__(self) -> None:
        self._known: dict[int, dict[str, str | None]] = {}
        self._last: dict[str, str | None] = {}
        self._only = lru_cache(MOST_LISTS)(self._of_all)

    def only(self, conn: Connection, version: int, rep_ids: tuple[str, ...]) -> str | None:
        """The one team that all of these reps are of; None where they are of several or none, or nobody is named."""
        if version not in self._known:
            if len(self._known) >= MOST_ROSTERS:
                del self._known[next(iter(self._known))]
            self._known[version] = self._read(conn, version)
        return self._only(version, rep_ids)

    def _read(self, conn: Connection, version: int) -> dict[str, str | None]:
        teams = {rep.rep_id: rep.team for rep in roster.read_roster(conn, version).reps}
        if teams != self._last:  # most changes of a roster move nobody to another team
            self._last = teams
        return self._last

    def _of_all(self, version: int, rep_ids: tuple[str, ...]) -> str | None:
        teams = set(map(self._known[version].get, rep_ids))
        return teams.pop() if len(teams) == 1 else None


def openings_of(conn: Connection, leads: Sequence[LeadKey]) -> dict[LeadKey, list[Opening]]:
    """The decisions that opened a spell of these leads, by lead, oldest first."""
    found: dict[LeadKey, list[Opening]] = defaultdict(list)
    for row in conn.execute(_OPENINGS.where(tuple_(decisions.c.client_id, decisions.c.lead_id).in_(leads))):
        found[row.client_id, row.lead_id].append(Opening(row, _drawn(row)))
    for own in found.values():  # sorting here, a database would carry the vectors along
        own.sort(key=lambda opening: opening.row.seq)
    return found


def _drawn(row: Row[*tuple[Any, ...]]) -> Draw | None:
    """The draw, where there was one: only then may the decision count in a trial or a replay."""
    place = _places(row.candidates).get(row.rep_drawn)
    if row.holdout_share is None or place is None:
        return None
    vectors = unpack(row.vectors, _CHANCES)
    return (vectors, place) if "propensity" in vectors else None


@lru_cache(MOST_LISTS)
def _places(rep_ids: tuple[str, ...]) -> dict[str | None, int]:
    return {rep_id: place for place, rep_id in enumerate(rep_ids)}


def facts_of_lead(conn: Connection, openings: Sequence[Opening], teams: Teams) -> list[dict[str, Any]]:
    """One fact a spell of one lead, oldest first, as the table keeps it: moments in microseconds."""
    rows = [opening.row for opening in openings]
    won = [row.closed_at for row in rows if row.status == "won" and row.closed_at]
    qualified = [row.qualified_at for row in rows if row.qualified_at]
    of_lead = {
        "lead_won_at": min(won, default=None),
        "lead_qualified_at": min([*qualified, *won], default=None),
        "lead_value": next((row.value for row in rows if row.status == "won"), None),
    }
    facts, drawn_before = [], False
    for row, draw in openings:
        fact = dict(zip(_COPIED, _copied(row), strict=True))
        fact["eligible_team"] = teams.only(conn, row.roster_version, row.candidates)
        fact |= _NOBODY_DREW if draw is None else _told(draw, row.holdout_share)
        fact |= of_lead
        fact["first_draw"] = draw is not None and not drawn_before
        drawn_before |= fact["first_draw"]
        facts.append(fact)
    return facts


def _told(draw: Draw, share: float) -> dict[str, Any]:
    """The draw in single numbers: the drawn rep's chances, what each arm could expect, and the drawn rep's place."""
    vectors, place = draw
    mixture, policy, control = vectors["propensity"], vectors["propensity_policy"], vectors["propensity_control"]
    probability = vectors.get("probability")
    told = probability is not None and bool(np.isfinite(probability).all())
    rank, squared = _ranks(len(mixture))
    mean = float(mixture @ rank)
    return {
        "share": share,
        "propensity": float(mixture[place]),
        "propensity_policy": float(policy[place]),
        "propensity_control": float(control[place]),
        "expected_policy": float(policy @ probability) if told else None,
        "expected_control": float(control @ probability) if told else None,
        "order_gap": float(rank[place] - mean),
        "order_variance": float(mixture @ squared - mean**2),
    }


@lru_cache(MOST_LISTS)
def _ranks(many: int) -> tuple[np.ndarray, np.ndarray]:
    """Everybody's place in the order from 0 to 1, and its square."""
    rank = np.arange(many) / max(many - 1, 1)
    return rank, rank**2
