"""Who is champion: an append-only list changed by compare-and-swap; the registry's alias follows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection


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
    raise NotImplementedError


def champion(conn: Connection) -> Promotion | None:
    """The latest promotion."""
    raise NotImplementedError


def history(conn: Connection) -> list[Promotion]:
    """All promotions, oldest first."""
    raise NotImplementedError
