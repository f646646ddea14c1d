"""Commands that look after an installation: model, keys, policy, doctor."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from data.errors import InputError, RefusedError
from data.names import listed
from data.roles import ROLES
from pipelines import cli_keeping, telling
from pipelines.cli_webhooks import webhooks
from pipelines.console import command, say
from pipelines.opened import ledger, settings

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
LINK_LASTS = timedelta(days=2)


def attach(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(model, name="model", help="Models: list, show, promote, rollback.")
    app.add_typer(keys, name="keys", help="Keys of the HTTP interface: create, list, rotate, revoke.")
    app.add_typer(roster, name="roster", help="The reps who get leads: put.")
    told = "add, list, remove, disable, enable, send, dead, replay"
    app.add_typer(webhooks, name="webhooks", help=f"Who is told of events: {told}.")
    cli_keeping.attach(app)
    app.command()(doctor)


model = typer.Typer(no_args_is_help=True)
keys = typer.Typer(no_args_is_help=True)
roster = typer.Typer(no_args_is_help=True)


@roster.callback()
def _roster() -> None:
    """Keep `put` a word of its own: a lone command would lose its name."""


@model.command("list")
@command
def model_list(as_json: Json = False) -> None:
    """Every registered version, newest first. Example: leadmatch model list."""
    from pipelines import models

    with ledger() as book:
        say(models.listed(settings(), book), as_json=as_json, lines=telling.models)


@model.command("show")
@command
def model_show(
    version: Annotated[str | None, typer.Argument(help="The champion if not given.")] = None, as_json: Json = False
) -> None:
    """One version: what it was trained on and how good it is. Example: leadmatch model show 3."""
    from pipelines import models

    with ledger() as book:
        say(models.shown(settings(), book, version), as_json=as_json, lines=telling.model)


@model.command("promote")
@command
def model_promote(version: str, as_json: Json = False) -> None:
    """Make a version the champion by hand. Example: leadmatch model promote 3."""
    from pipelines import models

    with ledger() as book:
        made = models.promote(settings(), book, version, actor="command line", at=datetime.now(UTC))
    say(made, as_json=as_json, lines=telling.promoted)


@model.command("rollback")
@command
def model_rollback(as_json: Json = False) -> None:
    """Make the champion before this one champion again. Example: leadmatch model rollback."""
    from pipelines import models

    with ledger() as book:
        made = models.rollback(settings(), book, actor="command line", at=datetime.now(UTC))
    say(made, as_json=as_json, lines=telling.promoted)


@keys.command("create")
@command
def keys_create(
    role: Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}.")],
    label: Annotated[str, typer.Option(help="What the key is for; shown in the list.")] = "",
    client: Annotated[str | None, typer.Option(help="The client whose leads it handles; it outlives its keys.")] = None,
    rep: Annotated[str | None, typer.Option(help="For the role rep: whose key it is.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; never, if not given.")] = None,
    link: Annotated[bool, typer.Option("--link", help="Also a link that signs in to the pages, once.")] = False,
    as_json: Json = False,
) -> None:
    """Make a key; it is shown once. Example: leadmatch keys create --role crm --label website."""
    from data.store import keys as store
    from data.store import sessions
    from data.store.roster import read_roster

    if role not in ROLES:
        raise InputError(f"--role: {role!r} is none of {', '.join(ROLES)}.")
    if link and role == "crm":
        raise InputError("--link: a key of the role crm is for programs; the pages need one of another role.")
    now = datetime.now(UTC)
    ends = now + timedelta(days=days) if days else None
    with ledger() as book, book.writing() as tx:
        known = read_roster(tx).ids
        made = store.create(tx, role=role, label=label or role, client_id=client, rep_id=rep, at=now, expires_at=ends)
        token = sessions.make_link(tx, made.id, expires_at=now + LINK_LASTS) if link else None
    if rep is not None and known and rep not in known:  # she may be about to begin
        said = f"{rep!r} is not on the roster yet, which has {listed(known)}; she gets no leads before"
        typer.echo(f"leadmatch: --rep: {said}.", err=True)
    told = {"id": made.id, "key": made.key, "role": made.role}
    if token is not None:
        told["link"] = f"{settings().public_url.rstrip('/')}/sign-in/{token}"
    say(told, as_json=as_json, lines=telling.key)


@keys.command("list")
@command
def keys_list(as_json: Json = False) -> None:
    """All keys, without their secrets. Example: leadmatch keys list."""
    from data.store import keys as store

    with ledger() as book, book.reading() as conn:
        found = store.list_keys(conn)
    say({"keys": [telling.plain_key(key) for key in found]}, as_json=as_json, lines=telling.keys)


@keys.command("rotate")
@command
def keys_rotate(
    key_id: str,
    days: Annotated[int, typer.Option(min=0, help="Days that the old key works on; 0: it ends at once.")] = 7,
    as_json: Json = False,
) -> None:
    """Make a key's successor; both work until the old one ends. Example: leadmatch keys rotate ID --days 7."""
    from data.store import keys as store

    now = datetime.now(UTC)
    with ledger() as book, book.writing() as tx:
        made = store.rotate(tx, key_id, at=now, old_ends_at=now + timedelta(days=days))
    say({"id": made.id, "key": made.key, "role": made.role, "replaces": key_id}, as_json=as_json, lines=telling.key)


@keys.command("revoke")
@command
def keys_revoke(key_id: str, as_json: Json = False) -> None:
    """Make a key useless at once. Example: leadmatch keys revoke ID."""
    from data.store import keys as store

    with ledger() as book, book.writing() as tx:
        revoked = store.revoke(tx, key_id, at=datetime.now(UTC))
    if not revoked:
        raise InputError(f"{key_id}: there is no such key in use; see `leadmatch keys list`.")
    say({"id": key_id, "revoked": True}, as_json=as_json, lines=telling.revoked)


@roster.command("put")
@command
def roster_put(
    data: Annotated[Path, typer.Option("--data", help="Data set whose reps become the roster.")], as_json: Json = False
) -> None:
    """Put a data set's present reps on the service's roster. Example: leadmatch roster put --data crm."""
    from pipelines.put_roster import put_roster

    with ledger() as book:
        made = put_roster(data, book, actor="command line", at=datetime.now(UTC))
    say(made, as_json=as_json, lines=telling.roster)


@command
def doctor(
    audit_head: Annotated[str | None, typer.Option(help="A head of the audit chain that was kept elsewhere.")] = None,
    as_json: Json = False,
) -> None:
    """Recompute what the ledger keeps beside its rows, and say what differs. Example: leadmatch doctor."""
    from pipelines.doctor import examine

    with ledger() as book:
        findings = examine(book, home=settings().home, kept_head=audit_head)
    say({"findings": [telling.plain_finding(one) for one in findings]}, as_json=as_json, lines=telling.findings)
    if findings:
        raise RefusedError(f"{len(findings)} finding(s); see above.")
