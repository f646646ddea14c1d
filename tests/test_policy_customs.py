"""Customs of assignment: by tags, ability, tiers, points and promptness, by hand."""

from datetime import UTC, datetime

import numpy as np
import pytest

from data.roster import Rep
from serving.policy.methods import METHODS, MethodSettings, Situation, State, fastest_responder

PLAIN = MethodSettings()


def situation(reps, lead=None, *, available=None, won=None, closed=None, grade=None, hours=None):
    m = len(reps)
    nothing = np.zeros(m, dtype=np.int64)
    state = State(
        open_leads=nothing,
        today=nothing,
        won=nothing if won is None else np.array(won),
        closed=nothing if closed is None else np.array(closed),
        at=datetime(2026, 3, 2, tzinfo=UTC),
        grade=grade,
        response_hours=None if hours is None else np.array(hours, dtype=float),
    )
    everybody = np.ones(m, dtype=bool) if available is None else np.array(available)
    return Situation(lead or {}, reps, everybody, np.full(m, 0.1), np.zeros(m), state)


def chances(name, case):
    return METHODS[name](case, PLAIN).tolist()


def test_tags_go_to_those_with_a_skill_that_the_lead_names():
    reps = [Rep("a", skills=("Retail",)), Rep("b", skills=("steel", "retail")), Rep("c", skills=("steel",)), Rep("d")]
    assert chances("tags", situation(reps, {"industry": "retail"})) == [0.5, 0.5, 0, 0]
    assert chances("tags", situation(reps, {"tags": "new;Steel", "size": 3.5})) == [0, 0.5, 0.5, 0]
    assert chances("tags", situation(reps, {"industry": "health"})) == [0.25] * 4
    taken = situation(reps, {"industry": "retail"}, available=[False, False, True, True])
    assert chances("tags", taken) == [0, 0, 0.5, 0.5]


def test_ability_tags_count_everything_in_common():
    reps = [
        Rep("a", skills=("retail",), languages=("zh",)),
        Rep("b", skills=("retail",), languages=("en",), region="north"),
        Rep("c", languages=("en",)),
    ]
    lead = {"industry": "retail", "language": "EN", "region": "north"}
    assert chances("ability_tags", situation(reps, lead)) == [0, 1, 0]
    assert chances("ability_tags", situation(reps, {})) == pytest.approx([1 / 3] * 3)


def test_tiers_give_the_best_leads_to_the_best_record_and_the_rest_to_learners():
    reps = [Rep(name) for name in "abcdef"]
    won, closed = [60, 50, 30, 20, 5, 0], [100] * 6
    case = {"won": won, "closed": closed}
    assert chances("value_tiers", situation(reps, grade="A", **case)) == [0.5, 0.5, 0, 0, 0, 0]
    assert chances("value_tiers", situation(reps, grade="B", **case)) == [0, 0, 0.5, 0.5, 0, 0]
    for grade in "CD":
        assert chances("value_tiers", situation(reps, grade=grade, **case)) == [0, 0, 0, 0, 0.5, 0.5]
    assert chances("value_tiers", situation(reps, grade=None, **case)) == pytest.approx([1 / 6] * 6)


def test_tiers_of_equals_are_a_rotation():
    for grade in "ABCD":
        assert chances("value_tiers", situation([Rep("a"), Rep("b")], grade=grade)) == [0.5, 0.5]


def test_who_ties_with_the_best_does_not_learn():
    case = situation([Rep(name) for name in "abcd"], won=[5, 5, 5, 1], closed=[9, 9, 9, 9], grade="D")
    assert chances("value_tiers", case) == [0, 0, 0, 1]


def test_points_buy_turns():
    # 1 + 30 + 10 * 6 = 91, 1 + 4 + 10 * 0 = 5, 1, and one who is not available
    case = situation([Rep(name) for name in "abcd"], won=[6, 0, 0, 9], closed=[30, 4, 0, 9], available=[1, 1, 1, 0])
    assert chances("points_queue", case) == pytest.approx([91 / 97, 5 / 97, 1 / 97, 0])


def test_the_fastest_gets_it_and_an_unknown_time_counts_as_the_usual_one():
    reps = [Rep(name) for name in "abcd"]
    assert fastest_responder(situation(reps, hours=[4, 1, np.nan, 9]), PLAIN).tolist() == [0, 1, 0, 0]
    out = situation(reps, hours=[4, 1, np.nan, 9], available=[True, False, True, False])
    assert fastest_responder(out, PLAIN).tolist() == [0.5, 0, 0.5, 0]
    assert fastest_responder(situation(reps, hours=[np.nan] * 4), PLAIN).tolist() == [0.25] * 4


def test_response_times_that_nobody_measured_are_no_zero():
    with pytest.raises(ValueError, match="measured"):
        fastest_responder(situation([Rep("a")]), PLAIN)


def test_a_stated_region_is_home_and_regions_only_say_what_else_one_gets():
    reps = [Rep("a", region="north", regions=("north", "south")), Rep("b", region="south", regions=("north", "south"))]
    assert chances("region_first", situation(reps, {"region": "south"})) == [0, 1]
    reps.append(Rep("c", regions=("south",)))
    assert chances("region_first", situation(reps, {"region": "south"})) == [0, 0.5, 0.5]
