"""Commands of the rule book and of follow-up: policy, sweep, hand-over."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipelines import telling_rules as telling
from pipelines.cli_admin import Json
from pipelines.console import command, say
from pipelines.opened import ledger, settings

ACTOR = "command line"
policy = typer.Typer(no_args_is_help=True)


def attach(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(
        policy, name="policy", help="The rule book: show, check, activate, history, diff, rollback."
    )
    app.command()(sweep)
    app.command("hand-over")(hand_over)


@policy.command("show")
@command
def policy_show(
    version: Annotated[int | None, typer.Argument(help="The one in force if not given; 0: the default.")] = None,
    as_json: Json = False,
) -> None:
    """The rule book in force, as text. Example: leadmatch policy show > policy.yaml."""
    from pipelines import rule_books

    with ledger() as book:
        say(rule_books.shown(book, version), as_json=as_json, lines=telling.policy)


@policy.command("check")
@command
def policy_check(file: Path, as_json: Json = False) -> None:
    """Check a rule book without activating it. Example: leadmatch policy check policy.yaml."""
    from pipelines import rule_books

    made = rule_books.checked(file, settings(), at=datetime.now(UTC))
    say(made, as_json=as_json, lines=telling.policy_checked)


@policy.command("activate")
@command
def policy_activate(
    file: Path, why: Annotated[str, typer.Option(help="Kept beside the version.")] = "", as_json: Json = False
) -> None:
    """Put a rule book in force. Example: leadmatch policy activate policy.yaml --why "trial in the north"."""
    from pipelines import rule_books

    with ledger() as book:
        made = rule_books.activated(book, file, actor=ACTOR, why=why, at=datetime.now(UTC))
    say(made, as_json=as_json, lines=telling.policy_activated)


@policy.command("history")
@command
def policy_history(as_json: Json = False) -> None:
    """Who changed the rule book when, why, and what. Example: leadmatch policy history."""
    from pipelines import rule_books

    with ledger() as book:
        say(rule_books.history(book), as_json=as_json, lines=telling.policy_history)


@policy.command("diff")
@command
def policy_diff(
    before: Annotated[int | None, typer.Argument(help="The version before the other, if not given.")] = None,
    after: Annotated[int | None, typer.Argument(help="The one in force, if not given.")] = None,
    as_json: Json = False,
) -> None:
    """What one version changes of another. Example: leadmatch policy diff 2 3."""
    from pipelines import rule_books

    with ledger() as book:
        say(rule_books.difference(book, before, after), as_json=as_json, lines=telling.policy_diff)


@policy.command("rollback")
@command
def policy_rollback(
    version: Annotated[int | None, typer.Argument(help="The one before the present, if not given; 0: default.")] = None,
    why: Annotated[str, typer.Option(help="Kept beside the version.")] = "",
    as_json: Json = False,
) -> None:
    """Put an earlier version in force again, as a new one. Example: leadmatch policy rollback."""
    from pipelines import rule_books

    with ledger() as book:
        made = rule_books.rolled_back(book, version, actor=ACTOR, why=why, at=datetime.now(UTC))
    say(made, as_json=as_json, lines=telling.policy_activated)


@command
def sweep(as_json: Json = False) -> None:
    """One pass of follow-up: overdue, escalate, recycle, give out what nobody has. Example: leadmatch sweep."""
    from pipelines.sweep import swept

    with ledger() as book:
        say(swept(book, settings(), clock=lambda: datetime.now(UTC)), as_json=as_json, lines=telling.swept)


@command
def hand_over(
    rep: Annotated[str, typer.Argument(help="Whose open leads go to others.")],
    why: Annotated[str, typer.Option(help="Kept in the ledger beside each step.")],
    lead: Annotated[list[str] | None, typer.Option(help="Only this lead; may be given more than once.")] = None,
    as_json: Json = False,
) -> None:
    """Match a rep's open leads to others. Example: leadmatch hand-over R-007 --why "leaves in May"."""
    from pipelines.sweep import handed_over

    with ledger() as book:
        made = handed_over(
            book, settings(), rep, lead, reason=why, actor=ACTOR, clock=lambda: datetime.now(UTC)
        )
    say(made, as_json=as_json, lines=telling.handed_over)
