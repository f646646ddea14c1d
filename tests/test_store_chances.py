"""The sums of chances are those of all draws, however many batches made them and whoever came and went between."""

from collections import defaultdict
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from data.store import chances
from data.store.ledger import Ledger

REPS = ("R-1", "R-2", "R-10", "小王")
DAYS = ("2026-03-02", "2026-03-03")
CHANCE = st.floats(0, 1)


@st.composite
def draws(draw):
    """(key, candidates, vectors, value) of one decision."""
    key = draw(st.sampled_from(DAYS)), draw(st.sampled_from(["", "web", "trade fair"]))
    candidates = tuple(draw(st.permutations(REPS)))[: draw(st.integers(1, len(REPS)))]
    n = len(candidates)
    names = ("propensity", "propensity_policy", "propensity_control")
    vectors = {name: np.array(draw(st.lists(CHANCE, min_size=n, max_size=n))) for name in names}
    available = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    return key, candidates, vectors | {"available": available}, draw(CHANCE)


def one_by_one(batches):
    """The slow twin: seven numbers a day, source and rep, a rep at a time."""
    sums = defaultdict(lambda: np.zeros(7))
    for key, candidates, vectors, value in (each for batch in batches for each in batch):
        for place, rep_id in enumerate(candidates):
            mixture, policy, control = (
                vectors[name][place] for name in ("propensity", "propensity_policy", "propensity_control")
            )
            sums[(*key, rep_id)] += (
                vectors["available"][place], control, policy, mixture, mixture * (1 - mixture), control * value,
                mixture * value,
            )  # fmt: skip
    return sums


def follow(tx, batches):
    for batch in batches:
        drawn = chances.Drawn()
        for each in batch:
            drawn.add(*each)
        chances.put(tx, drawn.added(tx))


def stored(conn):
    """The seven numbers of each day, source and rep that lie in the ledger."""
    cells = {key: chances.stored(conn, key) for key in chances.days_and_sources(conn)}
    return {
        (*key, rep_id): own
        for key, (rep_ids, sums) in cells.items() for rep_id, own in zip(rep_ids, sums.T, strict=True)
    }  # fmt: skip


def at(day):
    return datetime.fromisoformat(day).replace(hour=15, tzinfo=UTC)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(draws(), max_size=12), max_size=4))
def test_sums_that_grew_batch_by_batch_are_those_made_at_once(ledger, monkeypatch, batches):
    monkeypatch.setattr(chances, "AT_ONCE", 5)
    with ledger.writing() as tx:
        tx.execute(text("DELETE FROM chance_sums"))  # of the example before
        follow(tx, batches)
    expected = one_by_one(batches)
    with ledger.reading() as conn:
        found = stored(conn)
        of_one_day = chances.chances(conn, at(DAYS[1]), at(DAYS[1]))
        of_all = chances.chances(conn, None, None)
    assert found.keys() == expected.keys()
    for key, want in expected.items():
        np.testing.assert_allclose(found[key], want, rtol=1e-12, atol=1e-12)
    over_days = defaultdict(lambda: np.zeros(7))
    for (_, *key), want in expected.items():
        over_days[tuple(key)] += want
    assert [(each.source, each.rep_id) for each in of_all] == sorted(over_days)
    for each in of_all:
        told = [getattr(each, name) for name in chances.SUMMED]
        np.testing.assert_allclose(told, over_days[each.source, each.rep_id], rtol=1e-12, atol=1e-12)
    second = sorted(key[1:] for key in expected if key[0] == DAYS[1])
    assert [(each.source, each.rep_id) for each in of_one_day] == second


def test_many_lists_of_candidates_are_summed_as_one_without_keeping_them_all():
    summing = chances.Summing()
    for number in range(3 * chances.MOST_GROUPS):
        own = summing.of((f"R-{number}", "R-0" if number else "R-x"))
        own += 1.0
    assert len(summing._groups) <= chances.MOST_GROUPS
    rep_ids, sums = summing.together()
    assert dict(zip(rep_ids, sums[0], strict=True)) == {
        **{f"R-{number}": 1.0 for number in range(1, 3 * chances.MOST_GROUPS)},
        "R-0": 3.0 * chances.MOST_GROUPS, "R-x": 1.0,
    }  # fmt: skip


def test_a_floor_of_a_thousand_is_one_row(ledger):
    rep_ids = tuple(f"R-{number}" for number in range(1_000))
    rows = [chances.row_of(("2026-03-02", "web"), (rep_ids, np.random.default_rng(1).random((7, 1_000))))]
    with ledger.writing() as tx:
        for _ in range(2):
            chances.put(tx, rows)
    with ledger.reading() as conn:
        assert conn.execute(text("SELECT COUNT(*) FROM chance_sums")).scalar_one() == 1
        assert len(chances.chances(conn, None, None)) == 1_000


OLD = f"""
    CREATE TABLE chance_sums (
        day TEXT NOT NULL, source TEXT NOT NULL, rep_id TEXT NOT NULL,
        {", ".join(f"{name} DOUBLE PRECISION NOT NULL" for name in chances.SUMMED)},
        PRIMARY KEY (day, source, rep_id))
"""


@pytest.mark.parametrize("many", [0, 5])
def test_a_ledger_with_a_row_a_rep_is_brought_up_to_date_with_what_it_holds(ledger_url, rng, many):
    rows = {
        (day, source, rep_id): rng.random(7)
        for day in DAYS for source in ("", "web") for rep_id in rng.permutation([*REPS, "R-3"])[:many]
    }  # fmt: skip
    ledger = Ledger.open(ledger_url)
    with ledger.writing() as tx:
        tx.execute(text("DROP TABLE chance_sums"))
        tx.execute(text(OLD))
        for key, own in rows.items():
            values = (*map(str, key), *own.tolist())
            named = dict(zip(("day", "source", "rep_id", *chances.SUMMED), values, strict=True))
            tx.execute(text(f"INSERT INTO chance_sums VALUES (:{', :'.join(named)})"), named)
        tx.execute(text("UPDATE alembic_version SET version_num = '0006'"))
    ledger.close()
    ledger = Ledger.open(ledger_url)
    with ledger.reading() as conn:
        found = stored(conn)
    ledger.close()
    assert {key: tuple(own) for key, own in found.items()} == {key: tuple(own) for key, own in rows.items()}
