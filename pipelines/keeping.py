"""Keeping an installation safe, as jobs: rights of persons, retention, the audit chain, sources, backups."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from data.errors import InputError, RefusedError
from data.store import acts, audit, backup, checks, privacy, sources
from data.store.ledger import Ledger
from data.store.lone import Caretaker
from data.store.sources import Source
from serving.events import secret_sources
from serving.events.inbound import TOLD, meanings_of

BATCH = 200


def exported(
    ledger: Ledger, client_id: str, lead_id: str, out: Path | None, *, actor: str, at: datetime
) -> dict[str, Any]:
    """Everything about one lead, written to `out` if that is given, for its owner alone."""
    with ledger.writing() as tx:
        known = privacy.known(tx, client_id, lead_id)
        acts.note(tx, actor=actor, action="lead.exported", on=f"{client_id}/{lead_id}", at=at)
    if out is None:
        return known
    with open(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as file:
        json.dump(known, file, ensure_ascii=False, default=str, indent=1)
    return {"client_id": client_id, "lead_id": lead_id, "out": str(out)}


def erased(ledger: Ledger, client_id: str, lead_id: str, *, actor: str, at: datetime) -> dict[str, Any]:
    """What was erased; then the database's own files are cleared of old copies."""
    with ledger.writing() as tx:
        made = privacy.erase(tx, client_id, lead_id, actor=actor, at=at)
    return {**made, "traces": "gone" if ledger.leave_no_trace() else "soon gone"}


def retained(
    ledger: Ledger, *, days: int, answer_days: int, dry_run: bool, actor: str, now: datetime
) -> dict[str, int]:
    """How much was forgotten (or would be), a batch a transaction: it may be ended and run again at any time."""
    with ledger.reading() as conn:
        due = privacy.expired(conn, now=now, days=days, answer_days=answer_days)
    if dry_run:
        return vars(due)
    forgotten = dict.fromkeys(vars(due), 0)
    while True:
        with ledger.writing() as tx:
            some = privacy.forget_some(tx, now=now, days=days, answer_days=answer_days, limit=BATCH)
        for name, count in vars(some).items():
            forgotten[name] += count
        if not any(vars(some).values()):
            break
    if any(forgotten.values()):
        with ledger.writing() as tx:
            acts.note(tx, actor=actor, action="retention", on=f"{days} days", at=now, detail=forgotten)
        ledger.leave_no_trace()
    return forgotten


def sealed(ledger: Ledger, *, at: datetime) -> dict[str, Any]:
    """The head of the audit chain, once everything is sealed."""
    while audit.seal(ledger, at=at):
        pass
    with ledger.reading() as conn:
        head = audit.head(conn)
    if head is None:
        raise InputError("There is nothing to seal yet.")
    return {"head": str(head), "at": head.at}


def source_added(
    ledger: Ledger,
    home: Path,
    *,
    kind: str,
    client_id: str,
    secrets_from: Sequence[str],
    options: Mapping[str, Any],
    actor: str,
    at: datetime,
) -> dict[str, Any]:
    """A new source and where it sends to. Raises InputError for what cannot be used."""
    for source in secrets_from:
        secret_sources.read(source, home)
    if wrong := meanings_of(options):
        raise InputError(f"--option: {wrong[0]} must be one of {', '.join(TOLD)}.")
    made = Source(
        source_id=sources.new_id(), kind=kind, client_id=client_id, secrets_from=tuple(secrets_from),
        options=options, actor=actor, created_at=at,
    )  # fmt: skip
    with ledger.writing() as tx:
        sources.add(tx, made)
        acts.note(tx, actor=actor, action="source.added", on=made.source_id, at=at, detail={"kind": kind})
    return {"source_id": made.source_id, "address": f"/v1/hooks/{made.source_id}"}


def source_secrets(
    ledger: Ledger, home: Path, source_id: str, secrets_from: Sequence[str], *, actor: str, at: datetime
) -> dict[str, Any]:
    """The source with other secrets. Raises InputError for an unknown one."""
    for source in secrets_from:
        secret_sources.read(source, home)
    with ledger.writing() as tx:
        if not sources.change_secrets(tx, source_id, secrets_from):
            raise _no_source(source_id)
        acts.note(tx, actor=actor, action="source.secrets", on=source_id, at=at)
    return {"source_id": source_id, "secrets": len(secrets_from)}


def source_removed(ledger: Ledger, source_id: str, *, actor: str, at: datetime) -> dict[str, Any]:
    """A source that is believed no more. Raises InputError for an unknown one."""
    with ledger.writing() as tx:
        if not sources.remove(tx, source_id):
            raise _no_source(source_id)
        acts.note(tx, actor=actor, action="source.removed", on=source_id, at=at)
    return {"source_id": source_id, "removed": True}


def _no_source(source_id: str) -> InputError:
    return InputError(f"{source_id}: there is no such source; see `leadmatch sources list`.")


def backed_up(ledger: Ledger, out: Path, *, actor: str, at: datetime) -> dict[str, Any]:
    """A copy of the ledger at `out`. Raises InputError where there is such a file."""
    backup.refuse_existing(out)  # before it is told as done
    with ledger.writing() as tx:
        acts.note(tx, actor=actor, action="ledger.backed_up", on=out.name, at=at)
    return {"out": str(out), "bytes": backup.back_up(ledger, out)}


def restored(url: str, home: Path, file: Path, *, force: bool, actor: str, at: datetime) -> dict[str, Any]:
    """The ledger as it was, brought up to today's schema and held against itself.

    Raises RefusedError where a service runs on this home, or the restored ledger is not sound.
    """
    with _without_service(home):
        ledger = Ledger.open(url)
        try:
            backup.restore(ledger, file, over_a_used_one=force)
        finally:
            ledger.close()
    ledger = Ledger.open(url)  # an older backup is migrated here
    try:
        with ledger.writing() as tx:
            acts.note(tx, actor=actor, action="ledger.restored", on=file.name, at=at)
        with ledger.reading() as conn:
            findings = checks.everything(conn)
    finally:
        ledger.close()
    if findings:
        raise RefusedError(f"The backup was restored, but it is not sound: {findings[0]} ({len(findings)} in all).")
    return {"restored": str(file), "findings": 0}


@contextmanager
def _without_service(home: Path) -> Iterator[None]:
    """Be this home's caretaker, as one of a service's workers is: they would go on with what is replaced."""
    caretaker = Caretaker(home / "caretaker.lock")
    if not caretaker.take():
        raise RefusedError(f"A service runs on LEADMATCH_HOME {home}: end it, restore, then start it again.")
    try:
        yield
    finally:
        caretaker.give_up()
