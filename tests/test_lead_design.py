"""z(x): which directions it has, how wide it may grow, and what a missing or odd value counts for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.columns import OTHER, Column, ColumnContract
from features.leads import CLIP, LEAST_SHARE, MOST_LEVELS_A_COLUMN, MOST_WIDTH, LeadDesign, choose_design

MISSING = np.nan


def contract_of(levels, n_numbers, *, dated=False):
    """Categories with so many levels each (beside the pooled one), then numbers."""
    categories = [Column(f"c{i}", "category", tuple(f"v{k}" for k in range(many))) for i, many in enumerate(levels)]
    return ColumnContract((*categories, *(Column(f"n{i}", "number") for i in range(n_numbers))), dated=dated)


def test_z_by_hand():
    contract = contract_of([2], 1)
    leads = np.array([[0, 10.0], [1, 20.0], [0, 30.0], [1, MISSING], [MISSING, 20.0]])
    design = choose_design(contract, leads)
    # The numbers 10, 20, 20, 30 have mean 20 and variance 50; all but one lead have one, and 10 of 16 pairs of
    # these differ: support 4/5 * 10/16 = .5. Of 25 pairs 2 * 2 + 2 * 2 + 1 agree in the category: support .64.
    assert [d.feature for d in design.directions] == ["c0", "c0", "n0"]
    assert design.groups.tolist() == [0, 1, 1, 2]
    unit = np.sqrt(50)
    expected = [[1, 1, 0, -10 / unit], [1, 0, 1, 0], [1, 1, 0, 10 / unit], [1, 0, 1, 0], [1, 0, 0, 0]]
    np.testing.assert_allclose(design.matrix(leads), expected)
    assert [d.level_name for d in design.directions] == ["v0", "v1", None]


def test_the_pooled_level_is_a_direction_where_it_is_common():
    contract = contract_of([2], 0)
    leads = np.repeat([0.0, 1.0, 2.0], [40, 30, 30])[:, None]
    assert [d.level_name for d in choose_design(contract, leads).directions] == ["v0", "v1", OTHER]


def test_rare_levels_and_constant_columns_have_no_direction():
    rare = int(LEAST_SHARE * 1000) - 1
    leads = np.column_stack([np.repeat([0.0, 1.0, 2.0], [1000 - rare - 400, 400, rare]), np.zeros(1000)])
    contract = contract_of([3], 1)
    assert [d.level for d in choose_design(contract, leads).directions] == [0, 1]
    one_level = np.column_stack([np.zeros(1000), np.full(1000, MISSING)])
    assert choose_design(contract, one_level).width == 1


def test_a_column_keeps_its_commonest_levels():
    many = MOST_LEVELS_A_COLUMN + 5
    counts = 100 + 10 * np.arange(many)
    leads = np.repeat(np.arange(many), counts)[:, None].astype(float)
    kept = [d.level for d in choose_design(contract_of([many], 0), leads).directions]
    assert kept == list(range(5, many))


def test_skewed_amounts_are_taken_as_logarithms(rng):
    leads = np.column_stack([np.exp(rng.normal(5, 1.5, 500)), rng.normal(5, 1, 500)])
    money, plain = choose_design(contract_of([], 2), leads).directions
    assert (money.feature, money.logarithm) == ("n0", True)
    assert (plain.feature, plain.logarithm) == ("n1", False)
    assert money.mean == pytest.approx(np.log1p(leads[:, 0]).mean())


def test_one_odd_number_cannot_carry_a_whole_effect(rng):
    leads = rng.normal(0, 1, (500, 1))
    design = choose_design(contract_of([], 1), leads)
    odd = design.matrix(np.array([[1e300], [-1e300], [MISSING]]))
    np.testing.assert_array_equal(odd[:, 1], [CLIP, -CLIP, 0.0])
    amounts = choose_design(contract_of([], 1), np.exp(leads * 2 + 5))
    assert amounts.directions[0].logarithm
    assert np.isfinite(amounts.matrix(np.array([[-5.0], [1e300]]))).all()


def test_the_clock_is_left_to_the_lead_part(rng):
    contract = contract_of([2], 0, dated=True)
    leads = np.column_stack([rng.integers(0, 2, 300), rng.uniform(0, 24, 300), rng.integers(0, 7, 300)]).astype(float)
    assert {d.feature for d in choose_design(contract, leads).directions} == {"c0"}


def test_the_widest_spread_comes_first_and_what_does_not_fit_is_left_out(rng):
    leads = np.column_stack(
        [rng.integers(0, 3, 900), np.repeat([0.0, 1.0], [870, 30]), np.repeat([0.0, 1.0], [600, 300])]
    ).astype(float)
    contract = contract_of([3, 2, 2], 0)
    assert [d.feature for d in choose_design(contract, leads).directions] == ["c0"] * 3 + ["c2"] * 2 + ["c1"] * 2
    # c0 needs three columns, which a width of 3 has no room for; c2 takes the two that there are.
    assert [d.feature for d in choose_design(contract, leads, most_width=3).directions] == ["c2", "c2"]


@given(
    st.lists(st.integers(1, 30), max_size=6),
    st.integers(0, 45),
    st.integers(0, 2**32 - 1),
)
def test_z_is_never_wider_than_allowed_nor_larger_than_its_clip(levels, n_numbers, seed):
    rng = np.random.default_rng(seed)
    contract = contract_of(levels, n_numbers)
    leads = np.column_stack(
        [
            *(rng.integers(0, many + 1, 60) for many in levels),
            rng.normal(0, 1, (60, n_numbers)) * 10.0 ** rng.integers(-3, 9, n_numbers),
            np.empty((60, 0)),
        ]
    )
    leads[rng.random(leads.shape) < 0.1] = MISSING
    design = choose_design(contract, leads)
    z = design.matrix(leads)
    assert z.shape == (60, design.width)
    assert design.width <= MOST_WIDTH
    assert np.abs(z).max() <= CLIP
    assert (z[:, 0] == 1).all()
    groups = design.groups
    assert sorted(set(groups)) == list(range(groups.max() + 1))
    again = LeadDesign.from_json(design.to_json())
    np.testing.assert_array_equal(again.matrix(leads), z)
