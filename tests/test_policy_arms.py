"""The draw: arms by hash, mixtures, and reps from propensities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, kstest

from serving.policy import arms

chances = st.lists(st.floats(0, 1), min_size=1, max_size=20).filter(lambda values: sum(values) > 1e-6)


def test_the_holdout_takes_its_share_and_a_lead_keeps_its_arm():
    leads = [f"L-{number}" for number in range(20_000)]
    held = [arms.in_holdout(lead, seed=1, share=0.15) for lead in leads]
    assert binomtest(sum(held), len(held), 0.15).pvalue > 1e-6
    assert held == [arms.in_holdout(lead, seed=1, share=0.15) for lead in leads]


def test_a_larger_share_only_adds_leads_to_the_holdout():
    leads = [f"L-{number}" for number in range(2_000)]
    small = {lead for lead in leads if arms.in_holdout(lead, seed=1, share=0.1)}
    large = {lead for lead in leads if arms.in_holdout(lead, seed=1, share=0.5)}
    assert small < large


def test_nothing_held_out_at_share_nought_and_everything_at_one():
    assert not any(arms.in_holdout(f"L-{n}", seed=1, share=0.0) for n in range(500))
    assert all(arms.in_holdout(f"L-{n}", seed=1, share=1.0) for n in range(500))


def test_another_seed_draws_the_holdout_anew():
    leads = [f"L-{number}" for number in range(4_000)]
    both = sum(arms.in_holdout(lead, seed=1, share=0.5) and arms.in_holdout(lead, seed=2, share=0.5) for lead in leads)
    assert binomtest(both, len(leads), 0.25).pvalue > 1e-6


def test_the_arm_tells_nothing_about_the_draw():
    points = [arms.fraction("draw", seed) for seed in range(20_000) if arms.fraction("arm", 1, str(seed)) < 0.1]
    assert kstest(points, "uniform").pvalue > 1e-6


def test_fractions_are_spread_evenly_and_parts_do_not_run_together():
    assert kstest([arms.fraction("x", n) for n in range(20_000)], "uniform").pvalue > 1e-6
    assert arms.fraction("ab", "c") != arms.fraction("a", "bc")


def test_a_fraction_is_the_same_on_every_machine():
    # a changed hash would silently reshuffle every running trial
    assert arms.fraction("arm", 1, "L-1") == 0.13484715208380949


@given(chances, st.floats(0, 1, exclude_max=True))
def test_only_a_rep_with_a_chance_is_drawn(values, point):
    propensities = np.array(values) / sum(values)
    assert propensities[arms.drawn(propensities, point)] > 0


@pytest.mark.parametrize(
    ("point", "rep"), [(0.0, 1), (0.29, 1), (0.3, 3), (0.999999, 3), (1 - 2**-53, 3)]
)
def test_drawn_by_hand(point, rep):
    assert arms.drawn(np.array([0.0, 0.3, 0.0, 0.7, 0.0]), point) == rep


def test_nobody_can_be_drawn_from_nothing():
    with pytest.raises(ValueError, match="Nobody"):
        arms.drawn(np.zeros(3), 0.5)


def test_mixture_by_hand():
    mixed = arms.mixture(np.array([0.5, 0.5]), np.array([1.0, 0.0]), 0.1)
    np.testing.assert_allclose(mixed, [0.95, 0.05])
