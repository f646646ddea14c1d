"""Intervals of a pair's uplift on floors whose truth is known; the full figure is `python -m tests.bench.honesty`."""

import numpy as np
import pytest

from tests.bench.honesty import covered


@pytest.mark.parametrize("hidden_grade", [0.6, 0.0])
def test_nine_in_ten_intervals_hold_the_truth_with_and_without_hidden_grades(hidden_grade):
    # Pairs of one floor go together, so floors are what counts: three of them scatter by some .03 around .85 to .97.
    shares = np.array([covered(seed, hidden_grade=hidden_grade, leads=3_000, reps=20) for seed in range(3)])
    assert 0.78 <= shares.mean() <= 0.995
