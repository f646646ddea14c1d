"""Who did what to the installation: keys, endpoints, erasures, backups. What has a list of its own stays there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from data.store.tables import acts


@dataclass(frozen=True)
class Act:
    """Something that somebody did."""

    at: datetime
    actor: str  # role:key id, or "command line"
    action: str  # such as key.created
    object: str  # the id of what it was done to
    detail: Mapping[str, Any]


def note(
    tx: Connection, *, actor: str, action: str, on: str, at: datetime, detail: Mapping[str, Any] | None = None
) -> None:
    """Write an act down, in the transaction of what was done. `detail` holds no personal data and no secret."""
    tx.execute(
        insert(acts), {"at": at, "actor": actor, "action": action, "object": on, "detail": dict(detail or {})}
    )


def newest(conn: Connection, limit: int = 200) -> list[Act]:
    """The latest acts, newest first."""
    columns = [acts.c[name] for name in Act.__dataclass_fields__]
    return [Act(**row._mapping) for row in conn.execute(select(*columns).order_by(acts.c.seq.desc()).limit(limit))]
