"""Data that little can be learned from: each has a clear error or a stated fallback, and the champion stays."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from data.dataset import dataset_from_tables, save_dataset
from data.description import Description
from data.errors import InputError
from data.settings import Settings
from data.store import promotions
from data.store.ledger import Ledger
from pipelines.check import check, no_numbers, warnings
from pipelines.prepare import prepare
from pipelines.train import learn, train
from training.conversion import RosterModel
from training.fit import assemble, fit_parts
from training.lead_model import Recipe

LOGISTIC = Recipe("logistic", 0, {})


def history(rng, rows=1_200, **columns):
    """Leads of three kinds given to three reps in turn, a third of them won at once; in the order of the file."""
    kind = rng.integers(0, 3, rows)
    order = np.arange(rows)
    leads = {"lead_id": [f"L{i}" for i in order], "order": order, "kind": np.array(["a", "b", "c"])[kind]}
    assignments = {
        "lead_id": leads["lead_id"],
        "rep_id": np.array(["R-1", "R-2", "R-3"])[order % 3],
        "outcome": np.where(rng.random(rows) < 0.2 + 0.1 * kind, "won", "lost"),
        "assigned_by": "rotation",
    }
    for name, values in columns.items():
        (assignments if name in ("rep_id", "outcome", "assigned_by", "propensity") else leads)[name] = values
    reps = pd.DataFrame({"rep_id": ["R-1", "R-2", "R-3"]})
    return pd.DataFrame(leads), reps, pd.DataFrame(assignments)


def dataset(tables):
    return dataset_from_tables(*tables, Description(outcome_is_final=True, order_by="order"))


@pytest.fixture(scope="module")
def champion(tmp_path_factory):
    """A home with a champion, and its version."""
    home = tmp_path_factory.mktemp("home")
    folder = tmp_path_factory.mktemp("good")
    save_dataset(dataset(history(np.random.default_rng(0))), folder)
    said = train(folder, settings=Settings(home=home))
    assert said["promoted"]
    return Settings(home=home), said["model_version"]


def in_force(settings):
    ledger = Ledger.open(settings.ledger_url)
    with ledger.reading() as conn:
        held = promotions.champion(conn)
    ledger.close()
    return held.version


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"outcome": "lost"}, "0 of 1,200 mature rows converted"),
        ({"outcome": "won"}, "1,200 of 1,200 mature rows converted"),
        ({"rep_id": "R-1"}, "only one rep"),
    ],
)
def test_one_class_and_one_rep_are_clear_errors_and_the_champion_stays(champion, tmp_path, columns, says, rng):
    settings, version = champion
    leads, reps, assignments = history(rng, **columns)
    reps = reps[reps["rep_id"].isin(assignments["rep_id"])]
    save_dataset(dataset((leads, reps, assignments)), tmp_path)
    with pytest.raises(InputError) as error:
        train(tmp_path, settings=settings)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert in_force(settings) == version


def test_a_rep_without_rows_is_the_average_rep_with_the_widest_interval(rng):
    leads, reps, assignments = history(rng)
    reps = pd.concat([reps, pd.DataFrame({"rep_id": ["R-new"]})], ignore_index=True)
    prepared = prepare(dataset((leads, reps, assignments)))
    spells, contract = prepared.spells, prepared.contract
    parts = fit_parts(spells, contract, seed=0, recipe=LOGISTIC)
    model = assemble(parts, spells, contract, verdict="rep_matters", facts={})
    roster = RosterModel(model, spells.reps)
    place = [rep.rep_id for rep in spells.reps].index("R-new")
    assert (roster.effects[place] == 0).all()
    spread = roster.covariance[:, 0, 0]
    assert spread[place] == pytest.approx(model.effects.prior_variance[0])
    assert spread.argmax() == place


def test_where_a_person_chose_every_row_nothing_is_confirmed(rng):
    trained = learn(dataset(history(rng, assigned_by="manual")), seed=0)
    assert trained.potential.verdict in ("unconfirmed", "no_detectable_rep_effect")
    assert np.isnan(trained.potential.p_clean)
    assert (trained.model.effects.hand_effects == 0).all()  # a mark on all rows would only rename the rep's effect
    assert any("hand-picking cannot be told" in line for line in trained.hidden.said)
    assert any("cannot get past `unconfirmed`" in line for line in warnings(trained.prepared))


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.2])
def test_a_propensity_that_is_none_sets_its_row_aside(rng, tmp_path, wrong):
    propensity = np.full(1_200, 1 / 3)
    propensity[7] = wrong
    leads, reps, assignments = history(rng)
    leads.to_csv(tmp_path / "leads.csv", index=False)
    reps.to_csv(tmp_path / "reps.csv", index=False)
    assignments.assign(propensity=propensity).to_csv(tmp_path / "assignments.csv", index=False)
    (tmp_path / "dataset.yaml").write_text("outcome_is_final: true\norder_by: order\n", encoding="utf-8")
    said = check(tmp_path)
    assert said["rows"]["rejected"] == 1
    (reason,) = pd.read_csv(tmp_path / "rejects.csv")["reason"]
    assert "propensity" in reason


def test_a_column_of_one_level_has_no_effects_and_does_no_harm(rng):
    leads, reps, assignments = history(rng, country="FR")
    leads.loc[:5, "country"] = None
    prepared = prepare(dataset((leads, reps, assignments)))
    parts = fit_parts(prepared.spells, prepared.contract, seed=0, recipe=LOGISTIC)
    assert "country" not in {direction.feature for direction in parts.lead_design.directions}
    assert np.isfinite(parts.effects.effects).all()


def test_numbers_beyond_all_bounds_are_told(rng):
    size = rng.gamma(2, 50, 1_200)
    size[:3] = np.inf
    prepared = prepare(dataset(history(rng, size=size)))
    assert no_numbers(prepared) == ["size: 3 cells hold no finite number; they count as missing."]


def test_wins_nobody_dated_are_told(rng):
    leads, reps, assignments = history(rng)
    at = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(1_200) / 4, unit="D")
    closed = pd.Series(at + pd.Timedelta(days=3))
    won = np.flatnonzero(assignments["outcome"] == "won")
    closed[won[:5]] = pd.NaT
    dated = leads.drop(columns="order").assign(created_at=at)
    table = assignments.assign(assigned_at=at, closed_at=closed)
    made = prepare(dataset_from_tables(dated, reps, table, Description()))
    (told,) = [line for line in warnings(made) if "without a closing date" in line]
    assert told.startswith("5 rows converted")
    final = replace(made.dataset, description=made.dataset.description.model_copy(update={"outcome_is_final": True}))
    assert not any("without a closing date" in line for line in warnings(prepare(final)))
