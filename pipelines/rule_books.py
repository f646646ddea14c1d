"""The rule book as jobs: show it, check a file, put it in force."""

from datetime import datetime
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.store import policies
from data.store.ledger import Ledger
from serving.policy.rulebook import DEFAULT_PATH, parse_rule_book


def shown(ledger: Ledger) -> dict[str, Any]:
    """The text in force and its version (None: the default that comes with leadmatch)."""
    with ledger.reading() as conn:
        active = policies.active(conn)
    text = active.text if active else DEFAULT_PATH.read_text(encoding="utf-8")
    return {"version": str(active.version) if active else None, "text": text}


def checked(file: Path) -> dict[str, Any]:
    """Whether a file can be used; raises InputError with line and field where not."""
    parse_rule_book(_text(file))
    return {"file": str(file), "valid": True}


def activated(ledger: Ledger, file: Path, *, actor: str, why: str, at: datetime) -> dict[str, Any]:
    """Put a file in force as the next version; the old one stays in force where it cannot be used."""
    text = _text(file)
    parse_rule_book(text)
    with ledger.writing() as tx:
        version = policies.activate(tx, text, actor=actor, why=why, at=at)
    return {"file": str(file), "version": str(version)}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read as UTF-8 text ({type(error).__name__}).") from None
