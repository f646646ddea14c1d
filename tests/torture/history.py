"""Is what the clients saw possible for a service that never loses, doubles or overbooks anything?

Clients note every request with its beginning, its end and its answer. Of two requests that overlap nobody knows
which came first, so every check speaks only of what must hold in any order: it has no false alarms.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FOREVER = float("inf")
DONE = ("won", "lost")


@dataclass(frozen=True)
class Operation:
    """One request and what came of it. `status` None: the connection broke, it may have happened or not."""

    kind: str  # assign | override | outcome | capacity
    begun: float
    ended: float
    asked: Mapping[str, Any]  # lead, key and body; or decision, rep and version; or lead and event; or rep and capacity
    status: int | None
    answer: Mapping[str, Any]
    raw: bytes = b""

    @property
    def well(self) -> bool:
        """Whether it was answered as done."""
        return self.status == 200

    @property
    def maybe(self) -> bool:
        """Whether it may have been done: 503 can come after a commit whose fate nobody learned."""
        return self.status in (None, 200, 500, 502, 503, 504)


@dataclass(frozen=True)
class Final:
    """What the service says once everybody has gone home."""

    decisions: Sequence[Mapping[str, Any]]  # GET /v1/decisions, all pages
    open_leads: Mapping[str, int]  # by rep, of GET /v1/reps


@dataclass(frozen=True)
class Held:
    """One slot of one rep: surely held between `sure_from` and `sure_until`, perhaps from `from_` to `until`."""

    rep: str
    from_: float
    sure_from: float
    sure_until: float
    until: float


def violations(history: Sequence[Operation], final: Final, capacity: Mapping[str, int]) -> list[str]:
    """Everything that cannot be; empty for a possible history. `capacity` is what each rep began with."""
    by_kind: dict[str, list[Operation]] = defaultdict(list)
    for one in history:
        by_kind[one.kind].append(one)
    caps = Capacities(capacity, by_kind["capacity"])
    held = list(slots(by_kind, final))
    return [
        *one_answer_a_key(by_kind["assign"]),
        *one_decision_a_lead(by_kind["assign"]),
        *nothing_lost(by_kind, final),
        *one_override_a_version(by_kind["override"]),
        *never_over(held, caps),
        *never_refused_with_room(by_kind["assign"], held, caps),
        *counters_equal_slots(final),
    ]


def one_answer_a_key(assigned: Sequence[Operation]) -> Iterator[str]:
    """A key has one answer, byte for byte, to one body; another body gets 422."""
    by_key = defaultdict(list)
    for one in assigned:
        if one.asked["key"] is not None:
            by_key[one.asked["key"]].append(one)
    for key, ones in by_key.items():
        done = [one for one in ones if one.well]
        if len({one.raw for one in done}) > 1:
            yield f"key {key} has {len({one.raw for one in done})} answers"
        if len({one.asked["body"] for one in done}) > 1:
            yield f"key {key} was answered for two bodies"


def one_decision_a_lead(assigned: Sequence[Operation]) -> Iterator[str]:
    """A lead that got a rep has one decision; others are marked as its duplicates and name the same rep."""
    by_lead = defaultdict(set)
    for one in assigned:
        if one.well and one.answer["rep_id"] is not None:
            root = one.answer["duplicate_of"] or one.answer["decision_id"]
            by_lead[one.asked["lead"]].add((root, one.answer["rep_id"]))
    for lead, roots in by_lead.items():
        if len(roots) > 1:
            yield f"lead {lead} was decided {len(roots)} times"


def nothing_lost(by_kind: Mapping[str, Sequence[Operation]], final: Final) -> Iterator[str]:
    """What was answered as done is there in the end, and nothing is there that nobody asked for."""
    there = {one["decision_id"]: one for one in final.decisions}
    asked = {one.asked["lead"] for one in by_kind["assign"] if one.maybe}
    for one in by_kind["assign"]:
        if one.well and one.answer["decision_id"] not in there:
            yield f"decision {one.answer['decision_id']} was answered and is not there"
    for one in final.decisions:
        if one["lead_id"] not in asked:
            yield f"lead {one['lead_id']} was decided and nobody asked"
    newest: dict[str, Operation] = {}
    for one in by_kind["override"]:
        known = newest.get(one.asked["decision"])
        if one.well and (known is None or one.answer["state"]["version"] > known.answer["state"]["version"]):
            newest[one.asked["decision"]] = one
    closings = [one for one in by_kind["outcome"] if one.maybe and one.asked["event"] in DONE]
    for decision, one in newest.items():
        state = there.get(decision, {}).get("state")
        if state is None or state["version"] < one.answer["state"]["version"]:
            yield f"an override of {decision} was answered and is not there"
        elif state["version"] == one.answer["state"]["version"] and state["rep_id"] != one.asked["rep"]:
            lead = there[decision]["lead_id"]
            if any(each.asked["lead"] == lead and each.begun < one.ended for each in closings):
                continue  # it was closed before it was given away, and we were told so afterwards
            yield f"{decision} is with {state['rep_id']}, was overridden to {one.asked['rep']}"
    closed = {one.asked["lead"] for one in by_kind["outcome"] if one.well and one.asked["event"] in DONE}
    for one in final.decisions:
        if one["lead_id"] in closed and one["duplicate_of"] is None and one["state"]["holds_slot"]:
            yield f"lead {one['lead_id']} was closed and still holds a slot"


def one_override_a_version(overrides: Sequence[Operation]) -> Iterator[str]:
    """Of those who saw the same version one wins, and makes the next version."""
    won = defaultdict(int)
    for one in overrides:
        if one.well:
            won[one.asked["decision"], one.asked["version"]] += 1
            if one.answer["state"]["version"] != one.asked["version"] + 1:
                yield f"an override of {one.asked['decision']} at {one.asked['version']} made another version"
    for (decision, version), times in won.items():
        if times > 1:
            yield f"{times} overrides of {decision} saw version {version} and all won"


class Capacities:
    """Each rep's capacity over time, as far as it can be known."""

    def __init__(self, begun_with: Mapping[str, int], changes: Sequence[Operation]) -> None:
        self._values: dict[str, list[tuple[float, float, int]]] = {}
        for rep, capacity in begun_with.items():
            # A value may be in force from when its change began until the change after it was surely done.
            made = sorted((one for one in changes if one.asked["rep"] == rep and one.maybe), key=lambda one: one.begun)
            values = [(-FOREVER, -FOREVER, capacity)]
            values += [(one.begun, one.ended if one.well else FOREVER, one.asked["capacity"]) for one in made]
            self._values[rep] = values

    @property
    def reps(self) -> Sequence[str]:
        """Everybody's id."""
        return list(self._values)

    def most(self, rep: str, begun: float, ended: float) -> int:
        """The highest that may have been in force at some moment between the two."""
        return max(self._possible(rep, begun, ended))

    def least(self, rep: str, begun: float, ended: float) -> int:
        """The lowest that may have been in force at some moment between the two."""
        return min(self._possible(rep, begun, ended))

    def _possible(self, rep: str, begun: float, ended: float) -> list[int]:
        values = self._values[rep]
        # Whatever was surely replaced before `begun` is out: a later change both began after it and was done by then.
        return [
            value
            for from_, sure, value in values
            if from_ <= ended and not any(other > sure and done <= begun for other, done, _ in values)
        ]


def slots(by_kind: Mapping[str, Sequence[Operation]], final: Final) -> Iterator[Held]:
    """Every slot that was surely or perhaps held, and when."""
    first: dict[str, Operation] = {}  # by decision: the request that made it is the first that was told of it
    perhaps: dict[str, float] = {}  # by lead: when somebody first asked for it
    for one in sorted(by_kind["assign"], key=lambda each: each.ended):
        lead = one.asked["lead"]
        if one.maybe:
            perhaps[lead] = min(perhaps.get(lead, FOREVER), one.begun)
        if one.well and one.answer["rep_id"] is not None and one.answer["duplicate_of"] is None:
            first.setdefault(one.answer["decision_id"], one)
    moved = defaultdict(list)
    for one in by_kind["override"]:
        if one.maybe:
            moved[one.asked["decision"]].append(one)
    closing = defaultdict(list)
    for one in by_kind["outcome"]:
        if one.maybe and one.asked["event"] in DONE:
            closing[one.asked["lead"]].append(one)
    for told in final.decisions:
        if told["rep_id"] is None or told["duplicate_of"] is not None:
            continue
        one, lead = first.get(told["decision_id"]), told["lead_id"]
        closed_from = min((each.begun for each in closing[lead]), default=FOREVER)
        closed_by = min((each.ended for each in closing[lead] if each.well), default=FOREVER)
        steps = sorted(moved[told["decision_id"]], key=lambda each: (each.asked["version"], each.begun))
        yield from _of_one(told, one, perhaps.get(lead, -FOREVER), steps, closed_from, closed_by)


def _of_one(
    told: Mapping[str, Any],
    made: Operation | None,
    asked_from: float,
    steps: Sequence[Operation],
    closed_from: float,
    closed_by: float,
) -> Iterator[Held]:
    """The slots of one decision: the drawn rep's, then those of whom it was given to."""
    won = [step for step in steps if step.well]
    sure_from = made.ended if made else FOREVER
    left_from = min([step.begun for step in steps] + [closed_from])
    left_by = min([step.ended for step in won[:1]] + [closed_by])
    yield Held(told["rep_id"], asked_from, sure_from, left_from, left_by)
    for step in steps:
        later = [other for other in steps if other is not step and other.asked["version"] > step.asked["version"]]
        until = min([other.begun for other in later] + [closed_from])
        by = min([other.ended for other in later if other.well] + [closed_by])
        yield Held(step.asked["rep"], step.begun, step.ended if step.well else FOREVER, until, by)


def never_over(held: Sequence[Held], caps: Capacities) -> Iterator[str]:
    """Whoever surely holds slots together had the room for them when the last one was taken."""
    by_rep = defaultdict(list)
    for one in held:
        if one.sure_from < one.sure_until:
            by_rep[one.rep].append(one)
    for rep, ones in by_rep.items():
        ones.sort(key=lambda one: one.sure_from)
        together: list[Held] = []
        for one in ones:
            together = [other for other in together if other.sure_until > one.sure_from] + [one]
            # The last of them was taken after all had begun to be asked for, and by now.
            last_from = max(other.from_ for other in together)
            if len(together) > caps.most(rep, last_from, one.sure_from):
                yield f"{rep} had {len(together)} leads at {one.sure_from:.3f}, more than ever allowed then"
                break


def never_refused_with_room(assigned: Sequence[Operation], held: Sequence[Held], caps: Capacities) -> Iterator[str]:
    """"Nobody is free" is only said when everybody may have been full."""
    begins, ends = defaultdict(list), defaultdict(list)
    for one in held:
        if one.from_ <= one.until:  # else another request had overtaken it before it was even asked
            begins[one.rep].append(one.from_)
            ends[one.rep].append(one.until)
    for times in (*begins.values(), *ends.values()):
        times.sort()
    for one in assigned:
        if not (one.well and one.answer["rep_id"] is None) or one.asked["again"]:
            continue
        for rep in caps.reps:
            perhaps = bisect_right(begins[rep], one.ended) - bisect_left(ends[rep], one.begun)
            if perhaps < caps.least(rep, one.begun, one.ended):
                yield f"lead {one.asked['lead']} got nobody, though {rep} had room"
                break


def counters_equal_slots(final: Final) -> Iterator[str]:
    """What the roster says of each rep's load is what the decisions hold."""
    holds = defaultdict(int)
    for one in final.decisions:
        if one["duplicate_of"] is None and one["state"]["holds_slot"]:
            holds[one["state"]["rep_id"]] += 1
    for rep, count in final.open_leads.items():
        if count != holds[rep]:
            yield f"{rep} counts {count} open leads and holds {holds[rep]}"
