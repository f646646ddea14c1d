"""Who is signed in to the pages: one-time links and sessions, each for a key, kept as SHA-256 and revocable."""

import hashlib
import secrets
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.engine import Connection

from data.errors import InputError
from data.store import keys
from data.store.keys import Key
from data.store.tables import api_keys, sessions, sign_in_links

_KEY_OF_SESSION = (
    select(sessions.c.expires_at.label("until"), sessions.c.revoked_at.label("ended_at"), api_keys)
    .join(api_keys, api_keys.c.key_id == sessions.c.key_id)
    .where(sessions.c.sha256 == bindparam("sha256"))
)


def make_link(tx: Connection, key_id: str, *, expires_at: datetime) -> str:
    """A token that signs in once as this key; shown once, to be put into an address."""
    token = secrets.token_urlsafe(32)
    tx.execute(insert(sign_in_links), {"sha256": _digest(token), "key_id": key_id, "expires_at": expires_at})
    return token


def open_by_link(tx: Connection, token: str, *, at: datetime, expires_at: datetime) -> str:
    """A new session's id for a link that nobody used yet. Raises InputError for any other."""
    unused = update(sign_in_links).where(
        sign_in_links.c.sha256 == _digest(token), sign_in_links.c.used_at.is_(None), sign_in_links.c.expires_at > at
    )
    key_id = tx.execute(unused.returning(sign_in_links.c.key_id), {"used_at": at}).scalar_one_or_none()
    if key_id is None:
        raise InputError("This link was used before, or its time is over; ask for a new one.")
    return open_session(tx, key_id, at=at, expires_at=expires_at)


def open_session(tx: Connection, key_id: str, *, at: datetime, expires_at: datetime) -> str:
    """A new session's id, for whoever proved to hold the key; sessions that are long over are forgotten."""
    tx.execute(delete(sessions).where(sessions.c.expires_at < at))
    session_id = secrets.token_urlsafe(32)
    made = {"sha256": _digest(session_id), "key_id": key_id, "created_at": at, "expires_at": expires_at}
    tx.execute(insert(sessions), made)
    return session_id


def find(conn: Connection, session_id: str, *, at: datetime) -> Key | None:
    """The key that a session stands for; None where either is over."""
    row = conn.execute(_KEY_OF_SESSION, {"sha256": _digest(session_id)}).one_or_none()
    if row is None or row.ended_at is not None or row.until <= at:
        return None
    key = keys.of_row(row)
    return key if key.live(at) else None


def end(tx: Connection, session_id: str, *, at: datetime) -> None:
    """Sign out: the session opens nothing any more."""
    tx.execute(update(sessions).where(sessions.c.sha256 == _digest(session_id)), {"revoked_at": at})


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
