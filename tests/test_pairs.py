"""f(x, r): which columns of leads and reps speak of the same thing, and who fits whom."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.roster import Rep
from features.columns import Column, ColumnContract
from features.pairs import TENURE_DAYS, Match, PairDesign, RepMatches, find_pairs

REGIONS, INDUSTRIES, TAGS = ("East", "North", "West"), ("food", "retail", "trade"), ("cloud", "export", "vip")
CONTRACT = ColumnContract(
    (
        Column("region", "category", REGIONS),
        Column("tags", "list", TAGS),
        Column("industry", "category", INDUSTRIES),
        Column("employees", "number"),
    ),
    dated=True,
)
HIRED = datetime(2024, 1, 1, tzinfo=UTC)
REPS = (
    Rep("R-1", region="north", skills=("food", "EXPORT"), hired_at=HIRED),
    Rep("R-2", region="West", skills=("retail", "vip"), attributes={"speaks": "cloud; vip", "grade": 3}),
    Rep("R-3", regions=("East", "North"), hired_at=HIRED + timedelta(days=10)),
    Rep("R-4", region="Mars", skills=("crochet",), attributes={"speaks": "export"}),
)


def encoded(*leads):
    table = {name: [lead.get(name) for lead in leads] for name in ("region", "tags", "industry", "created_at")}
    return CONTRACT.encode(table, len(leads))


def test_matches_are_found_from_shared_values():
    design = find_pairs(CONTRACT, REPS)
    # Of the skills, 4 of 5 tokens: food, retail are industries (2 of 5), export, vip are tags (2 of 5): neither half.
    assert design.matches == (
        Match("region", "region"), Match("region", "regions"), Match("tags", "speaks"),
    )  # fmt: skip
    assert design.names == ("region~region", "region~regions", "tags~speaks")
    assert design.width == 3
    assert not design.tenure  # known of two in four; more than half is needed
    assert PairDesign.from_json(design.to_json()) == design


def test_what_all_reps_share_tells_none_from_another():
    alike = [Rep("R-1", region="East"), Rep("R-2", region="East")]
    assert find_pairs(CONTRACT, alike).matches == ()
    assert find_pairs(CONTRACT, [Rep("R-1", region="East"), Rep("R-2")]).matches == (Match("region", "region"),)


def test_no_reps_no_pairs():
    assert find_pairs(CONTRACT, []) == PairDesign((), tenure=False)


def test_tenure_needs_dates():
    known = [Rep("R-1", hired_at=HIRED), Rep("R-2", hired_at=HIRED), Rep("R-3")]
    assert find_pairs(CONTRACT, known).tenure
    # Where an order stands for time, its ranks are no days since anybody was hired.
    assert not find_pairs(ColumnContract(CONTRACT.columns, dated=False), known).tenure


def test_matches_by_hand():
    design = PairDesign((Match("region", "region"), Match("tags", "speaks")), tenure=True)
    seen = RepMatches(design, CONTRACT, REPS)
    leads = encoded({"region": "North", "tags": "vip;cloud"}, {"region": "Mars", "tags": "export"}, {})
    # Mars is no level of the lead's column: pooled, it matches nobody, not even who states it.
    assert seen.matched(leads, 0).tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert seen.matched(leads, 1).tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    days = (HIRED - datetime(1970, 1, 1, tzinfo=UTC)).days
    f = seen.for_pairs(leads, np.array([1, 3, 0]), np.array([days + 40.6, days, days + 0.9]))
    assert f[:, :2].tolist() == [[0, 1], [0, 1], [0, 0]]
    assert f[:, 2:].tolist() == [[0, 0], [0, 0], [1, 1]]  # who never said when is settled; on the first day all is ramp


def test_the_ramp_counts_whole_days():
    day, hired = 20_000.0, np.array([19_990.25, 20_005.0, np.nan])
    early, late = (RepMatches.ramps(day + hour / 24, hired) for hour in (0.5, 23.5))
    for scale, ramp, again in zip(TENURE_DAYS, early, late, strict=True):
        np.testing.assert_allclose(ramp, [np.exp(-10 / scale), 1.0, 0.0])
        np.testing.assert_array_equal(ramp, again)


def test_a_new_rep_may_state_what_no_lead_ever_was():
    design = find_pairs(CONTRACT, REPS)
    new = Rep("R-9", region="Atlantis", regions=("East", "Mu"), attributes={"speaks": "dolphin"})
    seen = RepMatches(design, CONTRACT, [new])
    leads = encoded({"region": "East", "tags": "vip"}, {"region": "Atlantis", "tags": "dolphin"})
    assert seen.for_pairs(leads, np.zeros(2, dtype=int), np.zeros(2)).tolist() == [[0, 1, 0], [0, 0, 0]]


def test_what_a_rep_states_is_compared_as_text():
    contract = ColumnContract((Column("tier", "category", ("1", "2", "true")),), dated=False)
    reps = [Rep(f"R-{i}", attributes={"tier": tier}) for i, tier in enumerate((1, 2.0, "2", True, None))]
    seen = RepMatches(find_pairs(contract, reps), contract, reps)
    leads = contract.encode({"tier": ["1", 2, True]}, 3)
    assert seen.matched(leads, 0).tolist() == [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0]]


# --- a slow twin ---

words = st.sampled_from(["East", "NORTH", "west", "Mars", "food", "retail", "vip", "cloud"])
reps = st.lists(
    st.builds(
        lambda region, skills, speaks, hired: (region, tuple(skills), speaks, hired),
        st.one_of(st.none(), words),
        st.lists(words, max_size=3),
        st.lists(words, max_size=3),
        st.one_of(st.none(), st.integers(0, 400)),
    ),
    min_size=1,
    max_size=6,
)
leads = st.lists(
    st.fixed_dictionaries(
        {"region": st.one_of(st.none(), words), "industry": st.one_of(st.none(), words), "tags": st.lists(words)}
    ),
    min_size=1,
    max_size=6,
)


def fits(lead, rep, match):
    """Whether lead and rep share a value, by comparing the two texts."""
    column = next(column for column in CONTRACT.columns if column.name == match.lead_column)
    levels = {level.casefold() for level in column.levels}
    theirs = rep.value(match.rep_column) or ()
    theirs = theirs.split(";") if isinstance(theirs, str) else theirs
    mine = lead[match.lead_column] or ()
    mine = [mine] if isinstance(mine, str) else mine
    exact = {value for value in mine if value in column.levels}  # a lead's level is exact, a rep's word is not
    return any(one.casefold() == other.casefold() and one.casefold() in levels for one in exact for other in theirs)


@given(reps, leads)
def test_match_tables_agree_with_comparing_texts(stated, asked):
    roster = [
        Rep(f"R-{i}", region=region, skills=skills, attributes={"speaks": ";".join(speaks)},
            hired_at=None if hired is None else HIRED + timedelta(days=hired))
        for i, (region, skills, speaks, hired) in enumerate(stated)
    ]  # fmt: skip
    columns = ("region", "skills", "speaks")
    pairs = [Match(mine, theirs) for mine in ("region", "industry", "tags") for theirs in columns]
    seen = RepMatches(PairDesign(tuple(pairs), tenure=True), CONTRACT, roster)
    rows = encoded(*asked)
    at = np.full(len(rows), 20_000.5)
    for i, lead in enumerate(asked):
        for r, rep in enumerate(roster):
            expected = [float(fits(lead, rep, match)) for match in pairs]
            f = seen.for_pairs(rows[[i]], np.array([r]), at[[i]])[0]
            assert f[: len(pairs)].tolist() == expected
            assert [seen.matched(rows, m)[i, r] for m in range(len(pairs))] == expected
            since = np.inf if rep.hired_at is None else max(0, 20_000 - (rep.hired_at.timestamp() // 86_400))
            assert f[len(pairs) :] == pytest.approx([np.exp(-since / scale) for scale in TENURE_DAYS])
