"""Shadow prices and joint assignment: by hand, by duality, against brute force, and as prices in use."""

import itertools
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as thorough
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from data.roster import Rep
from data.store.capacity import Load
from serving.policy.pace import Pace
from serving.policy.price_book import (
    ENOUGH,
    SOLVE_EVERY,
    PriceBook,
    SeenLead,
    Standing,
    capacity_left,
    enough_for_all,
    prices_now,
)
from serving.policy.prices import MANY, SERVED, _optimum, _solve, assign_jointly, shadow_prices
from serving.policy.rulebook import Prices

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_prices_by_hand():
    # One slot each. Lead 1 gains .3 from rep 0, lead 2 gains .1: lead 1 gets the slot, and lead 2's loss is its price.
    probability = np.array([[0.5, 0.2], [0.4, 0.3]])
    everyone = np.ones((2, 2), dtype=bool)
    np.testing.assert_array_equal(assign_jointly(probability, everyone, np.ones(2)), [0, 1])
    price = shadow_prices(probability, everyone, np.ones(2))
    assert 0.1 - 1e-9 <= price[0] - price[1] <= 0.3 + 1e-9


def test_a_slot_that_nobody_lacks_is_free():
    probability = np.array([[0.5, 0.2], [0.4, 0.3]])
    everyone = np.ones((2, 2), dtype=bool)
    np.testing.assert_allclose(shadow_prices(probability, everyone, np.array([2.0, 1.0])), 0, atol=1e-9)
    np.testing.assert_allclose(shadow_prices(probability, everyone, np.full(2, np.inf)), 0, atol=1e-9)


def test_one_more_slot_is_worth_its_price():
    rng = np.random.default_rng(5)
    probability, everyone = rng.random((30, 3)), np.ones((30, 3), dtype=bool)
    capacity = np.array([8.0, 9.0, 20.0])

    def value(limits):
        chosen = assign_jointly(probability, everyone, limits)
        return probability[np.arange(30), chosen].sum()

    price = shadow_prices(probability, everyone, capacity)
    for rep in range(3):
        one_more = capacity + (np.arange(3) == rep)
        one_less = capacity - (np.arange(3) == rep)
        assert value(one_more) - value(capacity) - 1e-9 <= price[rep] <= value(capacity) - value(one_less) + 1e-9


def test_a_floor_lowers_the_price_of_the_rep_who_would_get_less():
    probability = np.column_stack([np.full(20, 0.4), np.linspace(0.1, 0.3, 20)])
    everyone = np.ones((20, 2), dtype=bool)
    price = shadow_prices(probability, everyone, np.full(2, np.inf), np.array([0.0, 5.0]))
    assert price[0] == pytest.approx(0, abs=1e-9)
    # the sixth best lead of rep 1 costs .4 - .247, the fifth .4 - .258
    assert -0.4 + np.sort(probability[:, 1])[-6] - 1e-9 <= price[1] <= -0.4 + np.sort(probability[:, 1])[-5] + 1e-9


def test_a_floor_that_cannot_be_met_is_missed_and_not_an_error():
    eligible = np.array([[True, False]] * 4)
    price = shadow_prices(np.full((4, 2), 0.2), eligible, np.full(2, np.inf), np.array([0.0, 3.0]))
    assert np.isfinite(price).all()


@st.composite
def worlds(draw):
    n, m = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    # few distinct values: ties are where a solver could hand back halves
    values = draw(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.9]), min_size=n * m, max_size=n * m))
    flags = draw(st.lists(st.booleans(), min_size=n * m, max_size=n * m))
    capacity = draw(st.lists(st.sampled_from([0.0, 1.0, 2.0, np.inf]), min_size=m, max_size=m))
    return np.array(values).reshape(n, m), np.array(flags).reshape(n, m), np.array(capacity)


@thorough(max_examples=60)
@given(worlds())
def test_the_joint_assignment_is_the_best_of_all(world):
    probability, eligible, capacity = world
    n, m = probability.shape

    def worth(chosen):
        used = np.bincount([rep for rep in chosen if rep >= 0], minlength=m)
        allowed = all(rep < 0 or eligible[lead, rep] for lead, rep in enumerate(chosen)) and np.all(used <= capacity)
        return sum(SERVED + probability[lead, rep] for lead, rep in enumerate(chosen) if rep >= 0) if allowed else -1

    best = max(worth(chosen) for chosen in itertools.product(range(-1, m), repeat=n))
    assert worth(assign_jointly(probability, eligible, capacity)) == pytest.approx(best, abs=1e-9)


@thorough(max_examples=40)
@given(worlds())
def test_priced_choices_and_prices_add_up_to_the_optimum(world):
    # strong duality: sum of each lead's best (worth - price) plus what the slots cost is the optimum itself
    probability, eligible, capacity = world
    price = shadow_prices(probability, eligible, capacity)
    chosen = assign_jointly(probability, eligible, capacity)
    leads = np.flatnonzero(chosen >= 0)
    optimum = (SERVED + probability[leads, chosen[leads]]).sum()
    net = np.where(eligible, SERVED + probability - price, 0).max(axis=1).clip(0).sum()
    slots = np.where(price > 1e-9, price * np.where(np.isinf(capacity), 0, capacity), 0).sum()
    assert net + slots == pytest.approx(optimum, abs=1e-6)
    assert np.all(price >= -1e-9)


def test_leaving_pairs_out_at_first_does_not_change_the_optimum():
    # slow twin: the Hungarian method with a column for every slot
    rng = np.random.default_rng(3)
    n, m = 150, 30
    probability = np.clip(rng.beta(2, 12, (n, 1)) + rng.normal(0, 0.04, (n, m)), 0, 1)
    eligible = rng.random((n, m)) < 0.6
    capacity = np.full(m, 5.0)
    chosen = assign_jointly(probability, eligible, capacity)
    slots = np.repeat(np.where(eligible, SERVED + probability, 0), 5, axis=1)
    lead, slot = linear_sum_assignment(slots, maximize=True)
    served = np.flatnonzero(chosen >= 0)
    assert (SERVED + probability[served, chosen[served]]).sum() == pytest.approx(slots[lead, slot].sum(), abs=1e-6)
    assert np.bincount(chosen[served], minlength=m).max() <= 5


def test_an_empty_batch_and_a_roster_of_nobody_are_answered():
    assert assign_jointly(np.zeros((0, 3)), np.zeros((0, 3), dtype=bool), np.ones(3)).shape == (0,)
    assert assign_jointly(np.zeros((3, 0)), np.zeros((3, 0), dtype=bool), np.ones(0)).tolist() == [-1, -1, -1]
    assert shadow_prices(np.zeros((0, 3)), np.zeros((0, 3), dtype=bool), np.ones(3)).tolist() == [0, 0, 0]


def sales_floor(rng, n, m):
    """True probabilities, shape (n, m), and who covers whom: a few reps good at what others are not."""
    base = rng.normal(-2.0, 0.6, (n, 1))
    industry = rng.integers(0, 8, n)
    skill = rng.normal(0, 0.15, m) + rng.normal(0, 0.35, (8, m))[industry]
    eligible = rng.random((n, m)) < 0.6
    eligible[np.arange(n), rng.integers(0, m, n)] = True
    return 1 / (1 + np.exp(-(base + skill))), eligible


@pytest.mark.parametrize("utilisation", [0.8, 0.9, 1.0])
def test_prices_in_use_keep_most_of_what_the_batch_optimum_would_gain(utilisation):
    rng = np.random.default_rng(11)
    n, m = 1_000, 40
    probability, eligible = sales_floor(rng, n + 600, m)
    history, ahead = slice(0, 600), slice(600, None)
    capacity = np.full(m, np.ceil(n / m / utilisation))
    gain = {}
    best = assign_jointly(probability[ahead], eligible[ahead], capacity)
    rotation = np.array([p[e].mean() for p, e in zip(probability[ahead], eligible[ahead], strict=True)])
    served = best >= 0
    gain["batch"] = probability[ahead][served, best[served]].sum() - rotation[served].sum()
    for name in ("priced", "greedy"):
        left, total, price = capacity.copy(), 0.0, np.zeros(m)
        recent = list(zip(probability[history], eligible[history], strict=True))
        for number, (p, e) in enumerate(zip(probability[ahead], eligible[ahead], strict=True)):
            if name == "priced" and number % 100 == 0:
                sample = recent[-600:]
                share = len(sample) / (n - number)
                price = shadow_prices(np.array([s[0] for s in sample]), np.array([s[1] for s in sample]), left * share)
            free = e & (left > 0)
            recent.append((p, e))
            if free.any():
                rep = int(np.argmax(np.where(free, p - price, -np.inf)))
                left[rep] -= 1
                total += p[rep] - rotation[number]
        gain[name] = total
    # one world, so a floor with room: a study with many worlds found .95 to .98, and .55 to .58 for greedy
    assert gain["priced"] / gain["batch"] > 0.90
    assert gain["greedy"] < gain["priced"]


# Twenty leads a day for a week, evenly: ten in the twelve hours after noon.
TWENTY = Pace({int(NOON.timestamp()) // 3_600 - hour: 20 / 24 for hour in range(1, 7 * 24 + 1)})


def seen_leads(n, *, star=0.3, other=0.2) -> list[SeenLead]:
    rng = np.random.default_rng(2)
    return [
        SeenLead(("star", "other"), np.array([star, other + 0.1 * rng.random()]))
        for i in range(n)
    ]


def test_prices_wait_for_enough_leads():
    reps = [Rep("star", capacity=1), Rep("other")]
    assert prices_now(seen_leads(ENOUGH - 1), reps, {}, Prices(), TWENTY, at=NOON) == {}
    assert prices_now(seen_leads(ENOUGH), reps, {}, Prices(), TWENTY, at=NOON)["star"] > 0
    assert prices_now(seen_leads(ENOUGH), reps, {}, Prices(enabled=False), TWENTY, at=NOON) == {}


def test_the_ceiling_prices_a_star_without_any_capacity_limit():
    reps = [Rep("star"), Rep("other")]
    price = prices_now(seen_leads(200), reps, {}, Prices(floor=0, ceiling=1.3), TWENTY, at=NOON)
    # 65 % of the leads for the star: the price is what the lead at that quantile gains from her
    assert 0 == price["other"] < price["star"] < 0.1
    free = prices_now(seen_leads(200), reps, {}, Prices(floor=0, ceiling=1000), TWENTY, at=NOON)
    assert free == {"star": 0.0, "other": 0.0}


def test_a_rep_who_left_the_roster_and_one_who_was_never_asked_have_no_price():
    reps = [Rep("star"), Rep("newcomer")]
    price = prices_now(seen_leads(200), reps, {}, Prices(), TWENTY, at=NOON)
    assert set(price) == {"star"}


def test_capacity_left_by_hand():
    rules = Prices(slot_days=10)
    # noon: half a day to go, 20 leads a day, so 10 to come
    assert capacity_left(Rep("a"), {}, rules, TWENTY, NOON) == np.inf
    # 20 slots, 8 taken; of these 8 * .5 / 10 = .4 come free until midnight
    assert capacity_left(Rep("a", capacity=20), {"a": Load(8, 1)}, rules, TWENTY, NOON) == pytest.approx(12.4 / 10)
    both = Rep("a", capacity=20, daily_limit=4)
    assert capacity_left(both, {"a": Load(8, 1)}, rules, TWENTY, NOON) == pytest.approx(0.3)
    assert capacity_left(Rep("a", capacity=4), {"a": Load(8, 1)}, rules, TWENTY, NOON) == 0
    assert capacity_left(Rep("a", capacity=3, open_count=1), {}, rules, Pace({}), NOON) == pytest.approx(2.05)


def pace_of(*moments):
    return Pace(Counter(int(moment.timestamp() // 3_600) for moment in moments))


def test_the_pace_by_hand():
    burst = [NOON - timedelta(seconds=second) for second in range(1, 51)]
    assert pace_of(*burst).expected(NOON, 0.5) == 25  # a first burst counts as what comes in a day
    assert Pace({}).expected(NOON, 0.5) == 0
    # Four days ago 6 came in the afternoon, three days ago 2, since then none but this morning's.
    then = [NOON - timedelta(days=4) + timedelta(hours=hour) for hour in range(6)]
    later = [NOON - timedelta(days=3) + timedelta(hours=hour) for hour in range(2)]
    pace = pace_of(*then, *later, *burst)
    assert pace.expected(NOON, 0.5) == pytest.approx((6 + 2 + 0 + 0) / 4)
    assert pace.expected(NOON, 1.0) == pytest.approx((6 + 2 + 0 + 50) / 4)
    assert pace.expected(NOON, 1 / 48) == pytest.approx((0.5 + 0.5) / 4)  # half of an hour with one lead


@given(st.lists(st.integers(0, 7 * 24 * 60), max_size=60), st.floats(0, 1))
def test_the_pace_is_never_negative_and_grows_with_the_stretch(minutes, days):
    pace = pace_of(*(NOON - timedelta(minutes=minute + 1) for minute in minutes))
    assert 0 <= pace.expected(NOON, days) <= pace.expected(NOON, 1.0) + 1e-9 <= len(minutes) + 2e-9


def test_the_price_book_solves_in_the_background_when_enough_was_decided():
    asked = threading.Event()

    def standing():
        asked.set()
        return Standing(seen_leads(200), [Rep("star"), Rep("other")], {}, Prices(), TWENTY)

    book = PriceBook(standing)
    np.testing.assert_array_equal(book.of(["star", "unknown"]), [0, 0])
    book.start()
    for _ in range(SOLVE_EVERY - 1):
        book.note()
    assert not asked.is_set()
    book.note()
    assert asked.wait(timeout=10)
    book.close()  # waits for the solution that it is at
    assert book.of(["star"])[0] > 0


def test_a_failing_solution_keeps_the_old_prices():
    broken, asked = threading.Event(), threading.Event()

    def standing():
        if broken.is_set():
            asked.set()
            raise RuntimeError("no roster")
        return Standing(seen_leads(200), [Rep("star"), Rep("other")], {}, Prices(), TWENTY)

    book = PriceBook(standing)
    book.solve(at=NOON)
    before = book.of(["star", "other"])
    assert before[0] > before[1]
    broken.set()
    book.start()
    book.outdate()
    assert asked.wait(timeout=10)
    book.close()
    np.testing.assert_array_equal(book.of(["star", "other"]), before)


def test_the_same_again_is_not_solved_again(monkeypatch):
    solved = []

    def counted(*asked, **how):
        solved.append(asked)
        return shadow_prices(*asked, **how)

    monkeypatch.setattr("serving.policy.price_book.shadow_prices", counted)
    reps, loads = [Rep("star", capacity=30), Rep("other")], {"star": Load(open=10, today=0)}
    stands = [Standing(seen_leads(200), reps, loads, Prices(), TWENTY)]
    book = PriceBook(lambda: stands[-1])
    book.solve(at=NOON)
    first = book.of(["star", "other"])
    book.solve(at=NOON + timedelta(minutes=1))  # a minute's less slots, more than enough for all as before
    assert len(solved) == 1
    np.testing.assert_array_equal(book.of(["star", "other"]), first)
    renamed, full = [Rep("star", capacity=30), Rep("third")], {"star": Load(open=30, today=0)}
    for changed in (
        Standing(seen_leads(201), reps, loads, Prices(), TWENTY),
        Standing(seen_leads(201), renamed, loads, Prices(), TWENTY),
        Standing(seen_leads(201), reps, full, Prices(), TWENTY),
        Standing(seen_leads(201), reps, full, Prices(ceiling=1.1), TWENTY),
        Standing(seen_leads(ENOUGH - 1), reps, loads, Prices(), TWENTY),
        stands[0],
    ):
        stands.append(changed)
        book.solve(at=NOON)
        expected = prices_now(changed.seen, changed.reps, changed.loads, changed.rules, changed.pace, at=NOON)
        assert {rep.rep_id: book.of((rep.rep_id,))[0] for rep in changed.reps if rep.rep_id in expected} == expected
    assert len(solved) == 1 + 5 + 5  # and one solution each by `prices_now`; none where there are too few leads


def test_slots_that_do_not_suffice_count_up_alike_to_the_ceiling():
    capacity = enough_for_all(np.array([10.0, 20.0, 0.0, np.inf]), np.array([50.0, 50.0, 50.0, 50.0]), leads=100)
    assert capacity[1] == pytest.approx(2 * capacity[0])
    assert 102 <= capacity.sum() <= 115  # one lead each, little to spare
    assert capacity[2:].tolist() == [0, 50]
    np.testing.assert_array_equal(enough_for_all(np.zeros(2), np.ones(2), leads=2), [0, 0])


def test_the_worst_rep_is_not_the_cheapest_way_out_of_a_full_floor():
    # Half of the leads suit the star very well, the other half hardly; the dud is bad for all of them.
    leads = [SeenLead(("star", "dud"), np.array([0.5 if n % 2 else 0.12, 0.1])) for n in range(200)]
    reps = [Rep("star", capacity=20, daily_limit=20), Rep("dud", capacity=20, daily_limit=20)]
    prices = prices_now(leads, reps, {}, Prices(), TWENTY, at=NOON)
    gap = prices["star"] - prices["dud"]
    assert 0.0 <= gap <= 0.4  # never more than what the star adds to the lead that needs her most
    assert 0.5 - prices["star"] > 0.1 - prices["dud"]


@pytest.mark.parametrize("many", [MANY, 0])  # beginning with the best pairs, and with those that prices near it name
def test_floors_of_a_large_team_are_priced_from_few_of_its_pairs(many, rng, monkeypatch):
    monkeypatch.setattr("serving.policy.prices.MANY", many)
    # Each rep is promised a part of what rotation gives: nearly every pair would serve some rep's floor.
    probability = rng.random((120, 200)) * 0.3
    share = np.full(200, 120 / 200)
    eligible = np.ones(probability.shape, dtype=bool)
    solution, considered = _optimum(probability, eligible, 1.3 * share, 0.5 * share)
    whole = _solve(probability, eligible, 1.3 * share, 0.5 * share)
    assert considered.mean() < 0.3
    found, best = (
        solved.lead_price.sum() + 1.3 * share @ solved.cap_price - 0.5 * share @ solved.floor_price
        for solved in (solution, whole)
    )
    assert found == pytest.approx(best, abs=1e-6)  # the duals of the optimum over all pairs


def test_prices_that_are_near_enough_cost_no_more_than_said_and_look_at_fewer_pairs(rng):
    probability, within = rng.random((120, 200)) * 0.3, 1e-3
    eligible = rng.random(probability.shape) < 0.9
    most, least = np.full(200, 1.3 * 120 / 200), np.full(200, 0.5 * 120 / 200)

    def worth(solved, considered):
        return float((solved.share * (SERVED + probability[considered])).sum())  # floors can be kept, so no shortfall

    exact, all_of_them = _optimum(probability, eligible, most, least)
    near, some = _optimum(probability, eligible, most, least, within)
    assert some.sum() < all_of_them.sum()
    assert 0 <= worth(exact, all_of_them) - worth(near, some) <= within * len(probability)


def test_once_it_is_prepared_the_first_solution_loads_nothing_more():
    # In an interpreter of its own: here everything has been loaded by others.
    ask = """
import sys
import numpy as np
from serving.policy import prices
before = {name for name in sys.modules if name.startswith("scipy")}
prices.prepare()
prepared = set(sys.modules)
probability = np.random.default_rng(0).random((80, 9))
prices.shadow_prices(probability, probability < 2, np.full(9, 9.0), np.ones(9))
loaded = sorted(name for name in set(sys.modules) - prepared if "scipy" in name)
print(len(before), "scipy.optimize" in prepared, loaded)
"""
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    assert told == "0 True []"
