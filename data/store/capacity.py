"""Capacity: counters that cannot be overrun, and the entries from which they can be recomputed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from data.roster import Rep


@dataclass(frozen=True)
class Load:
    """A rep's load: open leads (ours and `open_count` of the roster) and leads given on her local day."""

    open: int
    today: int
    last_assigned_at: datetime | None = None


def local_day(rep: Rep, at: datetime) -> str:
    """The rep's local date at `at`, as YYYY-MM-DD: the window of her daily limit."""
    raise NotImplementedError


def loads(conn: Connection, windows: Mapping[str, str]) -> dict[str, Load]:
    """The load of every rep named in `windows` (rep_id -> local day)."""
    raise NotImplementedError


def reserve(
    tx: Connection, rep: Rep, *, decision_id: str, window: str, at: datetime, force: bool = False
) -> bool:
    """Whether the decision got a slot of `rep`: one open lead and one of the day `window`.

    The limits are those of the ledger's roster at this moment (the caller's `rep` may be stale); a rep who
    left the roster or is inactive has none. force : take it whatever the limits say (noted in the entry).
    """
    raise NotImplementedError


def release(tx: Connection, decision_id: str, *, kind: str, at: datetime, actor: str = "sweep") -> bool:
    """Whether the decision's slot was given back now; a second time does nothing.

    kind : "recycled" (the lead will be decided anew) or "timed_out" (the rep keeps the lead, not the slot).
    Won, lost and reassigned come through `outcomes.receive` and `overrides.record`, which release too.
    """
    raise NotImplementedError
