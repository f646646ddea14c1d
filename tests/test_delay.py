"""How long outcomes take, and what young rows count with: by hand, in worlds whose truth is known, end to end."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import expon

from data.dataset import dataset_from_tables
from data.description import Description
from features.columns import Column, ColumnContract
from features.labels import Clock, Labels
from features.spells import Spells, build_spells
from pipelines.prepare import prepare
from pipelines.train import learn, rows_of
from training.delay import Curve, Delays, Segmentation, known_at, measure_delays, told_delays
from training.fit import assemble, fit_parts, rotation_sample
from training.lead_model import TREES, Recipe, fit_lead_model
from training.rep_effects import Evidence, fit_rep_effects

CONTRACT = ColumnContract((Column("size", "number"), Column("kind", "category", ("a", "b"))), dated=False)
WINDOW = 40.0


def spells(leads, at_days, converted, decided_after, watched_days):
    """Spells without reps, of which only labels and clock matter."""
    n = len(leads)
    return Spells(
        leads=leads, rep=np.full(n, -1), converted=converted, at_days=at_days, by_hand=np.zeros(n, dtype=bool),
        assigned_by=np.full(n, "rule"), load=np.zeros(n), propensity=np.full(n, np.nan), value=np.full(n, np.nan),
        closed=~np.isnan(decided_after), reps=(), labels=Labels(WINDOW, np.ones(n, dtype=bool), converted),
        clock=Clock(decided_after, watched_days),
    )  # fmt: skip


def floor(rng, rows=6_000, *, chance=0.3, slow=3.0, mean_days=8.0):
    """Mature spells: kind b takes `slow` times as long as a; lost leads close on a clock of their own."""
    leads = np.column_stack([rng.normal(0, 1, rows), rng.integers(0, 2, rows)]).astype(float)
    ever = rng.random(rows) < chance
    after = rng.exponential(mean_days * np.where(leads[:, 1] == 1, slow, 1.0)) * np.where(ever, 1.0, 1.5)
    at_days = np.sort(rng.uniform(0, 300, rows))
    return spells(leads, at_days, (ever & (after <= WINDOW)).astype(float), after, 400 - at_days)


def young(rng, rows=4_000, *, age=6.0, **how):
    """Rows of one age, as they stand: (spells, what they become within the window)."""
    full = floor(rng, rows, **how)
    seen = full.clock.decided_after <= age
    clock = Clock(np.where(seen, full.clock.decided_after, np.nan), np.full(rows, age))
    return replace(full, clock=clock, converted=full.converted * seen), full.converted


# --- by hand ---


def test_what_is_to_be_expected_by_hand():
    # Of four conversions one has come by day 5, of four others two are lost by then: an open lead of that age at
    # p = .4 converts with .4 * 3/4 / (.4 * 3/4 + .6 * 2/4) = 1/2.
    delays = Delays(
        Segmentation(), (Curve(np.array([2.0, 10, 20, 30]), 4),), (Curve(np.array([1.0, 4.0, 9.0]), 4),)
    )
    rows = spells(
        np.zeros((4, 2)), np.arange(4.0), np.array([1.0, 0, 0, 0]), np.array([2.0, 3, np.nan, np.nan]),
        np.array([5.0, 5, 5, WINDOW]),
    )  # fmt: skip
    assert delays.expected(rows, np.full(4, 0.4)) == pytest.approx([1, 0, 0.5, 0])
    # Where nobody marks a loss: p (1 - G) / (1 - p G).
    silent = replace(delays, lost=(Curve(np.empty(0), 4),))
    assert silent.expected(rows, np.full(4, 0.4))[2] == pytest.approx(0.4 * 0.75 / (1 - 0.4 * 0.25))


def test_segments_by_hand():
    bands = Segmentation(0, "size", (-np.inf, 0.0, 1.0))
    assert bands.of(np.array([[-5.0], [0.0], [0.5], [9.0], [np.nan]])).tolist() == [1, 2, 2, 3, 0]
    levels = Segmentation(0, "kind", (0.0, 1.0, 2.0))
    assert levels.of(np.array([[0.0], [2.0], [np.nan]])).tolist() == [1, 3, 0]
    assert Segmentation().of(np.zeros((2, 1))).tolist() == [0, 0]


def test_rows_are_told_as_they_were_known_then(rng):
    whole = floor(rng, 2_000)
    then = known_at(whole, 200.0)
    assert (then.at_days <= 200.0 - WINDOW).all()
    assert then.young.at_days.min() > 200.0 - WINDOW
    assert then.young.at_days.max() < 200.0
    assert len(then.with_young()) == np.sum(whole.at_days < 200.0)
    clock = then.young.clock
    assert clock.watched_days == pytest.approx(200.0 - then.young.at_days)
    assert np.nanmax(clock.decided_after - clock.watched_days) <= 0
    assert np.isnan(clock.decided_after[then.young.converted == 0]).any()
    still_open = np.isnan(clock.decided_after)
    assert then.young.converted[still_open].sum() == 0
    plain = known_at(replace(whole, clock=None), 200.0)
    assert plain.young is None
    assert len(plain) == len(then)


# --- properties ---


@given(st.floats(0.001, 0.999), st.lists(st.floats(0, WINDOW), max_size=8), st.lists(st.floats(0, WINDOW), max_size=8))
def test_hope_lies_between_nothing_and_certainty_and_only_falls_where_losses_go_unmarked(p, won, lost):
    of = max(len(won), len(lost), 1)
    delays = Delays(Segmentation(), (Curve(np.sort(won), of),), (Curve(np.sort(lost), of),))
    ages = np.linspace(0, WINDOW - 1, 9)
    rows = spells(np.zeros((9, 2)), ages, np.zeros(9), np.full(9, np.nan), ages)
    hope = delays.expected(rows, np.full(9, p))
    assert ((hope >= 0) & (hope <= 1)).all()
    unmarked = replace(delays, lost=(Curve(np.empty(0), of),)).expected(rows, np.full(9, p))
    assert (np.diff(unmarked) <= 1e-12).all()
    assert unmarked[0] <= p + 1e-12


# --- known truth ---


def test_the_column_that_decides_how_long_it_takes_is_found(rng):
    assert measure_delays(floor(rng), CONTRACT).segmentation.name == "kind"
    assert measure_delays(floor(rng, slow=1.0), CONTRACT).segmentation.place is None
    rare = floor(rng)
    rare.leads[:, 1] = np.where(rng.random(len(rare)) < 0.02, 1, 0)  # 36 conversions or so: too few
    assert measure_delays(rare, CONTRACT).segmentation.place is None


def test_the_curves_are_those_of_the_world(rng):
    delays = measure_delays(floor(rng, 40_000), CONTRACT)
    for segment, mean in ((1, 8.0), (2, 24.0)):
        ages = np.array([3.0, 10.0, 30.0])
        truth = expon.cdf(ages, scale=mean) / expon.cdf(WINDOW, scale=mean)
        # 6,000 conversions a segment: each share is known to .0065
        np.testing.assert_allclose(delays.won[segment].share(ages), truth, atol=0.033)


@pytest.mark.parametrize("age", [2.0, 6.0, 20.0])
def test_expected_labels_hold_what_young_rows_become(rng, age):
    delays = measure_delays(floor(rng, 40_000), CONTRACT)
    rows, becomes = young(rng, 20_000, age=age)
    within = 0.3 * np.where(rows.leads[:, 1] == 1, expon.cdf(WINDOW, scale=24), expon.cdf(WINDOW, scale=8))
    labels = delays.expected(rows, within)
    for kind in (0, 1):
        inside = rows.leads[:, 1] == kind
        # 10,000 rows: the rate of either is known to .0045
        assert labels[inside].mean() == pytest.approx(becomes[inside].mean(), abs=0.023)
    assert rows.converted.mean() < becomes.mean() - 0.03  # open is not lost


def test_trees_take_a_chance_for_a_label_as_they_take_its_outcomes(rng):
    leads = np.column_stack([rng.normal(0, 1, 4_000), rng.integers(0, 2, 4_000)]).astype(float)
    chance, nothing = expit(-1 + leads[:, 0]), np.zeros(4_000)
    recipe = Recipe("trees", 60, TREES)
    f = fit_lead_model(recipe, CONTRACT, leads, nothing, chance, nothing).log_odds(leads)
    assert expit(f).mean() == pytest.approx(chance.mean(), abs=0.01)
    assert np.corrcoef(f, leads[:, 0])[0, 1] > 0.95


def test_an_expected_label_informs_by_less_than_a_known_one(rng):
    design, rep = np.ones((600, 1)), np.repeat([0, 1, 2], 200)
    base = Evidence(design, rep, np.empty((600, 0)), np.zeros(600, dtype=bool), np.zeros(600), np.empty(0))
    known = (rng.random(600) < 0.3).astype(float)
    lead, how = np.full(600, np.log(0.3 / 0.7)), {"groups": np.zeros(1, dtype=int), "n_reps": 3}
    guess = np.where(rep == 2, 0.3, known)  # of the last rep nothing is known yet
    sure = fit_rep_effects(replace(base, converted=known), lead, **how)
    unsure = fit_rep_effects(replace(base, converted=guess), lead, **how)
    none = fit_rep_effects(replace(base, converted=known, rep=np.where(rep == 2, 0, rep)), lead, **how)
    assert unsure.covariance[0, 0, 0] == pytest.approx(sure.covariance[0, 0, 0], rel=0.15)
    # as wide as that of a rep without a single row, and wider than that of one with 200 outcomes
    assert unsure.covariance[2, 0, 0] == pytest.approx(none.covariance[2, 0, 0], rel=0.15)
    assert unsure.covariance[2, 0, 0] > 1.2 * sure.covariance[2, 0, 0]


def test_a_fit_takes_young_rows_for_what_they_will_become(rng):
    # Half of all rows are six days old. With open counted as lost the level would be .22 instead of .28.
    rows, becomes = young(rng, 5_000, slow=1.0)
    later = replace(rows, at_days=rows.at_days + 1_000)
    parts = fit_parts(replace(floor(rng, 5_000, slow=1.0), young=later), CONTRACT, seed=0)
    assert expit(parts.young_log_odds).mean() == pytest.approx(becomes.mean(), abs=0.03)
    assert expit(parts.lead_model.log_odds(rows.leads)).mean() == pytest.approx(becomes.mean(), abs=0.03)


# --- end to end ---


def test_what_was_taken_away_or_won_nobody_knows_when_is_not_young():
    rows = [
        ("L-1", "R-1", 95, "open", None),  # five days old on day 100
        ("L-2", "R-1", 90, "open", None),  # given to R-2 two days later
        ("L-2", "R-2", 92, "won", 97),
        ("L-3", "R-1", 96, "won", None),
        ("L-4", "R-1", 10, "won", 15),
        ("L-5", "R-2", 94, "lost", 96),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["lead_id", "rep_id", "day", "outcome", "closed"])
    start = pd.Timestamp("2024-01-01", tz="UTC")
    moments = {"assigned_at": start + pd.to_timedelta(table["day"], unit="D"),
               "closed_at": start + pd.to_timedelta(table["closed"], unit="D")}  # fmt: skip
    leads = pd.DataFrame({"lead_id": [f"L-{n}" for n in range(1, 6)], "created_at": start, "kind": list("ababa")})
    stated = Description(exported_at="2024-04-10T00:00:00Z", window=20.0, labels="expected")
    reps = pd.DataFrame({"rep_id": ["R-1", "R-2"]})
    made = dataset_from_tables(leads, reps, table.drop(columns=["day", "closed"]).assign(**moments), stated)
    kept = build_spells(made, ColumnContract((Column("kind", "category", ("a", "b")),)))
    assert (len(kept), len(kept.young)) == (1, 3)
    order = np.argsort(kept.young.at_days)
    assert kept.young.clock.watched_days[order].tolist() == [8.0, 6.0, 5.0]
    np.testing.assert_array_equal(kept.young.clock.decided_after[order], [5.0, 2.0, np.nan])
    assert kept.young.converted[order].tolist() == [1, 0, 0]


@pytest.fixture(scope="module")
def labelled(small_world):
    """(way to label -> what training sees of it) for one floor."""
    world, _ = small_world
    tables = world.leads, world.reps, world.assignments
    return {
        how: prepare(dataset_from_tables(*tables, Description(**world.description(), labels=how)))
        for how in ("window", "expected")
    }


def test_young_rows_are_kept_only_where_they_are_asked_for(labelled):
    plain, asked = (labelled[how].spells for how in ("window", "expected"))
    assert plain.young is None
    assert plain.clock is None
    assert len(asked) == len(plain)
    assert np.array_equal(asked.converted, plain.converted)
    assert (asked.young.at_days > asked.at_days.max()).all()
    assert (asked.young.clock.watched_days < asked.labels.window_days).all()
    assert asked.take(np.arange(5)).young is None
    rows = {how: rows_of(labelled[how]) for how in labelled}
    assert rows["expected"]["young"] == len(asked.young)
    assert len({one["used"] + one["immature"] for one in rows.values()}) == 1
    assert "young" not in rows["window"]


def test_expected_labels_set_the_level_that_the_young_rows_will_reach(labelled, small_world):
    # What the young rows become is known to the simulator alone.
    world, _ = small_world
    prepared = labelled["expected"]
    spells_, contract = prepared.spells, prepared.contract
    parts = fit_parts(spells_, contract, seed=0)
    assert len(parts.log_odds) == len(parts.lead_alone) == len(spells_)
    assert len(parts.young_log_odds) == len(spells_.young)
    everything, log_odds = spells_.with_young(), np.concatenate([parts.log_odds, parts.young_log_odds])
    labels = parts.delays.expected(everything, expit(log_odds))
    of_young = labels[len(spells_):]
    table = world.truth.assignments.iloc[-len(spells_.young):]
    # 250 young rows: their rate is known to .02; open as lost would be far below
    assert of_young.mean() == pytest.approx(table["probability"].mean(), abs=0.03)
    assert spells_.young.converted.mean() < 0.7 * table["probability"].mean()
    model = assemble(parts, spells_, contract, verdict="rep_matters", facts={})
    assert 0.03 < rotation_sample(model, spells_).mean() < 0.3


def test_the_whole_job_runs_on_expected_labels_and_alike_each_time(labelled):
    dataset = labelled["expected"].dataset
    one, two = (learn(dataset, seed=0) for _ in range(2))
    assert one.model.facts == two.model.facts
    assert one.model.facts["labels"] == "expected"
    np.testing.assert_array_equal(one.model.effects.effects, two.model.effects.effects)
    assert one.model.facts["trained_until_days"] > one.prepared.spells.at_days.max()
    assert set(np.unique(one.rehearsal.later.converted)) == {0, 1}  # judged on known outcomes alone


def test_the_curves_are_told_by_level_with_the_days_that_half_and_nine_in_ten_take(rng):
    by, told = told_delays(floor(rng), CONTRACT)
    assert by == "kind"
    assert [one.segment for one in told] == ["all", "a", "b"]
    assert told[0].conversions == told[1].conversions + told[2].conversions
    # Exponential delays of mean 8 and 24 days, cut at 40: the quantiles of what is left.
    for one, mean in zip(told[1:], (8.0, 24.0), strict=True):
        within = expon(scale=mean).cdf(WINDOW)
        for found, share in ((one.half_days, 0.5), (one.most_days, 0.9)):
            assert found == pytest.approx(expon(scale=mean).ppf(share * within), rel=0.2)
        assert one.shares[-1] == (WINDOW, 1.0)
        assert one.shares[1][1] == pytest.approx(expon(scale=mean).cdf(10) / within, abs=0.06)


def test_bands_of_a_number_are_named_by_their_ends():
    bands = Segmentation(0, "size", (-np.inf, 1.5, 20.0))
    assert bands.names(CONTRACT) == ["all", "below 1.5", "1.5 to 20", "20 and more"]
    assert Segmentation().names(CONTRACT) == ["all"]
