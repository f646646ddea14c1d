"""Contributions add up: to the uplift, to a contrast, to a lead's own difference; and TreeSHAP is shap's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from features.columns import Column, ColumnContract
from features.leads import Direction, LeadDesign
from features.pairs import Match, PairDesign
from training.explain import (
    Contribution,
    Term,
    largest,
    lead_shares,
    rep_terms,
    secants,
    shap_values,
    shares_of_uplift,
    term_of_direction,
)
from training.lead_model import TREES, Recipe, fit_lead_model

LEADS = LeadDesign(
    (
        Direction("industry", 1, level=0, level_name="food"),
        Direction("industry", 1, level=1, level_name="retail"),
        Direction("employees", 2),
    ),
    (0, 0, 1),
)
PAIRS = PairDesign((Match("region", "region"), Match("industry", "skills"), Match("region", "regions")), tenure=True)
TERMS = rep_terms(LEADS, PAIRS)


def test_terms_by_hand():
    assert rep_terms(LEADS, PAIRS) == (
        Term("overall", "overall"),
        Term("industry", "segment"),
        Term("employees", "number"),
        Term("region", "match"),  # of two matches: who reads it asks about the region once
        Term("industry", "match"),
        Term("tenure", "tenure"),
    )
    assert rep_terms(LeadDesign((), ()), PairDesign((), False)) == (Term("overall", "overall"),)


def test_every_direction_has_its_term():
    # z: the intercept, two levels of the industry, employees; f: region, skills, regions, two ramps.
    assert term_of_direction(LEADS, PAIRS).tolist() == [0, 1, 1, 2, 3, 4, 3, 5, 5]
    assert term_of_direction(LeadDesign((), ()), PairDesign((), False)).tolist() == [0]


def scored(seed, reps, size):
    """(parts (d, n_reps), weights (d,), probability, log-odds) of a random lead."""
    rng = np.random.default_rng(seed)
    z = np.concatenate([[1.0], rng.integers(0, 2, 2), rng.normal(0, 1, 1)])
    effects, beta = rng.normal(0, size, (reps, 4)), rng.normal(0, size, 5)
    pairs = np.column_stack([rng.integers(0, 2, (reps, 3)), rng.random((reps, 2))])
    slope, f = rng.uniform(0.3, 1.5), rng.normal(-1, 3)
    if reps > 1:  # two reps alike
        effects[1], pairs[1] = effects[0], pairs[0]
    parts, weights = np.vstack([effects.T, pairs.T]), np.concatenate([z, beta])
    log_odds = 0.2 + slope * (f + weights @ parts)
    return parts, slope * weights, expit(log_odds), log_odds


def by_the_book(terms, p, log_odds, rep, eligible):
    """One rep after the other: the pair's difference shared over the terms by its secant, then the mean."""
    shares = np.zeros(len(terms))
    for other in np.flatnonzero(eligible):
        gap = log_odds[rep] - log_odds[other]
        slope = (p[rep] - p[other]) / gap if abs(gap) > 1e-9 else p[rep] * (1 - p[rep])
        shares += slope * (terms[:, rep] - terms[:, other]) / eligible.sum()
    return shares


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.booleans(), min_size=1, max_size=9).filter(any),
    st.integers(0, 8),
    st.sampled_from([0.0, 1e-12, 1e-9, 1e-4, 0.1, 1.0, 5.0]),
    st.integers(0, 7),
)
def test_contributions_add_up_to_the_uplift(seed, eligible, rep, size, k):
    eligible = np.array(eligible)
    rep %= len(eligible)
    parts, weights, p, log_odds = scored(seed, len(eligible), size)
    everybody = np.arange(len(eligible))
    shares = weights * shares_of_uplift(parts, p, log_odds, everybody, eligible / eligible.sum())
    assert shares.sum(axis=1) == pytest.approx(p - p[eligible].mean(), abs=1e-12)
    slowly = by_the_book(weights[:, None] * parts, p, log_odds, rep, eligible)
    np.testing.assert_allclose(shares[rep], slowly, atol=1e-12)
    whole = p[rep] - p[eligible].mean()
    shares = (shares[rep] @ (term_of_direction(LEADS, PAIRS)[:, None] == np.arange(len(TERMS)))).tolist()
    reasons = largest(TERMS, [None] * len(TERMS), shares, k)
    assert sum(one.contribution for one in reasons) == pytest.approx(whole, abs=1e-12)
    assert len(reasons) <= k + 1
    assert [one.kind == "other" for one in reasons] == [False] * (len(reasons) - 1) + [True]


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-10, 1e-3, 1.0]))
def test_the_parts_of_a_contrast_add_up(seed, size):
    parts, weights, p, log_odds = scored(seed, 6, size)
    slope = secants(p, log_odds, np.array([2]))[0, 4]
    assert (slope * weights * (parts[:, 2] - parts[:, 4])).sum() == pytest.approx(p[2] - p[4], abs=1e-12)


def test_a_part_that_only_helps_never_reads_as_harm():
    # A single rescale of log-odds against the mean would turn these signs: the mean of p is not p of the mean.
    parts = np.array([[0.0, 3.0, -9.0]])
    log_odds = parts[0] - 2.0
    shares = shares_of_uplift(parts, expit(log_odds), log_odds, np.arange(3), np.full(3, 1 / 3))
    for rep, (share,) in enumerate(shares):
        assert share == pytest.approx(expit(log_odds)[rep] - expit(log_odds).mean(), abs=1e-15)


def test_secants_by_hand():
    log_odds = np.array([0.0, np.log(3), 0.0, 1e-10])
    p = expit(log_odds)
    expected = [0.25, 0.25 / np.log(3), 0.25, 0.25]  # where two meet: p (1 - p)
    np.testing.assert_allclose(secants(p, log_odds, np.array([0]))[0], expected, rtol=1e-9)


def test_the_largest_come_first_and_the_rest_in_one():
    names = tuple(Term(name, "segment") for name in "abcd")
    found = largest(names, [1, 2, 3, 4], [0.1, -0.3, 0.0, 0.2], 2, unnamed=0.5)
    assert found == [
        Contribution("b", 2, -0.3, "segment"),
        Contribution("d", 4, 0.2, "segment"),
        Contribution("other", None, 0.6, "other"),
    ]
    everything = largest(names, [1, 2, 3, 4], [0.1, -0.3, 0.0, 0.2], 9)
    assert [one.feature for one in everything] == ["b", "d", "a", "other"]  # a part of 0 is none
    assert everything[-1].contribution == 0.0


def test_a_columns_features_are_one_part_of_the_leads_waterfall():
    contract = ColumnContract((Column("tags", "list", ("a", "b")), Column("size", "number")))
    terms, shares = lead_shares(contract, np.array([0.1, 0.2, -0.4, 0.05, 0.02]), scale=0.5)
    assert [term.feature for term in terms] == ["tags", "size", "created_at"]
    assert {term.kind for term in terms} == {"lead"}
    assert shares == pytest.approx([0.15, -0.2, 0.035])


@pytest.fixture(scope="module")
def trees():
    rng = np.random.default_rng(4)
    contract = ColumnContract((Column("c", "category", ("u", "v", "w")), Column("x", "number"), Column("y", "number")))
    leads = np.column_stack([rng.integers(0, 4, 900), rng.normal(0, 1, (900, 2)), rng.uniform(0, 24, (900, 2))])
    leads[rng.random(leads.shape) < 0.05] = np.nan
    by_hand = (rng.random(900) < 0.3).astype(float)
    log_odds = np.nan_to_num(leads[:, 1]) + (leads[:, 0] == 2) + by_hand
    converted = (rng.random(900) < expit(log_odds)).astype(float)
    recipe = Recipe("trees", 30, TREES)
    return fit_lead_model(recipe, contract, leads, by_hand, converted, np.zeros(900)), leads


def test_treeshap_of_the_service_is_that_of_shap(trees):
    model, leads = trees
    rows = leads[:40]
    theirs = shap_values(model.booster, np.column_stack([rows, np.zeros(40)]))
    ours = model.contributions(rows)
    np.testing.assert_allclose(ours[:, :-1], theirs[:, :-1], atol=1e-12)  # their last column is the mark `by hand`
    np.testing.assert_allclose(ours.sum(axis=1), model.log_odds(rows), atol=1e-10)
    assert np.abs(theirs[:, -1]).max() > 0  # which is not nothing, and belongs to the base here
