"""`leadmatch sweep` and `leadmatch hand-over`: one pass of follow-up, and a rep's leads that go to others."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from data.errors import InputError
from data.settings import Settings
from data.store import roster
from data.store.ledger import Ledger
from pipelines.champion import champion
from serving.deciding import follow_up
from serving.models.bundle_store import Loaded
from serving.running.parts import Parts, put_together


@dataclass
class Held:
    """The champion for as long as a command runs; without one the rule book's fallback decides."""

    loaded: Loaded | None
    problem: str | None

    def current(self) -> Loaded | None:
        """The model in force."""
        return self.loaded


def swept(ledger: Ledger, settings: Settings, *, clock: Callable[[], datetime]) -> dict[str, Any]:
    """One pass over everything that waits: how often each step was taken."""
    parts = _parts(ledger, settings, clock)
    return asdict(follow_up.sweep(parts.decider))


def handed_over(
    ledger: Ledger,
    settings: Settings,
    rep_id: str,
    lead_ids: Sequence[str] | None,
    *,
    reason: str,
    actor: str,
    clock: Callable[[], datetime],
) -> dict[str, Any]:
    """The rep's open leads matched to others, each with who has it now.

    Raises InputError for an unknown rep or lead.
    """
    with ledger.reading() as conn:
        if rep_id not in {rep.rep_id for rep in roster.everybody(conn)}:
            raise InputError(f"{rep_id}: no such rep is or was on the roster; check the id.")
    parts = _parts(ledger, settings, clock)
    moved = follow_up.hand_over(parts.decider, rep_id, lead_ids, reason=reason, actor=actor)
    if lead_ids is not None and (missing := sorted({*lead_ids} - {each["lead_id"] for each in moved})):
        raise InputError(f"{rep_id} has no open lead {missing[0]}; see GET /v1/decisions?rep_id={rep_id}.")
    return {"rep_id": rep_id, "leads": moved}


def _parts(ledger: Ledger, settings: Settings, clock: Callable[[], datetime]) -> Parts:
    try:
        held = Held(champion(settings, ledger), None)
    except InputError as error:
        held = Held(None, str(error))
    parts = put_together(ledger, held, home=settings.home, clock=clock)
    with ledger.reading() as conn:
        parts.watch.renew(conn, at=clock())
    parts.prices.solve(at=clock())
    return parts
