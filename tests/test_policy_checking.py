"""A rule book held against the roster and the leads that came in; its versions, their differences, and the way back."""

from datetime import UTC, datetime

import pytest

from data.errors import InputError
from data.roster import Rep
from pipelines import rule_books
from serving.policy.checking import Known, checked_rule_book
from serving.policy.difference import changed_fields
from serving.policy.rulebook import parse_rule_book

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
REPS = (
    Rep("a", team="north", attributes={"level": "senior"}),
    Rep("b", team="north"),
    Rep("c", team="south", active=False),
)
LEADS = [{"lead_id": f"L-{n}", "budget": n, "language": "fr"} for n in range(30)]
KNOWN = Known(REPS, frozenset({"lead_id", "budget", "language"}), LEADS, AT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "routes:\n  - {name: a, method: pool, when: {budgt: {at_least: 5}}}\n",
            "line 2: routes.1.when.budgt: no lead has a column budgt; did you mean budget? If not, name it under",
        ),
        (
            "routes:\n  - {name: a, method: workload, when: {budget: 1}, reps: {levl: senior}}\n",
            "line 2: routes.1.reps.levl: no rep has a column levl; did you mean level?",
        ),
        (
            "eligibility:\n  rules:\n    - {why: x, lead: language, rep: zzz}\n",
            "line 3: eligibility.rules.1.rep: no rep has a column zzz; columns are absent_from,",
        ),
        ("tiers:\n  column: grade_of_rep\n", "line 2: tiers.column: no rep has a column grade_of_rep"),
        (
            "eligibility:\n  rules:\n    - {why: x, reps: {team: south}}\n",
            "line 3: eligibility.rules.1.reps: no active rep fulfils this, so nobody could get any lead; change it",
        ),
        (
            "routes:\n  - {name: a, method: workload, when: {budget: 1}, reps: {team: west}}\n",
            "line 2: routes.1.reps: no active rep fulfils this; change it, or remove the route",
        ),
        (
            "eligibility:\n  rules:\n    - {why: does not speak it, lead: language, rep: languages, unstated: fails}\n",
            "line 3: eligibility.rules.1: nobody would be eligible for any of the last 30 leads, mostly 'does not",
        ),
        (
            "method: weighted_rotation\nweights: {z: 2}\n",
            "line 2: weights.z: there is no such rep on the roster",
        ),
        (
            "routes:\n  - {name: a, method: pool, when: {email: x@y.z}}\n",
            "line 2: routes.1.when.email: email holds personal data, which rules do not go by",
        ),
    ],
)
def test_what_cannot_be_meant_here_is_refused_with_line_field_and_cure(text, said):
    with pytest.raises(InputError) as caught:
        checked_rule_book(text, KNOWN)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "routes:\n  - {name: a, method: pool, when: {grade: A, expected_value: {above: 5}, source: web}}\n",
        "routes:\n  - {name: a, method: pool, when: {vip: true}}\ncolumns: {leads: [vip]}\n",
        "eligibility:\n  rules:\n    - {why: x, reps: {team: south}, waived_if_nobody: true}\n",
    ],
)
def test_what_can_be_meant_passes(text):
    assert checked_rule_book(text, KNOWN) == parse_rule_book(text)


def test_of_what_is_not_known_nothing_is_said():
    assert checked_rule_book("routes:\n  - {name: a, method: pool, when: {x: 1}, reps: {y: 2}}\n", Known())


def test_the_difference_of_two_books_names_fields_and_values():
    before = parse_rule_book("holdout: {live: 0.2}\n")
    after = parse_rule_book("method: workload\nroutes:\n  - {name: a, method: pool, when: {grade: A}}\n")
    changed = {one["field"]: (one["before"], one["after"]) for one in changed_fields(before, after)}
    assert changed["holdout.live"] == (0.2, 0.1)
    assert changed["method"] == ("model", "workload")
    assert changed["routes.1.when.grade"] == (None, "A")
    assert changed_fields(after, after) == []


def test_a_refused_book_leaves_the_old_one_in_force(desk):
    desk.roster({"rep_id": "R-0"}, {"rep_id": "R-1"})
    desk.policy("method: workload\n")
    body = {"text": "method: rotation\nroutes:\n  - {name: a, when: {x: 1}, method: pool}\n", "why": "", "version": 1}
    for number in range(2):
        desk.assign(f"L-{number}", industry="retail")
    refused = desk.call("PUT", "/v1/policy", body, role="manager")
    assert refused.status_code == 422
    assert "line 3: routes.1.when.x: no lead has a column x" in refused.json()["detail"]
    now = desk.call("GET", "/v1/policy").json()
    assert (now["version"], now["rules"]["method"]) == (1, "workload")
    assert desk.assign("L-9", industry="retail").json()["policy_version"] == "1"


def test_versions_tell_who_when_why_and_what_and_can_be_taken_back(desk, tmp_path):
    desk.roster({"rep_id": "R-0"})
    for number, text in enumerate(("method: workload\n", "method: workload\nlanguage: zh\n")):
        (tmp_path / f"{number}.yaml").write_text(text)
        made = rule_books.activated(desk.ledger, tmp_path / f"{number}.yaml", actor="me", why=f"no {number}", at=AT)
    assert made["changed"] == [{"field": "language", "before": "en", "after": "zh"}]
    history = rule_books.history(desk.ledger)["versions"]
    assert [(one["version"], one["actor"], one["why"], one["at"]) for one in history] == [
        (2, "me", "no 1", AT),
        (1, "me", "no 0", AT),
    ]
    difference = rule_books.difference(desk.ledger, None, None)
    assert (difference["before"], difference["after"]) == (1, 2)
    assert "+language: zh" in difference["lines"].splitlines()
    back = rule_books.rolled_back(desk.ledger, None, actor="me", why="", at=AT)
    assert (back["version"], back["file"]) == ("3", "version 1")
    assert rule_books.shown(desk.ledger)["text"] == "method: workload\n"
    assert rule_books.history(desk.ledger)["versions"][0]["why"] == "back to version 1"
    assert desk.call("GET", "/v1/policy", version=2).json()["difference"]["changed"][0]["field"] == "language"
    assert desk.call("GET", "/v1/policy", version=9).status_code == 404
    with pytest.raises(InputError, match="no version 9"):
        rule_books.rolled_back(desk.ledger, 9, actor="me", why="", at=AT)
    rule_books.rolled_back(desk.ledger, 0, actor="me", why="", at=AT)
    assert rule_books.shown(desk.ledger)["text"].startswith("# The rule book")
