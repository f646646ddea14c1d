"""Routes: which leads are decided by which method, in which order, for which share, among whom."""

import numpy as np
import pytest

from data.roster import Rep
from serving.policy.routes import Routes
from serving.policy.rulebook import parse_rule_book

REPS = (Rep("a", team="north"), Rep("b", team="south"), Rep("c", team="South"))


def way(text, lead, reps=REPS, **later):
    return Routes(parse_rule_book(text), reps).way_of({"lead_id": "L-1", **lead}, **later)


def routes(*lines, **book):
    more = "".join(f"{name}: {value}\n" for name, value in book.items())
    return more + "routes:\n" + "".join(f"  - {{{line}}}\n" for line in lines)


def test_the_first_route_that_takes_a_lead_decides_it():
    text = routes(
        "name: big, when: {budget: {at_least: 5000}}, method: manual_queue",
        "name: web, when: {source: [Web, fair]}, method: workload",
        method="performance",
    )
    assert way(text, {"budget": 5000, "source": "web"}).route == "big"
    assert way(text, {"budget": "4,999", "source": "WEB"}).method == "workload"
    other = way(text, {"source": "phone"})
    assert (other.route, other.method, other.control) == (None, "performance", "rotation")


@pytest.mark.parametrize(
    ("when", "takes", "leaves"),
    [
        ("{source: web}", {"source": " Web "}, {"source": "fair"}),
        ("{tags: steel}", {"tags": ["new", "Steel"]}, {"tags": "steelworks"}),
        ("{vip: true}", {"vip": True}, {"vip": False}),
        ("{size: 5}", {"size": 5.0}, {"size": "50"}),
        ("{size: {above: 5}}", {"size": 6}, {"size": 5}),
        ("{size: {at_most: 5}}", {"size": "5"}, {}),
        ("{city: {given: false}}", {"city": "  "}, {"city": "Xi'an"}),
        ("{city: {given: true, is_not: [Rome, Bern]}}", {"city": "Xi'an"}, {"city": "rome"}),
        ("{size: {is_not: 5}}", {}, {"size": 5}),
    ],
)
def test_conditions_by_hand(when, takes, leaves):
    text = routes(f"name: it, when: {when}, method: workload")
    assert way(text, takes).route == "it"
    assert way(text, leaves).route is None


def test_a_route_may_go_by_what_the_model_says_of_the_lead():
    text = routes(
        "name: best, when: {grade: [A, B], lead_score: {at_least: 80}}, method: value_tiers",
        "name: dear, when: {expected_value: {above: 1000}}, method: manual_queue",
    )
    assert way(text, {"grade": "D"}, grade="A", lead_score=80).route == "best"  # the lead's own word does not count
    assert way(text, {}, grade="A", lead_score=79).route is None
    assert way(text, {}, grade=None, expected_value=1000.5).route == "dear"


def test_shares_split_the_same_leads_by_a_hash_of_their_ids():
    text = routes(
        "name: pool, when: {x: 1}, share: 0.3, method: pool",
        "name: hand, when: {x: 1}, share: 0.2, method: manual_queue",
        "name: other, when: {x: {given: true}}, share: 0.5, method: rotation",
    )
    laid_out = Routes(parse_rule_book(text), REPS)
    names = [laid_out.way_of({"lead_id": f"L-{n}", "x": 1}).route for n in range(4_000)]
    counts = {name: names.count(name) for name in {*names}}
    # 4,000 draws; five standard errors of a share of .3 are .036
    assert counts["pool"] / 4_000 == pytest.approx(0.3, abs=0.036)
    assert counts["hand"] / 4_000 == pytest.approx(0.2, abs=0.032)
    assert counts["other"] / 4_000 == pytest.approx(0.25, abs=0.035)  # half of the half that is left
    again = Routes(parse_rule_book(text), REPS[::-1])
    assert names == [again.way_of({"lead_id": f"L-{n}", "x": 1}).route for n in range(4_000)]


def test_a_routes_own_reps_and_who_takes_over():
    text = routes(
        "name: south, when: {x: 1}, method: workload, reps: {team: south}, otherwise: north",
        "name: north, when: {x: 2}, method: performance, reps: {team: north}",
    )
    laid_out = Routes(parse_rule_book(text), REPS)
    south = laid_out.way_of({"lead_id": "L-1", "x": 1})
    np.testing.assert_array_equal(south.members, [False, True, True])
    north = laid_out.onward(south)
    assert (north.route, north.members.tolist()) == ("north", [True, False, False])
    assert laid_out.onward(north).route is None


def test_a_route_has_its_own_control_holdout_and_weights_where_it_says_so():
    text = routes(
        "name: it, when: {x: 1}, method: weighted_rotation, control: workload, holdout: 0.4, weights: {a: 3}",
        "name: plain, when: {x: 2}, method: weighted_rotation",
        weights="{b: 2}",
    )
    own, plain = way(text, {"x": 1}), way(text, {"x": 2})
    assert (own.control, own.holdout, own.weights) == ("workload", 0.4, {"a": 3})
    assert (plain.control, plain.holdout, plain.weights) == ("rotation", None, {"b": 2})
