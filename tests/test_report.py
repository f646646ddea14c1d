"""The figures of a training run: four metrics with their standard errors, and the curves logged with them."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from features.columns import Column, ColumnContract
from training import curves, figures, metrics, report

ROWS = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from([0, 1]), min_size=n, max_size=n),
        st.lists(st.floats(0.01, 0.99), min_size=n, max_size=n),
    )
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_log_loss_by_hand():
    # -ln 0.5, -ln 0.75, so the mean and the spread of two numbers
    measured = metrics.log_loss(np.array([1, 0]), np.array([0.5, 0.25]))
    a, b = np.log(2), -np.log(0.75)
    assert measured.value == pytest.approx((a + b) / 2)
    assert measured.standard_error == pytest.approx(abs(a - b) / 2)


def test_an_impossible_thing_that_happened_costs_infinitely():
    measured = metrics.log_loss(np.array([1, 0]), np.array([0.0, 0.5]))
    assert measured.value == np.inf
    assert np.isnan(measured.standard_error)


def test_brier_by_hand():
    measured = metrics.brier(np.array([1, 0, 0, 1]), np.array([0.9, 0.1, 0.4, 0.6]))
    assert measured.value == pytest.approx((0.01 + 0.01 + 0.16 + 0.16) / 4)
    assert measured.standard_error == pytest.approx(np.std([0.01, 0.01, 0.16, 0.16], ddof=1) / 2)


def test_auc_by_hand():
    # converted .9 and .4 against .5 and .4: (1 + 1) + (0 + 1/2) of four pairs
    measured = metrics.auc(np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.5, 0.4]))
    assert measured.value == pytest.approx(2.5 / 4)
    # placements: converted 1 and 1/4; the others beaten by 1/2 and by 3/4
    variance = np.var([1, 0.25], ddof=1) / 2 + np.var([0.5, 0.75], ddof=1) / 2
    assert measured.standard_error == pytest.approx(np.sqrt(variance))


def test_auc_of_one_kind_alone_is_not_a_number():
    measured = metrics.auc(np.array([1, 1]), np.array([0.2, 0.3]))
    assert np.isnan(measured.value)
    assert np.isnan(measured.standard_error)


def test_expected_calibration_error_by_hand(rng):
    # two groups of equal chances: predicted .2, seen 0; predicted .8, seen .5; each half of the rows
    measured = metrics.expected_calibration_error(np.array([0, 0, 1, 0]), np.array([0.2, 0.2, 0.8, 0.8]), rng)
    assert measured.value == pytest.approx(0.5 * 0.2 + 0.5 * 0.3)


@given(ROWS)
def test_metrics_equal_their_slow_twins(rows):
    converted, probability = np.array(rows[0]), np.array(rows[1])
    assert metrics.log_loss(converted, probability).value == pytest.approx(
        sklearn_log_loss(converted, probability, labels=[0, 1])
    )
    if 0 < converted.sum() < len(converted):
        twin = roc_auc_score(converted, probability)
        assert metrics.auc(converted, probability).value == pytest.approx(twin)


def test_standard_errors_are_the_spread_over_many_samples(rng):
    # 400 samples of 400 rows: the spread itself is known to about 3.5 %, so 15 % off would be seen
    seen = []
    for _ in range(400):
        probability = rng.beta(2, 5, size=400)
        seen.append(metrics.evaluate((rng.random(400) < probability).astype(float), probability, rng))
    for name in ("log_loss", "auc", "brier"):
        spread = np.std([sample[name].value for sample in seen], ddof=1)
        claimed = np.mean([sample[name].standard_error for sample in seen])
        assert claimed == pytest.approx(spread, rel=0.15), name
    # The bootstrap of a mean of absolute values knows its spread only roughly.
    spread = np.std([sample["ece"].value for sample in seen], ddof=1)
    assert np.mean([sample["ece"].standard_error for sample in seen]) == pytest.approx(spread, rel=0.35)


def test_a_perfect_model_still_shows_the_calibration_error_of_chance(rng):
    probability = np.full(4_000, 0.3) + rng.uniform(-1e-6, 1e-6, 4_000)
    samples = [(rng.random(4_000) < probability).astype(float) for _ in range(30)]
    seen = [metrics.expected_calibration_error(sample, probability, rng).value for sample in samples]
    assert np.mean(seen) == pytest.approx(np.sqrt(2 / np.pi * 10 * 0.3 * 0.7 / 4_000), rel=0.15)


@pytest.mark.parametrize(
    ("converted", "probability"),
    [([0, 2], [0.1, 0.2]), ([0, 1], [0.1, 1.2]), ([0, 1], [0.1, np.nan]), ([0], [0.1, 0.2]), ([], [])],
)
def test_what_is_no_outcome_or_no_probability_is_refused(converted, probability):
    with pytest.raises(ValueError, match=r"[Ee]xpected|must"):
        metrics.brier(np.array(converted), np.array(probability))


def test_wilson_by_hand():
    # Wilson's interval of 5 in 10 at 95 %: the textbook .2366 to .7634
    assert metrics.wilson(5, 10, 0.95) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert metrics.wilson(0, 10, 0.95)[0] == 0


@given(ROWS)
def test_reliability_counts_every_row_once_and_its_bands_hold_what_was_seen(rows):
    converted, probability = np.array(rows[0]), np.array(rows[1])
    curve = metrics.reliability(converted, probability)
    assert sum(group.rows for group in curve) == len(converted)
    assert all(group.low <= group.observed <= group.high for group in curve)
    assert sum(group.observed * group.rows for group in curve) == pytest.approx(converted.sum())


def test_gains_by_hand():
    # ranked: won, lost, won, lost; after half of the leads one of two conversions is reached
    curve = curves.gains_curve(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1]), points=4)
    assert [point.share_of_conversions for point in curve] == [0, 0.5, 0.5, 1, 1]
    assert all(point.low <= point.share_of_conversions <= point.high for point in curve)


def test_leads_of_equal_probability_gain_in_equal_parts():
    curve = curves.gains_curve(np.array([1, 0, 0, 0]), np.full(4, 0.2), points=4)
    assert [point.share_of_conversions for point in curve] == [0, 0.25, 0.5, 0.75, 1]


@given(ROWS)
def test_the_gains_curve_only_rises_to_all_of_the_conversions(rows):
    converted, probability = np.array(rows[0]), np.array(rows[1])
    if converted.any():
        caught = [point.share_of_conversions for point in curves.gains_curve(converted, probability)]
        assert caught == sorted(caught)
        assert (caught[0], caught[-1]) == (0, 1)


def test_without_a_conversion_there_is_no_gains_curve():
    with pytest.raises(ValueError, match="No lead converted"):
        curves.gains_curve(np.zeros(3), np.full(3, 0.1))


def test_rep_levels_are_the_recalibrated_intercepts_with_their_posterior(small_model):
    rows = {row.rep_id: row for row in curves.rep_levels(small_model)}
    slope = small_model.calibration.slope
    assert rows["R-2"].value == pytest.approx(slope * small_model.effects.effects[2, 0])
    # the posterior's standard deviation is .1; 1.645 of it on either side are 90 %
    assert rows["R-2"].high - rows["R-2"].low == pytest.approx(2 * 1.6449 * 0.1 * slope, rel=1e-3)
    values = [row.value for row in curves.rep_levels(small_model)]
    assert values == sorted(values, reverse=True)


def test_a_columns_features_count_together():
    contract = ColumnContract((Column("tags", "list", ("a", "b")), Column("size", "number")), dated=False)
    # tags: 1 - 1, then -2 + 0; size: .5 and .5
    rows = curves.importance(contract, np.array([[1.0, -1.0, 0.5], [-2.0, 0.0, 0.5]]))
    assert [(row.column, row.value) for row in rows] == [("tags", 1.0), ("size", 0.5)]
    assert rows[0].standard_error == pytest.approx(1.0)
    assert rows[1].standard_error == 0


def test_overlap_by_hand():
    # fourteen leads of two kinds; R-0 worked five of one kind, R-1 five and R-2 four of the other
    kinds = np.array(["x"] * 5 + ["y"] * 9)
    rep = np.array([0] * 5 + [1] * 5 + [2] * 4)
    rows = curves.overlap(kinds, rep, ("R-0", "R-1", "R-2", "R-3"))
    assert {row.rep_id: row.share for row in rows} == {"R-3": 0, "R-2": 0, "R-0": 5 / 14, "R-1": 9 / 14}
    assert rows[-1].rep_id == "R-1"


def built(model, rng, **changed):
    leads = np.column_stack([rng.integers(0, 3, 200), rng.gamma(2, 50, 200), rng.uniform(0, 24, 200), np.ones(200)])
    leads[::7, 1] = np.nan
    probability = rng.uniform(0.05, 0.6, 200)
    given = {
        "model": model,
        "leads": leads,
        "converted": (rng.random(200) < probability).astype(float),
        "probability": probability,
        "contributions": model.lead_model.contributions(leads)[:, :-1],
        "kinds": leads[:, 0],
        "rep": rng.integers(0, len(model.reps) or 1, 200),
    }
    return report.build(report.measure(**(given | changed)))


def test_a_run_has_a_picture_a_question_and_their_values(small_model, rng):
    made = built(small_model, rng)
    names = ("reliability", "gains", "importance", "contributions", "rep_levels", "overlap")
    assert made.keys() == {f"{name}.svg" for name in names} | {"values.json"}
    values = json.loads(made["values.json"])
    assert values.keys() == set(names) - {"contributions"}
    assert {row["column"] for row in values["importance"]} == {"industry", "company_size", "created_at"}
    for name, content in made.items():
        if name.endswith(".svg"):
            assert ET.fromstring(content).tag.endswith("svg"), name


def test_pictures_are_the_same_bytes_for_the_same_values(small_model):
    first, second = (built(small_model, np.random.default_rng(1)) for _ in range(2))
    assert first == second


def test_titles_say_the_finding_and_text_stays_text(rng):
    rows = [curves.RepLevel("$1k_{江苏}-$5k", 0.5, 0.2, 0.8), curves.RepLevel("R-2", -0.1, -0.4, 0.2)]
    picture = re.sub(r"<!--.*?-->", "", figures.draw_rep_levels(rows).decode(), flags=re.DOTALL)
    assert "Of 2 reps 1 lie clearly above the average and 0 below" in picture
    assert "$1k_{江苏}-$5k" in picture
    many = [curves.RepLevel(f"R-{i}", -i, -i - 1, -i + 1) for i in range(60)]
    drawn = set(re.findall(r"R-\d+", figures.draw_rep_levels(many).decode()))
    assert drawn == {f"R-{i}" for i in (*range(10), *range(50, 60))}


def test_without_reps_or_conversions_their_pictures_are_left_out(small_model, rng):
    assert "rep_levels.svg" not in built(replace(small_model, reps=()), rng)
    assert "gains.svg" not in built(small_model, rng, converted=np.zeros(200))


def test_one_lead_and_a_model_of_one_column_can_be_drawn(rng):
    picture = figures.draw_contributions(["size"], [np.array([0.3])], [np.array([np.nan])])
    assert b"size" in picture
