"""`leadmatch evaluate --policy FILE`: a rule book tried on the decisions in the ledger."""

from datetime import datetime
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.settings import Settings
from data.store import promotions
from data.store.ledger import Ledger
from pipelines.champion import champion
from pipelines.progress import Step, silent
from pipelines.rule_books import text_of
from serving.deciding.replay import MOST, Asked, replay
from serving.policy.rulebook import parse_rule_book
from serving.reports.view import WINDOW_WITHOUT_MODEL


def try_policy(
    ledger: Ledger, file: Path, *, settings: Settings, at: datetime, since: datetime | None = None, step: Step = silent
) -> dict[str, Any]:
    """The figures of POST /v1/policy/replay for a file, over the ledger's newest decisions.

    Raises InputError for a file that is no rule book, or a ledger without decisions.
    """
    with text_of(file) as text:
        rules = parse_rule_book(text)
    with ledger.reading() as conn:
        promoted = promotions.champion(conn)
    model = champion(settings, ledger).model if promoted else None
    step("replaying the newest decisions")
    with ledger.reading() as conn:
        found = replay(
            conn,
            Asked(rules, since, MOST),
            at=at,
            window_days=model.window_days if model else WINDOW_WITHOUT_MODEL,
            target=str(model.facts.get("target", "won")) if model else "won",
            verdict=model.verdict if model else None,
        )
    if not found["decisions"]:
        raise InputError("The ledger holds no decision in that time: let the service decide some leads first.")
    return {"policy": str(file), **found}
