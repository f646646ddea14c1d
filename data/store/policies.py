"""The rule book's versions: which text was in force from when, by whom and why."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection


@dataclass(frozen=True)
class PolicyVersion:
    """One version of the rule book."""

    version: int
    text: str
    actor: str
    why: str
    at: datetime


def active(conn: Connection) -> PolicyVersion | None:
    """The rule book in force."""
    raise NotImplementedError


def version(conn: Connection) -> int:
    """The version in force, in one cheap look; 0 before the first."""
    raise NotImplementedError


def activate(tx: Connection, text: str, *, actor: str, why: str, at: datetime) -> int:
    """The version that is in force now; the text in force again makes no new one."""
    raise NotImplementedError


def get(conn: Connection, number: int) -> PolicyVersion | None:
    """One version."""
    raise NotImplementedError


def history(conn: Connection) -> list[PolicyVersion]:
    """All versions, oldest first."""
    raise NotImplementedError
