"""Follow-up: deadlines, escalation, recycling and what nobody has, each step once however many sweep."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select

from data.store import decisions
from data.store.tables import follow_ups, outbox
from pipelines.doctor import examine
from serving.deciding.follow_up import sweep

REPS = [{"rep_id": f"R-{i}", "name": f"Rep {i}"} for i in range(4)]
LEAD = {"industry": "retail", "company_size": 40}
WATCHED = "follow_up: {watch: always}\n"


def swept(desk, minutes=0):
    desk.now += timedelta(minutes=minutes)
    return {step: count for step, count in vars(sweep(desk.parts.decider)).items() if count}


def told(desk, decision_id):
    with desk.ledger.reading() as conn:
        steps = select(follow_ups.c.step, follow_ups.c.version).where(follow_ups.c.decision_id == decision_id)
        return [tuple(row) for row in conn.execute(steps.order_by(follow_ups.c.seq))]


def now_of(desk, lead_id="L-1"):
    with desk.ledger.reading() as conn:
        page, _ = decisions.search(conn, lead_id=lead_id)
    return page[0]


def contact(desk, lead_id="L-1", **more):
    event = {"event_id": f"c-{lead_id}", "lead_id": lead_id, "event": "contacted", "occurred_at": desk.now.isoformat()}
    assert desk.call("POST", "/v1/outcomes", {**event, **more}).status_code == 200


def test_a_forgotten_lead_is_overdue_then_escalated_then_given_to_somebody_else(desk_on_each):
    desk = desk_on_each
    desk.roster(*REPS)
    desk.policy(WATCHED)
    first = desk.assign(**LEAD, phone="13800138000").json()
    assert first["grade"] == "A"
    assert swept(desk, 29) == {}
    assert swept(desk, 1) == {"overdue": 1}
    assert swept(desk, 60) == {}
    assert swept(desk, 180) == {"escalated": 1}
    assert swept(desk, 1_440) == {"recycled": 1, "given_out": 1}
    assert swept(desk) == {}
    assert told(desk, first["decision_id"]) == [("overdue", 1), ("escalated", 1), ("recycled", 1)]
    second = now_of(desk)
    assert second.row.rep_id not in (None, first["rep_id"])
    assert second.row.excluded["had the lead before"] == [first["rep_id"]]
    assert second.state.status == "open"
    assert examine(desk.ledger) == []


def test_a_lead_that_was_contacted_is_left_alone(desk):
    desk.roster(*REPS)
    desk.policy(WATCHED)
    desk.assign(**LEAD)
    desk.now += timedelta(minutes=10)
    contact(desk)
    assert swept(desk, 60 * 24 * 30) == {}


def test_a_new_owner_has_a_deadline_of_her_own(desk):
    desk.roster(*REPS)
    desk.policy(WATCHED)
    first = desk.assign(**LEAD).json()
    assert swept(desk, 31) == {"overdue": 1}
    other = next(rep["rep_id"] for rep in REPS if rep["rep_id"] != first["rep_id"])
    body = {"rep_id": other, "reason": "ill", "version": 1}
    assert desk.call("POST", f"/v1/decisions/{first['decision_id']}/override", body, role="manager").status_code == 200
    assert swept(desk, 29) == {}
    assert swept(desk, 2) == {"overdue": 1}
    assert told(desk, first["decision_id"]) == [("overdue", 1), ("overdue", 2)]


def test_nobody_is_hurried_for_a_crm_that_never_reports_a_contact(desk):
    desk.roster(*REPS)
    desk.assign("L-1", **LEAD)
    desk.assign("L-2", **LEAD)
    assert swept(desk, 60 * 24 * 30) == {}
    contact(desk, "L-2")
    assert swept(desk) == {"overdue": 1, "escalated": 1, "recycled": 1, "given_out": 1}


def test_a_lead_that_went_round_often_enough_waits_for_a_manager(desk):
    desk.roster(*REPS)
    desk.policy("follow_up: {watch: always, most_recycles: 2}\n")
    desk.assign(**LEAD)
    month = 60 * 24 * 30
    had = []
    for _ in range(2):
        had.append(now_of(desk).row.rep_id)
        assert swept(desk, month)["recycled"] == 1
    assert now_of(desk).row.arm == "manual"
    assert now_of(desk).state.status == "queued"
    queue = desk.call("GET", "/v1/queue", role="manager").json()["leads"]
    assert [lead["lead_id"] for lead in queue] == ["L-1"]
    assert swept(desk, month) == {}


def test_a_lead_nobody_claims_is_given_out(desk):
    desk.roster(*REPS)
    desk.policy("method: pool\npool: {time_out_minutes: 60, then: workload}\n")
    desk.assign(**LEAD, source="fair")
    assert swept(desk, 59) == {}
    assert swept(desk, 1) == {"unclaimed": 1, "given_out": 1}
    assert now_of(desk).row.basis["method"] == "workload"
    assert now_of(desk).state.status == "open"
    assert examine(desk.ledger) == []


def test_those_who_waited_longest_are_given_out_first_once_somebody_is_free(desk):
    desk.roster({"rep_id": "R-0", "capacity": 0})
    for number in range(3):
        desk.now += timedelta(minutes=1)
        desk.assign(f"L-{number}", **LEAD)
    assert swept(desk, 1) == {}
    with desk.ledger.reading() as conn:
        assert len(decisions.search(conn)[0]) == 3  # nothing is written while nobody is free
    desk.roster({"rep_id": "R-0", "capacity": 2})
    assert swept(desk, 1) == {"given_out": 2}
    assert [now_of(desk, f"L-{number}").row.rep_id for number in range(3)] == ["R-0", "R-0", None]


def test_an_old_lead_keeps_its_rep_but_not_her_slot(desk):
    desk.roster({"rep_id": "R-0", "capacity": 1})
    desk.policy("capacity: {time_out_days: 10}\nfollow_up: {watch: never}\n")
    desk.assign(**LEAD)
    assert desk.assign("L-2", **LEAD).json()["rep_id"] is None
    assert swept(desk, 60 * 24 * 10) == {"slot_timed_out": 1}
    assert now_of(desk).state.rep_id == "R-0"
    assert desk.assign("L-2", **LEAD).json()["rep_id"] == "R-0"
    assert examine(desk.ledger) == []


def test_with_too_many_uncalled_leads_a_rep_gets_no_further_one(desk):
    desk.roster({"rep_id": "R-0"}, {"rep_id": "R-1", "active": False})
    desk.policy("follow_up: {most_uncontacted: 2}\n")
    for number in range(3):
        with desk.ledger.reading() as conn:
            desk.parts.watch.renew(conn, at=desk.now)
        answer = desk.assign(f"L-{number}", **LEAD).json()
        desk.now += timedelta(minutes=1)
    assert answer["rep_id"] is None
    assert answer["excluded"]["too many leads wait for a first contact"] == 1
    contact(desk, "L-0")
    with desk.ledger.reading() as conn:
        desk.parts.watch.renew(conn, at=desk.now + timedelta(minutes=1))
    assert desk.assign("L-9", **LEAD).json()["rep_id"] == "R-0"


def test_two_sweeps_at_once_take_each_lead_back_once(desk_on_each):
    desk = desk_on_each
    desk.roster(*REPS)
    desk.policy(WATCHED)
    for number in range(12):
        desk.assign(f"L-{number}", **LEAD)
    desk.now += timedelta(days=30)
    gate, done = threading.Barrier(3), []

    def run():
        gate.wait()
        done.append(sweep(desk.parts.decider))

    threads = [threading.Thread(target=run) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    for step in ("overdue", "escalated", "recycled", "given_out"):
        assert sum(getattr(one, step) for one in done) == 12, step
    with desk.ledger.reading() as conn:
        page, _ = decisions.search(conn, limit=200)
    assert len(page) == 24  # each lead was decided once more, not twice
    assert examine(desk.ledger) == []


def test_a_sweep_that_was_cut_off_is_made_up_for(desk, monkeypatch):
    from serving.deciding import follow_up

    desk.roster(*REPS)
    desk.policy(WATCHED)
    desk.assign(**LEAD)
    desk.now += timedelta(days=30)
    with monkeypatch.context() as patch:
        patch.setattr(follow_up, "give_out", lambda *_: False)  # the process ends after the lead was taken back
        sweep(desk.parts.decider)
    assert now_of(desk).state.status == "recycled"
    assert swept(desk) == {"given_out": 1}


def test_a_rep_who_leaves_hands_her_leads_over(desk_on_each):
    desk = desk_on_each
    desk.roster(*REPS)
    for number in range(12):
        desk.assign(f"L-{number}", **LEAD)
    leaver = Counter(one.state.rep_id for one in everybodys(desk)).most_common(1)[0][0]
    theirs = [one.row.lead_id for one in everybodys(desk) if one.state.rep_id == leaver]
    path = f"/v1/reps/{leaver}/hand-over"
    body = {"reason": "leaves in May", "lead_ids": theirs[:1]}
    first = desk.call("POST", path, body, role="manager").json()["leads"]
    assert [lead["lead_id"] for lead in first] == theirs[:1]
    rest = desk.call("POST", path, {"reason": "leaves in May"}, role="manager").json()["leads"]
    assert sorted(lead["lead_id"] for lead in [*first, *rest]) == sorted(theirs)
    assert all(lead["rep_id"] not in (None, leaver) for lead in [*first, *rest])
    assert desk.call("POST", path, {"reason": "x"}, role="rep").status_code == 403
    assert examine(desk.ledger) == []


def everybodys(desk):
    with desk.ledger.reading() as conn:
        return decisions.search(conn, limit=200)[0]


@pytest.mark.parametrize("topic", ["overdue", "escalated", "recycled"])
def test_each_step_is_told_to_whoever_asked(desk, topic):
    from sqlalchemy import select, text

    desk.roster(*REPS)
    desk.policy(WATCHED)
    with desk.ledger.writing() as tx:
        tx.execute(
            text(
                "INSERT INTO endpoints (endpoint_id, kind, url, topics, secret_from, private_allowed, options, active,"
                " actor, created_at) VALUES ('E', 'webhook', 'https://x', :topics, 'env:X', false, '{}', true, 'me', 0)"
            ),
            {"topics": f",{topic},"},
        )
    desk.assign(**LEAD)
    swept(desk, 60 * 24 * 30)
    swept(desk)
    with desk.ledger.reading() as conn:
        assert list(conn.execute(select(outbox.c.topic)).scalars()) == [topic]
