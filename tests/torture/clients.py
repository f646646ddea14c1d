"""Clients that behave like a busy CRM and its managers, and note what they asked and what they were told."""

import json
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.torture.history import Final, Operation

# (method, path, role, body, headers) -> (status, answer's bytes); status None where the connection broke
Call = Callable[[str, str, str, Any, Mapping[str, str]], tuple[int | None, bytes]]

HOT_SHARE = 0.05  # leads that several clients ask for
MIX = {"assign": 0.44, "retry": 0.20, "override": 0.15, "close": 0.19, "capacity": 0.02}
MOST_TRIES = 50  # of one request that is put off, before it is given up
REMEMBERED = 200  # of a client's own decisions and requests that it comes back to


@dataclass
class Plan:
    """What the clients share."""

    call: Call
    reps: Sequence[str]
    highest: int  # capacity that a manager may set
    requests: int  # of each client
    lowest: int = 1
    clock: Callable[[], float] = time.monotonic
    occurs: Callable[[], str] = lambda: datetime.now(UTC).isoformat()  # what an event says of its time
    stop: threading.Event = field(default_factory=threading.Event)


class Client:
    """One of them, with dice of its own."""

    def __init__(self, plan: Plan, number: int, seed: int) -> None:
        self._plan = plan
        self._number = number
        self._dice = random.Random(f"{seed}/{number}")
        self._made = 0
        self._asked: list[dict[str, Any]] = []  # assignments to ask for again
        self._decided: list[dict[str, Any]] = []  # decisions of ours that have a rep: id, lead, version
        self.noted: list[Operation] = []

    def run(self) -> None:
        """Ask for everything in the plan, or until it is stopped."""
        kinds, weights = list(MIX), list(MIX.values())
        while len(self.noted) < self._plan.requests and not self._plan.stop.is_set():
            getattr(self, f"_{self._dice.choices(kinds, weights)[0]}")()

    def _assign(self) -> None:
        self._made += 1
        hot = self._dice.random() < HOT_SHARE
        lead = f"hot-{self._made // 3}" if hot else f"c{self._number}-{self._made}"
        key = f"k-{self._number}-{self._made}" if self._dice.random() < 0.5 else None
        body = {"lead": {"lead_id": lead, "source": self._dice.choice(["web", "fair", "phone"])}}
        asked = {"lead": lead, "key": key, "body": json.dumps(body), "again": False}
        self._ask(asked)

    def _retry(self) -> None:
        if not self._asked:
            return self._assign()
        asked = {**self._dice.choice(self._asked[-REMEMBERED:]), "again": True}
        if asked["key"] is not None and self._dice.random() < 0.2:  # a mistake: the key for another body
            asked["body"] = json.dumps({"lead": {"lead_id": asked["lead"], "source": "another body"}})
        return self._ask(asked)

    def _ask(self, asked: dict[str, Any]) -> None:
        headers = {"Idempotency-Key": asked["key"]} if asked["key"] else {}
        one = self._note("assign", asked, "POST", "/v1/assign", "crm", json.loads(asked["body"]), headers)
        if not asked["again"]:
            self._asked.append(asked)
        if one.well and one.answer["rep_id"] is not None and one.answer["duplicate_of"] is None:
            self._decided.append({"id": one.answer["decision_id"], "lead": asked["lead"], "version": 1})

    def _override(self) -> None:
        if not self._decided:
            return self._assign()
        mine = self._dice.choice(self._decided[-REMEMBERED:])
        rep = self._dice.choice(self._plan.reps)
        stale = self._dice.random() < 0.3 and mine["version"] > 1
        version = mine["version"] - 1 if stale else mine["version"]
        asked = {"decision": mine["id"], "rep": rep, "version": version}
        body = {"rep_id": rep, "reason": "asked for", "version": version}
        path = f"/v1/decisions/{mine['id']}/override"
        one = self._note("override", asked, "POST", path, "manager", body, {})
        if one.well:
            mine["version"] = one.answer["state"]["version"]
        return None

    def _close(self) -> None:
        if not self._decided:
            return self._assign()
        mine = self._dice.choice(self._decided[-REMEMBERED:])
        event = self._dice.choice(["won", "lost"])
        event_id, now = f"{event}-{mine['lead']}", self._plan.occurs()
        body = {"event_id": event_id, "lead_id": mine["lead"], "event": event, "occurred_at": now}
        asked = {"lead": mine["lead"], "event": event}
        for _ in range(self._dice.choice([1, 1, 2])):
            self._note("outcome", asked, "POST", "/v1/outcomes", "crm", body, {})
        return None

    def _capacity(self) -> None:
        rep = self._dice.choice(self._plan.reps)
        capacity = self._dice.randint(self._plan.lowest, self._plan.highest)
        asked = {"rep": rep, "capacity": capacity}
        self._note("capacity", asked, "PATCH", f"/v1/reps/{rep}", "manager", {"capacity": capacity}, {})

    def _note(
        self, kind: str, asked: Mapping[str, Any], method: str, path: str, role: str, body: Any, headers: Any
    ) -> Operation:
        """Ask, and again where it is put off, as an honest client does; every try is an operation of its own."""
        for number in range(MOST_TRIES):
            begun = self._plan.clock()
            status, raw = self._plan.call(method, path, role, body, headers)
            answer = json.loads(raw) if status is not None and raw else {}
            one = Operation(kind, begun, self._plan.clock(), dict(asked), status, answer, raw)
            self.noted.append(one)
            put_off = status in (None, 429, 503) or (status == 409 and kind == "assign")
            if not put_off or self._plan.stop.is_set():
                break
            time.sleep(min(0.002 * 2**number, 0.2) * (0.5 + self._dice.random()))
        return one


def together(plan: Plan, count: int, seed: int) -> list[Operation]:
    """What `count` clients noted, all at work at once, in the order in which they were answered."""
    clients = [Client(plan, number, seed) for number in range(count)]
    failures: list[BaseException] = []

    def run(client: Client) -> None:
        try:
            client.run()
        except BaseException as error:  # a thread's end must not pass unseen
            failures.append(error)

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sorted((one for client in clients for one in client.noted), key=lambda one: one.ended)


def final(call: Call) -> Final:
    """What the service says in the end."""

    def get(path: str) -> Any:
        status, raw = call("GET", path, "admin", None, {})
        if status is None:  # a connection that had stood idle was closed meanwhile
            status, raw = call("GET", path, "admin", None, {})
        assert status == 200, (path, status, raw)
        return json.loads(raw)

    decisions, cursor = [], None
    while True:
        page = get(f"/v1/decisions?limit=200&cursor={cursor}" if cursor else "/v1/decisions?limit=200")
        decisions += page["decisions"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return Final(decisions, {rep["rep_id"]: rep["open_leads"] for rep in get("/v1/reps")["reps"]})
