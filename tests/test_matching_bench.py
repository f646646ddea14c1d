"""The benchmarks of matching and replay in small: the same code, one small floor each."""

import numpy as np

from serving.policy.exploration import LEARN
from tests.bench import exploring, matching, replay


def test_prices_keep_more_of_the_optimum_than_greed():
    found = matching.compared(1, 1.0, size=(3_000, 12, 300))
    assert found[matching.ONLINE] > found[matching.GREEDY]
    assert found[matching.ONLINE] > 0.7  # one small floor; the benchmark's means are held to .93


def test_a_hotter_draw_costs_more_and_the_floor_little():
    size = (3_000, 12, 300)
    by_scores = {name: cost[1] for name, cost in matching.exploration_cost(1, size=size).items()}
    earn, cooler, learn = (by_scores[name] for name in matching.PRESETS)
    assert 0 < cooler < earn < learn < 1
    assert matching.floors_cost(1, size=size)[0.5] < 0.02  # one small floor; the benchmark's means are held to .01


def test_months_lived_through_by_two_rules_have_the_same_leads_and_the_hotter_one_gains_less():
    small = {"months": 2, "history": 3_000, "reps": 12, "leads": 200}
    greedy, hot = (exploring.live(1, rule, **small) for rule in (None, LEARN))
    assert greedy.rotation == hot.rotation
    assert len(greedy.policy) == 2
    assert greedy.policy[0] > greedy.rotation[0]
    assert greedy.policy[0] > hot.policy[0]  # the same model of the same history, and ten times the chance


def test_a_replay_on_either_presets_log_finds_the_truth():
    found = replay.run(2_001)
    for one in found.values():
        half = (one.high - one.low) / 2
        assert abs(one.value - one.truth) < 3 * half  # five standard errors
        assert half < 0.05
    assert np.isfinite([one.leads_an_effective_one for one in found.values()]).all()
