"""Personal data of leads, apart from everything else and erasable by row."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection


def read(conn: Connection, client_id: str, lead_id: str) -> dict[str, Any]:
    """What is known of the person behind a lead; empty if nothing is, or it was erased."""
    raise NotImplementedError


def read_many(conn: Connection, client_id: str, lead_ids: list[str]) -> dict[str, Mapping[str, Any]]:
    """The same for a page of leads: lead_id -> personal data, where there are any."""
    raise NotImplementedError


def erase(tx: Connection, client_id: str, lead_id: str) -> bool:
    """Whether there was something to erase; decisions and outcomes stay, without the person."""
    raise NotImplementedError
