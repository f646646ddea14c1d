"""TreeSHAP of one row, compiled: what LightGBM's pred_contrib says."""

import lightgbm as lgb
import numpy as np
import pytest

from tests.conftest import absent
from training import saved_trees
from training.tree_paths import tree_paths


@pytest.fixture(scope="module")
def kernel():
    """What explains a row, from paths and the number of columns."""
    if saved_trees.ShapKernel is None:
        absent("a C compiler, when leadmatch was installed,")
    return saved_trees.ShapKernel


AWKWARD = [np.nan, np.inf, -np.inf, -1.0, -0.5, 0.0, 1e-36, 2.5, 7.0, 63.0, 64.0, 1e300]
GROWN = {
    "usual": {},
    "deep": {"num_leaves": 63, "min_data_in_leaf": 2},
    "stumps": {"num_leaves": 2},
    "no missing values": {"use_missing": False},
    "zero is missing": {"zero_as_missing": True},
    "one level at a time": {"max_cat_to_onehot": 64},
    "weighted draws": {"data_sample_strategy": "goss"},
}


def grown(rng, **how):
    """A booster over two categories and four numbers, some of them missing or 0."""
    n = 3_000
    x = np.column_stack([rng.integers(0, 40, n), rng.integers(0, 3, n), rng.normal(0, 2, (n, 4))]).astype(float)
    x[rng.random(x.shape) < 0.15] = np.nan
    x[:, 2:][rng.random((n, 4)) < 0.2] = 0.0
    known = np.nan_to_num(x)
    score = known[:, 2] * (known[:, 0] % 5 < 2) + (x[:, 1] == 1) - np.isnan(x[:, 3]) + known[:, 5] ** 2
    y = (rng.random(n) < 1 / (1 + np.exp(-score))).astype(float)
    settings = {"objective": "binary", "num_leaves": 15, "verbosity": -1, "num_threads": 1, "seed": 1, **how}
    return lgb.train(settings, lgb.Dataset(x, y, categorical_feature=[0, 1]), num_boost_round=12)


def rows_of(rng):
    """Rows of which half the values are awkward."""
    codes = np.column_stack([rng.integers(0, 40, 200), rng.integers(0, 3, 200)])
    rows = np.column_stack([codes, rng.normal(0, 2, (200, 4))]).astype(float)
    odd = rng.random(rows.shape) < 0.5
    rows[odd] = rng.choice(AWKWARD, odd.sum())
    return rows


@pytest.mark.parametrize("kind", GROWN)
def test_it_says_what_lightgbm_says(kernel, rng, kind):
    booster = grown(rng, **GROWN[kind])
    rows = rows_of(rng)
    explain = kernel(tree_paths(booster.model_to_string()), 6)
    expected = booster.predict(rows, pred_contrib=True, num_threads=1)
    np.testing.assert_allclose([explain(row) for row in rows], expected, rtol=0, atol=1e-12)


def test_by_hand(kernel):
    # Two columns of which each lets half the rows pass; only where both do, the tree says 1.
    text = """
Tree=0
num_leaves=3
num_cat=0
split_feature=0 1
threshold=0.5 0.5
decision_type=0 0
left_child=-1 -2
right_child=1 -3
leaf_value=0 0 1
leaf_count=2 1 1
internal_count=4 2

end of trees
"""
    explain = kernel(tree_paths(text), 2)
    assert explain(np.array([1.0, 1.0])) == pytest.approx([0.375, 0.375, 0.25])
    assert explain(np.array([1.0, 0.0])) == pytest.approx([0.125, -0.375, 0.25])
    assert explain(np.array([0.0, 0.0])) == pytest.approx([-0.125, -0.125, 0.25])


def test_trees_without_a_split_say_the_same_of_everybody(kernel):
    text = "\nTree=0\nnum_leaves=1\nleaf_value=0.25\n\nTree=1\nnum_leaves=1\nleaf_value=0.5\n\nend of trees\n"
    assert kernel(tree_paths(text), 2)(np.zeros(2)).tolist() == [0.0, 0.0, 0.75]


def test_linear_leaves_are_left_to_lightgbm(rng):
    assert tree_paths(grown(rng, linear_tree=True).model_to_string()) is None


def test_rows_and_trees_of_another_width_are_refused(kernel, rng):
    paths = tree_paths(grown(rng).model_to_string())
    with pytest.raises(ValueError, match="read 6 columns, got 5"):
        kernel(paths, 6)(np.zeros(5))
    with pytest.raises(ValueError, match="more than 3 columns"):
        kernel(paths, 3)
