"""Who may tell us something by a signature instead of a key: a CRM's webhooks, and where their secrets lie."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Connection, Row

from data.errors import InputError
from data.store.keys import check_client
from data.store.tables import sources

KINDS = ("standard", "hubspot")
MOST_SECRETS = 2  # the old one and the new one, while they are changed


@dataclass(frozen=True, kw_only=True)
class Source:
    """Somebody whose signed messages are believed, about one client's leads."""

    source_id: str
    kind: str  # one of KINDS
    client_id: str
    secrets_from: tuple[str, ...]  # where the secrets lie: env:NAME or file:PATH
    options: Mapping[str, Any] = field(default_factory=dict)
    actor: str
    created_at: datetime


def new_id() -> str:
    """An id for a source to be; it stands in the address that it calls, and opens nothing."""
    return f"src_{secrets.token_hex(8)}"


def add(tx: Connection, source: Source) -> None:
    """Believe `source` from now on. Raises InputError for a kind or client that there is not."""
    if source.kind not in KINDS:
        raise InputError(f"kind: {source.kind!r} is none of {', '.join(KINDS)}.")
    check_client(tx, source.client_id)
    _check_number(source.secrets_from)
    tx.execute(insert(sources), {**vars(source), "secrets_from": list(source.secrets_from)})


def find(conn: Connection, source_id: str) -> Source | None:
    """One source."""
    row = conn.execute(select(sources).where(sources.c.source_id == source_id)).one_or_none()
    return None if row is None else _source(row)


def everybody(conn: Connection) -> list[Source]:
    """All sources, oldest first."""
    return [_source(row) for row in conn.execute(select(sources).order_by(sources.c.created_at))]


def change_secrets(tx: Connection, source_id: str, secrets_from: Sequence[str]) -> bool:
    """Whether there is such a source; messages signed with any of these secrets are believed from now on."""
    _check_number(secrets_from)
    chosen = update(sources).where(sources.c.source_id == source_id)
    return tx.execute(chosen.values(secrets_from=list(secrets_from))).rowcount == 1


def remove(tx: Connection, source_id: str) -> bool:
    """Whether there was such a source; what it told stays."""
    return tx.execute(delete(sources).where(sources.c.source_id == source_id)).rowcount == 1


def _check_number(secrets_from: Sequence[str]) -> None:
    if not 1 <= len(secrets_from) <= MOST_SECRETS:
        raise InputError("secret: name one, or two while the old one gives way to the new.")


def _source(row: Row[Any]) -> Source:
    known = row._asdict()
    return Source(**{**known, "secrets_from": tuple(known["secrets_from"])})
