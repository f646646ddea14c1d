"""Commands of the endpoints that are told of events: webhooks, and CRMs that are written back to."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from data.errors import InputError
from pipelines import telling_events
from pipelines.console import command, say
from pipelines.opened import ledger, settings

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
webhooks = typer.Typer(no_args_is_help=True)
ACTOR = "command line"


@webhooks.command("add")
@command
def add(
    url: Annotated[str, typer.Argument(help="Where to send: https://..., or the CRM's address.")],
    kind: Annotated[str, typer.Option(help="webhook, or the CRM whose owners are set: salesforce, hubspot, ...")] = (
        "webhook"
    ),
    topics: Annotated[str | None, typer.Option(help="Names with commas between; all that make sense if not given.")] = (
        None
    ),
    client: Annotated[str | None, typer.Option(help="Only what concerns this client's leads.")] = None,
    secret: Annotated[
        str | None, typer.Option(help="Where the secret or the CRM's credentials lie: env:NAME or file:/PATH.")
    ] = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="The address may be on this machine or in a private network.")
    ] = False,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, for a CRM; see the README.")] = None,
    as_json: Json = False,
) -> None:
    """Tell an endpoint of events; a new secret is shown once. Example: leadmatch webhooks add https://crm.example/in."""
    from serving.events.endpoint_setup import set_up, told

    with ledger() as book, book.writing() as tx:
        made, new_secret = set_up(
            tx,
            settings().home,
            kind=kind,
            url=url,
            topics=[name.strip() for name in topics.split(",")] if topics else None,
            client_id=client,
            secret_from=secret,
            private_allowed=allow_private,
            options=options_of(option or []),
            actor=ACTOR,
            at=datetime.now(UTC),
        )
    say(told(made) | {"secret": new_secret}, as_json=as_json, lines=telling_events.endpoint_added)


def options_of(given: list[str]) -> dict[str, Any]:
    """Options given as NAME=VALUE. Raises InputError for anything else."""
    pairs = [one.partition("=") for one in given]
    if wrong := [name for name, equals, _ in pairs if not equals or not name]:
        raise InputError(f"--option: {wrong[0]!r} is not NAME=VALUE.")
    return {name: value for name, _, value in pairs}


@webhooks.command("list")
@command
def list_(as_json: Json = False) -> None:
    """Everybody who is told, and what waits. Example: leadmatch webhooks list."""
    from serving.events.endpoint_setup import shown

    with ledger() as book, book.reading() as conn:
        found = shown(conn)
    say({"webhooks": found}, as_json=as_json, lines=telling_events.endpoints)


@webhooks.command("remove")
@command
def remove(endpoint_id: str, as_json: Json = False) -> None:
    """Tell it nothing any more, and drop what it was not told. Example: leadmatch webhooks remove ID."""
    from serving.events.endpoint_setup import removed

    with ledger() as book, book.writing() as tx:
        found = removed(tx, settings().home, endpoint_id, actor=ACTOR, at=datetime.now(UTC))
    _known(endpoint_id, found)
    say({"endpoint_id": endpoint_id, "removed": True}, as_json=as_json, lines=telling_events.done)


@webhooks.command("disable")
@command
def disable(endpoint_id: str, as_json: Json = False) -> None:
    """Stop telling it, and keep what it was not told. Example: leadmatch webhooks disable ID."""
    _switch(endpoint_id, active=False, as_json=as_json)


@webhooks.command("enable")
@command
def enable(endpoint_id: str, as_json: Json = False) -> None:
    """Go on telling it. Example: leadmatch webhooks enable ID."""
    _switch(endpoint_id, active=True, as_json=as_json)


def _switch(endpoint_id: str, *, active: bool, as_json: bool) -> None:
    from serving.events.endpoint_setup import switched

    with ledger() as book, book.writing() as tx:
        found = switched(tx, endpoint_id, active=active, actor=ACTOR, at=datetime.now(UTC))
    _known(endpoint_id, found)
    say({"endpoint_id": endpoint_id, "active": active}, as_json=as_json, lines=telling_events.done)


@webhooks.command("send")
@command
def send(as_json: Json = False) -> None:
    """Send what is due, once; the service does so all the time. Example: leadmatch webhooks send."""
    import numpy as np

    from serving.events.endpoint_setup import waiting
    from serving.events.webhooks import Sender

    with ledger() as book:
        home = settings().home
        Sender(book, home, clock=lambda: datetime.now(UTC), rng=np.random.default_rng()).send_due()
        with book.reading() as conn:
            left = waiting(conn)
    say({"waiting": left}, as_json=as_json, lines=telling_events.done)


@webhooks.command("dead")
@command
def dead(
    endpoint: Annotated[str | None, typer.Option(help="Only this endpoint's.")] = None, as_json: Json = False
) -> None:
    """Messages that were given up. Example: leadmatch webhooks dead."""
    from serving.events import endpoint_setup

    with ledger() as book, book.reading() as conn:
        found = endpoint_setup.dead(conn, endpoint)
    say({"dead": found}, as_json=as_json, lines=telling_events.dead)


@webhooks.command("replay")
@command
def replay(
    endpoint: Annotated[str | None, typer.Option(help="Only this endpoint's.")] = None,
    message: Annotated[str | None, typer.Option(help="Only this message.")] = None,
    as_json: Json = False,
) -> None:
    """Send again what was given up, under the same ids. Example: leadmatch webhooks replay --endpoint ID."""
    from serving.events.endpoint_setup import replayed

    with ledger() as book, book.writing() as tx:
        again = replayed(tx, endpoint_id=endpoint, message_id=message, actor=ACTOR, at=datetime.now(UTC))
    say({"replayed": again}, as_json=as_json, lines=telling_events.done)


def _known(endpoint_id: str, found: bool) -> None:
    if not found:
        raise InputError(f"{endpoint_id}: there is no such endpoint; see `leadmatch webhooks list`.")
