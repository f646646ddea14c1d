"""The roster as the ledger knows it: the reps now, every version before, and who changed what when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from data.roster import Rep


@dataclass(frozen=True)
class Roster:
    """The reps in their order, and the version of the roster that this is."""

    version: int
    reps: tuple[Rep, ...]


@dataclass(frozen=True)
class RosterChange:
    """One rep's record before and after one version; None: not in the roster."""

    version: int
    rep_id: str
    before: Rep | None
    after: Rep | None
    actor: str
    at: datetime


def version(conn: Connection) -> int:
    """The roster's version, in one cheap look; 0 before the first roster."""
    raise NotImplementedError


def put_reps(tx: Connection, reps: Sequence[Rep], *, actor: str, at: datetime) -> int:
    """The roster's version after `reps` replaced the whole roster; the same roster again changes nothing.

    Reps who are no longer named leave the roster; their leads and history stay.
    Raises InputError for a rep_id named twice.
    """
    raise NotImplementedError


def patch_rep(tx: Connection, rep_id: str, changes: Mapping[str, Any], *, actor: str, at: datetime) -> int:
    """The roster's version after `changes` to one rep: fields of Rep, or `attributes` (merged; None removes).

    Raises InputError for an unknown rep or a field that Rep has not.
    """
    raise NotImplementedError


def read_roster(conn: Connection, at_version: int | None = None) -> Roster:
    """The roster now, or as it was at a version."""
    raise NotImplementedError


def changes(conn: Connection, *, rep_id: str | None = None) -> list[RosterChange]:
    """Who changed what when, oldest first."""
    raise NotImplementedError
