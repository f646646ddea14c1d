"""Estimated propensities: near the truth where the model fits, and never over who could not have got the lead."""

import numpy as np
import pytest

from training.propensities import Choices, estimated_propensities, fit_choices


@pytest.fixture
def choices():
    """20,000 leads, five reps who are not always there, given out by a multinomial model; and its chances."""
    rng = np.random.default_rng(4)
    n, m = 20_000, 5
    design = np.column_stack([np.ones(n), rng.normal(size=n)])
    shared = (rng.random((n, m, 1)) < 0.3).astype(float)
    own = np.column_stack([rng.normal(0, 0.5, m), rng.normal(0, 0.2, m)])
    available = rng.random((n, m)) < 0.8
    available[~available.any(axis=1)] = True
    utility = np.where(available, design @ own.T + 1.2 * shared[:, :, 0], -np.inf)
    truth = np.exp(utility) / np.exp(utility).sum(axis=1, keepdims=True)
    cumulative = np.cumsum(truth, axis=1)
    chosen = (cumulative <= rng.random((n, 1)) * cumulative[:, -1:]).sum(axis=1)
    return Choices(design, shared, chosen, available), truth


def test_they_are_near_the_truth_where_nothing_is_hidden(choices):
    made, truth = choices
    found = estimated_propensities(made, np.random.default_rng(0))
    assert np.sqrt(np.mean((found - truth)[made.available] ** 2)) < 0.015
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    assert not found[~made.available].any()


def test_what_lead_and_rep_share_counts_alike_for_all_reps(choices):
    assert fit_choices(choices[0]).common[0] == pytest.approx(1.2, abs=0.1)


def test_a_lead_of_somebody_who_was_not_there_is_refused(choices):
    made, _ = choices
    made.available[7, made.chosen[7]] = False
    with pytest.raises(ValueError, match="could not have got them"):
        estimated_propensities(made, np.random.default_rng(0))
