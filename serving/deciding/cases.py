"""A lead on its way through a decision: what was asked, what was considered, what was drawn, what is answered."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.store.decisions import Stored
from serving.deciding.consider import Chances, Considered, Room
from serving.telling import answers

_SORTED = json.JSONEncoder(sort_keys=True, default=answers.as_json)


@dataclass(frozen=True)
class Ask:
    """One client's wish to have one lead assigned."""

    client_id: str
    lead: Mapping[str, Any]
    digest: str  # of the body: an explicit key with another body is a mistake
    key: str | None = None
    dry_run: bool = False
    deadline: float = float("inf")  # on the monotonic clock; after it nothing is decided
    method: str | None = None  # in place of the rule book's own: follow-up gives out what waited in vain
    only_if_free: bool = False  # nothing is stored where nobody is free

    @property
    def lead_id(self) -> str:
        """The lead's id."""
        return str(self.lead["lead_id"])


@dataclass(frozen=True)
class Reply:
    """The answer's bytes, and whether they were stored before."""

    body: bytes
    replayed: bool = False
    stored: bool = True  # False: a dry run, or nobody was free and the request asked for nothing then


@dataclass(frozen=True)
class Background:
    """What the ledger knows of a lead beside its own attributes."""

    had_it: tuple[str, ...] = ()  # reps from whom it was taken, and who do not get it back yet
    owner: str | None = None  # the rep of the same customer's newest lead
    same_customer: tuple[str, ...] = ()  # what to tell of the customer's other leads
    keys: Mapping[str, str] | None = None  # of the customer, to find her again by


NOTHING_KNOWN = Background()


@dataclass(frozen=True)
class Case:
    """A lead that has been considered, and what its slots cost beside the prices in force."""

    ask: Ask
    considered: Considered
    extra_prices: Mapping[str, float] | None = None  # of a batch, whose leads compete with each other
    background: Background = NOTHING_KNOWN

    @property
    def rep_ids(self) -> tuple[str, ...]:
        """The candidates."""
        return self.considered.rep_ids


@dataclass(frozen=True)
class Draw:
    """A proposal that is complete but for the slot: whom chance or a rule chose, and the answer that says so."""

    decision_id: str
    number: int
    seed: int
    arm: str
    room: Room
    answer: bytes
    chances: Chances | None = None  # None: nobody was drawn
    candidate: int | None = None  # None: nobody gets the lead
    unassigned_reason: str | None = None

    @property
    def waits(self) -> bool:
        """Whether the lead waits for a person, in the pool or the manual queue."""
        return self.candidate is None and self.arm in ("pool", "manual")


@dataclass(frozen=True)
class Found:
    """A decision that already answers, and whether it was found under the request's own key."""

    stored: Stored
    under_key: bool


def digest_of(body: Any) -> str:
    """The same for the same content, however its fields were ordered."""
    return hashlib.sha256(_SORTED.encode(body).encode()).hexdigest()


def told(answer: Mapping[str, Any], ask: Ask, considered: Considered, more: Sequence[str] = ()) -> bytes:
    """The answer with what else there is to say, encoded."""
    said = ["dry run: nothing was stored"] if ask.dry_run else []
    if considered.in_force.mode == "shadow":
        said.append("shadow mode: the choice of the CRM stands")
    return answers.encoded({**answer, "warnings": [*answer["warnings"], *more, *said]})
