"""Customs of assignment: by tags, ability, tiers, points and promptness, by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.roster import Rep
from data.store import records
from serving.policy.bounds import bounds_of
from serving.policy.methods import METHODS, MethodSettings, Situation, State, fastest_responder, propensities
from serving.policy.sections import Absence, Newcomers, Performance, Points, Tiers

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


def test_performance_leaves_a_share_to_those_who_have_yet_to_show_what_they_can():
    case = situation([Rep(name) for name in "abcd"], won=[30, 1, 1, 1], closed=[60, 60, 60, 60])
    assert METHODS["performance"](case, PLAIN).tolist() == [1, 0, 0, 0]
    shared = MethodSettings(performance=Performance(shared=0.4))
    assert METHODS["performance"](case, shared) == pytest.approx([0.7, 0.1, 0.1, 0.1])


def test_tiers_may_be_a_column_of_the_roster():
    reps = [Rep("a", attributes={"level": "Senior"}), Rep("b", attributes={"level": "junior"}), Rep("c")]
    tiers = MethodSettings(tiers=Tiers(column="level", grades={"A": ("senior",), "B": ("senior", "junior")}))
    assert METHODS["value_tiers"](situation(reps, grade="A"), tiers).tolist() == [1, 0, 0]
    assert METHODS["value_tiers"](situation(reps, grade="B"), tiers).tolist() == [0.5, 0.5, 0]
    assert METHODS["value_tiers"](situation(reps, grade="C"), tiers) == pytest.approx([1 / 3] * 3)


def test_points_are_those_of_the_rule_book():
    case = situation([Rep("a"), Rep("b")], won=[1, 0], closed=[2, 2])
    assert METHODS["points_queue"](case, PLAIN) == pytest.approx([13 / 16, 3 / 16])
    richer = MethodSettings(points=Points(start=2, closed=0, won=4))
    assert METHODS["points_queue"](case, richer) == pytest.approx([6 / 8, 2 / 8])


def test_newcomers_get_more_of_their_leads_each_day():
    at = datetime(2026, 3, 2, tzinfo=UTC)
    reps = [Rep(name, hired_at=at - timedelta(days=days)) for name, days in (("a", 0), ("b", 45), ("c", 90))]
    chances = METHODS["newcomer_growth"](situation(reps), MethodSettings(newcomers=Newcomers(days=90, begin=0.3)))
    assert chances == pytest.approx([0.3 / 0.95, 0.65 / 0.95, 0])  # c is no newcomer any more
    old = situation([Rep("c", hired_at=at - timedelta(days=900)), Rep("d")])
    assert METHODS["newcomer_growth"](old, PLAIN).tolist() == [0.5, 0.5]


def test_a_dear_lead_pays_a_price_more_easily():
    case = situation([Rep("star"), Rep("other")])
    case = replace(case, probability=np.array([0.30, 0.20]), prices=np.array([0.2, 0.0]))
    usual, dear, cheap = (METHODS["model"](replace(case, relative_value=v), PLAIN)[0] for v in (1.0, 4.0, 0.25))
    assert usual < 0.5 < dear  # the star's slot costs .2, or .05 where the lead is worth four usual ones
    assert cheap < usual


def test_the_usual_time_to_the_first_contact_comes_from_the_ledger(floor):
    for number, minutes in enumerate((30, 60, 600)):
        floor.decide(f"L-{number}", "R-1")
        floor.tell(kind="contacted", lead=f"L-{number}", after=minutes)
    floor.decide("L-9", "R-2")
    with floor.ledger.reading() as conn:
        hours = records.response_hours(conn, at=datetime(2026, 3, 3, tzinfo=UTC))
    assert hours == {"R-1": 1.0}


newcomer_or_back = st.builds(
    Rep,
    rep_id=st.uuids().map(str),
    hired_at=st.sampled_from([None, datetime(2026, 2, 20, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)]),
    absent_from=st.just(datetime(2026, 2, 1, tzinfo=UTC)),
    absent_until=st.sampled_from([None, datetime(2026, 2, 5, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)]),
)


@given(
    st.lists(newcomer_or_back, min_size=1, max_size=8),
    st.floats(0, 1),
    st.floats(1, 3),
    st.sampled_from(["keep_place", "catch_up"]),
    st.data(),
)
def test_chances_within_bounds_are_chances_and_keep_to_them_where_they_can_be_kept(reps, floor, ceiling, back, data):
    m = len(reps)
    load = data.draw(st.lists(st.integers(0, 9), min_size=m, max_size=m))
    available = np.array(data.draw(st.lists(st.booleans(), min_size=m, max_size=m).filter(any)))
    case = situation(reps, available=available)
    case = replace(case, state=replace(case.state, open_leads=np.array(load)))
    newcomers = Newcomers(floor=floor, ceiling=ceiling)
    bounds = bounds_of(reps, case.state.at, newcomers, Absence(on_return=back), available=available)
    case = replace(case, state=replace(case.state, bounds=bounds))
    chances = propensities("workload", case, PLAIN)
    assert chances.sum() == pytest.approx(1, abs=1e-9)
    assert (chances >= -1e-12).all()
    assert not chances[~available].any()
    if bounds is not None and (available & np.isinf(bounds.most)).any():  # somebody takes what is over
        assert (chances[available] <= bounds.most[available] / available.sum() + 1e-9).all()
