"""One lead x every rep: the service's answer is the table's, and its parts add up."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.roster import Rep
from features.columns import SECONDS_A_DAY
from features.spells import lead_matrix
from serving.deciding.scorer import GRADES, LeadScores, Scorer
from training.conversion import RosterModel
from training.rep_effects import no_reps

AT = datetime(2026, 7, 2, 3, 4, 5, tzinfo=UTC)
DAYS = AT.timestamp() / SECONDS_A_DAY
LEAD = {"lead_id": "L-1", "created_at": "2026-07-02T03:00:00Z", "industry": "retail", "company_size": 80}


@pytest.fixture(scope="module")
def fitted(small_spells, small_fit):
    return small_spells, small_fit[1]


def as_requests(frame):
    """The rows as a CRM would send them: nothing for a missing value, numbers as numbers, moments as text."""
    for lead in frame.to_dict(orient="records"):
        yield {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in lead.items()
            if not (value is None or value is pd.NaT or value != value or name == "at_days")
        }


def test_a_request_is_scored_as_its_row_in_the_table(fitted):
    prepared, model = fitted
    frame = prepared.dataset.leads.iloc[:150]
    matrix = lead_matrix(frame, prepared.contract)
    table = RosterModel(model, model.reps).probability(matrix, np.full(len(frame), DAYS))
    scorer = Scorer(model, model.reps)
    for row, lead in zip(table, as_requests(frame), strict=True):
        scores = scorer.score(lead, at=AT)
        np.testing.assert_allclose(scores.probability, row, rtol=0, atol=1e-12)
        ignored = {f"unknown attribute ignored: {name}" for name in lead if name not in ("lead_id", "created_at")}
        assert set(scores.warnings) <= ignored  # personal data and nothing that the model reads


def test_who_the_training_never_saw_is_average_with_a_wide_interval(fitted):
    _, model = fitted
    known = model.reps[0]
    roster = (known, Rep("R-new", regions=known.regions, region=known.region, skills=known.skills,
                         languages=known.languages, hired_at=known.hired_at), model.reps[1])  # fmt: skip
    scores = Scorer(model, roster).score({}, at=AT)
    everybody = np.ones(3, dtype=bool)
    z = model.lead_design.matrix(np.full((1, len(model.contract.features)), np.nan))[0]
    own = model.effects.effects[0] @ z * model.calibration.slope
    assert scores.log_odds[0] - scores.log_odds[1] == pytest.approx(own)
    widths = [interval.high - interval.low for interval in (scores.uplift(rep, everybody) for rep in range(3))]
    assert widths[1] > widths[0]


def test_a_roster_in_another_order_is_the_same_roster(fitted):
    _, model = fitted
    forwards, backwards = (Scorer(model, reps).score(LEAD, at=AT) for reps in (model.reps, model.reps[::-1]))
    np.testing.assert_allclose(forwards.probability, backwards.probability[::-1], atol=1e-15)


# --- parts that add up ---


def scores_of(model, lead=None, at=AT):
    return Scorer(model, model.reps).score(LEAD if lead is None else lead, at=at)


flags = st.lists(st.booleans(), min_size=4, max_size=4).filter(any).map(np.array)
leads = st.fixed_dictionaries(
    {},
    optional={
        "industry": st.sampled_from(["manufacturing", "retail", "江苏 trade", "unheard of", None]),
        "company_size": st.floats(0, 1000),
        "created_at": st.just("2026-07-02T03:00:00Z"),
    },
)


@given(leads, flags, st.integers(0, 3), st.integers(0, 6))
def test_reasons_add_up_to_the_uplift(small_model, lead, eligible, rep, k):
    scores = scores_of(small_model, lead)
    interval = scores.uplift(rep, eligible)
    assert interval.value == pytest.approx(scores.probability[rep] - scores.baseline(eligible), abs=1e-12)
    assert interval.low <= interval.value <= interval.high
    reasons = scores.reasons(rep, eligible, k)
    assert sum(one.contribution for one in reasons) == pytest.approx(interval.value, abs=1e-12)
    assert reasons[-1].kind == "other"
    assert len(reasons) <= k + 1


@given(leads, st.integers(0, 3), st.integers(0, 3))
def test_a_contrast_adds_up_to_the_difference(small_model, lead, rep, other):
    scores = scores_of(small_model, lead)
    parts = scores.contrast(rep, other)
    assert sum(one.contribution for one in parts) == pytest.approx(
        scores.probability[rep] - scores.probability[other], abs=1e-12
    )


@given(leads, flags)
def test_uplift_averages_to_nothing_over_the_eligible(small_model, lead, eligible):
    scores = scores_of(small_model, lead)
    values = [scores.uplift(rep, eligible).value for rep in np.flatnonzero(eligible)]
    assert np.mean(values) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("k", [0, 2, 9])
def test_a_leads_waterfall_leads_from_the_average_to_its_baseline(fitted, k):
    prepared, model = fitted
    average = np.trapezoid(model.score_grid) / 100
    eligible = np.arange(len(model.reps)) % 2 == 0
    for lead in as_requests(prepared.dataset.leads.iloc[:20]):
        scores = scores_of(model, lead)
        parts = scores.lead_reasons(eligible, k)
        assert sum(one.contribution for one in parts) == pytest.approx(scores.baseline(eligible) - average, abs=1e-12)
        assert [one.kind for one in parts] == ["lead"] * (len(parts) - 1) + ["other"]
        assert "other" not in [one.feature for one in parts[:-1]]
        for part in parts[:-1]:
            assert part.value == lead.get(part.feature)


def test_the_average_of_a_waterfall_is_the_leads_mean(fitted):
    prepared, model = fitted
    spells = prepared.spells
    mean = RosterModel(model, model.reps).probability(spells.leads, spells.at_days).mean()
    assert np.trapezoid(model.score_grid) / 100 == pytest.approx(mean, rel=0.01)


def test_reasons_show_what_the_lead_said(small_model):
    parts = {(one.feature, one.kind): one.value for one in scores_of(small_model).reasons(0, np.ones(4, bool), 9)}
    assert parts[("industry", "segment")] == "retail"
    assert parts[("company_size", "number")] == 80
    assert parts[("overall", "overall")] is None


# --- verdicts ---


@pytest.mark.parametrize("verdict", ["no_detectable_rep_effect", "too_little_data"])
def test_a_verdict_that_says_nothing_shows_no_uplift_but_its_interval(small_model, verdict):
    eligible = np.ones(4, dtype=bool)
    speaking = scores_of(small_model).uplift(1, eligible)
    scores = scores_of(replace(small_model, verdict=verdict))
    silent = scores.uplift(1, eligible)
    assert silent.value == 0
    assert silent.high == -silent.low == pytest.approx((speaking.high - speaking.low) / 2)
    assert [(one.feature, one.contribution) for one in scores.reasons(1, eligible)] == [("other", 0.0)]


def test_an_unconfirmed_verdict_still_speaks(small_model):
    eligible = np.ones(4, dtype=bool)
    scores = scores_of(replace(small_model, verdict="unconfirmed"))
    assert scores.uplift(1, eligible) == scores_of(small_model).uplift(1, eligible)


# --- the lead itself ---


def test_score_and_grade_by_hand(small_model):
    eligible = np.ones(4, dtype=bool)
    baseline = scores_of(small_model).baseline(eligible)
    grid = np.linspace(0, 1, 101)  # the percentiles of an even spread: the score is the probability in percent
    even = scores_of(replace(small_model, score_grid=grid))
    assert even.lead_score(eligible) == int(100 * baseline)
    above, below = (scores_of(replace(small_model, score_grid=grid + shift)) for shift in (5, -5))
    assert (above.lead_score(eligible), below.lead_score(eligible)) == (0, 100)
    for place, grade in enumerate(GRADES):
        cuts = tuple(baseline + (1e-9 if i < place else 0.0) for i in range(3))
        assert scores_of(replace(small_model, grade_cuts=cuts)).grade(eligible) == grade


def test_the_training_leads_scores_are_spread_evenly(fitted):
    prepared, model = fitted
    everybody = np.ones(len(model.reps), dtype=bool)
    scorer, spells = Scorer(model, model.reps), prepared.spells
    rows = np.linspace(0, len(spells) - 1, 400).astype(int)
    scores = [LeadScores(scorer, spells.leads[row].tolist(), spells.at_days[row], {}, ()) for row in rows]
    assert np.mean([one.lead_score(everybody) for one in scores]) == pytest.approx(50, abs=5 * 29 / 20)
    shares = [np.mean([one.grade(everybody) == grade for one in scores]) for grade in GRADES]
    assert shares == pytest.approx([0.2, 0.3, 0.3, 0.2], abs=5 * 0.5 / 20)


def test_what_the_model_does_not_know_is_said_and_ignored(small_model):
    odd = scores_of(small_model, {**LEAD, "shoe_size": 44, "email": "x@example.com"})
    assert odd.warnings == ("unknown attribute ignored: shoe_size",)
    np.testing.assert_array_equal(odd.probability, scores_of(small_model).probability)
    several = scores_of(small_model, {"company_size": [1, 2]})
    assert several.warnings == ("company_size: not a number; scored as missing",)


def test_a_model_without_reps_scores_a_lead_alike_under_everybody(small_model):
    width, pairs = small_model.lead_design.width, small_model.pair_design
    alone = replace(small_model, reps=(), effects=no_reps(width, pairs.width))
    scores = Scorer(alone, small_model.reps).score(LEAD, at=AT)
    assert np.ptp(scores.probability) == 0
    eligible = np.ones(4, dtype=bool)
    assert scores.uplift(0, eligible).value == 0
    assert scores.uplift(0, eligible).high > 0  # nothing is known of any of them
    assert Scorer(alone, ()).score(LEAD, at=AT).probability.shape == (0,)
