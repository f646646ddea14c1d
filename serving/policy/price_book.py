"""The prices in force: solved anew in the background as leads come in, read without waiting."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from data.roster import Rep
from data.store.capacity import Load
from serving.policy.exploration import Flags, Floats
from serving.policy.hours import zone
from serving.policy.pace import Pace
from serving.policy.prices import shadow_prices
from serving.policy.rulebook import Prices

RECENT = 600  # leads that the prices are worked out from
SPARE = 1.02  # slots a lead that the prices count with at least
NEAR_ENOUGH = 1e-4  # expected conversions a lead that the prices may cost: from day to day they move more
ENOUGH = 60  # below this many, a price would be noise: all prices are 0
SOLVE_EVERY = 100  # decisions; prices of the start alone would lose about a twentieth of the optimum
STANDS_BACK = 15  # how far the solving thread does, as `nice` counts
REST = 19.0  # times what a solution took: of a large team it takes seconds, and decisions need the processor too
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeenLead:
    """What a decided lead tells about the leads to come."""

    rep_ids: tuple[str, ...]  # who was eligible
    probability: Floats  # under each of them


@dataclass(frozen=True)
class _Wanted:
    """What the prices are solved for; columns are the reps of the roster."""

    rep_ids: tuple[str, ...]
    probability: Floats  # (n, m), of the recent leads
    eligible: Flags  # (n, m)
    rotation: Floats  # (m,), leads each would get by rotation
    slots: Floats  # (m,), how many of these each has free slots for
    capacity: Floats  # (m,), how many the prices count with: below the ceiling, enough for all
    promised: Floats  # (m,), leads the floor promises each

    def same_as(self, other: "_Wanted | None") -> bool:
        """Whether the prices are the same, too: all that they follow from is as it was."""
        if other is None or self.rep_ids != other.rep_ids:
            return False
        names = ("probability", "eligible", "capacity", "promised")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    def prices(self) -> dict[str, float]:
        """The solution: price of every rep's next slot, the cheapest 0."""
        floors = np.minimum(self.promised, self.capacity)
        solved = shadow_prices(self.probability, self.eligible, self.capacity, floors, within=NEAR_ENOUGH)
        asked = self.rotation > 0
        lowest = solved[asked].min() if asked.any() else 0.0
        named = zip(self.rep_ids, solved, asked, strict=True)
        return {rep_id: float(price - lowest) for rep_id, price, wants in named if wants}


def prices_now(
    seen: Sequence[SeenLead], reps: Sequence[Rep], loads: Mapping[str, Load], rules: Prices, pace: Pace, *, at: datetime
) -> dict[str, float]:
    """Price of every rep's next slot, the cheapest 0: only differences between reps decide anything.

    seen : the recent past, whose leads stand for those to come; pace : how many will come.
    """
    wanted = _wanted(seen, reps, loads, rules, pace, at)
    return wanted.prices() if wanted else {}


def relaxed_floors(
    seen: Sequence[SeenLead], reps: Sequence[Rep], loads: Mapping[str, Load], rules: Prices, pace: Pace, *, at: datetime
) -> dict[str, tuple[float, float]]:
    """By rep with fewer free slots than the floor promises: (promised, what there is room for) of rotation's leads.

    A rep's own slots are all that can stand against a floor, which is a part of what rotation itself would give her.
    Arguments as for `prices_now`.
    """
    wanted = _wanted(seen, reps, loads, rules, pace, at)
    if wanted is None:
        return {}
    short = wanted.capacity < wanted.promised - 1e-9
    room = np.divide(wanted.slots, wanted.rotation, out=np.zeros(len(reps)), where=wanted.rotation > 0)
    return {rep.rep_id: (rules.floor, float(room[place])) for place, rep in enumerate(reps) if short[place]}


def _wanted(
    seen: Sequence[SeenLead], reps: Sequence[Rep], loads: Mapping[str, Load], rules: Prices, pace: Pace, at: datetime
) -> _Wanted | None:
    """None: there are no prices."""
    if not rules.enabled or len(seen) < ENOUGH:
        return None
    place = {rep.rep_id: number for number, rep in enumerate(reps)}
    probability = np.zeros((len(seen), len(reps)))
    eligible = np.zeros(probability.shape, dtype=bool)
    places: dict[tuple[str, ...], NDArray[np.intp]] = {}  # most leads have the same candidates
    for row, lead in enumerate(seen):
        if lead.rep_ids not in places:
            places[lead.rep_ids] = np.array([place.get(rep_id, -1) for rep_id in lead.rep_ids], dtype=np.intp)
        here = places[lead.rep_ids] >= 0  # the others have left the roster since
        columns = places[lead.rep_ids][here]
        probability[row, columns], eligible[row, columns] = lead.probability[here], True
    served = eligible.sum(axis=1)
    rotation = (eligible[served > 0] / served[served > 0, None]).sum(axis=0)
    slots = np.array([capacity_left(rep, loads, rules, pace, at) for rep in reps]) * len(seen)
    capacity = enough_for_all(slots, rules.ceiling * rotation, leads=float(rotation.sum()))
    rep_ids = tuple(rep.rep_id for rep in reps)
    return _Wanted(rep_ids, probability, eligible, rotation, slots, capacity, rules.floor * rotation)


def enough_for_all(slots: Floats, ceiling: Floats, *, leads: float) -> Floats:
    """The slots that each rep counts with, (m,): below the ceiling, and scaled up alike where they do not suffice.

    Where leads must go without a rep, a price says which leads to serve rather than which rep suits a lead, and
    the rep who is worst for everybody would look the cheapest. Who has room at all is checked at the decision.
    """
    scale, capacity = 1.0, np.minimum(slots, ceiling)
    while capacity.sum() < min(SPARE * leads, 0.99 * ceiling[slots > 0].sum()):
        scale *= 1.1
        capacity = np.minimum(scale * slots, ceiling)
    return capacity


def capacity_left(rep: Rep, loads: Mapping[str, Load], rules: Prices, pace: Pace, at: datetime) -> float:
    """The rep's slots until her local day ends, per lead expected in that time; inf without any limit."""
    load = loads.get(rep.rep_id, Load(open=rep.open_count, today=0))
    horizon = min(_days_to_midnight(rep, at), rules.slot_days)
    slots = np.inf if rep.capacity is None else rep.capacity - load.open + load.open * horizon / rules.slot_days
    today = np.inf if rep.daily_limit is None else rep.daily_limit - load.today
    return float(max(min(slots, today), 0.0) / max(pace.expected(at, horizon), 1.0))


def _days_to_midnight(rep: Rep, at: datetime) -> float:
    local = at.astimezone(zone(rep.time_zone))
    since = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
    return 1 - since / timedelta(days=1)


@dataclass(frozen=True)
class Standing:
    """Everything that prices are worked out from."""

    seen: Sequence[SeenLead]  # the recent past, whichever worker decided
    reps: Sequence[Rep]
    loads: Mapping[str, Load]
    rules: Prices
    pace: Pace
    usual_value: float | None = None  # of a won lead; where revenue counts, `seen` is in shares of it


class PriceBook:
    """Prices for the request path. `note` and `of` never wait; solving happens on a thread of its own."""

    def __init__(self, standing: Callable[[], Standing]) -> None:
        self._standing = standing  # read when it is time to solve
        self._prices: dict[str, float] = {}
        self._solved: _Wanted | None = None  # what they are the solution of
        self._laid_out: tuple[dict[str, float], Sequence[str], Floats] = ({}, (), np.zeros(0))
        self.usual_value: float | None = None  # what one lead of the prices is worth once it is won, where known
        self._lock = threading.Lock()
        self._since = 0
        self._due = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to solve in the background."""
        self._thread = threading.Thread(target=self._run, name="prices", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread, after the solution it is at."""
        self._closed.set()
        self._due.set()
        if self._thread:
            self._thread.join(timeout=10)

    def note(self) -> None:
        """A lead was decided; every so many, new prices are due."""
        with self._lock:
            self._since += 1
            due = self._since >= SOLVE_EVERY
            self._since = 0 if due else self._since
        if due:
            self._due.set()

    def outdate(self) -> None:
        """New prices are due: the roster or the rule book changed, or time went by."""
        self._due.set()

    def of(self, rep_ids: Sequence[str]) -> Floats:
        """The price of each rep's next slot; 0 while there are too few leads to tell. Not to be changed.

        rep_ids : one and the same object for one roster, for which the prices are laid out once.
        """
        prices, ids, laid_out = self._laid_out
        if prices is not self._prices or ids is not rep_ids:
            prices = self._prices
            laid_out = np.array([prices.get(rep_id, 0.0) for rep_id in rep_ids], dtype=float)
            laid_out.flags.writeable = False
            self._laid_out = (prices, rep_ids, laid_out)
        return laid_out

    def solve(self, *, at: datetime) -> None:
        """Work the prices out from how things stand; readers go over to them at once."""
        now = self._standing()
        wanted = _wanted(now.seen, now.reps, now.loads, now.rules, now.pace, at)
        if wanted is None:
            self._prices = {}
        elif not wanted.same_as(self._solved):  # a quiet night asks for the same again and again
            self._prices = wanted.prices()
        self._solved = wanted
        self.usual_value = now.usual_value

    def _run(self) -> None:
        if sys.platform == "linux":  # where each thread has a priority of its own: requests go first
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), STANDS_BACK)
        while True:
            self._due.wait()
            self._due.clear()
            if self._closed.is_set():
                return
            begun = time.thread_time()
            try:
                self.solve(at=datetime.now(UTC))
            except Exception as error:
                # Old prices are better than none; the next solution is due soon.
                log.warning("prices were not renewed", extra={"problem": type(error).__name__})
            self._closed.wait(REST * (time.thread_time() - begun))
