"""A person's choice of rep, kept as a row beside the decision that it changes."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from data.roster import Rep
from data.store.fold import SpellState


@dataclass(frozen=True)
class Override:
    """Who gave the decision's lead to whom, and why."""

    decision_id: str
    rep_id: str
    previous_rep_id: str | None
    reason: str
    actor: str
    version: int  # the version that this override made
    forced: bool
    at: datetime


def record(
    tx: Connection,
    decision_id: str,
    rep: Rep,
    *,
    reason: str,
    actor: str,
    expected_version: int,
    at: datetime,
    force: bool = False,
) -> SpellState:
    """The decision's state after its lead went to `rep`; the old rep's slot is released, a new one taken.

    Raises ConflictError where the version is another by now, the lead has been decided anew, or `rep` has no
    free slot and `force` is not given; ValueError for an unknown decision or a duplicate's id.
    """
    raise NotImplementedError


def of_decision(conn: Connection, decision_id: str) -> list[Override]:
    """The decision's overrides, oldest first."""
    raise NotImplementedError
