"""The verdict on a challenger, by hand."""

import numpy as np
import pytest
from scipy.special import logit

from training.policy_value import PolicyValue
from training.promotion import LEAST_GROUP, LEAST_ROWS, WORST_GROUP, Columns, first_champion, judge

ROWS = 600
REPS = np.arange(ROWS) % 3


def outcomes(share, rows=ROWS):
    """Every so many rows one conversion, evenly among the reps."""
    return ((np.arange(rows) // 3) % round(1 / share) == 0).astype(float)


def knowing(converted, high, low):
    """Log-odds that say `high` where it converted and `low` where not."""
    return np.where(converted == 1, logit(high), logit(low))


def verdict(converted, challenger, champion, *, rep=None, columns=None, worth=None):
    rep = REPS[: len(converted)] if rep is None else rep
    return judge(converted, rep, challenger, champion, columns=columns or Columns(), worth=worth)


def test_a_better_challenger_is_promoted_and_says_by_how_much():
    converted = outcomes(0.25)
    champion = np.full(ROWS, logit(0.25))
    found = verdict(converted, knowing(converted, 0.4, 0.2), champion)
    # Saved: log(.4 / .25) where it converted, log(.8 / .75) where not.
    saved = np.where(converted == 1, np.log(0.4 / 0.25), np.log(0.8 / 0.75))
    error = saved.std(ddof=1) / np.sqrt(ROWS)
    assert found.promoted
    assert found.grounds == (
        f"Log-loss on the newest rows is {saved.mean():.4f} better than the champion (standard error {error:.4f}).",
    )


def test_the_same_model_again_is_not_better():
    converted = outcomes(0.25)
    same = knowing(converted, 0.3, 0.2)
    found = verdict(converted, same, same)
    assert not found.promoted
    assert found.grounds[-1] == "The gain is within the noise, so the champion stays."


def test_a_gain_must_exceed_its_noise():
    # It leans the right way in so many of the rows, by .1 in log-odds, and the wrong way in the rest.
    converted = outcomes(0.5)
    champion = np.zeros(ROWS)
    for lucky, promoted in ((0.50, False), (0.53, False), (0.56, True)):
        right = np.arange(ROWS) / ROWS < lucky
        challenger = np.where(right == (converted == 1), 0.1, -0.1)
        assert verdict(converted, challenger, champion).promoted == promoted


def test_too_few_new_rows_compare_nothing():
    converted = outcomes(0.25)[: LEAST_ROWS - 1]
    found = verdict(converted, knowing(converted, 0.6, 0.1), np.full(LEAST_ROWS - 1, logit(0.25)))
    assert not found.promoted
    assert found.grounds[0] == "299 mature rows are newer than the champion's; 300 are needed to compare."
    assert "another LEADMATCH_HOME" in found.grounds[1]  # the demo's champion never sees newer rows of other data


def one_rep_worse(rows_of_that_rep, by):
    """Better for all but for one rep, whose every row costs `by` nats more."""
    converted = outcomes(0.25)
    rep = np.where(np.arange(ROWS) < rows_of_that_rep, 7, REPS)
    champion = np.full(ROWS, logit(0.25))
    costly = np.where(converted == 1, logit(0.25 * np.exp(-by)), logit(1 - 0.75 * np.exp(-by)))
    return converted, np.where(rep == 7, costly, knowing(converted, 0.5, 0.2)), champion, rep


def test_one_rep_much_worse_is_too_much():
    converted, challenger, champion, rep = one_rep_worse(LEAST_GROUP, WORST_GROUP + 0.001)
    found = verdict(converted, challenger, champion, rep=rep)
    assert not found.promoted
    assert "For 1 rep(s) it is more than 0.02 nats a lead worse, beyond noise." in found.grounds


@pytest.mark.parametrize(("rows", "by"), [(LEAST_GROUP, WORST_GROUP - 0.001), (LEAST_GROUP - 1, 0.5)])
def test_a_little_worse_or_hardly_seen_is_forgiven(rows, by):
    converted, challenger, champion, rep = one_rep_worse(rows, by)
    assert verdict(converted, challenger, champion, rep=rep).promoted


def test_a_level_that_is_off_is_not_promoted_however_good_the_order():
    converted = outcomes(0.25)
    champion = np.full(ROWS, logit(0.6))
    found = verdict(converted, knowing(converted, 0.55, 0.35), champion)  # predicts .40 on average
    assert not found.promoted
    assert "Its level is off: 0.400 predicted, 0.250 seen." in found.grounds


def test_a_level_off_by_chance_is_forgiven():
    # Three standard errors of a share of .25 in 600 rows are .053, and a tenth of .25 comes on top: up to .328.
    converted = outcomes(0.25)
    champion = np.full(ROWS, logit(0.6))
    assert verdict(converted, np.full(ROWS, logit(0.325)), champion).promoted
    assert not verdict(converted, np.full(ROWS, logit(0.335)), champion).promoted


def test_new_columns_are_told_and_do_not_forbid():
    converted = outcomes(0.25)
    columns = Columns.between({"size": "number"}, {"size": "number", "budget": "number"})
    found = verdict(converted, knowing(converted, 0.5, 0.2), np.full(ROWS, logit(0.25)), columns=columns)
    assert found.promoted
    assert any("(budget): check that the CRM sends them" in line for line in found.grounds)


def test_a_column_read_as_something_else_waits_for_a_person():
    converted = outcomes(0.25)
    columns = Columns.between({"size": "number", "old": "flag"}, {"size": "category"})
    found = verdict(converted, knowing(converted, 0.5, 0.2), np.full(ROWS, logit(0.25)), columns=columns)
    assert not found.promoted
    assert any("It reads size as another kind" in line for line in found.grounds)


@pytest.mark.parametrize(("value", "promoted"), [(0.010, True), (0.008, False), (-0.010, False)])
def test_worth_beyond_noise_is_a_ground_by_itself(value, promoted):
    # A standard error of .005 and one-sided 5 %: from .0083 on it counts, either way. The log-losses are the same.
    converted = outcomes(0.25)
    same = np.full(ROWS, logit(0.25))
    found = verdict(converted, same, same, worth=PolicyValue(value, 0.005, np.nan, np.nan))
    assert found.promoted == promoted
    word = "more" if value > 0 else "less"
    assert f"its choices are worth {100 * abs(value):.2f} points {word} than the champion's" in found.grounds[1]


def test_a_better_log_loss_does_not_buy_worse_choices():
    converted = outcomes(0.25)
    better = knowing(converted, 0.5, 0.2), np.full(ROWS, logit(0.25))
    assert verdict(converted, *better).promoted
    found = verdict(converted, *better, worth=PolicyValue(-0.02, 0.005, np.nan, np.nan))
    assert not found.promoted
    assert found.grounds[-1] == "It is worse beyond noise in one of these, so the champion stays."


def test_the_reps_with_few_rows_are_looked_at_together():
    # Ten reps of ten rows each, every row of theirs .1 nats dearer; the others much better off.
    converted, challenger, champion, rep = one_rep_worse(100, 0.1)
    rep = np.where(rep == 7, 10 + np.arange(ROWS) % 10, rep)
    found = verdict(converted, challenger, champion, rep=rep)
    assert not found.promoted
    assert "For the reps with few rows it is more than 0.02 nats a lead worse, beyond noise." in found.grounds


def test_the_first_champion_need_only_not_be_worse_than_the_base_rate():
    converted = outcomes(0.25)
    better = first_champion(converted, knowing(converted, 0.4, 0.2), 0.25)
    assert better.promoted
    assert better.grounds[0] == "There was no champion."
    noise = np.where(np.arange(ROWS) // 12 % 2, 0.05, -0.05) + logit(0.25)  # as often right as wrong
    assert first_champion(converted, noise, 0.25).promoted
    worse = first_champion(converted, knowing(converted, 0.2, 0.4), 0.25)
    assert not worse.promoted
    assert worse.grounds[0] == "There is no champion yet."


def test_rows_without_reps_are_judged_as_one():
    converted = outcomes(0.25)
    assert verdict(converted, knowing(converted, 0.5, 0.2), np.full(ROWS, logit(0.25)), rep=np.full(ROWS, -1)).promoted
