"""Sixteen clients at once leave a history that a faultless service could have: and planted faults do not pass."""

import json
import time
import uuid
from dataclasses import replace

import numpy as np
import pytest

from data.store import capacity, counters, decisions, outcomes, overrides
from data.store.load_book import LoadBook
from pipelines.doctor import examine
from serving.deciding.decide import Decider, Reply
from tests.torture import history
from tests.torture.clients import Plan, final, together

TEN = "2026-03-02T10:00:00Z"  # an hour after the time at the desk
REPS = {"R-1": 6, "R-2": 8, "R-3": 10, "R-4": 12}


def caller(desk):
    def call(method, path, role, body, headers):
        answer = desk.call(method, path, body, role=role, headers=dict(headers))
        return answer.status_code, answer.content

    return call


def played(desk, clients, requests, seed=1):
    """(violations, findings, history) of a game over this desk."""
    desk.load(None)  # the rule book's fallback decides: what is tested here lies below the model
    desk.roster(*[{"rep_id": rep, "capacity": most} for rep, most in REPS.items()])
    call = caller(desk)
    noted = together(Plan(call, list(REPS), highest=14, requests=requests, occurs=lambda: TEN), clients, seed)
    return history.violations(noted, final(call), REPS), examine(desk.ledger), noted


def test_sixteen_clients_leave_a_possible_history(desk_on_each):
    found, findings, noted = played(desk_on_each, 16, 60)
    assert (found, findings) == ([], [])
    # and the game was a hard one: every kind of request was both granted and refused
    statuses = {kind: {one.status for one in noted if one.kind == kind} for kind in ("assign", "override", "outcome")}
    assert {200, 422} <= statuses["assign"]
    assert {200, 409} <= statuses["override"]
    nobody = sum(one.kind == "assign" and one.well and one.answer["rep_id"] is None for one in noted)
    assert 20 < nobody < len(noted) / 2


# --- planted faults --------------------------------------------------------------------------------------


def reads_then_writes(monkeypatch):
    """Capacity is looked up, and taken a moment later: the limit is that of the past."""
    take = counters.take
    monkeypatch.setattr(counters, "take", lambda tx, rep_id, **given: take(tx, rep_id, **{**given, "force": True}))
    loads = capacity.loads

    def looked_up(conn, windows):
        found = loads(conn, windows)
        time.sleep(0.005)
        return found

    monkeypatch.setattr(capacity, "loads", looked_up)


def forgets_keys(monkeypatch):
    """The key is not kept: a retry is a new request."""
    record = decisions.record

    def forgetful(tx, row, answer):
        record(tx, replace(row, idempotency_key=None), answer)

    monkeypatch.setattr(decisions, "record", forgetful)


def believes_any_body(monkeypatch):
    """A key stands for its first body whatever the second one says."""
    again = Decider._again

    def trusting(self, ask, found):
        return again(self, replace(ask, digest=found.stored.request_digest), found)

    monkeypatch.setattr(Decider, "_again", trusting)


def releases_twice(monkeypatch):
    """An event that comes twice gives its slot back twice."""
    receive = outcomes.receive

    def generous(tx, client_id, events, *, at):
        said = receive(tx, client_id, events, at=at)
        for event, status in zip(events, said, strict=True):
            standing = decisions.open_decision(tx, client_id, event.lead_id)
            if status == "duplicate" and standing and standing.rep_id:
                used = counters.text("UPDATE open_load SET used = used - 1 WHERE rep_id = :rep AND used > 0")
                tx.execute(used, {"rep": standing.rep_id})
        return said

    monkeypatch.setattr(outcomes, "receive", generous)


def never_releases(monkeypatch):
    """Every third slot that should come back does not."""
    settle, turns = counters.settle, []

    def forgetful(tx, moves, *, at):
        kept = []
        for move in moves:
            turns.append(1)
            if move.delta > 0 or len(turns) % 3:
                kept.append(move)
        settle(tx, kept, at=at)

    monkeypatch.setattr(counters, "settle", forgetful)


def ignores_versions(monkeypatch):
    """An override does not look at the version that its manager saw."""
    checked = overrides._checked

    def blind(rows, decision_id, rep_id, expected_version):
        now = rows.state().spells[-1]
        return checked(rows, decision_id, rep_id, now.version)

    monkeypatch.setattr(overrides, "_checked", blind)
    record = overrides.record

    def renumbered(tx, decision_id, rep, *, expected_version, **given):
        version = decisions.get(tx, decision_id).state.version
        return record(tx, decision_id, rep, expected_version=version, **given)

    monkeypatch.setattr(overrides, "record", renumbered)


def overrides_without_limit(monkeypatch):
    """An override takes a slot that is not there."""
    record = overrides.record
    monkeypatch.setattr(overrides, "record", lambda *args, **given: record(*args, **{**given, "force": True}))


def answers_before_it_is_stored(monkeypatch):
    """Every tenth decision is told and then lost."""
    settle, turns = Decider.settle, []

    def hasty(self, case, loads):
        turns.append(1)
        if len(turns) % 10:
            return settle(self, case, loads)
        return Reply(self._draw(case, loads, 0, uuid.uuid4().hex).answer)

    monkeypatch.setattr(Decider, "settle", hasty)


def decides_a_lead_anew(monkeypatch):
    """A lead that comes again without a key is given out again."""
    assign = Decider.assign

    def forgetful(self, ask, **given):
        if ask.key is None:
            with self.ledger.writing() as tx:
                standing = decisions.open_decision(tx, ask.client_id, ask.lead_id)
                if standing is not None:
                    capacity.release(tx, standing.spell_id, kind="recycled", at=self.clock())
        return assign(self, ask, **given)

    monkeypatch.setattr(Decider, "assign", forgetful)


def says_nobody_is_free(monkeypatch):
    """Slots that came back are seen too late."""
    seen, look = [0], LoadBook.look

    def stale(self, conn, reps, at):
        now = look(self, conn, reps, at)
        seen[0] = np.maximum(now.open, seen[0])  # it only ever rises
        return replace(now, open=seen[0])

    monkeypatch.setattr(LoadBook, "look", stale)


FAULTS = {
    reads_then_writes: "more than ever allowed",
    forgets_keys: "answers",
    believes_any_body: "answered for two bodies",
    releases_twice: "counts",
    never_releases: "counts",
    ignores_versions: "made another version",
    overrides_without_limit: "more than ever allowed",
    answers_before_it_is_stored: "is not there",
    decides_a_lead_anew: "was decided",
    says_nobody_is_free: "had room",
}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found_in_the_history(plant, desk, monkeypatch):
    plant(monkeypatch)
    found, _, _ = played(desk, 6, 45)
    assert any(FAULTS[plant] in one for one in found), found[:5]


# --- the checker by hand ---------------------------------------------------------------------------------


def assigned(lead, begun, ended, rep="R-1", key=None, **more):
    answer = {"decision_id": f"D-{lead}", "rep_id": rep, "duplicate_of": None, **more}
    asked = {"lead": lead, "key": key, "body": "{}", "again": False}
    return history.Operation("assign", begun, ended, asked, 200, answer, json.dumps(answer).encode())


def told(lead, rep="R-1", *, holds=True, version=1):
    state = {"rep_id": rep, "version": version, "holds_slot": holds, "status": "open" if holds else "won"}
    return {"decision_id": f"D-{lead}", "lead_id": lead, "rep_id": "R-1", "duplicate_of": None, "state": state}


def check(noted, there, capacity, **loads):
    return history.violations(noted, history.Final(there, {"R-1": 0, **loads}), capacity)


def test_two_leads_one_after_the_other_on_one_slot_are_too_many_and_with_a_release_between_they_are_not():
    first, second = assigned("a", 0, 1), assigned("b", 4, 5)
    (found,) = check([first, second], [told("a"), told("b")], {"R-1": 1}, **{"R-1": 2})
    assert "had 2 leads" in found
    won = history.Operation("outcome", 2, 3, {"lead": "a", "event": "won"}, 200, {})
    assert check([first, won, second], [told("a", holds=False), told("b")], {"R-1": 1}, **{"R-1": 1}) == []


def test_a_release_that_overlaps_with_the_next_lead_may_have_come_first():
    won = history.Operation("outcome", 2, 9, {"lead": "a", "event": "won"}, 200, {})
    noted = [assigned("a", 0, 1), assigned("b", 4, 5), won]
    assert check(noted, [told("a", holds=False), told("b")], {"R-1": 1}, **{"R-1": 1}) == []


def test_a_limit_that_was_lowered_later_does_not_blame_who_came_before():
    lowered = history.Operation("capacity", 6, 7, {"rep": "R-1", "capacity": 1}, 200, {})
    noted = [assigned("a", 0, 1), assigned("b", 4, 5), lowered]
    assert check(noted, [told("a"), told("b")], {"R-1": 2}, **{"R-1": 2}) == []
    third = assigned("c", 8, 9)
    (found,) = check([*noted, third], [told("a"), told("b"), told("c")], {"R-1": 2}, **{"R-1": 3})
    assert "had 3 leads" in found


def test_who_got_nobody_had_no_room_anywhere():
    full = [assigned("a", 0, 1), assigned("b", 2, 3, rep=None)]
    nobody = {**told("b", holds=False), "rep_id": None}
    assert check(full, [told("a"), nobody], {"R-1": 1}, **{"R-1": 1}) == []
    (found,) = check(full, [told("a"), nobody], {"R-1": 2}, **{"R-1": 1})
    assert "had room" in found


def overridden(lead, rep, begun, ended):
    asked = {"decision": f"D-{lead}", "rep": rep, "version": 1}
    return history.Operation("override", begun, ended, asked, 200, {"state": {"version": 2, "rep_id": rep}})


def test_an_override_stands_unless_the_lead_was_closed_before_it():
    noted = [assigned("a", 0, 1), overridden("a", "R-2", 4, 5)]
    kept_by_the_first = told("a", version=2, holds=False)
    caps = {"R-1": 5, "R-2": 5}
    assert any("was overridden to R-2" in one for one in check(noted, [kept_by_the_first], caps, **{"R-1": 0}))
    won = history.Operation("outcome", 3, 6, {"lead": "a", "event": "won"}, 200, {})  # told late of an earlier moment
    assert check([*noted, won], [kept_by_the_first], caps, **{"R-1": 0}) == []
    later = history.Operation("outcome", 5.5, 6, {"lead": "a", "event": "won"}, 200, {})
    assert any("was overridden" in one for one in check([*noted, later], [kept_by_the_first], caps, **{"R-1": 0}))
