"""The rule book's versions: which text was in force from when, by whom and why."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from data.store import heads
from data.store.tables import policy_versions

HEAD = "policy"
MOST_NUMBER = 2**31 - 1  # beyond it a database has no integer to look for
_NEWEST = select(policy_versions).order_by(policy_versions.c.version.desc()).limit(1)


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
    row = conn.execute(_NEWEST).one_or_none()
    return None if row is None else PolicyVersion(**row._mapping)


def version(conn: Connection) -> int:
    """The version in force, in one cheap look; 0 before the first."""
    return heads.number(conn, HEAD)


def activate(tx: Connection, text: str, *, actor: str, why: str, at: datetime) -> int:
    """The version that is in force now; the text in force again makes no new one."""
    heads.hold(tx, HEAD)
    now = active(tx)
    if now is not None and now.text == text:
        return now.version
    made = PolicyVersion(heads.advance(tx, HEAD), text, actor, why, at)
    tx.execute(insert(policy_versions), vars(made))
    return made.version


def get(conn: Connection, number: int) -> PolicyVersion | None:
    """One version."""
    if number > MOST_NUMBER:
        return None
    row = conn.execute(select(policy_versions).where(policy_versions.c.version == number)).one_or_none()
    return None if row is None else PolicyVersion(**row._mapping)


def history(conn: Connection) -> list[PolicyVersion]:
    """All versions, oldest first."""
    rows = conn.execute(select(policy_versions).order_by(policy_versions.c.version))
    return [PolicyVersion(**row._mapping) for row in rows]
