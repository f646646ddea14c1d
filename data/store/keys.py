"""API keys: shown once, kept as SHA-256; each has a role and belongs to a named client, which outlives it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

ROLES = ("crm", "rep", "manager", "analyst", "admin")
DEFAULT_CLIENT = "default"


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
    raise NotImplementedError


def find(conn: Connection, presented: str, *, at: datetime) -> Key | None:
    """The key that was presented; None if it is unknown, expired or revoked at `at`."""
    raise NotImplementedError


def list_keys(conn: Connection) -> list[Key]:
    """All keys ever made, oldest first."""
    raise NotImplementedError


def revoke(tx: Connection, key_id: str, *, at: datetime) -> bool:
    """Whether the key was live until now; it opens nothing any more."""
    raise NotImplementedError
