"""What a won lead is worth: the smearing factor, what it recovers, when it is silent, and how it is served."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.roster import Rep
from features.columns import Column, ColumnContract
from serving.deciding.scorer import Scorer
from training.expected_value import LEAST_VALUES, ValueModel, fit_value_model, judge_value_model
from training.fit import assemble, fit_parts
from training.model_files import check_canaries, load, save

CONTRACT = ColumnContract((Column("industry", "category", ("a", "b")), Column("size", "number")), dated=False)
AT = datetime(2026, 3, 2, tzinfo=UTC)


def won_leads(rng, rows, spread=0.6):
    """Leads and what they were won for: log value 9 + .5 industry b + .4 size, and noise."""
    leads = np.column_stack([rng.integers(0, 2, rows), rng.normal(0, 1, rows)]).astype(float)
    return leads, np.exp(9 + 0.5 * leads[:, 0] + 0.4 * leads[:, 1] + rng.normal(0, spread, rows))


def test_smearing_by_hand():
    # One kind of lead, half of which is worth 100 and half 400: typical is 200, and the mean is 250.
    leads, value = np.zeros((100, 2)), np.tile([100.0, 400.0], 50)
    model = fit_value_model(CONTRACT, leads, value)
    assert np.exp(model.typical_log(leads[:1])) == pytest.approx([200], rel=1e-3)
    assert model.smearing == pytest.approx(1.25, rel=1e-3)  # (1/2 + 2) / 2
    assert model.expected(leads[:1]) == pytest.approx([250], rel=1e-3)


def test_deals_of_no_value_count_as_nothing():
    leads, value = np.zeros((150, 2)), np.repeat([300.0, 0.0], [100, 50])
    assert fit_value_model(CONTRACT, leads, value).expected(leads[:1]) == pytest.approx([200], rel=1e-3)


def test_too_few_values_tell_nothing(rng):
    leads, value = won_leads(rng, LEAST_VALUES - 1)
    unknown = np.array([np.nan, 0.0, -5.0])
    assert fit_value_model(CONTRACT, np.vstack([leads, leads[:3]]), np.append(value, unknown)) is None
    assert judge_value_model(None, leads, value, rng) == {}


def test_the_mean_value_is_recovered_and_not_the_typical_one(rng):
    leads, value = won_leads(rng, 4_000)
    model = fit_value_model(CONTRACT, leads, value)
    new, _ = won_leads(rng, 500)
    truth = np.exp(9 + 0.5 * new[:, 0] + 0.4 * new[:, 1] + 0.6**2 / 2)
    ratio = model.expected(new) / truth
    # The mean of 4,000 lognormal values is known to 1 % (sd of exp(noise) is .66 of its mean); typical is 16 % low.
    assert ratio.mean() == pytest.approx(1, abs=0.05)
    assert np.std(np.log(ratio)) < 0.05


def test_its_error_is_measured_with_a_standard_error(rng):
    model = fit_value_model(CONTRACT, *won_leads(rng, 4_000))
    seen = [judge_value_model(model, *won_leads(rng, 400), rng) for _ in range(60)]
    for name, truth, noticed in (
        ("median_log_error", 0.6 * 0.6745, 0.05),  # the median of |N(0, .6)|
        ("r2", 1 - 0.36 / (0.36 + 0.16 + 0.25**2), 0.1),
        ("level", 1.0, 0.1),
    ):
        values = np.array([one[name].value for one in seen])
        assert 5 * values.std(ddof=1) / np.sqrt(60) < noticed
        assert values.mean() == pytest.approx(truth, abs=noticed)
        assert np.mean([one[name].standard_error for one in seen]) == pytest.approx(values.std(ddof=1), rel=0.3)


@given(st.floats(1e-3, 1e9), st.integers(0, 1), st.floats(allow_infinity=False))
def test_no_lead_is_expected_beyond_what_was_ever_won(unit, industry, size):
    leads, value = won_leads(np.random.default_rng(1), 200)
    model = fit_value_model(CONTRACT, leads, value * unit)
    worth = model.expected(np.array([[industry, size]]))[0]
    assert value.min() * unit * model.smearing * 0.999 <= worth <= value.max() * unit * model.smearing * 1.001
    # In another unit the same leads are worth the same.
    assert worth == pytest.approx(unit * fit_value_model(CONTRACT, leads, value).expected(np.array([[industry, size]])))


def test_it_is_saved_and_read_back_to_the_last_digit(rng, small_model, tmp_path):
    columns = [rng.integers(0, 3, 80), rng.gamma(2, 50, 80), rng.uniform(0, 24, 80), rng.integers(0, 7, 80)]
    leads = np.column_stack(columns)
    worth = fit_value_model(small_model.contract, leads, np.exp(rng.normal(8, 1, 80)))
    save(replace(small_model, value_model=worth), tmp_path / "with")
    save(small_model, tmp_path / "without")
    assert not (tmp_path / "without" / "value_model.json").exists()
    assert load(tmp_path / "without").value_model is None
    again = load(tmp_path / "with")
    np.testing.assert_array_equal(again.value_model.expected(leads), worth.expected(leads))
    check_canaries(again, tmp_path / "with")
    spoiled = json.loads((tmp_path / "with" / "value_model.json").read_text())
    spoiled["smearing"] *= 1.01
    with pytest.raises(ValueError, match="canary"):
        check_canaries(replace(again, value_model=ValueModel.from_json(spoiled)), tmp_path / "with")


def test_answers_tell_worth_and_revenue_where_the_model_can(rng, desk, small_model):
    lead, reps = {"industry": "retail", "company_size": 40}, [{"rep_id": f"R-{i}"} for i in range(4)]
    desk.roster(*reps)
    assert "expected_value" not in desk.assign("L-1", **lead).json()
    columns = [rng.integers(0, 3, 80), rng.gamma(2, 50, 80), rng.uniform(0, 24, 80), rng.integers(0, 7, 80)]
    worth = fit_value_model(small_model.contract, np.column_stack(columns), np.exp(rng.normal(8, 1, 80)))
    desk.load(replace(small_model, value_model=worth), version="8")
    told = desk.assign("L-2", **lead).json()
    assert told["expected_value"] > 0
    assert told["expected_revenue"] == told["probability"] * told["expected_value"]
    scored = desk.call("POST", "/v1/score", {"lead": {"lead_id": "L-2", **lead}}).json()
    assert scored["expected_value"] == told["expected_value"]
    for rep in scored["reps"]:
        assert rep["expected_revenue"] == pytest.approx(rep["probability"] * scored["expected_value"], rel=1e-12)


def test_a_floor_s_deals_are_expected_at_what_the_simulator_draws(small_world, small_spells):
    world, _ = small_world
    spells, contract = small_spells.spells, small_spells.contract
    model = assemble(fit_parts(spells, contract, seed=0), spells, contract, verdict="rep_matters", facts={})
    scorer = Scorer(model, [Rep("R-1")])
    fresh = world.fresh_leads(300, 1)
    told = [scorer.score(lead, at=AT).expected_value for lead in fresh.to_dict("records")]
    size = (np.log(fresh["employees"]) - 4.4) / 1.3
    truth = np.exp(10.0 + 0.55 * size + 0.6**2 / 2)
    # Some 250 won values: their mean is known to 4 %, each slope in logs to .04.
    assert np.mean(told) / truth.mean() == pytest.approx(1, abs=0.25)
    assert np.corrcoef(np.log(told), np.log(truth))[0, 1] > 0.85
    silent = Scorer(replace(model, value_model=None), [Rep("R-1")])
    assert silent.score(fresh.iloc[0].to_dict(), at=AT).expected_value is None
