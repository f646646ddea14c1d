"""The roster, outcomes, overrides, the rule book and the model over HTTP."""

import pytest

REPS = [{"rep_id": f"R-{i}", "name": f"Rep {i}"} for i in range(4)]
LEAD = {"industry": "retail", "company_size": 40}
FULL = {
    "rep_id": "R-0", "name": "李娜", "team": "north", "region": "苏州", "regions": ["苏州", "无锡"],
    "skills": "manufacturing; retail", "languages": ["zh", "en"], "hired_at": "2024-01-05",
    "left_at": None, "active": True, "capacity": 20, "daily_limit": 5, "open_count": 2,
    "time_zone": "Asia/Shanghai", "hours": "mon-fri 09:00-18:00", "shoe_size": 38,
}  # fmt: skip


def state_of(desk, decision_id):
    return desk.call("GET", f"/v1/decisions/{decision_id}").json()["state"]


def loads(desk):
    return {rep["rep_id"]: rep["open_leads"] for rep in desk.call("GET", "/v1/reps").json()["reps"]}


def event(number, kind, lead_id="L-1", **more):
    return {
        "event_id": f"E-{number}", "lead_id": lead_id, "event": kind, "occurred_at": "2026-03-02T10:00:00Z", **more
    }  # fmt: skip


def test_a_roster_comes_back_as_it_was_put(desk_on_each):
    desk = desk_on_each
    assert desk.roster(FULL, {"rep_id": "R-1"}) == 1
    assert desk.roster(FULL, {"rep_id": "R-1"}) == 1  # the same roster is no new version
    told = desk.call("GET", "/v1/reps").json()
    assert told["roster_version"] == 1
    mine = told["reps"][0]
    expected = {**FULL, "skills": ["manufacturing", "retail"], "hired_at": "2024-01-05T00:00:00Z"}
    assert {name: mine[name] for name in expected} == expected
    assert (mine["open_leads"], mine["leads_today"]) == (2, 0)
    assert desk.roster({"rep_id": "R-1"}) == 2
    assert [rep["rep_id"] for rep in desk.call("GET", "/v1/reps").json()["reps"]] == ["R-1"]


@pytest.mark.parametrize(
    ("rep", "field"),
    [
        ({"name": "nobody"}, "reps[0].rep_id"),
        ({"rep_id": "R", "capacity": -1}, "reps[0].capacity"),
        ({"rep_id": "R", "capacity": 2.5}, "reps[0].capacity"),
        ({"rep_id": "R", "capacity": "3"}, "reps[0].capacity"),
        ({"rep_id": "R", "active": "yes"}, "reps[0].active"),
        ({"rep_id": "R", "time_zone": "Mars/Base"}, "reps[0].time_zone"),
        ({"rep_id": "R", "hours": "nine to five"}, "reps[0].hours"),
        ({"rep_id": "R", "hired_at": "2024-01-05T09:00"}, "reps[0].hired_at"),
        ({"rep_id": "R", "regions": "a" * 5_000}, "reps[0].regions"),
        (
            {"rep_id": "R", "absent_from": "2026-03-03T00:00:00Z", "absent_until": "2026-03-02T00:00:00Z"},
            "reps[0]",
        ),
    ],
)
def test_a_rep_that_makes_no_sense_is_422_and_the_roster_stays(shared_desk, rep, field):
    answer = shared_desk.call("PUT", "/v1/reps", {"reps": [rep]}, role="manager")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_a_rep_named_twice_is_422(desk):
    answer = desk.call("PUT", "/v1/reps", {"reps": [{"rep_id": "R"}, {"rep_id": "R"}]}, role="manager")
    assert answer.status_code == 422
    assert "named twice" in answer.json()["detail"]


def test_a_change_of_one_rep_keeps_the_rest_and_counts_at_once(desk):
    desk.roster(FULL)
    changed = desk.call("PATCH", "/v1/reps/R-0", {"capacity": None, "shoe_size": 39, "regions": []}, role="admin")
    assert changed.status_code == 200
    rep = changed.json()["rep"]
    assert (rep["capacity"], rep["shoe_size"], rep["regions"], rep["team"]) == (None, 39, [], "north")
    desk.call("PATCH", "/v1/reps/R-0", {"hours": None, "active": False}, role="manager")
    assert desk.assign(**LEAD).json()["excluded"] == {"inactive": 1}


def test_a_change_that_cannot_be_is_refused(desk):
    desk.roster({"rep_id": "R-0", "absent_from": "2026-03-05T00:00:00Z"})
    assert desk.call("PATCH", "/v1/reps/R-9", {"active": False}, role="admin").status_code == 404
    assert desk.call("PATCH", "/v1/reps/R-0", {}, role="admin").status_code == 422
    assert desk.call("PATCH", "/v1/reps/R-0", {"rep_id": "R-1"}, role="admin").status_code == 422
    earlier = desk.call("PATCH", "/v1/reps/R-0", {"absent_until": "2026-03-04T00:00:00Z"}, role="admin")
    assert earlier.json()["errors"][0]["field"] == "absent_until"


def test_a_rep_states_her_own_absence_and_nothing_else(desk):
    desk.roster(*REPS)
    away = {"absent_from": "2026-03-02T00:00:00Z", "absent_until": "2026-03-09T00:00:00Z"}
    assert desk.call("PATCH", "/v1/reps/R-1", away, role="rep").status_code == 200
    assert desk.call("PATCH", "/v1/reps/R-2", away, role="rep").status_code == 403
    assert desk.call("PATCH", "/v1/reps/R-1", {"capacity": 99}, role="rep").status_code == 403
    assert desk.assign(**LEAD).json()["excluded"] == {"absent": 1}


def test_won_and_lost_give_the_slot_back_once(desk_on_each):
    desk = desk_on_each
    desk.roster({"rep_id": "R-0", "capacity": 1})
    first = desk.assign("L-1", **LEAD).json()
    assert desk.assign("L-2", **LEAD).json()["rep_id"] is None
    won = event(1, "won", value=1200.5)
    answer = desk.call("POST", "/v1/outcomes", won)
    assert answer.status_code == 200
    assert answer.json() == {"results": [{"event_id": "E-1", "lead_id": "L-1", "result": "accepted"}]}
    assert desk.call("POST", "/v1/outcomes", [won, won]).json()["results"][0]["result"] == "duplicate"
    assert state_of(desk, first["decision_id"])["status"] == "won"
    assert loads(desk) == {"R-0": 0}
    assert desk.assign("L-2", **LEAD).json()["rep_id"] == "R-0"
    assert desk.assign("L-1", **LEAD).json() == first  # a closed lead is not given out again


def test_events_come_in_any_order_and_before_the_decision(desk):
    desk.roster(*REPS)
    early = desk.call("POST", "/v1/outcomes", [event(2, "contacted"), event(3, "contacted", "L-9")])
    assert [each["result"] for each in early.json()["results"]] == ["unmatched", "unmatched"]
    told = desk.assign("L-1", **LEAD).json()
    assert state_of(desk, told["decision_id"])["contacted_at"] == "2026-03-02T10:00:00Z"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"event": "bought"}, "event"),
        ({"occurred_at": "2026-03-02T10:00:00"}, "occurred_at"),
        ({"occurred_at": "2026-03-04T10:00:00Z"}, "occurred_at"),
        ({"value": -1}, "value"),
        ({"value": "12"}, "value"),
        ({"score": 1}, "score"),
        ({"event_id": ""}, "event_id"),
        ({"event": "merged"}, "body"),
        ({"event": "merged", "into": "L-1"}, "body"),
    ],
)
def test_an_event_that_makes_no_sense_is_422(shared_desk, change, field):
    answer = shared_desk.call("POST", "/v1/outcomes", {**event(1, "won"), **change})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    listed = shared_desk.call("POST", "/v1/outcomes", [event(0, "won"), {**event(1, "won"), **change}])
    assert listed.status_code == 422
    assert listed.json()["errors"][0]["field"] == ("[1]" if field == "body" else f"[1].{field}")


def test_a_rep_tells_of_her_own_leads_only(desk):
    desk.roster({"rep_id": "R-1"})
    desk.assign("L-1", **LEAD)
    desk.roster({"rep_id": "R-2"})
    desk.assign("L-2", **LEAD)
    assert desk.call("POST", "/v1/outcomes", event(1, "contacted"), role="rep").status_code == 200
    assert desk.call("POST", "/v1/outcomes", event(2, "won", "L-2"), role="rep").status_code == 403
    assert desk.call("POST", "/v1/outcomes", event(3, "won", "L-3"), role="rep").status_code == 403
    away = event(4, "owner_changed", rep_id="R-2")
    assert desk.call("POST", "/v1/outcomes", away, role="rep").status_code == 403


def test_a_rep_tells_of_leads_of_every_client_that_gave_her_some(desk):
    desk.roster({"rep_id": "R-1"})
    theirs = desk.assign("L-9", role="other", **LEAD).json()["decision_id"]
    mine = desk.assign("L-1", **LEAD).json()["decision_id"]
    told = [event(1, "contacted", "L-9"), event(2, "contacted", "L-1"), event(3, "won", "L-9")]
    answer = desk.call("POST", "/v1/outcomes", told, role="rep")
    assert [(one["lead_id"], one["result"]) for one in answer.json()["results"]] == [
        ("L-9", "accepted"), ("L-1", "accepted"), ("L-9", "accepted")
    ]  # fmt: skip
    states = [desk.call("GET", f"/v1/decisions/{one}", role="rep").json()["state"]["status"] for one in (theirs, mine)]
    assert states == ["won", "open"]


def override(desk, decision_id, role="manager", **body):
    return desk.call("POST", f"/v1/decisions/{decision_id}/override", {"reason": "knows them", **body}, role=role)


def test_an_override_moves_the_slot_and_is_kept_beside_the_decision(desk_on_each):
    desk = desk_on_each
    desk.roster(*[{**rep, "capacity": 5} for rep in REPS])
    told = desk.assign(**LEAD).json()
    other = next(rep["rep_id"] for rep in REPS if rep["rep_id"] != told["rep_id"])
    answer = override(desk, told["decision_id"], rep_id=other, version=1)
    assert answer.status_code == 200
    assert answer.json()["state"]["rep_id"] == other
    assert answer.json()["state"]["version"] == 2
    assert {rep: used for rep, used in loads(desk).items() if used} == {other: 1}
    looked_up = desk.call("GET", f"/v1/decisions/{told['decision_id']}").json()
    assert looked_up["rep_id"] == told["rep_id"]  # what was decided stays what was decided
    assert looked_up["state"]["rep_id"] == other
    assert [(each["rep_id"], each["reason"]) for each in looked_up["overrides"]] == [(other, "knows them")]
    assert looked_up["overrides"][0]["actor"].startswith("manager:")


def test_an_override_of_what_somebody_changed_meanwhile_is_409(desk):
    desk.roster(*REPS)
    decision_id = desk.assign(**LEAD).json()["decision_id"]
    assert override(desk, decision_id, rep_id="R-1", version=1).status_code in (200, 409)
    again = override(desk, decision_id, rep_id="R-2", version=7)
    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"


def test_an_override_needs_a_rep_of_the_roster_a_decision_and_a_free_slot(desk):
    desk.roster({"rep_id": "R-0"}, {"rep_id": "R-1", "capacity": 0})
    told = desk.assign(**LEAD).json()
    assert override(desk, told["decision_id"], rep_id="R-9", version=1).json()["errors"][0]["field"] == "rep_id"
    assert override(desk, "none", rep_id="R-1", version=1).status_code == 404
    assert override(desk, told["decision_id"], rep_id="R-1", version=1).status_code == 409
    assert override(desk, told["decision_id"], rep_id="R-1", version=1, force=True).status_code == 200


def test_the_shipped_rule_book_is_in_force_until_another_is(desk):
    told = desk.call("GET", "/v1/policy", role="rep").json()
    assert (told["version"], told["mode"], told["history"]) == (0, "live", [])
    assert "mode: auto" in told["text"]
    put = desk.call("PUT", "/v1/policy", {"text": "mode: shadow\n", "why": "look first", "version": 0}, role="manager")
    assert put.json() == {"version": 1, "changed": [{"field": "mode", "before": "auto", "after": "shadow"}]}
    told = desk.call("GET", "/v1/policy").json()
    assert (told["version"], told["mode"], told["text"]) == (1, "shadow", "mode: shadow\n")
    assert told["rules"]["holdout"] == {"live": 0.1, "trial": 0.5, "ramp": None}
    assert told["history"][0]["why"] == "look first"
    desk.roster(*REPS)
    assert desk.assign(**LEAD).json()["policy_version"] == "1"


def test_a_rule_book_with_a_mistake_or_over_somebodys_head_changes_nothing(desk):
    wrong = desk.call("PUT", "/v1/policy", {"text": "mode: x\n", "why": "?", "version": 0}, role="admin")
    assert wrong.status_code == 422
    assert "line 1: mode" in wrong.json()["detail"]
    desk.policy("mode: live\n")
    late = desk.call("PUT", "/v1/policy", {"text": "mode: trial\n", "why": "late", "version": 0}, role="admin")
    assert late.status_code == 409
    assert desk.call("GET", "/v1/policy").json()["text"] == "mode: live\n"


def test_the_model_in_force_says_what_it_is(desk, small_model):
    told = desk.call("GET", "/v1/model").json()
    assert told["model_version"] == "7"
    assert told["verdict"] == small_model.verdict
    assert told["facts"] == {"rows": 400}
    assert told["champion"] is None
    desk.load(None)
    told = desk.call("GET", "/v1/model").json()
    assert (told["model_version"], told["degraded"]) == (None, "no model has been promoted yet")


def test_a_score_tells_of_every_eligible_rep_best_first_and_stores_nothing(desk):
    desk.roster(*REPS, {"rep_id": "R-4", "capacity": 0}, {"rep_id": "R-5", "regions": ["south"]})
    lead = {"lead_id": "L-1", "region": "north", **LEAD}
    told = desk.call("POST", "/v1/score", {"lead": lead}, role="analyst").json()
    ids = [rep["rep_id"] for rep in told["reps"]]
    assert sorted(ids) == ["R-0", "R-1", "R-2", "R-3", "R-4"]
    chances = [rep["probability"] for rep in told["reps"]]
    assert chances == sorted(chances, reverse=True)
    assert [rep["rep_id"] for rep in told["reps"] if not rep["available"]] == ["R-4"]
    assert told["excluded"] == {"at capacity": 1, "another region": 1}
    for rep in told["reps"]:
        total = sum(reason["contribution"] for reason in rep["reasons"])
        assert total == pytest.approx(rep["uplift"]["value"], abs=1e-9)
        assert rep["probability"] - told["baseline_probability"] == pytest.approx(rep["uplift"]["value"], abs=1e-9)
    assert sum(rep["uplift"]["value"] for rep in told["reps"]) == pytest.approx(0, abs=1e-5)
    assert told["lead_reasons"]
    assert desk.call("GET", "/v1/decisions").json()["decisions"] == []
    assert desk.assign(region="north", **LEAD).json()["baseline_probability"] == told["baseline_probability"]


def test_a_score_shows_the_reps_that_were_asked_for_and_keeps_the_baseline(desk):
    desk.roster(*REPS)
    lead = {"lead_id": "L-1", **LEAD}
    whole = desk.call("POST", "/v1/score", {"lead": lead}).json()
    some = desk.call("POST", "/v1/score", {"lead": lead, "rep_ids": ["R-2", "R-nobody"], "top_k": 1}).json()
    assert [rep["rep_id"] for rep in some["reps"]] == ["R-2"]
    assert some["baseline_probability"] == whole["baseline_probability"]
    assert some["reps"][0]["uplift"] == next(rep["uplift"] for rep in whole["reps"] if rep["rep_id"] == "R-2")
    assert [reason["feature"] for reason in some["reps"][0]["reasons"]][1:] == ["other"]


def test_a_score_without_a_model_names_the_eligible(desk):
    desk.load(None)
    desk.roster(*REPS)
    told = desk.call("POST", "/v1/score", {"lead": {"lead_id": "L-1"}}).json()
    assert [rep["probability"] for rep in told["reps"]] == [None] * 4
    assert told["degraded"] == "no model has been promoted yet"
    assert told["lead_reasons"] == []


def test_performance_goes_by_what_was_won(desk):
    for rep_id, what in (("R-0", "won"), ("R-1", "lost")):
        desk.roster({"rep_id": rep_id})
        for number in range(4):
            desk.assign(f"{rep_id}-{number}", **LEAD)
            desk.call("POST", "/v1/outcomes", event(f"{rep_id}-{number}", what, f"{rep_id}-{number}"))
    desk.roster(*REPS)
    desk.policy("method: performance\nperformance: {shared: 0}\nholdout: {live: 0}\n")
    with desk.ledger.reading() as conn:
        desk.parts.watch.renew(conn, at=desk.now)
    told = [desk.assign(f"M-{number}", **LEAD).json() for number in range(6)]
    assert {each["rep_id"] for each in told} == {"R-0"}
    assert {each["arm"] for each in told} == {"rule"}


def test_a_score_of_a_large_roster_explains_the_best_and_whoever_is_named(desk):
    desk.roster(*[{"rep_id": f"R-{number}"} for number in range(60)])
    told = desk.call("POST", "/v1/score", {"lead": {"lead_id": "L-1", **LEAD}}).json()["reps"]
    assert len(told) == 60
    assert [bool(rep["reasons"]) for rep in told] == [True] * 5 + [False] * 55
    assert all(rep["uplift"]["low"] is not None for rep in told)
    last = told[-1]["rep_id"]
    named = desk.call("POST", "/v1/score", {"lead": {"lead_id": "L-1", **LEAD}, "rep_ids": [last]}).json()["reps"]
    assert [rep["rep_id"] for rep in named if rep["reasons"]] == [last]
