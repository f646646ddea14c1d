"""Reasons as JSON, made from kept wordings: what the sentences say when each is made by itself."""

import json

import orjson
from hypothesis import given
from hypothesis import strategies as st

from data.roster import Rep
from serving.telling.encoding import encoded
from serving.telling.reasons import lead_text, reason_text
from serving.telling.told_reasons import ToldReasons, part_told
from tests.test_reasons import KINDS, LANGUAGES, part
from training.explain import Contribution

LI_NA = Rep("R-7", name="Li Na", region="Jiangsu")


def test_a_list_by_hand():
    parts = [part("segment", "industry", "retail", 0.041), part("other", "other", None, -1e-05)]
    told = ToldReasons([LI_NA], "en", most=9).of_rep(0, parts)
    assert told.startswith(b'[{"feature":"industry","value":"retail","contribution":0.041,"kind":"segment","text":"Li')
    first, other = json.loads(told)
    assert first["text"] == "Li Na looks good with industry retail (+4.1 pts)"
    assert (other["contribution"], "value" in other) == (-1e-05, False)
    assert ToldReasons([], "en", most=9).of_lead([]) == b"[]"


MOST = 10**15  # no request may bring a larger number
values = st.none() | st.booleans() | st.integers(-MOST, MOST) | st.floats() | st.text(max_size=80) | st.lists(st.text())
contributions = st.builds(
    Contribution,
    feature=st.sampled_from(["industry", "company_size", "region", "other", "created_at", "tags=vip", "预算"]),
    value=values,
    contribution=st.floats(-1, 1),
    kind=st.sampled_from(KINDS),
)
names = st.none() | st.text(max_size=12) | st.sampled_from(['"\\', "\ue000", "\ue001 {rep}", "王伟"])


@given(st.lists(contributions, max_size=6), names, names, st.sampled_from(LANGUAGES), st.integers(1, 3))
def test_kept_wordings_say_what_each_sentence_says_by_itself(parts, one, other, language, most):
    reps = [Rep("R-1", name=one, region="North"), Rep("R-2", name=other, languages=("zh",))]
    told = ToldReasons(reps, language, most=most)
    for _ in range(2):  # made, and found again
        for place, rep in enumerate(reps):
            expected = [{**part_told(each), "text": reason_text(each, rep, language)} for each in parts]
            assert json.loads(told.of_rep(place, parts)) == orjson.loads(encoded(expected))
        expected = [{**part_told(each), "text": lead_text(each, language)} for each in parts]
        assert json.loads(told.of_lead(parts)) == orjson.loads(encoded(expected))
