"""The rule book: readable, complete as shipped, and exact about what is wrong in it."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from serving.policy.methods import METHODS
from serving.policy.rulebook import (
    DEFAULT_PATH,
    RuleBook,
    default_rule_book,
    parse_rule_book,
)
from serving.policy.sections import WAITING, DrawnMethodName, MethodName, PlainMethodName


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_rule_book(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_shipped_rule_book_says_every_default_and_nothing_else():
    assert default_rule_book() == RuleBook()
    written = yaml.safe_load(DEFAULT_PATH.read_text(encoding="utf-8"))
    assert written == RuleBook().model_dump(mode="json")


def test_an_empty_rule_book_serves():
    assert parse_rule_book("") == RuleBook()
    assert parse_rule_book("# nothing to change\n") == RuleBook()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mode: live\nmethod: modle\n", "line 2: method: should be 'model', 'rotation'"),
        ("method: modle\n", "; did you mean model?"),
        ("holdout:\n  trial: .5\n  live: 1.5\n", "line 3: holdout.live: should be less than or equal to 0.9"),
        ("mode: live\nholdouts:\n  live: .1\n", "line 2: holdouts: there is no such field"),
        ("prices:\n  ceiling: .5\n", "line 2: prices.ceiling: should be greater than or equal to 1"),
        ("seed: .nan\n", "line 1: seed"),
        ("mode: live\n\nmode: trial\n", "line 3: mode: given twice, first on line 1"),
        ("holdout: {live: 0.1, live: 0.2}\n", "line 1: holdout.live: given twice"),
        ("weights: {R-1: 2}\n", "no method here is weighted_rotation"),
        ("contact_within_minutes:\n  A: 0\n", "line 2: contact_within_minutes.A"),
        ("mode: [live\n", "line 2"),
        ("a: &x [1]\nb: *x\n", "alias"),
        ("- live\n", "`field: value`"),
        ("just words", "`field: value`"),
        ("mode: \x07\n", "does not allow"),
        ("[" * 5_000, "nested too deeply"),
        ("a" * 70_000, "at most 65536"),
        ("2026-12-31T23:59:60Z", "a date, number or tagged value that cannot be"),
        ("holdout: {live: !!bool perhaps}", "a date, number or tagged value that cannot be"),
        ("holdout: {live: !!timestamp never}", "a date, number or tagged value that cannot be"),
        ("9" * 5_000, "a date, number or tagged value that cannot be"),
        ("rutes: []\n", "line 1: rutes: there is no such field; did you mean routes?"),
        (
            "routes:\n  - name: a\n    method: pool\n    wen: {source: web}\n",
            "line 4: routes.1.wen: there is no such field; did you mean when?",
        ),
        (
            "routes:\n  - {name: a, method: pool, when: {size: {at_least: 5, below: 5}}}\n",
            "line 2: routes.1.when.size: nothing is both over 5 and under 5",
        ),
        ("routes:\n  - {name: a, method: pool, when: {size: {over: 5}}}\n", "at_least, at_most, above, below"),
        ("routes:\n  - {name: a, method: pool, when: {size: []}}\n", "must name at least one value"),
        (
            "eligibility:\n  rules:\n    - {why: x, lead: grade}\n",
            "line 3: eligibility.rules.1: grade is known only once the eligible are; use a route",
        ),
        ("eligibility:\n  rules:\n    - {why: x}\n", "line 3: eligibility.rules.1: says nothing of the rep; give lead"),
        ("tiers:\n  grades: {A: [senior]}\n", "line 2: tiers.grades.A: there is no tier 'senior'"),
        ("newcomers:\n  days: 0\n  open_leads: 3\n", "line 3: newcomers.open_leads: nobody is a newcomer"),
        ("duplicates:\n  same: []\n", "line 2: duplicates.same: names nothing to know a customer by"),
    ],
)
def test_a_refusal_names_the_line_and_the_field(text, said):
    assert said in refusal(text)


def test_every_problem_is_named_at_once():
    said = refusal("mode: x\nlanguage: fr\n")
    assert "line 1: mode" in said
    assert "line 2: language" in said


@given(st.text(max_size=200))
def test_any_text_is_a_rule_book_or_one_line_that_says_why(text):
    try:
        said = repr(parse_rule_book(text))
    except InputError as error:
        said = str(error)
    assert len(said.splitlines()) == 1


def test_auto_is_a_trial_while_the_verdict_is_unconfirmed():
    auto = RuleBook()
    verdicts = ["rep_matters", "no_detectable_rep_effect", "too_little_data", None]
    assert {auto.mode_for(verdict) for verdict in verdicts} == {"live"}
    assert auto.mode_for("unconfirmed") == "trial"
    assert RuleBook(mode="live").mode_for("unconfirmed") == "live"
    assert RuleBook(mode="shadow").mode_for("unconfirmed") == "shadow"


def test_every_method_that_a_rule_book_may_name_exists():
    assert set(METHODS) == set(DrawnMethodName.__args__)
    assert set(MethodName.__args__) == {*METHODS, *WAITING}
    assert set(PlainMethodName.__args__) == {*METHODS} - {"model"}


TWO = """routes:
  - {name: steel, when: {industry: steel}, share: %s, method: pool}
  - {name: more steel, when: {industry: steel}, share: %s, method: rotation}
"""


def test_shares_of_the_same_leads_add_up_to_one_at_most():
    assert len(parse_rule_book(TWO % (0.4, 0.6)).routes) == 2
    assert "line 3: routes.2.share: the shares of routes with this `when` add up to 1.2" in refusal(TWO % (0.6, 0.6))
    assert "line 3: routes.2: no lead ever comes here: earlier routes" in refusal(TWO % (1.0, 0.5))


def test_nothing_comes_after_a_route_that_takes_every_lead():
    said = refusal("routes:\n  - {name: a, method: rotation}\n  - {name: b, when: {x: 1}, method: pool}\n")
    assert "line 3: routes.2: no lead ever comes here: the route 'a' takes every lead; put it last" in said


def test_routes_that_hand_on_in_a_circle_are_refused_with_the_circle():
    route = "  - {{name: {0}, when: {{x: {0}}}, method: rotation, reps: {{team: {0}}}, otherwise: {1}}}\n"
    ring = "routes:\n" + "".join(route.format(*pair) for pair in ("ab", "bc", "ca"))
    assert "line 2: routes.1.otherwise: goes round in a circle: a -> b -> c -> a" in refusal(ring)
    assert "line 2: routes.1.otherwise: there is no route 'q'; routes are a" in refusal(
        "routes:\n" + route.format("a", "q")
    )
    last = route.format("c", "").replace(", otherwise: ", "")
    line = "routes:\n" + route.format("a", "b") + route.format("b", "c") + last
    assert [each.otherwise for each in parse_rule_book(line).routes] == ["b", "c", None]


def test_a_lead_is_not_taken_back_before_its_deadline():
    said = refusal("follow_up:\n  recycle_after_minutes: {A: 10}\n")
    assert "line 2: follow_up.recycle_after_minutes.A: takes the lead back after 10 minutes, yet 30 are allowed" in said
    assert parse_rule_book("follow_up:\n  recycle: false\n  recycle_after_minutes: {A: 10}\n")
