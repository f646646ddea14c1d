"""What has become of a lead: a pure fold over all that happened to it, in the order in which it happened.

Nothing here depends on the order of arrival: the same rows give the same state, so a state that lies in a
table can be thrown away and made again.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

CLOSED = ("won", "lost")
_GIVE = ("override", "owner_changed")
NOBODY = ("unassigned", "recycled")  # the next request for the lead decides anew
WAITS = {"pool": "pooled", "manual": "queued"}  # arm of a decision that gives nobody -> what the lead is until then


@dataclass(frozen=True)
class Spell:
    """A decision as far as the fold needs it."""

    decision_id: str
    rep_id: str | None
    decided_at: datetime
    shadow: bool = False  # `rep_id` would have got the lead: the CRM's own choice stands, and takes no slot of ours
    waits: str | None = None  # pooled or queued: for a rep who claims it, for a manager who gives it out


@dataclass(frozen=True)
class Happening:
    """An outcome event, an override or a follow-up's ending of a spell."""

    at: datetime
    id: str
    kind: str
    decision_id: str | None = None  # None: an event, which names only its lead
    rep_id: str | None = None
    value: float | None = None
    reason: str | None = None
    into: str | None = None


@dataclass(frozen=True)
class SpellState:
    """What has become of a decision."""

    decision_id: str
    rep_id: str | None  # who works the lead now
    version: int  # 1, plus one for each change of owner that we were told of; an override must name it
    status: str  # open | unassigned | pooled | queued | won | lost | recycled | merged
    holds_slot: bool
    given_at: datetime | None = None  # when the lead came to `rep_id`
    contacted_at: datetime | None = None  # first contact since then
    qualified_at: datetime | None = None
    closed_at: datetime | None = None
    value: float | None = None
    lost_reason: str | None = None
    feedback: str | None = None
    timed_out_at: datetime | None = None
    decided_at: datetime | None = None  # the decision's own, so that a rep's leads can be listed in order


@dataclass(frozen=True)
class LeadState:
    """What has become of a lead and of each of its spells, oldest first."""

    spells: tuple[SpellState, ...]
    merged_into: str | None

    @property
    def standing(self) -> str | None:
        """The decision that answers the next request for this lead; None: decide anew."""
        if not self.spells or self.spells[-1].status in NOBODY:
            return None
        return self.spells[-1].decision_id


def waits(arm: str, rep_id: str | None) -> str | None:
    """What a decision of this arm that gives nobody makes of its lead: pooled, queued, or nothing of the kind."""
    return WAITS.get(arm) if rep_id is None else None


def fold(spells: Sequence[Spell], happenings: Iterable[Happening]) -> LeadState:
    """The state of a lead with these `spells`, oldest first, after all of `happenings`, in any order."""
    drafts = [_Draft(spell) for spell in spells]
    in_order = sorted(happenings, key=lambda each: (each.at, each.id))
    place_of = _places(spells, in_order)
    merged_into = None
    for happening in in_order:
        if happening.kind == "merged":
            merged_into = happening.into
        if drafts:
            drafts[place_of(happening)].apply(happening)
    return LeadState(tuple(draft.finished(last=draft is drafts[-1]) for draft in drafts), merged_into)


def begun(spell: Spell) -> LeadState:
    """The state of a lead with this spell alone, to which nothing has happened yet."""
    return LeadState((_Draft(spell).finished(last=True),), None)


def _places(spells: Sequence[Spell], happenings: Sequence[Happening]) -> Callable[[Happening], int]:
    """Which spell a happening belongs to: the one it names; a new owner, the latest by then; other events, the
    latest by then that gave the lead to somebody. What came before all of them belongs to the first.
    """
    named = {spell.decision_id: number for number, spell in enumerate(spells)}
    given = {number for number, spell in enumerate(spells) if spell.rep_id is not None or spell.shadow}

    def latest(numbers: Sequence[int], at: datetime) -> int:
        begun = [number for number in numbers if spells[number].decided_at <= at]
        return begun[-1] if begun else numbers[0]

    def place_of(happening: Happening) -> int:
        if happening.decision_id is not None:
            return named[happening.decision_id]
        anybody = happening.kind == "owner_changed" or not given
        return latest(range(len(spells)) if anybody else sorted(given), happening.at)

    if spells:
        given |= {place_of(each) for each in happenings if each.kind in _GIVE and each.rep_id is not None}
    return place_of


@dataclass
class _Draft:
    """A spell's state while its happenings are applied, oldest first."""

    spell: Spell
    rep_id: str | None = field(init=False)
    status: str = field(init=False)
    version: int = 1
    given_at: datetime | None = field(init=False)
    told: str | None = field(init=False)  # the owner last named, even where it came too late to matter
    contacted_at: datetime | None = None
    qualified_at: datetime | None = None
    closed_at: datetime | None = None
    value: float | None = None
    lost_reason: str | None = None
    feedback: str | None = None
    timed_out_at: datetime | None = None

    def __post_init__(self) -> None:
        self.rep_id = None if self.spell.shadow else self.spell.rep_id
        given = self.rep_id is not None or self.spell.shadow
        self.status = "open" if given else self.spell.waits or "unassigned"
        self.given_at = None if self.rep_id is None else self.spell.decided_at
        self.told = self.rep_id

    def apply(self, happening: Happening) -> None:
        getattr(self, f"_{happening.kind}")(happening)

    def finished(self, *, last: bool) -> SpellState:
        status = "recycled" if self.status == "open" and not last else self.status
        working = status == "open" and self.rep_id is not None and self.timed_out_at is None
        return SpellState(
            decision_id=self.spell.decision_id,
            rep_id=self.rep_id,
            version=self.version,
            status=status,
            holds_slot=working and not self.spell.shadow,
            given_at=self.given_at,
            contacted_at=self.contacted_at,
            qualified_at=self.qualified_at,
            closed_at=self.closed_at,
            value=self.value,
            lost_reason=self.lost_reason,
            feedback=self.feedback,
            timed_out_at=self.timed_out_at,
            decided_at=self.spell.decided_at,
        )

    def _contacted(self, it: Happening) -> None:
        self.contacted_at = self.contacted_at or it.at

    def _qualified(self, it: Happening) -> None:
        self.qualified_at = self.qualified_at or it.at

    def _won(self, it: Happening) -> None:
        self._close("won", it, value=it.value, lost_reason=None)

    def _lost(self, it: Happening) -> None:
        self._close("lost", it, value=None, lost_reason=it.reason)

    def _close(self, status: str, it: Happening, *, value: float | None, lost_reason: str | None) -> None:
        if self.status == status:  # told again: the first telling dates it, the last says what it was worth
            self.value = self.value if value is None else value
            self.lost_reason = self.lost_reason if lost_reason is None else lost_reason
            return
        self.status, self.closed_at = status, it.at
        self.value, self.lost_reason = value, lost_reason

    def _reopened(self, it: Happening) -> None:
        if self.status in (*CLOSED, "merged"):
            nobody = self.rep_id is None and not self.spell.shadow
            self.status = self.spell.waits or "unassigned" if nobody else "open"
            self.closed_at = self.value = self.lost_reason = None
            self._give(self.told, it.at)  # somebody else may have got it while it was closed
        self.timed_out_at = None

    def _feedback(self, it: Happening) -> None:
        self.feedback = it.reason

    def _merged(self, it: Happening) -> None:
        if self.status not in CLOSED:
            self.status = "merged"

    def _owner_changed(self, it: Happening) -> None:
        if self.spell.rep_id is not None and not self.spell.shadow and it.at < self.spell.decided_at:
            return  # what was so before the decision, the decision replaced
        self.version += it.rep_id != self.told  # never falls, whatever comes late: nobody overrides unseen changes
        self.told = it.rep_id
        # A closed lead that changes hands (to an account manager, say) was still closed by whoever had it.
        if self.status not in CLOSED:
            self._give(it.rep_id, it.at)

    def _override(self, it: Happening) -> None:
        self.version += 1
        self.told = it.rep_id
        if self.status not in CLOSED:
            self._give(it.rep_id, it.at)

    def _give(self, rep_id: str | None, at: datetime) -> None:
        if rep_id == self.rep_id:
            return
        self.rep_id = rep_id
        self.given_at = None if rep_id is None else at
        self.contacted_at = self.timed_out_at = None
        if rep_id is None and self.status == "open" and not self.spell.shadow:
            self.status = "unassigned"
        elif rep_id is not None and self.status in (*NOBODY, *WAITS.values()):
            self.status = "open"

    def _recycled(self, it: Happening) -> None:
        if self.status in ("open", *WAITS.values()):
            self.status = "recycled"

    _handed_over = _claimed = _unclaimed = _recycled  # each ends the spell; another decision gives the lead out

    def _timed_out(self, it: Happening) -> None:
        if self.status == "open":
            self.timed_out_at = it.at
