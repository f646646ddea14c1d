"""The list of decisions: whatever is asked, its pages in turn hold what a look at every decision finds."""

from datetime import timedelta
from itertools import product

import numpy as np
import pytest

from data.roster import Rep
from data.store import listing, personal
from data.store.listing import NOBODY, Wanted

LEADS = 120
REPS, ARMS, SOURCES = ("R-1", "R-2", None), ("model", "holdout"), ("web", "fair", "rare")
COMPANIES = ("Hengrui Mills", "Haitian Freight", "Hengda Kitchens")


@pytest.fixture
def decided(floor, store_floor):
    """What was decided, oldest first; several at one instant."""
    rng = np.random.default_rng(3)
    floor.reps(Rep("R-1"), Rep("R-2"), Rep("R-3"))
    rows = []
    for number in range(LEADS):
        row = floor.row(
            f"L-{number:03}", REPS[rng.choice(3, p=[0.5, 0.3, 0.2])], after=number // 3, grade="AB"[rng.integers(2)],
            arm=ARMS[rng.integers(2)], lead_snapshot={"source": SOURCES[rng.choice(3, p=[0.6, 0.37, 0.03])]},
        )  # fmt: skip
        with floor.ledger.writing() as tx:
            assert floor.write(tx, row)
            personal.write(tx, "crm", row.lead_id, {"company": COMPANIES[number % 3]})
        rows.append((row, COMPANIES[number % 3]))
    return rows


ASKED = [
    Wanted(rep_ids=who, sources=sources, grade=grade, text=text, rep_ids_of_text=frozenset({"R-2"} if text else ()))
    for who, sources, grade, text in product(
        (None, frozenset({"R-1"}), frozenset({"R-1", "R-2", NOBODY}), frozenset()),
        (None, frozenset({"rare"}), frozenset({"none"})),
        (None, "A"),
        ("", "heng", "L-077"),
    )
]


@pytest.mark.parametrize("few", [0, 1_000])
def test_the_pages_in_turn_hold_every_decision_that_fits(ledger, decided, monkeypatch, few):
    for name, most in (("FEW", few), ("LOOKED_AT", 20), ("LOOKED_UP", 12), ("LEAST_LOOKED_UP", 7)):
        monkeypatch.setattr(listing, name, most)
    stopped = 0
    for wanted in ASKED:
        with ledger.reading() as conn:
            found, cursor, pages = [], None, 0
            while pages == 0 or cursor:
                page = listing.page(conn, wanted, cursor=cursor, limit=9)
                assert page.looked_to is None or (len(page.rows) < 9 and page.following)
                stopped += page.looked_to is not None
                found += [row.decision_id for row in page.rows]
                cursor, pages = page.following, pages + 1
        fitting = [row for row, company in decided if fits(row, company, wanted)]
        fitting.sort(key=lambda row: (row.decided_at, row.decision_id), reverse=True)
        assert found == [row.decision_id for row in fitting], wanted
    assert stopped > 50


def fits(row, company, wanted):
    named = wanted.text in company.casefold() or row.lead_id == wanted.text or row.rep_id in wanted.rep_ids_of_text
    return (
        (wanted.rep_ids is None or (row.rep_id or NOBODY) in wanted.rep_ids)
        and (wanted.sources is None or row.lead_snapshot["source"] in wanted.sources)
        and wanted.grade in (None, row.grade)
        and (not wanted.text or named)
    )


def test_a_page_of_a_filter_that_fits_nothing_looks_at_so_many_and_says_how_far(ledger, decided, monkeypatch):
    monkeypatch.setattr(listing, "LOOKED_AT", 30)
    newest = decided[-1][0].decided_at
    with ledger.reading() as conn:
        page = listing.page(conn, Wanted(sources=frozenset({"none"})))
        assert (page.rows, page.looked_to) == ([], newest - timedelta(minutes=9))  # three a minute
        rest = listing.page(conn, Wanted(sources=frozenset({"none"})), cursor=page.following)
        assert rest.looked_to == newest - timedelta(minutes=19)


def test_a_list_without_filters_never_stops_early(ledger, decided, monkeypatch):
    monkeypatch.setattr(listing, "LOOKED_AT", 5)
    with ledger.reading() as conn:
        assert len(listing.page(conn, Wanted(), limit=100).rows) == 100
        assert listing.page(conn, Wanted(rep_ids=frozenset({"R-3"}))) == listing.Page([], None)
