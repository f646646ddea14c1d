"""The rule book as jobs: show it, check a file, put it in force, compare versions, take one back."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.settings import Settings
from data.store import policies
from data.store.ledger import Ledger
from serving.deciding import books
from serving.policy.checking import checked_rule_book
from serving.policy.rulebook import parse_rule_book


def shown(ledger: Ledger, number: int | None = None) -> dict[str, Any]:
    """A version's text; without a number the one in force (version None: the default that comes with leadmatch)."""
    with ledger.reading() as conn:
        version = policies.version(conn) if number is None else number
        text = books.text_of(conn, version)
    return {"version": str(version) if version else None, "text": text}


def checked(file: Path, settings: Settings, *, at: datetime) -> dict[str, Any]:
    """Whether a file can be used; raises InputError with line, field and cure where not.

    Where there is a ledger, the file is held against its roster and the leads that came in.
    """
    with text_of(file) as text:
        parse_rule_book(text)
    known = settings.database_url is not None or (settings.home / "ledger.db").exists()
    if known:
        ledger = Ledger.open(settings.ledger_url)
        try:
            with text_of(file) as text, ledger.reading() as conn:
                checked_rule_book(text, books.known_here(conn, at=at))
        finally:
            ledger.close()
    return {"file": str(file), "valid": True, "against": "this ledger's roster and leads" if known else "itself"}


def activated(ledger: Ledger, file: Path, *, actor: str, why: str, at: datetime) -> dict[str, Any]:
    """Put a file in force as the next version; the old one stays in force where it cannot be used."""
    with text_of(file) as text:
        made = books.activate(ledger, text, actor=actor, why=why, at=at)
    return {"file": str(file), "version": str(made["version"]), "changed": made["changed"]}


def rolled_back(ledger: Ledger, number: int | None, *, actor: str, why: str, at: datetime) -> dict[str, Any]:
    """Put an earlier version's text in force again, as the next version."""
    made = books.rolled_back(ledger, number, actor=actor, why=why, at=at)
    back = made["back_to"]
    return {"file": f"version {back}", "version": str(made["version"]), "changed": made["changed"]}


def history(ledger: Ledger) -> dict[str, Any]:
    """Every version: who, when, why and what, the newest first."""
    with ledger.reading() as conn:
        return {"versions": books.history(conn)}


def difference(ledger: Ledger, before: int | None, after: int | None) -> dict[str, Any]:
    """What a version changes of another; by default the one in force of the one before it."""
    with ledger.reading() as conn:
        newer = policies.version(conn) if after is None else after
        older = max(newer - 1, 0) if before is None else before
        return books.difference(conn, older, newer)


@contextmanager
def text_of(file: Path) -> Iterator[str]:
    """A rule book's text, for a block whose InputError then names the file; itself raises it for no readable text."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{file}: there is no such file; check the path.") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise InputError(f"{file}: is not UTF-8 text; save it as UTF-8.") from None
    try:
        yield text
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
