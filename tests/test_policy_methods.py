"""Methods: propensities over the available, by hand, for every input, and as drawn."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as thorough
from hypothesis import strategies as st
from scipy.stats import chisquare

from data.roster import Rep
from serving.policy import arms
from serving.policy.exploration import EARN, LEARN, smoothed
from serving.policy.methods import METHODS, MethodSettings, Situation, State

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
NEW, NEWER = AT - timedelta(days=60), AT - timedelta(days=5)


def situation(reps, probability, *, available=None, prices=None, lead=None, **state) -> Situation:
    m = len(reps)
    named = ("open_leads", "today", "won", "closed")
    counts = {name: np.array(state.pop(name, np.zeros(m)), dtype=np.int64) for name in named}
    hours = np.array(state.pop("response_hours", np.full(m, np.nan)), dtype=float)
    return Situation(
        lead=lead or {"lead_id": "L-1"},
        reps=reps,
        available=np.ones(m, dtype=bool) if available is None else np.array(available),
        probability=np.array(probability, dtype=float),
        prices=np.zeros(m) if prices is None else np.array(prices, dtype=float),
        state=State(at=AT, response_hours=hours, **counts, **state),
    )


def reps(*ids, **columns) -> list[Rep]:
    return [Rep(rep_id, **columns) for rep_id in ids]


@st.composite
def situations(draw) -> Situation:
    m = draw(st.integers(1, 12))
    flags = draw(st.lists(st.booleans(), min_size=m, max_size=m).filter(any))
    share = st.floats(0, 1)
    count = st.integers(0, 30)
    regions = st.sampled_from([None, "north", "south"])
    hired = st.sampled_from([None, AT - timedelta(days=10), AT - timedelta(days=60), AT - timedelta(days=900)])
    roster = [
        Rep(f"R-{i}", region=draw(regions), capacity=draw(st.one_of(st.none(), count)), hired_at=draw(hired))
        for i in range(m)
    ]
    closed = draw(st.lists(count, min_size=m, max_size=m))
    return situation(
        roster,
        draw(st.lists(share, min_size=m, max_size=m)),
        available=flags,
        prices=draw(st.lists(st.floats(-1, 2), min_size=m, max_size=m)),
        lead={"lead_id": "L-1", "region": draw(st.sampled_from([None, "north", "west"]))},
        open_leads=draw(st.lists(count, min_size=m, max_size=m)),
        today=draw(st.lists(count, min_size=m, max_size=m)),
        grade=draw(st.sampled_from([None, "A", "B", "D"])),
        response_hours=draw(st.lists(st.sampled_from([0.5, 2.0, np.nan]), min_size=m, max_size=m)),
        closed=closed,
        won=[draw(st.integers(0, most)) for most in closed],
    )


settings = st.builds(
    MethodSettings,
    exploration=st.sampled_from([LEARN, EARN]),
    weights=st.dictionaries(st.sampled_from(["R-0", "R-1", "R-5"]), st.floats(0, 100)),
    distinguishes=st.booleans(),
)


@pytest.mark.parametrize("name", METHODS)
@thorough(max_examples=40)
@given(situations(), settings)
def test_propensities_are_a_distribution_over_the_available(name, case, given_settings):
    chances = METHODS[name](case, given_settings)
    assert chances.shape == (len(case.reps),)
    assert np.all(chances >= 0)
    assert chances.sum() == pytest.approx(1, abs=1e-12)
    assert not chances[~case.available].any()


@pytest.mark.parametrize("name", METHODS)
@thorough(max_examples=40)
@given(situations(), settings, st.randoms(use_true_random=False))
def test_the_order_of_the_roster_never_matters(name, case, given_settings, random):
    order = list(range(len(case.reps)))
    random.shuffle(order)
    state = case.state
    turned = Situation(
        lead=case.lead,
        reps=[case.reps[i] for i in order],
        available=case.available[order],
        probability=case.probability[order],
        prices=case.prices[order],
        state=State(
            state.open_leads[order],
            state.today[order],
            state.won[order],
            state.closed[order],
            at=state.at,
            grade=state.grade,
            response_hours=state.response_hours[order],
        ),
    )
    straight = METHODS[name](case, given_settings)
    np.testing.assert_allclose(METHODS[name](turned, given_settings), straight[order], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", METHODS)
def test_nobody_available_is_the_callers_mistake(name):
    with pytest.raises(ValueError):
        METHODS[name](situation(reps("a", "b"), [0.1, 0.2], available=[False, False]), MethodSettings())


def test_methods_by_hand():
    four = [Rep("a", region="north", capacity=10), Rep("b", regions=("north", "east"), capacity=5), Rep("c"), Rep("d")]
    case = situation(
        four,
        [0.1, 0.2, 0.3, 0.4],
        available=[True, True, True, False],
        lead={"lead_id": "L-1", "region": "north"},
        open_leads=[4, 3, 3, 0],
        won=[30, 1, 0, 90],
        closed=[100, 1, 40, 100],
    )
    plain = MethodSettings(weights={"a": 3, "d": 100})
    third = 1 / 3
    expected = {
        "rotation": [third, third, third, 0],
        "weighted_rotation": [0.6, 0.2, 0.2, 0],
        "region_first": [0.5, 0.5, 0, 0],
        "workload": [0, 0.5, 0.5, 0],  # c and d state no capacity, so open leads count: 3 and 3
        "performance": [0, 1, 0, 0],  # overall 121/241: b (1 + 10.04)/21 = .526, a (30 + 10.04)/120 = .334
    }
    for name, chances in expected.items():
        np.testing.assert_allclose(METHODS[name](case, plain), chances, err_msg=name)


def test_workload_compares_shares_of_the_capacity_where_all_state_one():
    case = situation([Rep("a", capacity=10), Rep("b", capacity=4)], [0.1, 0.1], open_leads=[4, 3])
    np.testing.assert_array_equal(METHODS["workload"](case, MethodSettings()), [1, 0])


def test_a_lead_without_a_region_has_no_home_team():
    case = situation([Rep("a", region=None), Rep("b", region="north")], [0.1, 0.1])
    np.testing.assert_array_equal(METHODS["region_first"](case, MethodSettings()), [0.5, 0.5])


def test_weights_of_nothing_fall_back_to_rotation():
    case = situation(reps("a", "b"), [0.1, 0.1])
    chances = METHODS["weighted_rotation"](case, MethodSettings(weights={"a": 0, "b": 0}))
    np.testing.assert_array_equal(chances, [0.5, 0.5])


def test_a_model_that_sees_no_difference_prefers_nobody():
    case = situation(reps("a", "b"), [0.1, 0.4])
    np.testing.assert_array_equal(METHODS["model"](case, MethodSettings(distinguishes=False)), [0.5, 0.5])


def test_earn_by_hand():
    # p - price: .30, .20; temperature .03 * .25 = .0075; softmax exp(0) : exp(-.1 / .0075)
    chances = smoothed(np.array([0.3, 0.2]), np.zeros(2), np.ones(2, dtype=bool), EARN)
    second = 0.03 / 2 + 0.97 * np.exp(-0.1 / 0.0075) / (1 + np.exp(-0.1 / 0.0075))
    np.testing.assert_allclose(chances, [1 - second, second])


def test_learn_by_hand():
    # log-odds of .5 and .2: 0 and -1.386; a price of .05 at a mean of .35 is .05 / (.35 * .65) = .2198 in log-odds
    chances = smoothed(np.array([0.5, 0.2]), np.array([0.05, 0.0]), np.ones(2, dtype=bool), LEARN)
    ratio = np.exp((np.log(0.2 / 0.8) + 0.05 / (0.35 * 0.65)) / 0.25)
    second = 0.05 + 0.9 * ratio / (1 + ratio)
    np.testing.assert_allclose(chances, [1 - second, second])


@given(situations())
def test_the_same_price_for_everybody_changes_nothing(case):
    one = METHODS["model"](case, MethodSettings())
    shifted = Situation(case.lead, case.reps, case.available, case.probability, case.prices + 0.25, case.state)
    np.testing.assert_allclose(METHODS["model"](shifted, MethodSettings()), one, atol=1e-6)


@pytest.mark.parametrize("exploration", [LEARN, EARN], ids=["learn", "earn"])
@given(situations())
def test_exploration_leaves_everybody_available_a_chance(exploration, case):
    chances = METHODS["model"](case, MethodSettings(exploration=exploration))
    least = exploration.uniform / np.count_nonzero(case.available)
    assert np.all(chances[case.available] >= least - 1e-15)


@pytest.mark.parametrize("name", METHODS)
def test_draws_come_as_often_as_the_propensities_say(name):
    case = situation(
        [
            Rep("a", region="north"),
            Rep("b", region="north"),
            Rep("c", hired_at=NEW),
            Rep("d"),
            Rep("e", hired_at=NEWER),
        ],
        [0.2, 0.25, 0.22, 0.1, 0.24],
        available=[True, True, True, False, True],
        lead={"lead_id": "L-1", "region": "north"},
        open_leads=[2, 1, 1, 0, 5],
        won=[5, 5, 1, 9, 0],
        closed=[20, 20, 20, 20, 20],
        grade="B",
        response_hours=[1, 0.5, 0.5, 0.1, np.nan],
    )
    chances = METHODS[name](case, MethodSettings(exploration=LEARN, weights={"b": 2.5}))
    n = 20_000
    counts = np.bincount([arms.drawn(chances, arms.fraction("draw", seed)) for seed in range(n)], minlength=5)
    possible = chances > 0
    assert counts[~possible].sum() == 0
    if possible.sum() > 1:
        # chance alone fails a right sampler once in a million runs
        assert chisquare(counts[possible], n * chances[possible]).pvalue > 1e-6
