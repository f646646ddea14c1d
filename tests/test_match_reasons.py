"""The reasons of a block in columns: the same sentences as one after another."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.roster import Rep
from pipelines.match_reasons import ReasonColumns
from serving.telling import phrases
from serving.telling.reasons import NAME_HERE, POINTS_HERE, reason_text
from training.explain import DUST, Contribution, Term

REPS = (
    Rep("R-1", name="Li Na", region="Jiangsu", regions=("Zhejiang",), languages=("zh", "en"), skills=("ERP", "zh")),
    Rep("R-2", name="王伟", languages=("EN",)),
    Rep("R-3"),
)
TERMS = (
    Term("overall", "overall"), Term("industry", "segment"), Term("employees", "number"), Term("language", "match"),
    Term("region", "match"), Term("not there", "segment"), Term("tenure", "tenure"),
)  # fmt: skip
DAYS_HERE = (12, 800, None)
SHARES = st.one_of(
    st.floats(-1, 1), st.integers(-1_000, 1_000).map(lambda one: one * 0.0005), st.sampled_from([0.0, 0.0995, -0.0005])
)


def block(rows, rng):
    """Leads with the attributes of TERMS, some missing."""
    return pd.DataFrame(
        {
            "industry": pd.Series(rng.choice(["software", "制造业", None], rows), dtype="str"),
            "employees": rng.choice([1.0, 250.0, 12_345.6, np.nan], rows),
            "language": pd.Series(rng.choice(["zh", "En", "fr; zh", None], rows), dtype="str"),
            "region": pd.Series(rng.choice(["jiangsu", "Zhejiang", "Hubei", " "], rows), dtype="str"),
        }
    )


def one_by_one(leads, rep, shares, language, most):
    """`reason_text` of the largest parts of each lead."""
    said = []
    for row in range(len(rep)):
        texts = []
        for term in np.argsort(-np.abs(shares[row]), kind="stable")[:most]:
            feature, kind = TERMS[term]
            value = leads[feature][row] if feature in leads else None
            if kind == "tenure":
                value = DAYS_HERE[rep[row]]
            value = None if pd.isna(value) else value
            share = float(shares[row, term])
            part = Contribution(feature, value, share, kind)
            texts.append(reason_text(part, REPS[rep[row]], language) if rep[row] >= 0 and share else None)
        said.append(texts)
    return [list(column) for column in zip(*said, strict=True)]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("rows", [60, 1_500])  # columns long and short are encoded differently
def test_columns_say_what_single_reasons_say(rng, language, rows):
    leads, rep = block(rows, rng), rng.integers(-1, len(REPS), rows)
    shares = rng.normal(0, 0.03, (rows, len(TERMS))) * rng.integers(0, 2, (rows, len(TERMS)))
    shares[rep < 0] = np.nan
    made = ReasonColumns(REPS, TERMS, language).columns(leads, rep, shares, DAYS_HERE, most=3)
    assert [column.to_pylist() for column in made] == one_by_one(leads, rep, shares, language, 3)


@given(st.lists(SHARES, min_size=1, max_size=20), st.sampled_from(["en", "zh"]))
def test_points_in_columns_are_rounded_as_single_ones(shares, language):
    leads = pd.DataFrame({"industry": ["software"] * len(shares)})
    columns = ReasonColumns(REPS, (Term("industry", "segment"),), language)
    rep, share = np.zeros(len(shares), dtype=int), np.array(shares)
    (made,) = columns.columns(leads, rep, share[:, None], DAYS_HERE, most=1)
    parts = [Contribution("industry", "software", one, "segment") for one in shares]
    told = [reason_text(one, REPS[0], language) if abs(one.contribution) > DUST else None for one in parts]
    assert made.to_pylist() == told


def test_nobody_chosen_and_no_terms_leave_no_reasons():
    columns = ReasonColumns(REPS, (Term("overall", "overall"),), "en")
    made = columns.columns(pd.DataFrame(index=[0]), np.array([-1]), np.array([[np.nan]]), DAYS_HERE, most=3)
    assert [column.to_pylist() for column in made] == [[None]] * 3


@pytest.mark.parametrize("language", ["en", "zh"])
def test_in_every_sentence_one_name_at_most_comes_before_the_points(language):
    for sentence in (*phrases.REASON[language].values(), *phrases.FIT[language].values()):
        said = sentence.format(rep=NAME_HERE, seen="", value="", points=POINTS_HERE)
        assert said.count(POINTS_HERE) == 1
        assert said.count(NAME_HERE) <= 1
        assert NAME_HERE not in said.partition(POINTS_HERE)[2]
