"""Many requests at once: one decision a lead, one lead a slot, nothing counted twice. On both engines."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from data.store import decisions

LEAD = {"industry": "retail", "company_size": 40}
AT_ONCE = 12


def all_at_once(work, n=AT_ONCE):
    """What each of n calls of `work(number)` returned, all begun at the same moment."""
    start = Barrier(n)

    def one(number):
        start.wait()
        return work(number)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(one, range(n)))


def stored(desk):
    with desk.ledger.reading() as conn:
        return [each.row for each in decisions.search(conn, limit=500)[0]]


def open_leads(desk):
    return {rep["rep_id"]: rep["open_leads"] for rep in desk.call("GET", "/v1/reps").json()["reps"]}


@pytest.mark.parametrize("key", [None, "k-1"], ids=["by lead", "by key"])
def test_one_lead_asked_for_at_once_is_decided_once(desk_on_each, key):
    desk = desk_on_each
    desk.roster(*[{"rep_id": f"R-{n}", "capacity": 1} for n in range(4)])
    headers = {"Idempotency-Key": key} if key else None
    answers = all_at_once(lambda _: desk.assign("L-1", headers=headers, **LEAD))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(stored(desk)) == 1
    assert sum(open_leads(desk).values()) == 1


def test_many_keys_for_one_lead_take_one_slot(desk_on_each):
    desk = desk_on_each
    desk.roster(*[{"rep_id": f"R-{n}", "capacity": 1} for n in range(4)])
    answers = all_at_once(lambda n: desk.assign("L-1", headers={"Idempotency-Key": f"k-{n}"}, **LEAD))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["rep_id"] for answer in answers}) == 1
    originals = [answer.json() for answer in answers if answer.json()["duplicate_of"] is None]
    assert len(originals) == 1
    assert sum(open_leads(desk).values()) == 1


def test_the_last_slot_goes_to_one_of_many_leads(desk_on_each):
    desk = desk_on_each
    desk.roster({"rep_id": "R-0", "capacity": 1}, {"rep_id": "R-1", "daily_limit": 3})
    answers = [answer.json() for answer in all_at_once(lambda n: desk.assign(f"L-{n}", **LEAD))]
    given = Counter(answer["rep_id"] for answer in answers)
    assert given == {"R-0": 1, "R-1": 3, None: AT_ONCE - 4}
    assert {answer["unassigned_reason"] for answer in answers if answer["rep_id"] is None} == {"nobody is free"}
    assert open_leads(desk) == {"R-0": 1, "R-1": 3}
    for row in stored(desk):
        if row.rep_id is not None:
            assert row.available[row.candidates.index(row.rep_id)]
            assert row.propensity[row.candidates.index(row.rep_id)] > 0


def test_a_roster_that_changes_under_decisions_is_never_half_seen(desk_on_each):
    desk = desk_on_each
    desk.roster({"rep_id": "old", "capacity": 100})

    def work(number):
        if number == 0:
            return desk.call("PUT", "/v1/reps", {"reps": [{"rep_id": "new", "capacity": 100}]}, role="admin")
        return desk.assign(f"L-{number}", **LEAD)

    answers = all_at_once(work)
    assert {answer.status_code for answer in answers} == {200}
    versions = {row.roster_version: set() for row in stored(desk)}
    for row in stored(desk):
        versions[row.roster_version].add(row.rep_id)
    assert versions.get(1, {"old"}) == {"old"}
    assert versions.get(2, {"new"}) == {"new"}


def test_overrides_and_new_leads_share_the_last_slot(desk_on_each):
    desk = desk_on_each
    desk.roster({"rep_id": "R-0"})
    first = [desk.assign(f"L-{n}", **LEAD).json()["decision_id"] for n in range(4)]
    desk.roster({"rep_id": "R-0", "capacity": 4}, {"rep_id": "R-1", "capacity": 1})

    def work(number):
        if number < 4:
            body = {"rep_id": "R-1", "reason": "swap", "version": 1}
            return desk.call("POST", f"/v1/decisions/{first[number]}/override", body, role="manager")
        return desk.assign(f"M-{number}", **LEAD)

    answers = all_at_once(work, 8)
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert open_leads(desk)["R-1"] == 1
    assert open_leads(desk)["R-0"] <= 4
    working = Counter(
        each.state.rep_id for each in _decisions(desk) if each.state is not None and each.state.holds_slot
    )
    assert working == {rep: used for rep, used in open_leads(desk).items() if used}


def _decisions(desk):
    with desk.ledger.reading() as conn:
        return decisions.search(conn, limit=500)[0]
