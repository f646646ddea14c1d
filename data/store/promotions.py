"""Who is champion: an append-only list changed by compare-and-swap; the registry's alias follows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from data.crash_points import crash_at
from data.errors import ConflictError
from data.store import heads, outbox
from data.store.tables import promotions

ROLLED_BACK = "rolled back"  # a ground: this promotion undid the one before
_HEAD = "promotion"
_NEWEST = select(promotions).order_by(promotions.c.number.desc()).limit(1)


@dataclass(frozen=True)
class Promotion:
    """One model's rise to champion."""

    number: int
    version: str
    digest: str
    previous: str | None  # the champion's version before
    actor: str
    grounds: Mapping[str, Any]
    at: datetime


def promote(
    tx: Connection,
    *,
    version: str,
    digest: str,
    expected_previous: str | None,
    actor: str,
    grounds: Mapping[str, Any],
    at: datetime,
) -> Promotion:
    """The promotion, if `expected_previous` is still the champion's version (None: there is none yet).

    A rollback is a promotion of an older version. Raises ConflictError where another was quicker.
    """
    heads.hold(tx, _HEAD)
    now = champion(tx)
    previous = None if now is None else now.version
    if previous != expected_previous:
        raise ConflictError(f"The champion is {previous}, not {expected_previous}, by now: compare with that one.")
    promotion = Promotion(heads.advance(tx, _HEAD), version, digest, previous, actor, dict(grounds), at)
    tx.execute(insert(promotions), vars(promotion))
    told = {"number": promotion.number, "version": version, "digest": digest, "previous": previous, "actor": actor}
    outbox.announce(tx, "model.promoted", at=at, data=told)
    crash_at("in_promotion")
    return promotion


def champion(conn: Connection) -> Promotion | None:
    """The latest promotion."""
    row = conn.execute(_NEWEST).one_or_none()
    return None if row is None else Promotion(**row._mapping)


def history(conn: Connection) -> list[Promotion]:
    """All promotions, oldest first."""
    return [Promotion(**row._mapping) for row in conn.execute(select(promotions).order_by(promotions.c.number))]


def risen(past: Sequence[Promotion]) -> list[Promotion]:
    """Those of `past` (oldest first) that were not rolled back since: the champion last, before it its predecessor."""
    standing: list[Promotion] = []
    for one in past:
        if ROLLED_BACK in one.grounds.get("grounds", ()):
            standing.pop()
        else:
            standing.append(one)
    return standing
