"""Commands that keep an installation safe: privacy, the audit chain, sources, backups."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from data.errors import InputError
from pipelines import telling_events
from pipelines.cli_webhooks import ACTOR, options_of
from pipelines.console import command, say
from pipelines.opened import ledger, settings

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Lead = Annotated[str, typer.Option(help="The lead's id.")]
Client = Annotated[str, typer.Option(help="Whose lead it is.")]
Secrets = Annotated[list[str], typer.Option(help="env:NAME or file:/PATH; twice while the old gives way to the new.")]
privacy = typer.Typer(no_args_is_help=True)
audit = typer.Typer(no_args_is_help=True)
sources = typer.Typer(no_args_is_help=True)


def attach(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(privacy, name="privacy", help="The person behind a lead: export, erase, retain.")
    app.add_typer(audit, name="audit", help="Who did what, and the chain of hashes over it: head, acts.")
    app.add_typer(sources, name="sources", help="CRMs that tell us by signed webhooks: add, list, secrets, remove.")
    app.command()(backup)
    app.command()(restore)


@privacy.command("export")
@command
def privacy_export(
    lead: Lead,
    client: Client = "default",
    out: Annotated[Path | None, typer.Option(help="File to write; standard output if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Everything that the ledger holds about one lead. Example: leadmatch privacy export --lead L-1 --out L-1.json."""
    from pipelines.keeping import exported

    with ledger() as book:
        found = exported(book, client, lead, out, actor=ACTOR, at=datetime.now(UTC))
    say(found, as_json=as_json, lines=telling_events.exported)


@privacy.command("erase")
@command
def privacy_erase(lead: Lead, client: Client = "default", as_json: Json = False) -> None:
    """Erase the person behind a lead, and every trace in the database's files. Example: privacy erase --lead L-1."""
    from pipelines.keeping import erased

    with ledger() as book:
        made = erased(book, client, lead, actor=ACTOR, at=datetime.now(UTC))
    say(made, as_json=as_json, lines=telling_events.done)


@privacy.command("retain")
@command
def privacy_retain(
    days: Annotated[int, typer.Option(min=1, help="Days after a lead's last event until its person is forgotten.")],
    answer_days: Annotated[
        int, typer.Option(min=30, help="Days for which a client may ask for a stored answer again.")
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how much there is to forget.")] = False,
    as_json: Json = False,
) -> None:
    """Forget what is older than it may be; run it daily. Example: leadmatch privacy retain --days 730 --dry-run."""
    from pipelines.keeping import retained

    with ledger() as book:
        made = retained(
            book, days=days, answer_days=answer_days, dry_run=dry_run, actor=ACTOR, now=datetime.now(UTC)
        )
    say(made, as_json=as_json, lines=telling_events.done)


@audit.command("head")
@command
def audit_head(as_json: Json = False) -> None:
    """Seal what is not sealed yet and print the chain's head: keep it elsewhere. Example: leadmatch audit head."""
    from pipelines.keeping import sealed

    with ledger() as book:
        say(sealed(book, at=datetime.now(UTC)), as_json=as_json, lines=telling_events.done)


@audit.command("acts")
@command
def audit_acts(limit: Annotated[int, typer.Option(min=1)] = 50, as_json: Json = False) -> None:
    """Who did what, newest first. Example: leadmatch audit acts."""
    from data.store import acts

    with ledger() as book, book.reading() as conn:
        found = [vars(one) for one in acts.newest(conn, limit)]
    say({"acts": found}, as_json=as_json, lines=telling_events.acts)


@sources.command("add")
@command
def sources_add(
    kind: Annotated[str, typer.Argument(help="standard (Standard Webhooks) or hubspot.")],
    client: Client,
    secret: Secrets,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; see docs/events.md.")] = None,
    as_json: Json = False,
) -> None:
    """Believe a CRM's signed webhooks. Example: leadmatch sources add hubspot --client crm --secret env:HUBSPOT."""
    from pipelines.keeping import source_added

    with ledger() as book:
        made = source_added(
            book, settings().home, kind=kind, client_id=client, secrets_from=secret,
            options=options_of(option or []), actor=ACTOR, at=datetime.now(UTC),
        )  # fmt: skip
    say(made, as_json=as_json, lines=telling_events.done)


@sources.command("list")
@command
def sources_list(as_json: Json = False) -> None:
    """Whose signed webhooks are believed. Example: leadmatch sources list."""
    from data.store import sources as store

    with ledger() as book, book.reading() as conn:
        found: list[dict[str, Any]] = [vars(one) for one in store.everybody(conn)]
    say({"sources": found}, as_json=as_json, lines=telling_events.sources)


@sources.command("secrets")
@command
def sources_secrets(source_id: str, secret: Secrets, as_json: Json = False) -> None:
    """Change the secrets: first the old and the new, then the new. Example: sources secrets ID --secret env:NEW."""
    from pipelines.keeping import source_secrets

    with ledger() as book:
        made = source_secrets(book, settings().home, source_id, secret, actor=ACTOR, at=datetime.now(UTC))
    say(made, as_json=as_json, lines=telling_events.done)


@sources.command("remove")
@command
def sources_remove(source_id: str, as_json: Json = False) -> None:
    """Believe it no more. Example: leadmatch sources remove ID."""
    from pipelines.keeping import source_removed

    with ledger() as book:
        made = source_removed(book, source_id, actor=ACTOR, at=datetime.now(UTC))
    say(made, as_json=as_json, lines=telling_events.done)


@command
def backup(
    out: Annotated[Path, typer.Option(help="File to write; it must not be there yet.")], as_json: Json = False
) -> None:
    """Copy the whole ledger, while the service runs. Example: leadmatch backup --out ledger-2026-03-02.backup."""
    from pipelines.keeping import backed_up

    with ledger() as book:
        made = backed_up(book, out, actor=ACTOR, at=datetime.now(UTC))
    say(made, as_json=as_json, lines=telling_events.done)


@command
def restore(
    file: Annotated[Path, typer.Argument(help="What `leadmatch backup` wrote.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a ledger that holds decisions.")] = False,
    as_json: Json = False,
) -> None:
    """Make the ledger what it was when the backup was made; stop the service first. Example: leadmatch restore FILE."""
    from pipelines.keeping import restored

    if not file.is_file():
        raise InputError(f"{file}: there is no such file; check the path.")
    known = settings()
    made = restored(known.ledger_url, known.home, file, force=force, actor=ACTOR, at=datetime.now(UTC))
    say(made, as_json=as_json, lines=telling_events.done)
