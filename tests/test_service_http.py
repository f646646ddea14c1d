"""The surface: who may call what, what is refused and how, and that nobody's data reach a log."""

import json
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.store.keys import ROLES
from serving.routes import quick
from serving.running.logs import JsonLines
from serving.web.app import FRAMEWORK, RULES, build_app

REPS = [{"rep_id": f"R-{i}"} for i in range(3)]
PATHS = {"{decision_id}": "none", "{rep_id}": "R-1", "{path:path}": "x.js"}


def address(path):
    for name, value in PATHS.items():
        path = path.replace(name, value)
    return path


def declared_routes():
    from starlette.routing import Route

    def walk(routes):
        for route in routes:
            inner = getattr(route, "original_router", None)
            if inner is not None:
                yield from walk(inner.routes)
            elif isinstance(route, Route) or hasattr(route, "methods"):
                yield from ((method, route.path) for method in route.methods - {"HEAD"})

    return set(walk(build_app().routes))


def test_every_route_has_a_rule_and_every_rule_a_route():
    assert declared_routes() == set(RULES) - set(FRAMEWORK)


UNFIT = (
    b"null", b"[]", b"1", b'"x"', b"{}", b'{"lead": null}', b'{"lead": {}}', b'{"lead": {"lead_id": 7}}',
    b'{"lead": {"lead_id": "L-1"}, "top_k": 0, "dry_run": "yes"}', b'{"lead": {"lead_id": "L-1", "x": {}}, "more": 1}',
)  # fmt: skip


@pytest.mark.parametrize("path", quick.ANSWERS)
def test_a_quick_route_refuses_in_the_words_of_the_declared_one(shared_desk, path, monkeypatch):
    def told():
        answers = [shared_desk.call("POST", path, body) for body in UNFIT]
        return [(answer.status_code, answer.json() | {"request_id": None}) for answer in answers]

    of_quick = told()
    monkeypatch.setattr(quick, "ANSWERS", {})
    assert told() == of_quick
    assert {status for status, _ in of_quick} == {422}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: " ".join(rule))
def test_who_may_call_a_route_is_what_its_rule_says(shared_desk, rule):
    method, path = rule
    allowed = RULES[rule]
    if rule in FRAMEWORK:
        return  # answered around the application; the process test asks them
    body = {} if method in ("POST", "PUT", "PATCH") else None
    closed = shared_desk.call(method, address(path), body, role=None).status_code
    assert closed == (401 if allowed.without_key in ("nobody", "who signs") else 200)
    for role in ROLES if allowed.without_key == "nobody" else ():
        status = shared_desk.call(method, address(path), body, role=role).status_code
        assert (status == 403) == (role not in allowed.roles), (role, status)
        assert status not in (401, 500)


def test_roles_are_those_of_the_contract():
    def may(method, path):
        return set(RULES[method, path].roles)

    everybody = set(ROLES)
    assert may("GET", "/v1/reps") == may("GET", "/v1/policy") == everybody
    assert may("PUT", "/v1/reps") == may("PUT", "/v1/policy") == {"manager", "admin"}
    assert may("POST", "/v1/assign") == may("POST", "/v1/assign/batch") == {"crm", "manager", "admin"}
    assert may("POST", "/v1/outcomes") == {"crm", "rep", "manager", "admin"}
    assert "rep" in may("PATCH", "/v1/reps/{rep_id}")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic abc", "Bearer lm_x_y", "Bearer " + "x" * 600, "bearer\tx", "Bearer lm_é_x"],
)
def test_anything_but_a_live_key_is_401(shared_desk, header):
    answer = shared_desk.call("GET", "/v1/reps", role=None, headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["status"] == 401


def test_a_revoked_key_opens_nothing(desk):
    from data.store import keys

    with desk.ledger.writing() as tx:
        new = keys.create(tx, role="crm", label="gone", at=desk.now)
        assert keys.revoke(tx, new.id, at=desk.now)
    answer = desk.call("GET", "/v1/reps", role=None, headers={"Authorization": f"Bearer {new.key}"})
    assert answer.status_code == 401


def test_an_unknown_address_tells_nothing_without_a_key(shared_desk):
    assert shared_desk.call("GET", "/v1/nothing", role=None).status_code == 401
    assert shared_desk.call("GET", "/v1/nothing").status_code == 404
    wrong = shared_desk.call("DELETE", "/v1/reps")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, PUT")
    assert shared_desk.call("GET", "/v1/reps/", role="admin").status_code == 404


def test_figures_are_for_this_machine_or_a_key(shared_desk):
    assert shared_desk.call("GET", "/metrics", role=None).status_code == 200
    behind_a_proxy = {"X-Forwarded-For": "203.0.113.9"}
    assert shared_desk.call("GET", "/metrics", role=None, headers=behind_a_proxy).status_code == 401
    assert shared_desk.call("GET", "/metrics", role="analyst", headers=behind_a_proxy).status_code == 200
    assert shared_desk.call("GET", "/metrics", role="crm", headers=behind_a_proxy).status_code == 403


def test_figures_are_counted_by_route_and_arm_without_ids(desk):
    desk.roster(*REPS)
    told = desk.assign("L-secret").json()
    desk.call("GET", f"/v1/decisions/{told['decision_id']}")
    text = desk.call("GET", "/metrics", role=None).text
    assert 'route="/v1/decisions/{decision_id}"' in text
    assert f'leadmatch_decisions_total{{arm="{told["arm"]}",assigned="true",degraded="false"}}' in text
    assert told["decision_id"] not in text
    assert "L-secret" not in text


def test_a_crm_sees_only_its_own_clients_decisions(desk):
    desk.roster(*REPS)
    mine = desk.assign().json()["decision_id"]
    theirs = desk.assign("L-2", role="other").json()["decision_id"]
    assert desk.call("GET", f"/v1/decisions/{mine}").status_code == 200
    assert desk.call("GET", f"/v1/decisions/{theirs}").status_code == 404
    assert [each["decision_id"] for each in desk.call("GET", "/v1/decisions").json()["decisions"]] == [mine]
    assert desk.call("GET", "/v1/decisions", lead_id="L-2").json()["decisions"] == []
    for role in ("manager", "analyst", "admin"):
        assert desk.call("GET", f"/v1/decisions/{theirs}", role=role).status_code == 200
        assert len(desk.call("GET", "/v1/decisions", role=role).json()["decisions"]) == 2


def test_a_rep_sees_the_leads_she_works(desk):
    desk.roster({"rep_id": "R-1"})
    hers = desk.assign("L-1").json()["decision_id"]
    desk.roster({"rep_id": "R-2"})
    not_hers = desk.assign("L-2").json()["decision_id"]
    assert desk.call("GET", f"/v1/decisions/{hers}", role="rep").status_code == 200
    assert desk.call("GET", f"/v1/decisions/{not_hers}", role="rep").status_code == 404
    listed = desk.call("GET", "/v1/decisions", role="rep", rep_id="R-2").json()["decisions"]
    assert [each["decision_id"] for each in listed] == [hers]


def test_decisions_come_in_pages_newest_first(desk):
    desk.roster(*REPS)
    made = [desk.assign(f"L-{n}").json()["decision_id"] for n in range(5)]
    first = desk.call("GET", "/v1/decisions", limit=2).json()
    second = desk.call("GET", "/v1/decisions", limit=2, cursor=first["next_cursor"]).json()
    third = desk.call("GET", "/v1/decisions", limit=2, cursor=second["next_cursor"]).json()
    seen = [each["decision_id"] for page in (first, second, third) for each in page["decisions"]]
    assert seen == made[::-1]
    assert third["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"limit": "0"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"rep_id": "a\x00b"}, "rep_id"),
        ({"cursor": "'; DROP TABLE decisions; --"}, "cursor"),
    ],
)
def test_a_query_that_makes_no_sense_is_422(shared_desk, query, field):
    answer = shared_desk.call("GET", "/v1/decisions", **query)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PUT", "/v1/policy", {"text": "foo: 1", "why": "w", "version": 0}, "text"),
        ("POST", "/v1/policy/replay", {"text": "foo: 1"}, "text"),
        ("PUT", "/v1/reps", {"reps": [{"rep_id": "R-1"}, {"rep_id": "R-1"}]}, "reps"),
    ],
)
def test_what_an_inner_room_refuses_names_its_field_too(shared_desk, method, path, body, field):
    answer = shared_desk.call(method, path, body, role="manager")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_query_left_empty_asks_for_nothing(shared_desk):
    empty = dict.fromkeys(("lead_id", "rep_id", "since", "cursor"), "")
    assert shared_desk.call("GET", "/v1/decisions", **empty).json() == shared_desk.call("GET", "/v1/decisions").json()


BAD_LEADS = {
    "no id": ({}, "lead.lead_id"),
    "a number for an id": ({"lead_id": 7}, "lead.lead_id"),
    "an empty id": ({"lead_id": ""}, "lead.lead_id"),
    "a blank at the end": ({"lead_id": "L-1 "}, "lead.lead_id"),
    "a long id": ({"lead_id": "x" * 201}, "lead.lead_id"),
    "NUL in the id": ({"lead_id": "L\x00"}, "lead.lead_id"),
    "a direction mark in the id": ({"lead_id": "L\u202e1"}, "lead.lead_id"),
    "NUL in a text": ({"lead_id": "L", "note": "a\x00"}, "lead.note"),
    "a time without an offset": ({"lead_id": "L", "created_at": "2026-03-02T09:00:00"}, "lead.created_at"),
    "a date for a time": ({"lead_id": "L", "created_at": "2026-03-02"}, "lead.created_at"),
    "a number for a time": ({"lead_id": "L", "created_at": 1_700_000_000}, "lead.created_at"),
    "the year 0001": ({"lead_id": "L", "created_at": "0001-01-01T00:00:00+14:00"}, "lead.created_at"),
    "the year 9999": ({"lead_id": "L", "created_at": "9999-12-31T23:59:59-12:00"}, "lead.created_at"),
    "a second of 61": ({"lead_id": "L", "created_at": "2026-12-31T23:59:61Z"}, "lead.created_at"),
    "29 February 2027": ({"lead_id": "L", "created_at": "2027-02-29T00:00:00Z"}, "lead.created_at"),
    "a time of an attribute": ({"lead_id": "L", "visited_at": "2026-03-02T09:00"}, "lead.visited_at"),
    "an object": ({"lead_id": "L", "company": {"size": 3}}, "lead.company"),
    "a list of lists": ({"lead_id": "L", "tags": [["a"]]}, "lead.tags"),
    "a long list": ({"lead_id": "L", "tags": ["a"] * 201}, "lead.tags"),
    "a long text": ({"lead_id": "L", "note": "x" * 4_001}, "lead.note"),
    "a number beyond all": ({"lead_id": "L", "budget": 1e16}, "lead.budget"),
    "too many attributes": ({"lead_id": "L", **{f"a{n}": n for n in range(300)}}, "lead"),
    "a name of controls": ({"lead_id": "L", "a\nb": 1}, "lead"),
    "a text for a lead": ("L-1", "lead"),
    "a list for a lead": ([{"lead_id": "L"}], "lead"),
}


@pytest.mark.parametrize(("lead", "field"), BAD_LEADS.values(), ids=BAD_LEADS)
@pytest.mark.parametrize("path", ["/v1/assign", "/v1/score"])
def test_a_lead_that_is_none_is_422_and_names_the_field(shared_desk, path, lead, field):
    answer = shared_desk.call("POST", path, {"lead": lead})
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["problem"]
    assert problem["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"lead": {"lead_id": "L"}, "arm": "model"}, "arm"),
        ({"lead": {"lead_id": "L"}, "dry_run": "yes"}, "dry_run"),
        ({"lead": {"lead_id": "L"}, "dry_run": 1}, "dry_run"),
        ({}, "lead"),
        ([], "body"),
        ("L-1", "body"),
        (None, "body"),
    ],
)
def test_a_body_of_another_shape_is_422(shared_desk, body, field):
    answer = shared_desk.call("POST", "/v1/assign", json.dumps(body).encode())
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_malformed_and_too_large_and_other_bodies_have_their_own_status(shared_desk):
    assert shared_desk.call("POST", "/v1/assign", b'{"lead": {"lead_id": "L", "lead_id": "M"}}').status_code == 400
    assert shared_desk.call("POST", "/v1/assign", b'{"lead": {"lead_id": "L", "x": NaN}}').status_code == 400
    large = json.dumps({"lead": {"lead_id": "L", "note": "x" * 70_000}}).encode()
    assert shared_desk.call("POST", "/v1/assign", large).status_code == 413
    assert shared_desk.call("POST", "/v1/assign/batch", {"leads": [{"note": "x" * 70_000}]}).status_code == 200
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert shared_desk.call("POST", "/v1/assign", b"lead_id=1", headers=form).status_code == 415


NAMES = ["李娜 🚀", "e\u0301", "a\u202eb", "\ufeffx", "' OR 1=1 --", "<script>alert(1)</script>", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("name", NAMES)
def test_any_script_is_welcome_and_unseen_marks_are_taken_out(desk, name):
    desk.roster({"rep_id": "R-0", "name": name})
    told = desk.assign("线索-1", industry=name).json()
    assert told["lead_id"] == "线索-1"
    assert told["rep_name"] == {"e\u0301": "é", "a\u202eb": "a b", "\ufeffx": " x"}.get(name, name)
    listed = desk.call("GET", "/v1/decisions", lead_id="线索-1").json()["decisions"]
    assert [each["lead_id"] for each in listed] == ["线索-1"]


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
columns = st.sampled_from(["lead_id", "created_at", "region", "industry", "company_size", "x", "\x00"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(columns, anything))
def test_whatever_a_lead_is_the_answer_is_a_decision_or_a_problem(shared_desk, lead):
    answer = shared_desk.call("POST", "/v1/score", json.dumps({"lead": lead}).encode())
    assert answer.status_code in (200, 400, 422)
    assert answer.json()["status" if answer.status_code != 200 else "reps"] is not None


def test_nothing_that_came_in_a_body_reaches_the_log(desk, caplog):
    desk.roster(*REPS)
    with caplog.at_level(logging.DEBUG):
        desk.assign("L-1", email="canary@example.com", phone="13800001111", name="Canary Wang")
        desk.call("POST", "/v1/assign", {"lead": {"lead_id": "L", "budget": {"canary": "canary@example.com"}}})
        desk.call("POST", "/v1/assign", b'{"lead": {"lead_id": "canary@example.com", "x": NaN}}')
        desk.call("POST", "/v1/outcomes", {"event_id": "canary@example.com"})
        desk.call("GET", "/v1/decisions", lead_id="canary@example.com")
    lines = "\n".join(JsonLines().format(record) for record in caplog.records if record.name.startswith("serving"))
    assert '"route": "/v1/assign"' in lines
    assert "canary" not in lines.lower()
    assert "13800001111" not in lines


def test_the_service_answers_503_until_it_has_a_ledger(desk):
    desk.app.state.parts = None
    answer = desk.call("GET", "/v1/reps")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["status"] == 503


def test_a_ledger_that_is_held_by_another_is_503_and_nothing_is_stored(desk):
    import time

    from data.store.locks import WriterTurn

    desk.roster(*REPS)
    path = desk.ledger.sqlite_file
    with WriterTurn(path.with_name(path.name + ".lock")).held(5):
        begun = time.monotonic()
        answer = desk.assign()
        assert time.monotonic() - begun < 10
    assert (answer.status_code, bool(answer.headers["retry-after"])) == (503, True)
    assert desk.call("GET", "/v1/decisions").json()["decisions"] == []
    assert desk.assign().status_code == 200


def test_openapi_describes_every_route_of_ours(shared_desk):
    told = shared_desk.call("GET", "/openapi.json", role=None).json()
    paths = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert paths == {rule for rule in RULES if rule[1].startswith("/v1/")}
    assert told["paths"]["/v1/assign"]["post"]["security"] == [{"HTTPBearer": []}]


def fits(description, schema, value):
    import jsonschema_rs

    whole = {**schema, "components": description["components"]}
    return [error.message for error in jsonschema_rs.validator_for(whole).iter_errors(value)]


def test_no_route_declares_an_error_that_is_not_sent_and_each_its_own_problems(shared_desk):
    told = shared_desk.call("GET", "/openapi.json", role=None).json()
    assert not [name for name in told["components"]["schemas"] if "ValidationError" in name]
    for path, operations in told["paths"].items():
        for method, operation in operations.items():
            problems = {status: said for status, said in operation["responses"].items() if status != "200"}
            assert {"401", "503"} <= set(problems), (method, path)
            for said in problems.values():
                assert list(said["content"]) == ["application/problem+json"]
                assert said["content"]["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}


REFUSED = [
    ("POST", "/v1/assign", {"lead": {}}, {}, 422),
    ("POST", "/v1/assign", b"{", {}, 400),
    ("POST", "/v1/assign", {"lead": {"lead_id": "L", "note": "x" * 70_000}}, {}, 413),
    ("POST", "/v1/assign", b"a=1", {"headers": {"Content-Type": "text/plain"}}, 415),
    ("POST", "/v1/assign", {"lead": {"lead_id": "L"}}, {"headers": {"Idempotency-Key": "a b"}}, 400),
    ("POST", "/v1/score", {"lead": {}}, {"role": None}, 401),
    ("PUT", "/v1/reps", {"reps": []}, {}, 403),
    ("PATCH", "/v1/reps/{rep_id}", {"capacity": 1}, {"role": "manager"}, 404),
    ("GET", "/v1/decisions/{decision_id}", None, {}, 404),
    ("GET", "/v1/decisions", None, {"limit": "many"}, 422),
    ("GET", "/v1/reports/lift", None, {"role": "manager", "since": "yesterday"}, 422),
    ("GET", "/v1/policy", None, {"version": "99"}, 404),
    ("POST", "/v1/model/rollback", {"expected": "7", "why": "a test"}, {"role": "admin"}, 409),
    ("POST", "/v1/hooks/{source_id}", {}, {"role": None}, 401),
]


@pytest.mark.parametrize(("method", "path", "body", "given_", "status"), REFUSED)
def test_a_problem_is_as_the_description_says(shared_desk, method, path, body, given_, status):
    told = shared_desk.call("GET", "/openapi.json", role=None).json()
    answer = shared_desk.call(method, path.replace("{", "").replace("}", ""), body, **given_)
    assert answer.status_code == status, answer.text
    said = told["paths"][path][method.lower()]["responses"][str(status)]["content"]
    assert fits(told, said[answer.headers["content-type"]]["schema"], answer.json()) == []


def test_a_decision_and_a_score_are_as_the_description_says(desk):
    told = desk.call("GET", "/openapi.json", role=None).json()

    def asked(path, body):
        answer = desk.call("POST", path, body)
        assert answer.status_code == 200, answer.text
        schema = told["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert fits(told, schema, {}) != []
        assert fits(told, schema, answer.json()) == []
        return answer.json()

    lead = {"industry": "retail", "company_size": 40}
    assert asked("/v1/assign", {"lead": {"lead_id": "L-0", **lead}})["rep_id"] is None
    desk.roster(*REPS)
    assert asked("/v1/assign", {"lead": {"lead_id": "L-1", **lead}})["over"]
    assert asked("/v1/assign", {"lead": {"lead_id": "L-2", **lead}, "dry_run": True})["decision_id"] is None
    assert asked("/v1/score", {"lead": {"lead_id": "L-1", **lead}})["lead_reasons"]
    desk.load(None)
    assert asked("/v1/assign", {"lead": {"lead_id": "L-3", **lead}})["degraded"]
    assert asked("/v1/score", {"lead": {"lead_id": "L-3", **lead}})["reps"]
