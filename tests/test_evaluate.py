"""`leadmatch evaluate`: on simulated floors with known truth, on experiments, and on public data as published."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.dataset import dataset_from_tables
from data.description import Description
from data.errors import InputError
from data.simulator import HIDDEN_GRADE, simulate
from pipelines.candidates import Candidates, is_experiment, policies_for, slots
from pipelines.evaluate import evaluate, evaluate_dataset, split_rows, teach
from pipelines.floor import lay_out
from pipelines.ingest import ingest
from pipelines.plan import plan_trial
from pipelines.prepare import prepare
from pipelines.telling_evaluate import evaluated, planned
from serving.policy.exploration import EARN, smoothed
from serving.policy.rulebook import default_rule_book
from training.conversion import RosterModel

SHARED = Path(__file__).parents[2] / "shared" / "data"
real_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real data sets is not there")
FIELDS = {
    "name", "estimator", "headline", "value", "low", "high", "standard_error", "effective_sample_size",
    "supported_share",
}  # fmt: skip


def headline(made, name):
    (row,) = [row for row in made["policies"] if row["name"] == name and row["headline"]]
    return row


def by(made, name, estimator):
    (row,) = [row for row in made["policies"] if (row["name"], row["estimator"]) == (name, estimator)]
    return row


def gap(made, name, over="rotation"):
    (row,) = [row for row in made["differences"] if (row["name"], row["over"]) == (name, over)]
    return row


@pytest.fixture(scope="module")
def floor():
    """A simulated floor: 4,000 leads of history, then 3,000 given out half by rotation and half to the better known."""
    world = simulate(leads=4_000, reps=8, seed=4, effect=1.0)
    fresh = world.fresh_leads(3_000, 1)
    truth, eligible = world.probability(fresh), world.eligible(fresh)
    rotation = eligible / eligible.sum(axis=1, keepdims=True)
    liked = eligible * (1 + np.arange(8))
    logged = 0.5 * rotation + 0.5 * liked / liked.sum(axis=1, keepdims=True)
    log = world.log(fresh, logged, seed=1)
    leads = pd.concat([world.leads, fresh.drop(columns=HIDDEN_GRADE)], ignore_index=True)
    assignments = pd.concat([world.assignments, log], ignore_index=True)
    dataset = dataset_from_tables(leads, world.reps, assignments, Description(window=40))
    return world, dataset, log, truth, rotation


@pytest.fixture(scope="module")
def judged(floor):
    """That floor, judged."""
    return evaluate_dataset(floor[1])


def test_the_object_holds_what_the_contract_says(judged):
    assert judged["unit"] == "conversions per lead"
    assert judged["baseline"] == "rotation"
    assert judged["label"] == "verified"
    assert all(row.keys() >= FIELDS for row in judged["policies"])
    assert all(row.keys() >= {"name", "over", "value", "low", "high"} for row in judged["differences"])
    assert all(row.keys() == {"name", "why"} for row in judged["refused"])
    names = {row["name"] for row in judged["policies"]} | {row["name"] for row in judged["refused"]}
    assert names == {
        "rotation", "logged", "model", "performance", "weighted_rotation", "region_first", "tags", "ability_tags",
        "workload", "fastest_responder", "value_tiers", "points_queue",
    }  # fmt: skip
    for name in {row["name"] for row in judged["policies"]}:
        assert sum(row["headline"] for row in judged["policies"] if row["name"] == name) == 1
    json.dumps(judged, allow_nan=False)


def test_only_rows_that_logged_a_propensity_are_judged(judged, floor):
    assert judged["rows"]["judged"] == judged["rows"]["judged_with_model"] == 3_000


def test_the_policy_in_force_is_worth_what_was_observed(judged, floor):
    _, _, log, _, _ = floor
    within = (log["closed_at"] - log["assigned_at"]) <= pd.Timedelta(days=40)
    observed = float(((log["outcome"] == "won") & within).mean())
    assert headline(judged, "logged")["value"] == pytest.approx(observed, abs=1e-12)


def test_values_are_near_the_truth(judged, floor):
    """Conversions within 40 days are some nine tenths of all; the truth is scaled by what the log shows of it."""
    _, _, log, truth, rotation = floor
    share = headline(judged, "logged")["value"] / float((log["outcome"] == "won").mean())
    expected = share * float((truth * rotation).sum(axis=1).mean())
    for estimator in ("dr", "ips", "snips"):
        row = by(judged, "rotation", estimator)
        assert abs(row["value"] - expected) < 4 * row["standard_error"] < 0.05, estimator


def test_every_interval_is_the_estimates_own(judged):
    for row in judged["policies"]:
        if row["estimator"] == "dm":
            assert row["low"] is row["high"] is row["standard_error"] is None
        else:
            assert row["low"] < row["value"] < row["high"]


def test_the_region_rule_is_found_and_kept(judged, floor):
    assert judged["hard_rules"] == ["region of the lead among regions of the rep"]
    rotation = next(each for each in judged["diagnostics"] if each["name"] == "rotation")
    assert rotation["warning"] is None
    assert rotation["mean_weight"] == pytest.approx(1, abs=4 * rotation["mean_weight_standard_error"])


def test_a_history_without_propensities_is_never_verified(floor):
    world = floor[0]
    dataset = dataset_from_tables(
        world.leads, world.reps, world.assignments, Description.model_validate(world.description())
    )
    made = evaluate_dataset(dataset, ["model", "logged", "performance"])
    assert made["label"] == "observational, not verified"
    assert any("not verified" in note for note in made["notes"])
    figures = [*made["policies"], *made["differences"]]
    assert figures
    assert all(row["low"] is None and row["high"] is None for row in figures)
    assert all(row["value"] is not None for row in figures)


def test_as_of_draws_the_line_between_teaching_and_judging(floor):
    _, dataset, log, _, _ = floor
    spells = prepare(dataset).spells
    at = log["assigned_at"].sort_values().iloc[1_000].to_pydatetime()
    split = split_rows(dataset, spells, at)
    assert len(split.judged) == len(split.later) == 2_000
    assert spells.at_days[split.judged].min() >= split.start_days
    assert split.verified
    with pytest.raises(InputError, match="choose an earlier one"):
        split_rows(dataset, spells, datetime(2030, 1, 1, tzinfo=UTC))


def test_a_log_without_a_history_teaches_with_its_first_half():
    dataset, _, _ = experiment()
    split = split_rows(dataset, prepare(dataset).spells, None)
    assert (len(split.judged), len(split.later)) == (1_200, 600)
    with pytest.raises(InputError, match="an order but no dates"):
        split_rows(dataset, prepare(dataset).spells, datetime(2026, 1, 1, tzinfo=UTC))


def test_a_name_that_is_no_policy_is_refused_with_those_that_are(floor):
    with pytest.raises(InputError, match=r"'modle' is no policy; known are .*model.* and always:REP"):
        evaluate_dataset(floor[1], ["modle"])
    with pytest.raises(InputError, match="no rep 'R-99' has had a lead"):
        evaluate_dataset(floor[1], ["always:R-99"])


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


@pytest.fixture(scope="module")
def arms():
    """An experiment, judged."""
    dataset, arm, won = experiment()
    return evaluate_dataset(dataset), arm, won


@pytest.mark.parametrize("name", ["A", "B", "C"])
def test_an_arm_for_everybody_is_worth_its_own_mean(arms, name):
    made, arm, won = arms
    mean = won[arm == name].mean()
    assert by(made, f"always:{name}", "snips")["value"] == pytest.approx(mean, abs=1e-12)
    row = by(made, f"always:{name}", "dr")
    assert abs(row["value"] - mean) < row["standard_error"]


def test_an_experiment_has_every_arm_among_its_policies(arms):
    names = [row["name"] for row in arms[0]["policies"] if row["headline"]]
    assert names[:2] == ["rotation", "logged"]
    assert {"always:A", "always:B", "always:C"} <= set(names)
    assert arms[0]["hard_rules"] == []


def test_a_model_that_only_found_the_best_arm_is_not_called_better_than_it(arms):
    found = gap(arms[0], "model", "always:B")
    assert found["low"] <= 0 or found["value"] == 0
    assert gap(arms[0], "always:B")["low"] > 0


def test_what_needs_a_model_says_why_there_is_none():
    made = evaluate_dataset(experiment(n=800)[0], ["model", "always:B"])
    (refused,) = made["refused"]
    assert refused["name"] == "model"
    assert "only 400 rows" in refused["why"]
    assert made["verdict"] is None
    assert by(made, "always:B", "dr")["value"] > by(made, "rotation", "dr")["value"]


def test_data_without_reps_are_refused():
    dataset, _, _ = experiment(n=300)
    nobody = replace(dataset, description=dataset.description.model_copy(update={"reps": "none"}))
    with pytest.raises(InputError, match="none, so no policy"):
        evaluate_dataset(nobody)


def test_people_with_limits_are_no_experiment(floor):
    made = lay_out(prepare(floor[1]), np.arange(200))
    assert not is_experiment(made)
    assert policies_for(made)[:3] == ("rotation", "logged", "model")
    arms_floor = lay_out(prepare(experiment()[0]), np.arange(200))
    assert is_experiment(arms_floor)


@pytest.fixture(scope="module")
def small_floor(floor):
    """300 leads of the history, laid out."""
    return lay_out(prepare(floor[1]), np.arange(0, 3_300, 11))


def test_who_could_get_a_lead_worked_here_and_covers_its_region(small_floor):
    made = small_floor
    covers = {rep.rep_id: set(rep.regions) for rep in made.reps}
    for row in range(0, 300, 7):
        at = made.at(row)
        for place, rep in enumerate(made.reps):
            here = (rep.hired_at is None or rep.hired_at <= at) and (rep.left_at is None or at <= rep.left_at)
            assert made.available[row, place] == (here and made.leads[row]["region"] in covers[rep.rep_id])


@pytest.fixture(scope="module")
def coming_and_going():
    """Eight leads a day for 100 days; B comes on day 50, C goes on day 60, D on day 30, which nobody noted.

    A takes two leads a day at most, and the log keeps to it.
    """
    rng = np.random.default_rng(2)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = []
    for number in range(800):
        day = number // 8
        here = ["A"] * (number % 8 < 2) + ["B"] * (day >= 50) + ["C"] * (day < 60) + ["D"] * (day < 30)
        rows.append((f"L{number}", start + timedelta(hours=3 * number), rng.choice(here), rng.random() < 0.3))
    table = pd.DataFrame(rows, columns=["lead_id", "created_at", "rep_id", "won"]).assign(size=rng.normal(size=800))
    reps = pd.DataFrame(
        {
            "rep_id": list("ABCD"),
            "hired_at": [None, start + timedelta(days=50), None, None],
            "left_at": [None, None, start + timedelta(days=60), None],
            "active": [True, True, False, False],
            "daily_limit": [2, None, None, None],
        }
    )
    assignments = table[["lead_id", "rep_id"]].assign(
        assigned_at=table["created_at"], outcome=np.where(table["won"], "won", "lost")
    )
    leads = table[["lead_id", "created_at", "size"]]
    return dataset_from_tables(leads, reps, assignments, Description(outcome_is_final=True))


def test_nobody_gets_a_lead_before_hiring_or_after_leaving(coming_and_going):
    made = lay_out(prepare(coming_and_going), np.arange(800))
    day = np.arange(800) // 8
    a, b, c, d = made.available.T
    assert (b == (day >= 50)).all()
    assert c[day < 60].all()
    assert not c[day > 60].any()
    last = int(np.flatnonzero(made.spells.rep == 3).max())
    assert d[: last + 1].all()
    assert not d[last + 1 :].any()
    assert made.rules == ("below capacity and daily limit",)
    assert (a == (made.standing.today[:, 0] < 2)).all()
    assert not a.all()


def test_the_leads_come_without_personal_data(small_floor):
    assert not {"name", "email", "phone", "company", "lead_id"} & set(small_floor.leads[0])


@pytest.mark.parametrize(
    "name",
    ["rotation", "performance", "workload", "tags", "ability_tags", "region_first", "fastest_responder",
     "points_queue", "weighted_rotation"],
)  # fmt: skip
def test_every_policy_is_a_distribution_over_who_could_get_the_lead(small_floor, name):
    made = small_floor
    target = Candidates(made, default_rule_book()).target(name)
    np.testing.assert_allclose(target.sum(axis=1), 1, atol=1e-12)
    assert not target[~made.available].any()
    assert (target >= 0).all()


def test_always_falls_back_to_rotation_where_the_rep_could_not_have_the_lead(small_floor):
    made = small_floor
    place = int(np.argmax(made.available.mean(axis=0) * (made.available.mean(axis=0) < 1)))
    target = Candidates(made, default_rule_book()).target(f"always:{made.reps[place].rep_id}")
    could = made.available[:, place]
    assert (target[could, place] == 1).all()
    assert (target[~could] == made.available[~could] / made.available[~could].sum(axis=1, keepdims=True)).all()


def test_records_count_only_what_was_known_by_then(small_floor, floor):
    made = small_floor
    table = floor[1].assignments
    row = 150
    at = made.spells.at_days[row]
    for place, rep in enumerate(made.reps):
        own = table[(table["rep_id"] == rep.rep_id) & (table["closed_days"] < at)]
        assert made.standing.closed[row, place] == len(own)
        assert made.standing.won[row, place] == (own["outcome"] == "won").sum()


def test_the_model_is_judged_as_it_would_run(floor):
    dataset = floor[1]
    prepared = prepare(dataset)
    split = split_rows(dataset, prepared.spells, None)
    teacher = teach(prepared, split, wanted=True, seed=0)
    assert prepared.spells.at_days[split.judged].min() >= split.start_days
    made = lay_out(prepared, split.judged[:500])
    rules = default_rule_book()
    candidates = Candidates(made, rules, replace(teacher.model, verdict="rep_matters"))
    target, prices = candidates.target("model"), candidates.prices
    probability = RosterModel(teacher.model, made.reps).probability(made.spells.leads, made.spells.at_days)
    for row in (0, 250, 499):
        expected = smoothed(probability[row], prices[row], made.available[row], EARN)
        np.testing.assert_allclose(target[row], expected, rtol=1e-9, atol=1e-12)
    assert not prices[:100].any()  # as in the service, there are no prices before some leads were seen
    assert prices[100:].any(axis=1).all()
    assert (prices.min(axis=1) == 0).all()
    # prices keep the favourite near the rule book's ceiling
    greedy = Candidates(made, rules.model_copy(update={"prices": rules.prices.model_copy(update={"enabled": False})}),
                        candidates.model).target("model")  # fmt: skip
    rotation = candidates.target("rotation")
    most = [(each[100:].sum(axis=0) / rotation[100:].sum(axis=0)).max() for each in (target, greedy)]
    assert most[0] < 1.7 < 2.0 < most[1]
    trial = Candidates(made, rules, replace(teacher.model, verdict="unconfirmed")).target("model")
    assert target.max() > 0.95 > trial.max()  # a trial explores more
    nothing = Candidates(made, rules, replace(teacher.model, verdict="no_detectable_rep_effect"))
    np.testing.assert_array_equal(nothing.target("model"), rotation)


def test_slots_count_only_where_the_log_runs_into_them(floor, coming_and_going):
    rules = default_rule_book().prices
    free = lay_out(prepare(floor[1]), np.arange(50))
    assert any(rep.capacity for rep in free.reps)
    assert np.isinf(slots(free, 3.0, rules)).all()
    kept = lay_out(prepare(coming_and_going), np.arange(800))
    np.testing.assert_array_equal(slots(kept, 3.0, rules), [6, np.inf, np.inf, np.inf])


def many_reps(m=110, n=2_500):
    """Two kinds of reps by the dozen, leads given out by rotation; nobody has more than some twenty."""
    rng = np.random.default_rng(6)
    rep, x = rng.integers(0, m, n), rng.normal(size=n)
    won = rng.random(n) < 0.15 + 0.25 * (rep % 2)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    at = [start + timedelta(hours=i) for i in range(n)]
    leads = pd.DataFrame({"lead_id": [f"L{i}" for i in range(n)], "created_at": at, "x": x})
    assignments = pd.DataFrame(
        {"lead_id": leads["lead_id"], "rep_id": [f"R{r}" for r in rep], "assigned_at": at,
         "outcome": np.where(won, "won", "lost"), "propensity": 1 / m, "assigned_by": "rotation"}
    )  # fmt: skip
    reps = pd.DataFrame({"rep_id": [f"R{r}" for r in range(m)]})
    return dataset_from_tables(leads, reps, assignments, Description(outcome_is_final=True))


def test_above_a_hundred_reps_clusters_are_compared_too():
    made = evaluate_dataset(many_reps(), ["model", "performance", "always:R1"])
    assert by(made, "rotation", "mdr")["value"] == pytest.approx(by(made, "rotation", "dr")["value"], abs=1e-9)
    # R1 got some twenty leads, too few by themselves; the reps of its kind convert two leads in five
    one = [row for row in made["policies"] if row["name"] == "always:R1"]
    assert {row["estimator"] for row in one} == {"mdr", "dm"}
    assert one[0]["headline"]
    assert abs(one[0]["value"] - 0.4) < 3 * one[0]["standard_error"] < 0.2
    # two policies of one cluster: their difference would be the outcome model's opinion, with a proud interval
    assert {(row["name"], row["over"]) for row in made["differences"]} == {
        (name, "rotation") for name in ("model", "performance", "always:R1")
    }


def test_people_are_told_the_same(judged, capsys):
    evaluated(judged)
    told = capsys.readouterr().out
    assert "verified" in told
    assert "model" in told
    planned(plan_trial(leads_per_month=1_000, rate=0.12, lift_points=2))
    assert "23,02" in capsys.readouterr().out


@real_data
def test_open_bandit_equals_the_published_figures(tmp_path):
    files = [SHARED / "open-bandit-small" / name for name in ("bts_men.csv.gz", "item_context_men.csv")]
    ingest(files, "open-bandit", tmp_path)
    made = evaluate(tmp_path, ["rotation", "logged"])
    assert by(made, "rotation", "ips")["value"] == pytest.approx(0.003009, abs=1e-6)
    assert by(made, "rotation", "snips")["value"] == pytest.approx(0.003189, abs=1e-6)
    assert by(made, "rotation", "ips")["effective_sample_size"] == pytest.approx(656, abs=1)
    assert headline(made, "logged")["value"] == 69 / 10_000


@real_data
def test_hillstrom_has_nothing_better_than_its_best_arm(tmp_path):
    file = SHARED / "hillstrom" / "hillstrom_even.csv"
    ingest([file], "hillstrom", tmp_path)
    made = evaluate(tmp_path)
    table = pd.read_csv(file)
    for arm, rows in table.groupby("segment"):
        mean = rows["visit"].mean()
        assert by(made, f"always:{arm}", "snips")["value"] == pytest.approx(mean, abs=1e-12)
        row = by(made, f"always:{arm}", "dr")
        assert abs(row["value"] - mean) < row["standard_error"]
    assert headline(made, "logged")["value"] == pytest.approx(table["visit"].mean(), abs=1e-12)
    best = gap(made, "model", "always:Mens E-Mail")
    assert best["low"] < 0 < best["high"] or best["high"] < 0  # never reported as better
    assert abs(best["value"]) < 0.015
    assert gap(made, "model")["low"] > 0  # and yet better than an even mix
