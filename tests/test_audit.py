"""The chain of hashes finds the first row that was edited, deleted, reordered or slipped in, and never forks."""

import contextlib
import hashlib
import hmac
import math
import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Boolean, func, select, text

from data.errors import InputError
from data.roster import Rep
from data.store import acts, audit, audit_check, checks, keys, overrides, policies, promotions
from data.store.canonical import canonical
from data.store.ledger import Ledger
from data.store.tables import APPEND_ONLY, metadata
from data.store.tables import audit as links

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


def seal(ledger, **how):
    return audit.seal(ledger, at=NINE, **how)


def findings(ledger, kept=None):
    with ledger.reading() as conn:
        return list(audit_check.chain(conn)) + (list(audit_check.follows(conn, kept)) if kept else [])


@contextlib.contextmanager
def past_the_ledger(ledger):
    """A connection that no trigger hinders, as the database's owner may have."""
    if ledger.sqlite_file is None:
        with psycopg.connect(ledger.url.set(drivername="postgresql").render_as_string(hide_password=False)) as conn:
            conn.execute("SET session_replication_role = replica")
            yield conn
        return
    with ledger.writing() as tx:
        triggers = tx.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
        tx.execute(text("PRAGMA defer_foreign_keys = ON"))
        for name, _ in triggers:
            tx.execute(text(f"DROP TRIGGER {name}"))
        yield tx.connection.driver_connection
        for _, sql in triggers:
            tx.execute(text(sql))


@pytest.fixture
def busy(floor):
    """A floor on which a little of everything has happened, sealed."""
    for number in range(1, 6):
        floor.decide(f"L-{number}", "R-1", after=number)
    for number in (1, 2):
        floor.tell(kind="lost", lead=f"L-{number}", after=60 + number, reason=f"no budget {number}")
    with floor.ledger.writing() as tx:
        overrides.record(tx, "D-L-4", Rep("R-2"), reason="knows", actor="manager:k", expected_version=1, at=NINE)
        promotions.promote(tx, version="1", digest="d", expected_previous=None, actor="a:k", grounds={}, at=NINE)
        policies.activate(tx, "text", actor="manager:k", why="", at=NINE)
        keys.create(tx, role="crm", label="x", at=NINE, client_id="crm")
    while seal(floor.ledger):
        pass
    return floor


def test_every_table_that_never_changes_is_sealed(busy):
    with busy.ledger.reading() as conn:
        sealed = set(conn.execute(select(links.c.of_table)).scalars())
    assert set(audit.SEALED) == set(APPEND_ONLY) - {"audit", "roster_history"}
    assert sealed == set(audit.SEALED) - {"endings", "erasures", "follow_ups"}  # nothing ended, nobody was erased
    assert findings(busy.ledger) == []
    with busy.ledger.reading() as conn:
        assert checks.everything(conn) == []
    assert seal(busy.ledger) == 0


TAMPERED = {
    "edited": ("UPDATE decisions SET rep_id = 'R-2' WHERE decision_id = 'D-L-2'", "decisions", "edited"),
    "edited json": ("UPDATE decisions SET candidates = '[\"R-9\"]' WHERE decision_id = 'D-L-2'", "decisions", "edited"),
    "edited reason": ("UPDATE outcome_events SET reason = 'other' WHERE lead_id = 'L-1'", "outcome_events", "edited"),
    "blanked without erasure": ("UPDATE outcome_events SET reason = NULL WHERE lead_id = 'L-1'", "outcome_events",
                                "edited"),
    "deleted": ("DELETE FROM overrides", "overrides", "deleted"),
    "roster": ("UPDATE roster_history SET rep_id = 'R-7' WHERE rep_id = 'R-2'", "roster_versions", "edited"),
    "actor": ("UPDATE promotions SET actor = 'somebody'", "promotions", "edited"),
    "chain edited": ("UPDATE audit SET content = repeat('0', 64) WHERE number = 3", "number 3", "audit.hash"),
    "chain deleted": ("DELETE FROM audit WHERE number = 4", "number 4", "deleted"),
    "chain cut": ("DELETE FROM audit WHERE number = 1", "number 1", "deleted"),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERED)
def test_the_first_bad_row_is_named(busy, how):
    statement, where, what = TAMPERED[how]
    if busy.ledger.sqlite_file is not None:
        statement = statement.replace("repeat('0', 64)", "printf('%064d', 0)")
    with past_the_ledger(busy.ledger) as conn:
        if statement.startswith("DELETE FROM audit"):
            conn.execute(statement.replace("audit", "audit_salts"))
        conn.execute(statement)
    (finding,) = findings(busy.ledger)
    assert where in str(finding)
    assert what in str(finding)


def test_two_rows_that_changed_places_are_found(busy):
    with past_the_ledger(busy.ledger) as conn:
        for before, after in ((1, -1), (2, 1), (-1, 2)):
            conn.execute(f"UPDATE capacity_ledger SET seq = {after} WHERE seq = {before}"
                         if busy.ledger.sqlite_file else
                         f"UPDATE capacity_ledger SET seq = {after} + (SELECT min(of_row) - 1 FROM audit WHERE of_table"
                         f" = 'capacity_ledger') WHERE seq = {before} + (SELECT min(of_row) - 1 FROM audit WHERE "
                         "of_table = 'capacity_ledger')")  # fmt: skip
    (finding,) = findings(busy.ledger)
    assert "capacity_ledger" in finding.key
    assert finding.found == "edited"


def test_links_of_the_chain_that_changed_places_are_found(busy):
    with past_the_ledger(busy.ledger) as conn:
        for before, after in ((2, -1), (3, 2), (-1, 3)):
            conn.execute(f"UPDATE audit SET number = {after} WHERE number = {before}")
    (finding,) = findings(busy.ledger)
    assert finding.key == "number 2"


def test_a_row_that_was_slipped_in_is_found_on_sqlite(tmp_path, store_floor):
    """PostgreSQL gives out numbers before rows are committed: there, a late row among the newest is an honest one."""
    floor = store_floor.Floor(Ledger.open(f"sqlite:///{tmp_path}/ledger.db"))
    floor.reps(Rep("R-1"), Rep("R-2"))
    for number in range(3):
        floor.decide(f"L-{number}")
    with past_the_ledger(floor.ledger) as conn:
        conn.execute("UPDATE capacity_ledger SET seq = seq + 100 WHERE seq > 1")
    while seal(floor.ledger):
        pass
    with past_the_ledger(floor.ledger) as conn:
        conn.execute("INSERT INTO capacity_ledger SELECT 50, decision_id, rep_id, 0, 0, NULL, 'x', 0, at "
                     "FROM capacity_ledger WHERE seq = 1")  # fmt: skip
    assert seal(floor.ledger) == 0
    (finding,) = findings(floor.ledger)
    assert finding.key == "capacity_ledger 50"
    floor.ledger.close()


def test_a_chain_that_was_rewritten_as_a_whole_is_shown_by_a_head_kept_elsewhere(busy):
    with busy.ledger.reading() as conn:
        kept = str(audit.head(conn))
    assert findings(busy.ledger, kept) == []
    with past_the_ledger(busy.ledger) as conn:
        conn.execute("DELETE FROM audit_salts")
        conn.execute("DELETE FROM audit")
        conn.execute("UPDATE heads SET number = 0 WHERE name = 'audit'")
        conn.execute("UPDATE decisions SET rep_id = 'R-2' WHERE decision_id = 'D-L-2'")
    while audit.seal(busy.ledger, at=NINE + timedelta(seconds=1)):
        pass
    assert findings(busy.ledger) == []
    assert findings(busy.ledger, kept)
    with pytest.raises(InputError, match="NUMBER:HASH"):
        findings(busy.ledger, "nonsense")


def test_writers_and_sealers_at_once_make_one_chain(floor, store_floor):
    """Four writers and three sealers; everything written is sealed once, and the chain is whole."""
    url = floor.ledger.url.render_as_string(hide_password=False)
    done, problems = threading.Event(), []

    def write(name):
        ledger = Ledger.open(url, lock_timeout_s=30)
        for number in range(15):
            mine = store_floor.Floor.__new__(store_floor.Floor)
            mine.ledger = ledger
            mine.decide(f"{name}-{number}", "R-1")
        ledger.close()

    def keep_sealing():
        ledger = Ledger.open(url, lock_timeout_s=30)
        while not done.is_set():
            seal(ledger, limit=7)
        ledger.close()

    def guarded(job, *given):
        try:
            job(*given)
        except Exception as error:  # a thread's error would be lost
            problems.append(error)

    writers = [threading.Thread(target=guarded, args=(write, f"W{n}")) for n in range(4)]
    sealers = [threading.Thread(target=guarded, args=(keep_sealing,)) for _ in range(3)]
    for thread in (*writers, *sealers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in sealers:
        thread.join()
    assert problems == []
    while seal(floor.ledger):
        pass
    assert findings(floor.ledger) == []
    with floor.ledger.reading() as conn:
        of_decisions = select(func.count()).select_from(links).where(links.c.of_table == "decisions")
        assert conn.execute(of_decisions).scalar_one() == 60


def test_who_made_and_revoked_a_key_is_written_down(ledger):
    with ledger.writing() as tx:
        made = keys.create(tx, role="manager", label="x", at=NINE)
        keys.revoke(tx, made.id, at=NINE)
        assert not keys.revoke(tx, made.id, at=NINE)
    with ledger.reading() as conn:
        told = [(act.actor, act.action, act.object) for act in acts.newest(conn)]
    assert told == [("command line", "key.revoked", made.id), ("command line", "key.created", made.id)]
    assert made.key not in str(told)


# What a row of a table holds, in the ways in which canonical JSON writes it: RFC 8785's own shape of a number changes
# at 1e-6 and 1e21, Python's at 1e-4 and 1e16, and doubles are exact up to 2**53.
EDGES = [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1.0, 2.0**53, 1e15, 1e16, 1e17, 1e20, 1e21, 1e22, 5e-324, 2.3e-308, 1.7e308]
near_an_edge = st.builds(
    lambda edge, ulps, sign: sign * (edge + ulps * math.ulp(edge)),
    st.sampled_from(EDGES), st.integers(-3, 3), st.sampled_from([-1, 1]),
)  # fmt: skip
values = (
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | near_an_edge | st.integers(-(10**22), 10**22).map(float)
    | st.text(st.characters(exclude_categories=["Cs"])).map(str)
)  # fmt: skip


@given(values)
@example('["R-1","R-2"]\x00\x1f\x7f\b\f\n\r\t\\/\u2028')
@example('["R-1","R-2"]' * 200)
@example(9.999e-5)
@example(-0.0)
@example(9_999_999_999_999_998.0)
@example(999_999_999_999_999_999_999.0)
@example(2**53 - 1)
@example(1 - 2**53)
def test_the_chain_hashes_what_rfc_8785_writes(value):
    assert canonical(value).encode() == rfc8785.dumps(value)


def test_what_json_cannot_say_exactly_is_hashed_as_a_string():
    told = [2**53, -(2**53), math.inf, -math.inf, math.nan, b"ab", memoryview(b"ab")]
    ab = '"fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603"'
    assert [canonical(value) for value in told] == [
        '"9007199254740992"', '"-9007199254740992"', '"inf"', '"-inf"', '"nan"', ab, ab,
    ]  # fmt: skip


def plainly(conn, table, **where):
    """Rows as dicts of what JSON can say, read and put together as plainly as can be."""
    ((column, number),) = where.items()
    rows = conn.execute(text(f"SELECT * FROM {table} WHERE {column} = :number"), {"number": number})
    told = []
    for row in rows.mappings():
        values = {name: value for name, value in row.items() if value is not None}
        for name, value in values.items():
            if isinstance(metadata.tables[table].c[name].type, Boolean):
                values[name] = bool(value)
            if isinstance(value, bytes):
                values[name] = hashlib.sha256(value).hexdigest()
        told.append(values)
    return told


def hashed(value):
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


def test_rows_and_links_are_hashed_as_plainly_as_can_be(busy):
    """The format itself, as chains that were made long ago have it."""
    erasable = {"decisions": ("lead_snapshot", "{}"), "outcome_events": ("reason", None), "overrides": ("reason", "")}
    with busy.ledger.reading() as conn:
        salts = dict(conn.execute(text("SELECT number, salt FROM audit_salts")).all())
        chain = [dict(row) for row in conn.execute(text("SELECT * FROM audit ORDER BY number")).mappings()]
        for link in chain:
            name, number = link["of_table"], link["of_row"]
            key = {"roster_versions": "version", "promotions": "number", "policy_versions": "version"}.get(name, "seq")
            (row,) = plainly(conn, name, **{key: number})
            parts = plainly(conn, "roster_history", version=number) if name == "roster_versions" else []
            parts.sort(key=lambda part: part["rep_id"])
            column, blank = erasable.get(name, (None, None))
            blanked = row.pop(column, blank)
            assert link["content"] == hashed({"row": row, "parts": parts}), name
            if blanked == blank:
                assert link["erasable"] is None, name
            else:
                salt = bytes.fromhex(salts[link["number"]])
                assert link["erasable"] == hmac.new(salt, blanked.encode(), "sha256").hexdigest(), name
            assert link["hash"] == hashed({name: link[name] for name in link if name != "hash"})
    assert len(chain) > 20
    assert [link["previous"] for link in chain] == ["0" * 64, *(link["hash"] for link in chain[:-1])]


def test_a_batch_is_added_in_short_transactions(floor, monkeypatch):
    monkeypatch.setattr(audit, "MOST_HELD", 3)
    for number in range(5):
        floor.decide(f"L-{number}", "R-1")
    taken = Overtaken(floor.ledger, at=0)
    assert audit.seal(taken, at=NINE, limit=8) == 8
    assert taken.writings == 3
    assert findings(floor.ledger) == []


def test_a_sealer_that_is_overtaken_between_two_transactions_leaves_the_rest_to_the_other(floor, monkeypatch):
    monkeypatch.setattr(audit, "MOST_HELD", 3)
    for number in range(5):
        floor.decide(f"L-{number}", "R-1")
    taken = Overtaken(floor.ledger, at=2)
    assert audit.seal(taken, at=NINE, limit=8) == 3
    assert taken.writings == 2
    while seal(floor.ledger):
        pass
    assert findings(floor.ledger) == []
    with floor.ledger.reading() as conn:
        # Five decisions, the slot of each, and the roster.
        assert conn.execute(select(func.count()).select_from(links)).scalar_one() == 11


class Overtaken:
    """A ledger in which another sealer adds a row before this writer's turn number `at`, which begins at 1."""

    def __init__(self, ledger, *, at):
        self.ledger, self.at, self.writings = ledger, at, 0

    def reading(self):
        return self.ledger.reading()

    def writing(self):
        self.writings += 1
        if self.writings == self.at:
            assert seal(self.ledger, limit=1) == 1
        return self.ledger.writing()
