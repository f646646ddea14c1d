"""The rule book: readable, complete as shipped, and exact about what is wrong in it."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from serving.policy.methods import METHODS
from serving.policy.rulebook import (
    DEFAULT_PATH,
    MethodName,
    RuleBook,
    default_rule_book,
    parse_rule_book,
)


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_rule_book(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_shipped_rule_book_says_every_default_and_nothing_else():
    assert default_rule_book() == RuleBook()
    written = yaml.safe_load(DEFAULT_PATH.read_text(encoding="utf-8"))
    assert written == RuleBook().model_dump()


def test_an_empty_rule_book_serves():
    assert parse_rule_book("") == RuleBook()
    assert parse_rule_book("# nothing to change\n") == RuleBook()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mode: live\nmethod: modle\n", "line 2: method: should be 'model', 'rotation'"),
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
    assert set(METHODS) == set(MethodName.__args__)
