"""The draw: arms by hash, mixtures, and reps from propensities."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, kstest

from data.store import decisions
from serving.policy import arms
from serving.policy.sections import Holdout, Ramp

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


def test_a_trial_s_share_goes_on_in_steps():
    holdout = Holdout(live=0.1, trial=0.5, ramp=Ramp(begin=date(2026, 3, 2), days=28, to=0.2, steps=3))
    begun = datetime(2026, 3, 2, tzinfo=UTC)
    days = (-400, 0, 9, 10, 18, 19, 27.9, 28, 4_000)
    shares = [holdout.share("trial", begun + timedelta(days=each)) for each in days]
    assert shares == [0.5, 0.5, 0.5, 0.4, 0.4, 0.3, 0.3, 0.2, 0.2]
    assert holdout.share("live", begun) == 0.1
    assert Holdout(trial=0.4).share("trial", begun) == 0.4


def test_a_decision_logs_the_share_of_its_moment(desk):
    desk.roster({"rep_id": "R-1"}, {"rep_id": "R-2"})
    text = "method: weighted_rotation\nweights: {R-1: 2}\nmode: trial\n"
    desk.policy(text + "holdout: {trial: 0.5, ramp: {begin: 2026-03-01, days: 10, to: 0.2, steps: 2}}\n")
    logged = []
    for number in range(3):
        told = desk.assign(f"L-{number}").json()
        with desk.ledger.reading() as conn:
            logged.append(decisions.get(conn, told["decision_id"]).row.holdout_share)
        assert desk.call("GET", "/v1/policy").json()["holdout_share"] == logged[-1]
        desk.now += timedelta(days=4.5)
    assert logged == [0.5, 0.35, 0.2]
    assert desk.call("POST", "/v1/policy/replay", {"text": text}, role="manager").status_code == 200
