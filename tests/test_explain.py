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
    term_values,
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


def test_term_values_by_hand():
    values = term_values(
        LEADS,
        PAIRS,
        z=np.array([1, 0, 1, 2.0]),
        effects=np.array([[0.1, 9.0, 0.2, -0.3]]),
        pairs=np.array([[1, 1, 0, 0.5, 0.25]]),
        beta=np.array([0.3, 0.4, 5.0, -1.0, -2.0]),
        slope=0.5,
    )
    assert values == pytest.approx(np.array([[0.05, 0.1, -0.3, 0.15, 0.2, -0.5]]))


def scored(seed, reps, size):
    """(terms, probability, log-odds) of a random lead."""
    rng = np.random.default_rng(seed)
    z = np.concatenate([[1.0], rng.integers(0, 2, 2), rng.normal(0, 1, 1)])
    effects, beta = rng.normal(0, size, (reps, 4)), rng.normal(0, size, 5)
    pairs = np.column_stack([rng.integers(0, 2, (reps, 3)), rng.random((reps, 2))])
    slope, f = rng.uniform(0.3, 1.5), rng.normal(-1, 3)
    if reps > 1:  # two reps alike
        effects[1], pairs[1] = effects[0], pairs[0]
    terms = term_values(LEADS, PAIRS, z=z, effects=effects, pairs=pairs, beta=beta, slope=slope)
    log_odds = 0.2 + slope * (f + effects @ z + pairs @ beta)
    np.testing.assert_allclose(terms.sum(axis=1), slope * (effects @ z + pairs @ beta), atol=1e-12)
    return terms, expit(log_odds), log_odds


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
    terms, p, log_odds = scored(seed, len(eligible), size)
    shares = shares_of_uplift(terms, p, log_odds, rep, eligible)
    whole = p[rep] - p[eligible].mean()
    assert shares.sum() == pytest.approx(whole, abs=1e-12)
    reasons = largest(TERMS, [None] * len(TERMS), shares, k)
    assert sum(one.contribution for one in reasons) == pytest.approx(whole, abs=1e-12)
    assert len(reasons) <= k + 1
    assert [one.kind == "other" for one in reasons] == [False] * (len(reasons) - 1) + [True]


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-10, 1e-3, 1.0]))
def test_the_parts_of_a_contrast_add_up(seed, size):
    terms, p, log_odds = scored(seed, 6, size)
    slope = secants(p, log_odds, 2, np.array([4]))[0]
    assert (slope * (terms[2] - terms[4])).sum() == pytest.approx(p[2] - p[4], abs=1e-12)


def test_a_part_that_only_helps_never_reads_as_harm():
    # A single rescale of log-odds against the mean would turn these signs: the mean of p is not p of the mean.
    terms = np.array([[0.0], [3.0], [-9.0]])
    log_odds = terms[:, 0] - 2.0
    eligible = np.ones(3, dtype=bool)
    for rep in range(3):
        (share,) = shares_of_uplift(terms, expit(log_odds), log_odds, rep, eligible)
        assert share == pytest.approx(expit(log_odds)[rep] - expit(log_odds).mean(), abs=1e-15)


def test_secants_by_hand():
    log_odds = np.array([0.0, np.log(3), 0.0, 1e-10])
    p = expit(log_odds)
    expected = [0.25, 0.25 / np.log(3), 0.25, 0.25]  # where two meet: p (1 - p)
    np.testing.assert_allclose(secants(p, log_odds, 0, np.arange(4)), expected, rtol=1e-9)


def test_the_largest_come_first_and_the_rest_in_one():
    names = tuple(Term(name, "segment") for name in "abcd")
    found = largest(names, [1, 2, 3, 4], np.array([0.1, -0.3, 0.0, 0.2]), 2, unnamed=0.5)
    assert found == [
        Contribution("b", 2, -0.3, "segment"),
        Contribution("d", 4, 0.2, "segment"),
        Contribution("other", None, 0.6, "other"),
    ]
    everything = largest(names, [1, 2, 3, 4], np.array([0.1, -0.3, 0.0, 0.2]), 9)
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
