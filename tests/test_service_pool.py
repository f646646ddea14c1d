"""The pool: ranked for a rep, one winner for each lead, limits that hold, and claims recorded as what they are."""

import threading
from datetime import timedelta

import pytest

from data.store import decisions, history
from pipelines.doctor import examine

REPS = [{"rep_id": f"R-{i}", "name": f"Rep {i}"} for i in range(4)]
LEAD = {"industry": "retail", "company_size": 40}
POOL = "routes:\n  - {name: to claim, when: {source: fair}, method: pool}\n"


def pooled(desk, lead_id="L-1", **more):
    return desk.assign(lead_id, source="fair", **{**LEAD, **more}).json()


def claim(desk, lead_id="L-1", rep_id="R-1", role="manager"):
    return desk.call("POST", f"/v1/pool/{lead_id}/claim", {"rep_id": rep_id}, role=role)


def open_leads(desk):
    return {rep["rep_id"]: rep["open_leads"] for rep in desk.call("GET", "/v1/reps").json()["reps"]}


def test_a_claim_gives_the_lead_to_the_rep_and_is_recorded_as_self_selected(desk_on_each):
    desk = desk_on_each
    desk.roster(*REPS)
    desk.policy(POOL)
    waiting = pooled(desk, phone="13800138000")
    desk.now += timedelta(minutes=3)
    told = claim(desk, role="rep").json()
    assert (told["rep_id"], told["arm"], told["propensity"]) == ("R-1", "pool", None)
    assert told["probability"] is not None
    assert open_leads(desk)["R-1"] == 1
    again = desk.assign("L-1", source="fair", **LEAD)  # the CRM sends the lead again
    assert again.json() == told
    assert desk.call("GET", f"/v1/decisions/{waiting['decision_id']}").json()["state"]["status"] == "recycled"
    with desk.ledger.reading() as conn:
        _, _, assignments = history.export_tables(conn)
        leads = history.export_tables(conn, personal=True)[0]
    assert assignments[["rep_id", "assigned_by"]].to_numpy().tolist() == [["R-1", "claim"]]
    assert leads["phone"].tolist() == ["13800138000"]
    assert examine(desk.ledger) == []


def test_the_pool_is_ranked_for_the_rep_and_tells_nothing_personal(desk):
    desk.roster(*REPS)
    desk.policy(POOL)
    for number, industry in enumerate(("retail", "manufacturing", "江苏 trade", "retail")):
        desk.now += timedelta(minutes=1)
        pooled(desk, f"L-{number}", industry=industry, email="li@example.com")
    listed = desk.call("GET", "/v1/pool", role="rep")
    assert "example.com" not in listed.text
    leads = listed.json()["leads"]
    assert len(leads) == 4
    uplifts = [lead["uplift"] for lead in leads]
    assert uplifts == sorted(uplifts, reverse=True)
    assert all(lead["claimable"] for lead in leads)
    oldest_first = desk.call("GET", "/v1/pool", role="manager").json()["leads"]
    assert [lead["lead_id"] for lead in oldest_first] == [f"L-{number}" for number in range(4)]
    other = desk.call("GET", "/v1/pool", role="manager", rep_id="R-2").json()["leads"]
    assert [lead["lead_id"] for lead in other] != [lead["lead_id"] for lead in leads]


def test_who_may_not_have_a_lead_cannot_claim_it_and_is_told_why(desk):
    desk.roster({"rep_id": "R-1", "capacity": 0}, {"rep_id": "R-2", "regions": ["south"]}, {"rep_id": "R-3"})
    desk.policy(POOL)
    pooled(desk, region="north")
    assert "at capacity" in claim(desk).json()["detail"]
    assert "another region" in claim(desk, rep_id="R-2").json()["detail"]
    listed = desk.call("GET", "/v1/pool", role="manager", rep_id="R-2").json()["leads"]
    assert (listed[0]["claimable"], listed[0]["why_not"]) == (False, "another region")
    assert claim(desk, rep_id="R-9").status_code == 422
    assert claim(desk, "L-9").status_code == 404
    assert claim(desk, rep_id="R-3", role="rep").status_code == 403
    assert claim(desk, rep_id="R-3").status_code == 200
    assert claim(desk, rep_id="R-3").status_code == 409
    assert "Somebody has this lead" in claim(desk, rep_id="R-3").json()["detail"]


@pytest.mark.parametrize(
    ("rule", "said"), [("open_claims: 2", "2 claimed leads are open"), ("daily_claims: 2", "today")]
)
def test_a_rep_claims_no_more_than_the_rule_book_allows(desk, rule, said):
    desk.roster(*REPS)
    desk.policy(POOL + f"pool: {{{rule}}}\n")
    for number in range(3):
        pooled(desk, f"L-{number}")
    assert claim(desk, "L-0").status_code == claim(desk, "L-1").status_code == 200
    refused = claim(desk, "L-2")
    assert refused.status_code == 409
    assert said in refused.json()["detail"]
    assert claim(desk, "L-2", "R-2").status_code == 200
    assert examine(desk.ledger) == []


def test_a_lead_that_was_taken_from_a_rep_is_not_hers_to_claim_at_once(desk):
    desk.roster(*REPS)
    desk.policy(POOL + "pool: {cooling_off_minutes: 60}\nfollow_up: {cooling_off_days: 0}\n")
    pooled(desk)
    claim(desk)
    body = {"reason": "on leave"}
    moved = desk.call("POST", "/v1/reps/R-1/hand-over", body, role="manager").json()["leads"]
    assert [(lead["lead_id"], lead["unassigned_reason"]) for lead in moved] == [("L-1", "waiting in the pool")]
    assert "had the lead before" in claim(desk).json()["detail"]
    desk.now += timedelta(minutes=61)
    assert claim(desk).status_code == 200


@pytest.mark.parametrize("rounds", [6])
def test_of_sixty_four_claims_at_once_one_wins(desk_on_each, rounds):
    desk = desk_on_each
    desk.roster(*[{"rep_id": f"R-{n}"} for n in range(64)])
    desk.policy(POOL)
    for number in range(rounds):
        pooled(desk, f"L-{number}")
        winners = race(desk, f"L-{number}", 64)
        assert len(winners) == 1
        with desk.ledger.reading() as conn:
            assert decisions.get(conn, winners[0]).state.status == "open"
    assert sum(open_leads(desk).values()) == rounds
    assert examine(desk.ledger) == []


def race(desk, lead_id, claimants):
    """The decisions of those who won, of so many reps who claim a lead at once."""
    import json

    from data.errors import BusyError, ConflictError
    from serving.deciding import pool
    from serving.web.problems import Problem

    gate, won = threading.Barrier(claimants), []

    def run(number):
        gate.wait()
        while True:
            try:
                body = pool.claim(desk.parts.decider, "default", lead_id, f"R-{number}", actor="test")
            except BusyError:
                continue  # the ledger was busy: try again, as a client would
            except (ConflictError, Problem):
                return
            won.append(json.loads(body)["decision_id"])
            return

    threads = [threading.Thread(target=run, args=(number,)) for number in range(claimants)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return won
