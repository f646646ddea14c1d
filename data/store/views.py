"""Saved views: a name for a page's filters, for everybody who may see the page."""

from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Connection

from data.errors import InputError
from data.store.tables import saved_views

MOST = 30


def of_page(conn: Connection, page: str) -> dict[str, str]:
    """Name -> query string, in the order of the names."""
    rows = conn.execute(select(saved_views).where(saved_views.c.page == page).order_by(saved_views.c.name))
    return {row.name: row.query for row in rows}


def save(tx: Connection, page: str, name: str, query: str, *, actor: str, at: datetime) -> None:
    """Keep a view; one of the same name is replaced. Raises InputError where there are too many."""
    known = of_page(tx, page)
    if name not in known and len(known) >= MOST:
        raise InputError(f"There are {MOST} saved views already; remove one first.")
    remove(tx, page, name)
    tx.execute(insert(saved_views), {"page": page, "name": name, "query": query, "actor": actor, "at": at})


def remove(tx: Connection, page: str, name: str) -> None:
    """Forget a view."""
    tx.execute(delete(saved_views).where(saved_views.c.page == page, saved_views.c.name == name))
