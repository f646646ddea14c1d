"""What an answer says beside the figures: the alternatives are the first of the whole list."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.telling.answers import _likeliest
from serving.telling.score_listing import best_first


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=40), st.integers(1, 8), st.randoms())
def test_the_likeliest_are_the_first_of_all_of_them_put_in_order(probability, most, random):
    ranks = list(range(len(probability) + 3))
    random.shuffle(ranks)
    places = np.array(random.sample(range(len(ranks)), len(probability)))
    roster = SimpleNamespace(id_ranks=np.array(ranks))
    considered = SimpleNamespace(
        scores=(), probability=np.array(probability), places=places, in_force=SimpleNamespace(roster=roster)
    )
    assert _likeliest(considered, most) == best_first(considered)[:most].tolist()
