"""API keys: shown once, kept as SHA-256; each has a role and belongs to a named client, which outlives it."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.engine import Connection, Row

from data.errors import InputError
from data.roles import ROLES
from data.store import acts
from data.store.columns import Instant
from data.store.tables import api_keys, clients

DEFAULT_CLIENT = "default"
MOST_NAMED = 5  # clients in a message
BY_HAND = "command line"  # keys are made and revoked there alone

_PREFIX = "lm"
_ENSURE_CLIENT = text("""
    INSERT INTO clients (client_id, created_at) VALUES (:client_id, :at) ON CONFLICT (client_id) DO NOTHING
""").bindparams(bindparam("at", type_=Instant))
_FIND = select(api_keys).where(api_keys.c.key_id == bindparam("key_id"))


@dataclass(frozen=True)
class NewKey:
    """A key at the only moment when it can be read."""

    id: str
    key: str
    role: str


@dataclass(frozen=True)
class Key:
    """What the ledger knows of a key: not the key."""

    id: str
    role: str
    label: str
    client_id: str
    rep_id: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def live(self, at: datetime) -> bool:
        """Whether the key opens anything at `at`."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


def ensure_client(tx: Connection, client_id: str, *, at: datetime) -> None:
    """Make the client if it is new."""
    tx.execute(_ENSURE_CLIENT, {"client_id": client_id, "at": at})


def check_client(conn: Connection, client_id: str) -> None:
    """Raise InputError, naming some that there are, where no client has this id."""
    known = conn.execute(select(clients.c.client_id).order_by(clients.c.client_id)).scalars().all()
    if client_id in known:
        return
    some = ", ".join(known[:MOST_NAMED]) + (f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else "")
    others = f"only {some}" if known else "nor any other"
    raise InputError(
        f"client: there is no client {client_id!r}, {others}; a client comes with its first key: "
        "`leadmatch keys create --role crm --client NAME`."
    )


def create(
    tx: Connection,
    *,
    role: str,
    label: str,
    at: datetime,
    client_id: str | None = None,
    rep_id: str | None = None,
    expires_at: datetime | None = None,
) -> NewKey:
    """A new key; its client is made if it is new (None: the client "default").

    rep_id : whose key it is; needed for the role `rep`. Raises InputError for an unknown role.
    """
    if role not in ROLES:
        raise InputError(f"A key's role is one of {', '.join(ROLES)}, not {role!r}.")
    if (role == "rep") != (rep_id is not None):
        raise InputError("A key of the role rep, and no other, needs the rep's id.")
    client = client_id or DEFAULT_CLIENT
    ensure_client(tx, client, at=at)
    key_id = secrets.token_hex(5)
    key = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    tx.execute(
        insert(api_keys),
        {
            "key_id": key_id,
            "sha256": _digest(key),
            "role": role,
            "label": label,
            "client_id": client,
            "rep_id": rep_id,
            "created_at": at,
            "expires_at": expires_at,
        },
    )
    told = {"role": role, "client_id": client, "rep_id": rep_id}
    acts.note(tx, actor=BY_HAND, action="key.created", on=key_id, at=at, detail=told)
    return NewKey(key_id, key, role)


def find(conn: Connection, presented: str, *, at: datetime) -> Key | None:
    """The key that was presented; None if it is unknown, expired or revoked at `at`."""
    prefix, _, rest = presented.partition("_")
    key_id = rest.partition("_")[0]
    if prefix != _PREFIX or not key_id.isalnum() or not presented.isascii():
        return None
    row = conn.execute(_FIND, {"key_id": key_id}).one_or_none()
    if row is None or not hmac.compare_digest(row.sha256, _digest(presented)):
        return None
    key = of_row(row)
    return key if key.live(at) else None


def list_keys(conn: Connection) -> list[Key]:
    """All keys ever made, oldest first."""
    return [of_row(row) for row in conn.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id))]


def revoke(tx: Connection, key_id: str, *, at: datetime) -> bool:
    """Whether the key was live until now; it opens nothing any more."""
    still = (api_keys.c.key_id == key_id) & api_keys.c.revoked_at.is_(None)
    revoked = tx.execute(update(api_keys).where(still), {"revoked_at": at}).rowcount == 1
    if revoked:
        acts.note(tx, actor=BY_HAND, action="key.revoked", on=key_id, at=at)
    return revoked


def rotate(tx: Connection, key_id: str, *, at: datetime, old_ends_at: datetime) -> NewKey:
    """A new key in the place of a live one, which works on until `old_ends_at`: two are live meanwhile, never three.

    Raises InputError where the key is not live, or its predecessor or successor is.
    """
    live = [key for key in list_keys(tx) if key.live(at)]
    old = next((key for key in live if key.id == key_id), None)
    if old is None:
        raise InputError(f"{key_id}: there is no such key in use; see `leadmatch keys list`.")
    same = [key for key in live if _place(key) == _place(old)]
    if len(same) > 1:
        others = ", ".join(key.id for key in same if key.id != key_id)
        raise InputError(f"{key_id} is being rotated already; revoke the key that is no longer used ({others}?) first.")
    ends = min(old_ends_at, old.expires_at) if old.expires_at else old_ends_at
    tx.execute(update(api_keys).where(api_keys.c.key_id == key_id), {"expires_at": ends})
    lasts = old.expires_at - old.created_at if old.expires_at else None
    return create(
        tx,
        role=old.role,
        label=old.label,
        at=at,
        client_id=old.client_id,
        rep_id=old.rep_id,
        expires_at=at + lasts if lasts else None,
    )


def _place(key: Key) -> tuple[str, str, str | None, str]:
    return key.client_id, key.role, key.rep_id, key.label


def _digest(key: str) -> str:
    # A key is 256 random bits: nothing to guess, so no slow hash is needed.
    return hashlib.sha256(key.encode()).hexdigest()


def of_row(row: Row) -> Key:
    """A key from its columns."""
    return Key(
        row.key_id,
        row.role,
        row.label,
        row.client_id,
        row.rep_id,
        row.created_at,
        row.expires_at,
        row.revoked_at,
    )
