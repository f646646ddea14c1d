"""A model's plain files: the same model gives the same bytes, and these the same model; a changed one is caught."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from data.roster import Rep
from training.conversion import RosterModel
from training.fit import assemble, fit_parts
from training.lead_model import Recipe, fit_lead_model
from training.model_files import CANARIES, CANARY_REPS, EFFECT_FILES, FILES, canary_rows, check_canaries, load, save
from training.rep_effects import no_reps

DAYS = 20_500.25


def files_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def linear(model):
    """The same model with a logistic lead part."""
    rng = np.random.default_rng(1)
    leads = np.column_stack([rng.integers(0, 4, 200), *rng.normal(5, 2, (3, 200))])[:, : len(model.contract.features)]
    converted = rng.integers(0, 2, 200).astype(float)
    fitted = fit_lead_model(Recipe("logistic", 0, {}), model.contract, leads, converted, converted, np.zeros(200))
    return replace(model, lead_model=fitted)


def alone(model):
    """The same model without reps."""
    return replace(model, reps=(), effects=no_reps(model.lead_design.width, model.pair_design.width))


KINDS = {"trees": lambda model: model, "logistic": linear, "without reps": alone}


@pytest.fixture(params=KINDS)
def model(request, small_model):
    return KINDS[request.param](small_model)


def answers(model, rows):
    at = np.full(len(rows), DAYS)
    return model.lead_model.log_odds(rows), RosterModel(model, model.reps).probability(rows, at)


def test_the_bytes_give_the_same_model_and_the_model_the_same_bytes(model, tmp_path):
    save(model, tmp_path / "first")
    loaded = load(tmp_path / "first")
    save(loaded, tmp_path / "second")
    save(model, tmp_path / "again")
    assert files_in(tmp_path / "first") == files_in(tmp_path / "second") == files_in(tmp_path / "again")
    rng = np.random.default_rng(2)
    rows = np.column_stack([rng.integers(0, 4, 300), rng.gamma(2, 50, 300), rng.uniform(0, 24, 300), np.zeros(300)])
    rows[rng.random(rows.shape) < 0.1] = np.nan
    for seen, expected in zip(answers(loaded, rows), answers(model, rows), strict=True):
        np.testing.assert_array_equal(seen, expected)
    check_canaries(loaded, tmp_path / "first")


def test_everything_but_the_reps_names_comes_back(small_model, tmp_path):
    far_east = timezone(timedelta(hours=8))
    rep = Rep(
        "R-9", name="Li Na", team="江苏", region="East", regions=("East", "West"), skills=("a",), languages=("zh",),
        hired_at=datetime(2024, 1, 1, tzinfo=far_east), left_at=datetime(2025, 1, 1, tzinfo=UTC), active=False,
        capacity=5, daily_limit=2, open_count=1, time_zone="Asia/Shanghai", hours="mon-fri 09:00-18:00",
        absent_from=datetime(2024, 5, 1, tzinfo=UTC), absent_until=datetime(2024, 5, 2, tzinfo=UTC),
        attributes={"grade": 3, "speaks": "cloud;vip", "quota": 1.5},
    )  # fmt: skip
    model = replace(small_model, reps=(rep, *small_model.reps[1:]), facts={"rows": 400, "columns": ["a", "江"]})
    save(model, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.reps[0] == replace(rep, name=None)
    assert b"Li Na" not in b"".join(files_in(tmp_path / "model").values())
    plain = ("contract", "lead_design", "pair_design", "calibration", "grade_cuts", "verdict", "window_days", "facts")
    for name in plain:
        assert getattr(loaded, name) == getattr(model, name), name
    for name in EFFECT_FILES:
        np.testing.assert_array_equal(getattr(loaded.effects, name), getattr(model.effects, name))
    assert loaded.effects.hand_variance == model.effects.hand_variance
    assert loaded.effects.load_effect == model.effects.load_effect
    np.testing.assert_array_equal(loaded.score_grid, model.score_grid)


def test_the_same_seed_gives_the_same_files(small_spells, small_fit, tmp_path):
    parts = fit_parts(small_spells.spells, small_spells.contract, seed=1)
    again = assemble(
        parts, small_spells.spells, small_spells.contract, verdict="rep_matters", facts=dict(small_fit[1].facts)
    )
    save(small_fit[1], tmp_path / "first")
    save(again, tmp_path / "second")
    assert files_in(tmp_path / "first") == files_in(tmp_path / "second")
    other = fit_parts(small_spells.spells, small_spells.contract, seed=2, recipe=parts.recipe)
    assert np.abs(other.effects.effects - parts.effects.effects).max() > 0


def test_a_folder_holds_known_names_and_one_lead_model(model, tmp_path):
    save(model, tmp_path / "model")
    names = set(files_in(tmp_path / "model"))
    assert names <= set(FILES)
    assert len(names & {"lead_model.txt", "lead_model.json"}) == 1


def test_nothing_is_written_over_another_model(small_model, tmp_path):
    save(small_model, tmp_path / "model")
    with pytest.raises(ValueError, match="is not empty"):
        save(linear(small_model), tmp_path / "model")


def test_another_format_is_refused(small_model, tmp_path):
    save(small_model, tmp_path / "model")
    about = json.loads((tmp_path / "model" / "model.json").read_text())
    (tmp_path / "model" / "model.json").write_text(json.dumps(about | {"format": 99}))
    with pytest.raises(ValueError, match="format 99"):
        load(tmp_path / "model")


# --- canaries ---


def many_reps(model, reps):
    """The same with so many reps, each of whom the canaries must speak of."""
    width = model.lead_design.width
    effects = replace(
        model.effects,
        effects=np.random.default_rng(0).normal(0, 0.2, (reps, width)),
        covariance=np.tile(np.eye(width), (reps, 1, 1)),
        hand_effects=np.zeros(reps),
    )
    return replace(model, reps=tuple(Rep(f"R-{i}") for i in range(reps)), effects=effects)


@pytest.mark.parametrize("rep", [0, CANARY_REPS - 1, CANARY_REPS, 299])
def test_one_changed_effect_of_one_rep_is_caught(small_model, tmp_path, rep):
    model = many_reps(small_model, 300)
    save(model, tmp_path / "model")
    changed = model.effects.effects.copy()
    changed[rep, 0] += 1e-4
    with pytest.raises(ValueError, match="does not reproduce its own canary rows"):
        check_canaries(replace(model, effects=replace(model.effects, effects=changed)), tmp_path / "model")


@pytest.mark.parametrize(
    "change",
    [
        lambda model: replace(model, calibration=replace(model.calibration, intercept=0.1 + 1e-6)),
        lambda model: linear(model),
        lambda model: alone(model),
        lambda model: replace(model, effects=replace(model.effects, beta=model.effects.beta + 1e-3)),
        lambda model: replace(model, effects=replace(model.effects, effects=model.effects.effects * np.nan)),
    ],
)
def test_a_model_that_answers_otherwise_is_caught(small_model, tmp_path, change):
    save(small_model, tmp_path / "model")
    check_canaries(small_model, tmp_path / "model")
    with pytest.raises(ValueError, match="does not reproduce its own canary rows"):
        check_canaries(change(small_model), tmp_path / "model")


def test_canaries_are_made_up_and_reach_every_level(small_model):
    canary = canary_rows(small_model)
    rows = np.array([[np.nan if value is None else value for value in row] for row in canary["leads"]])
    assert rows.shape == (CANARIES, len(small_model.contract.features))
    assert set(rows[~np.isnan(rows[:, 0]), 0]) == {0.0, 1.0, 2.0, 3.0}  # the pooled level too
    assert np.isnan(rows).any()
    assert canary_rows(small_model) == canary
