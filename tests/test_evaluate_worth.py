"""`leadmatch evaluate` in revenue, and what it says of a randomised holdout in the log."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from data.dataset import dataset_from_tables
from data.description import Description
from data.errors import InputError
from pipelines.evaluate import evaluate_dataset
from pipelines.telling_evaluate import evaluated


def by(made, name, estimator):
    (row,) = [row for row in made["policies"] if (row["name"], row["estimator"]) == (name, estimator)]
    return row


def experiment(n=1_200, seed=0):
    """Three arms by lot; arm B is better for everybody. In the order of the file, without dates."""
    rng = np.random.default_rng(seed)
    arm = rng.choice(["A", "B", "C"], n)
    age = rng.integers(18, 80, n)
    p = 0.15 + 0.15 * (arm == "B") + 0.002 * (age - 50)
    won = rng.random(n) < p
    leads = pd.DataFrame({"lead_id": [f"L{i}" for i in range(n)], "age": age, "order": np.arange(n)})
    assignments = pd.DataFrame(
        {"lead_id": leads["lead_id"], "rep_id": arm, "outcome": np.where(won, "won", "lost"), "propensity": 1 / 3}
    ).assign(assigned_by="rotation")
    reps = pd.DataFrame({"rep_id": ["A", "B", "C"]})
    description = Description(outcome_is_final=True, order_by="order", types={"age": "number"})
    return dataset_from_tables(leads, reps, assignments, description), arm, won


def with_worth(dataset, worth):
    """The data set with a value for each won assignment, by arm."""
    table = dataset.assignments
    value = np.where(table["outcome"] == "won", table["rep_id"].map(worth).to_numpy(dtype=float), np.nan)
    return replace(dataset, assignments=table.assign(value=value))


def test_in_revenue_an_arm_is_worth_its_deals():
    dataset, arm, won = experiment()
    worth = {"A": 900.0, "B": 300.0, "C": 600.0}
    made = evaluate_dataset(with_worth(dataset, worth), ["always:A", "always:B"], unit="revenue")
    assert made["unit"] == "revenue per lead"
    for name in ("A", "B"):
        mean = worth[name] * won[arm == name].mean()
        assert by(made, f"always:{name}", "snips")["value"] == pytest.approx(mean, rel=1e-12)
        row = by(made, f"always:{name}", "dr")
        assert abs(row["value"] - mean) < 2 * row["standard_error"]
    evaluated(made)


def test_in_revenue_a_won_lead_without_a_value_counts_as_expected():
    dataset, arm, won = experiment()
    table = with_worth(dataset, dict.fromkeys("ABC", 500.0)).assignments
    table.loc[np.flatnonzero(won & (arm == "B"))[::2], "value"] = np.nan
    made = evaluate_dataset(replace(dataset, assignments=table), ["always:B"], unit="revenue")
    assert by(made, "always:B", "snips")["value"] == pytest.approx(500 * won[arm == "B"].mean(), rel=0.01)


def test_revenue_needs_values():
    dataset, _, _ = experiment(n=400)
    with pytest.raises(InputError, match="--unit revenue: too few won rows"):
        evaluate_dataset(dataset, ["rotation"], unit="revenue")
    with pytest.raises(InputError, match="--unit: 'profit' is none"):
        evaluate_dataset(dataset, ["rotation"], unit="profit")


def trial(rng, n=3_000, held_out=0.3, worse=0.0):
    """Two reps, B better; a policy that prefers B at .8, and rotation for the leads held out, which may be `worse`."""
    held = rng.random(n) < held_out
    arm = np.where(rng.random(n) < np.where(held, 0.5, 0.8), "B", "A")
    logged = np.where(arm == "B", held_out * 0.5 + (1 - held_out) * 0.8, held_out * 0.5 + (1 - held_out) * 0.2)
    won = rng.random(n) < np.where(arm == "B", 0.4, 0.2) - worse * held
    order = np.arange(n)
    leads = pd.DataFrame({"lead_id": [f"L{i}" for i in order], "age": rng.integers(18, 80, n), "order": order})
    assignments = pd.DataFrame(
        {"lead_id": leads["lead_id"], "rep_id": arm, "outcome": np.where(won, "won", "lost"),
         "propensity": logged,
         "assigned_by": np.where(held, "rotation", "model")}
    )  # fmt: skip
    description = Description(outcome_is_final=True, order_by="order", types={"age": "number"})
    return dataset_from_tables(leads, pd.DataFrame({"rep_id": ["A", "B"]}), assignments, description), held, won


def test_a_holdout_in_the_log_is_told_with_intervals_for_one_look_and_for_every_look(rng):
    dataset, held, won = trial(rng)
    found = evaluate_dataset(dataset, ["rotation"])["trial"]
    assert (found["leads"], found["held_out"]) == (3_000, held.sum())
    assert found["lift"]["value"] == pytest.approx(won[~held].mean() - won[held].mean(), abs=1e-12)
    for key in ("lift", "adjusted", "always_valid"):
        assert found[key]["low"] < 0.06 < found[key]["high"]  # the truth: .3 of the way from .2 to .4
    width = {key: found[key]["high"] - found[key]["low"] for key in ("lift", "always_valid")}
    assert width["always_valid"] > 1.3 * width["lift"]
    assert not found["agreement"]["disagree"]


def test_holdout_and_replay_contradict_each_other_where_the_leads_held_out_were_not_drawn(rng):
    # Somebody held out the poorer leads: the holdout credits the policy with them, the replay does not.
    made = evaluate_dataset(trial(rng, worse=0.12)[0], ["rotation"])
    agreement = made["trial"]["agreement"]
    assert agreement["disagree"]
    assert agreement["standard_errors"] > agreement["alarm_from"] == 2.6
    assert "Holdout and replay are" in agreement["warning"]
    evaluated(made)


def test_without_two_arms_there_is_no_trial():
    assert evaluate_dataset(experiment(n=400)[0], ["rotation"])["trial"] is None
