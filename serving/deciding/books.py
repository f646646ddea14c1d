"""The rule book's versions: checked against what is known here, put in force, compared, and taken back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from data.errors import ConflictError, InputError
from data.store import decisions, policies, roster
from data.store.ledger import Connection, Ledger
from data.store.policies import PolicyVersion
from serving.policy.checking import Known, checked_rule_book
from serving.policy.difference import changed_fields, changed_lines
from serving.policy.rulebook import DEFAULT_PATH, parse_rule_book

RECENT = 200  # leads that a rule book is tried on


def known_here(conn: Connection, *, model_columns: frozenset[str] = frozenset(), at: datetime) -> Known:
    """The roster, and the columns and leads that were seen lately."""
    page, _ = decisions.search(conn, limit=RECENT)
    leads = [decision.row.lead_snapshot for decision in page if decision.row.duplicate_of is None]
    columns = frozenset(name for lead in leads for name in lead)
    return Known(roster.read_roster(conn).reps, columns | model_columns, leads, at)


def activate(
    ledger: Ledger,
    text: str,
    *,
    actor: str,
    why: str,
    at: datetime,
    model_columns: frozenset[str] = frozenset(),
    expected: int | None = None,
) -> dict[str, Any]:
    """Put a text in force as the next version, and say what it changes; the old one stays where it cannot be used.

    expected : the version that it changes; None: whichever is in force. Raises InputError and ConflictError.
    """
    with ledger.reading() as conn:
        known = known_here(conn, model_columns=model_columns, at=at)
    book = checked_rule_book(text, known)
    with ledger.writing() as tx:
        before = policies.active(tx)
        if expected is not None and policies.version(tx) != expected:
            raise ConflictError("The rule book was changed meanwhile; read it again and change that one.")
        version = policies.activate(tx, text, actor=actor, why=why, at=at)
    old = parse_rule_book(before.text if before else default_text())
    return {"version": version, "changed": changed_fields(old, book)}


def rolled_back(ledger: Ledger, number: int | None, *, actor: str, why: str, at: datetime) -> dict[str, Any]:
    """Bring an earlier version's text back into force, as a version of its own.

    number : which; None: the one before the present; 0: the default book. Raises InputError where there is none.
    """
    with ledger.reading() as conn:
        now = policies.version(conn)
        back = max(now - 1, 0) if number is None else number
        text = text_of(conn, back)
    if back == now:
        raise InputError(f"Version {now} of the rule book is in force already.")
    why = why or f"back to version {back}"
    told = activate(ledger, text, actor=actor, why=why, at=at, expected=now)
    return {**told, "back_to": back}


def text_of(conn: Connection, number: int) -> str:
    """The text of a version; 0 is the default book. Raises InputError where there is no such version."""
    found = policies.get(conn, number) if number else None
    if number and found is None:
        raise InputError(f"There is no version {number} of the rule book; see `leadmatch policy history`.")
    return found.text if found else default_text()


def difference(conn: Connection, before: int, after: int) -> dict[str, Any]:
    """What version `after` changes of version `before`, field by field and line by line."""
    old, new = text_of(conn, before), text_of(conn, after)
    return {
        "before": before,
        "after": after,
        "changed": changed_fields(parse_rule_book(old), parse_rule_book(new)),
        "lines": changed_lines(old, new, names=(f"version {before}", f"version {after}")),
    }


def history(conn: Connection) -> list[dict[str, Any]]:
    """Who changed what when and why, the newest first."""
    versions = policies.history(conn)
    texts: Mapping[int, str] = {0: default_text(), **{one.version: one.text for one in versions}}
    return [_entry(one, texts[one.version - 1]) for one in reversed(versions)]


def _entry(version: PolicyVersion, before: str) -> dict[str, Any]:
    try:
        changed = changed_fields(parse_rule_book(before), parse_rule_book(version.text))
    except InputError:  # written under other rules of what a rule book may say
        changed = None
    return {
        "version": version.version,
        "actor": version.actor,
        "why": version.why,
        "at": version.at,
        "changed": changed,
    }


def default_text() -> str:
    """The rule book that comes with leadmatch."""
    return DEFAULT_PATH.read_text(encoding="utf-8")
