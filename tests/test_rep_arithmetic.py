"""A roster's arithmetic: compiled and in numpy, two ways to the same numbers."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import absent
from training.rep_arithmetic import Among, RepArithmetic, RepTables, Touched
from training.roster_columns import COMPILED, Arithmetic


@pytest.fixture(scope="module")
def kernel():
    """The compiled way."""
    if not COMPILED:
        absent("a C compiler, when leadmatch was installed,")
    return Arithmetic


@pytest.fixture(params=["plain", "compiled"])
def way(request):
    """Each of both ways."""
    return RepArithmetic if request.param == "plain" else request.getfixturevalue("kernel")


def tables_of(rng, reps, width=5, levels=3, ramps=2, matches=2):
    """Tables of one match with a category, and of tenure; leads may bring rows of a list besides."""
    roots = rng.normal(0, 0.1, (reps, width, width))
    covariance = roots @ roots.transpose(0, 2, 1)
    first, second = np.triu_indices(width)
    row_of_pair = np.zeros((width, width), dtype=np.intp)
    row_of_pair[first, second] = row_of_pair[second, first] = np.arange(len(first))
    pairs = matches + ramps
    root = rng.normal(0, 0.1, (pairs, pairs))
    effects = rng.normal(0, 0.4, (width, reps))
    effects[:, 1 % reps] = effects[:, 0]  # two reps alike: their secant is a tangent
    return RepTables(
        rows=np.vstack([effects, rng.integers(0, 2, (levels, reps)), rng.random((ramps, reps))]).astype(float),
        covariance=(np.where(first == second, 1, 2)[:, None] * covariance[:, first, second].T).astype(np.float32),
        row_of_pair=row_of_pair,
        ramps=width + levels + np.arange(ramps),
        beta=rng.normal(0, 0.2, pairs),
        beta_covariance=root @ root.T,
        in_term=np.eye(7)[[0, 1, 1, 2, 3, 4, 5, 6, 6]][: width + pairs],
        slope=0.8,
    )


def leads_of(rng, tables, n):
    """Leads most of whose directions are 0, one match from the tables and one of rows of their own."""
    z = rng.normal(0, 1, (n, len(tables.row_of_pair))) * (rng.random((n, len(tables.row_of_pair))) < 0.6)
    z[:, 0] = 1.0
    if len(tables.beta) == 0:
        return Touched(z, np.empty((n, 0), dtype=np.intp), np.empty((0, tables.rows.shape[1])))
    fits = np.column_stack([5 + rng.integers(0, 3, n), len(tables.rows) + rng.integers(0, 2, n)])
    return Touched(z, fits, rng.integers(0, 2, (2, tables.rows.shape[1])).astype(float))


def all_of(arithmetic, touched, offset, among, asked):
    """Everything that there is to ask."""
    log_odds, probability = arithmetic.scores(touched, offset)
    variance = arithmetic.variance(touched)
    found = arithmetic.uplifts(touched, probability, variance, among, asked)
    shares = arithmetic.shares(touched, log_odds, probability, among, asked)
    return {"log_odds": log_odds, "probability": probability, "variance": variance, **found._asdict(), "shares": shares}


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(0, 6), st.integers(1, 4), st.booleans())
def test_both_ways_lead_to_the_same_numbers(kernel, seed, reps, n, k, paired):
    rng = np.random.default_rng(seed)
    tables = tables_of(rng, reps) if paired else tables_of(rng, reps, ramps=0, matches=0)
    touched, offset = leads_of(rng, tables, n), rng.normal(-1, 2, n)
    masks = rng.random((3, reps)) < 0.7
    masks[0] = False  # nobody is eligible
    among, asked = Among(masks, rng.integers(0, 3, n)), rng.integers(-1, reps, (n, k))
    plain, compiled = (all_of(way(tables), touched, offset, among, asked) for way in (RepArithmetic, kernel))
    tolerance = {"variance": 1e-6, "error": 1e-6}  # in single precision, summed in another order
    for name, expected in plain.items():
        assert compiled[name].shape == expected.shape
        assert compiled[name].dtype == expected.dtype
        np.testing.assert_allclose(compiled[name], expected, atol=tolerance.get(name, 1e-13), err_msg=name)


def test_a_block_that_lets_go_of_the_lock_says_what_its_leads_say(kernel, rng):
    tables = tables_of(rng, 300)
    n = 100  # 30,000 pairs
    touched, offset = leads_of(rng, tables, n), rng.normal(-1, 1, n)
    among, asked = Among(rng.random((1, 300)) < 0.5, np.zeros(n, dtype=np.intp)), rng.integers(0, 300, (n, 1))
    kernel = kernel(tables)
    block = all_of(kernel, touched, offset, among, asked)
    for place in range(0, n, 9):
        one = slice(place, place + 1)
        alone = Touched(touched.z[one], touched.fits[one], touched.extra)
        single = all_of(kernel, alone, offset[one], Among(among.masks, among.which[one]), asked[one])
        for name, values in single.items():
            np.testing.assert_array_equal(values[0], block[name][place], err_msg=name)


def test_the_shares_add_up_to_the_uplift_and_the_baseline_is_rotation_s(way, rng):
    tables = tables_of(rng, 12)
    touched, offset = leads_of(rng, tables, 20), rng.normal(-1, 1, 20)
    among, asked = Among(rng.random((1, 12)) < 0.6, np.zeros(20, dtype=np.intp)), np.tile(np.arange(12), (20, 1))
    found = all_of(way(tables), touched, offset, among, asked)
    rotation = found["probability"][:, among.masks[0]].mean(axis=1)
    np.testing.assert_allclose(found["baseline"], rotation, atol=1e-15)
    np.testing.assert_allclose(found["value"], found["probability"] - rotation[:, None], atol=1e-15)
    np.testing.assert_allclose(found["shares"].sum(axis=2), found["value"], atol=1e-13)


def test_it_goes_to_another_process(way, rng):
    tables = tables_of(rng, 5)
    touched = leads_of(rng, tables, 2)
    arithmetic = way(tables)
    sent = pickle.loads(pickle.dumps(arithmetic))
    np.testing.assert_array_equal(sent.scores(touched, np.zeros(2)), arithmetic.scores(touched, np.zeros(2)))


@pytest.mark.parametrize("wrong", ["which", "mask", "rep", "row", "offset", "probability", "z", "extra"])
def test_what_does_not_fit_is_refused_before_it_is_read(kernel, rng, wrong):
    tables = tables_of(rng, 5)
    arithmetic, touched = kernel(tables), leads_of(rng, tables, 2)
    offset, asked = np.zeros(3 if wrong == "offset" else 2), np.full((2, 1), 5 if wrong == "rep" else 4)
    masks = np.ones((1, 6 if wrong == "mask" else 5), dtype=bool)
    among = Among(masks, np.full(2, 1 if wrong == "which" else 0))
    broken = {"row": {"fits": touched.fits + 2}, "z": {"z": np.ones((2, 6))}, "extra": {"extra": np.ones((2, 4))}}
    touched = touched._replace(**broken.get(wrong, {}))
    probability = np.full((1 if wrong == "probability" else 2, 5), 0.2)
    with pytest.raises(ValueError, match="do not fit"):  # noqa: PT012  # one of them
        arithmetic.scores(touched, offset)
        arithmetic.uplifts(touched, probability, np.ones((2, 5), dtype=np.float32), among, asked)


@pytest.mark.parametrize(
    "wrong", ["rows", "covariance", "fewer reps", "row_of_pair", "ramps", "beta", "beta_covariance", "in_term"]
)
def test_tables_that_do_not_fit_each_other_are_refused(kernel, rng, wrong):
    tables = tables_of(rng, 5)
    broken = {
        "rows": {"rows": tables.rows[:3]},
        "covariance": {"covariance": tables.covariance[:2]},
        "fewer reps": {"covariance": np.ascontiguousarray(tables.covariance[:, :3])},
        "row_of_pair": {"row_of_pair": tables.row_of_pair + 1},
        "ramps": {"ramps": tables.ramps + 1},
        "beta": {"beta": tables.beta[:1]},
        "beta_covariance": {"beta_covariance": np.eye(1)},
        "in_term": {"in_term": tables.in_term[:8]},
    }
    with pytest.raises(ValueError, match="do not fit"):
        kernel(tables._replace(**broken[wrong]))


def test_without_a_compiler_numpy_serves():
    asked = "import sys; sys.modules['training.rep_kernel'] = None\n"
    asked += "from training.roster_columns import COMPILED, Arithmetic; print(COMPILED, Arithmetic.__name__)"
    told = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True)
    assert told.stdout.split() == ["False", "RepArithmetic"]
