"""The ledger opens what is sound, refuses what is not in one line, and lets one writer in at a time."""

import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from data.errors import BusyError, InputError
from data.roster import Rep
from data.store import engines, filesystems, schema
from data.store.ledger import Ledger
from data.store.locks import WriterTurn
from data.store.tables import APPEND_ONLY, metadata


def refused(url):
    with pytest.raises(InputError) as caught:
        Ledger.open(url)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def count_heads(ledger):
    with ledger.reading() as conn:
        return conn.execute(text("SELECT count(*) FROM heads")).scalar_one()


def test_an_opened_ledger_has_todays_schema_and_opens_again(ledger, ledger_url):
    assert count_heads(ledger) == 4
    again = Ledger.open(ledger_url)
    assert count_heads(again) == 4
    again.close()


def test_the_migrations_make_what_the_tables_say(ledger):
    with ledger.reading() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_schema_named_head_is_the_last_migration():
    scripts = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    assert scripts.get_heads() == [schema.HEAD]
    assert {script.revision for script in scripts.walk_revisions()} == set(schema.KNOWN)


ONE_OF_EACH = (
    "INSERT INTO promotions VALUES (1, '1', 'd', NULL, 'me', '{}', 0)",
    "INSERT INTO policy_versions VALUES (1, 'rules', 'me', 'why', 0)",
    "INSERT INTO overrides (decision_id, rep_id, reason, actor, version, forced, at) "
    "VALUES ('D-L-1', 'R-2', '', 'me', 2, false, 0)",
    "INSERT INTO endings (decision_id, kind, actor, at) VALUES ('D-L-1', 'recycled', 'me', 0)",
    "INSERT INTO acts (at, actor, action, object, detail) VALUES (0, 'me', 'key.created', 'k', '{}')",
    "INSERT INTO erasures (client_id, lead_id, actor, at) VALUES ('crm', 'L-9', 'me', 0)",
    "INSERT INTO audit (number, at, of_table, of_row, content, previous, hash) VALUES (1, 0, 'acts', 1, '', '', '')",
    "INSERT INTO follow_ups (decision_id, version, step, actor, at) VALUES ('D-L-1', 1, 'overdue', 'me', 0)",
)


@pytest.mark.parametrize("change", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}"])
def test_the_database_itself_refuses_to_change_a_row_that_happened(floor, change):
    floor.decide()
    floor.tell(kind="contacted")
    with floor.ledger.writing() as tx:
        for statement in ONE_OF_EACH:
            tx.execute(text(statement))
    for table in APPEND_ONLY:
        column = next(iter(metadata.tables[table].columns)).name
        with pytest.raises(IntegrityError, match=f"rows of {table} never change"), floor.ledger.writing() as tx:
            tx.execute(text(change.format(table, column)))


def test_an_exception_leaves_nothing_behind(floor):
    with pytest.raises(ZeroDivisionError), floor.ledger.writing() as tx:
        _ = floor.write(tx, floor.row()), 1 / 0
    assert floor.standing() is None
    assert floor.load() == (0, 0)


def test_a_reader_cannot_write(ledger):
    with pytest.raises(DBAPIError, match=r"readonly|read-only"), ledger.reading() as conn:
        conn.execute(text("UPDATE heads SET number = 9"))


def test_a_reader_sees_one_snapshot(floor):
    with floor.ledger.reading() as conn:
        before = conn.execute(text("SELECT count(*) FROM decisions")).scalar_one()
        floor.decide()
        assert conn.execute(text("SELECT count(*) FROM decisions")).scalar_one() == before


def test_starters_at_once_make_one_schema(tmp_path):
    url, failed, opened = f"sqlite:///{tmp_path}/ledger.db", [], []
    gate = threading.Barrier(6)

    def start():
        gate.wait()
        try:
            opened.append(Ledger.open(url))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert failed == []
    assert {count_heads(ledger) for ledger in opened} == {4}
    [ledger.close() for ledger in opened]


# One writer at a time ---------------------------------------------------------------------------------------


def test_a_writer_whose_turn_does_not_come_is_told_busy(tmp_path):
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", lock_timeout_s=0.02)
    held, done = threading.Event(), threading.Event()

    def hold():
        with WriterTurn(tmp_path / "ledger.db.lock").held(1):  # another process's: a lock object of its own
            held.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    with pytest.raises(BusyError, match="busy"), ledger.writing():
        pass
    assert count_heads(ledger) == 4  # readers go on
    done.set()
    holder.join()
    with ledger.writing():
        pass
    ledger.close()


def test_a_thread_of_the_same_process_waits_its_turn_too(tmp_path):
    turn = WriterTurn(tmp_path / "lock")
    with turn.held(1), pytest.raises(BusyError), turn.held(0.01):
        pass


def test_a_stranger_who_locks_the_file_makes_us_busy_not_broken(tmp_path):
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", lock_timeout_s=0.02)
    # By the same library: two of them in one process do not see each other's locks.
    stranger = engines.sqlite_driver.connect(tmp_path / "ledger.db", isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(BusyError), ledger.writing():
        pass
    stranger.execute("ROLLBACK")
    stranger.close()
    with ledger.writing():
        pass
    ledger.close()


def test_a_full_disk_makes_us_busy_and_writes_nothing(tmp_path, store_floor):
    floor = store_floor.Floor(Ledger.open(f"sqlite:///{tmp_path}/ledger.db"))
    with floor.ledger.writing() as tx:
        pages = tx.execute(text("PRAGMA page_count")).scalar_one()
        tx.execute(text(f"PRAGMA max_page_count = {pages}"))
    big = {"source": "x" * 100_000}
    with pytest.raises(BusyError, match="full"):
        floor.decide(rep=None, lead_snapshot=big)
    assert floor.standing() is None
    with floor.ledger.writing() as tx:  # space comes back
        tx.execute(text("PRAGMA max_page_count = 1000000"))
    floor.decide(rep=None, lead_snapshot=big)
    floor.ledger.close()


def test_after_the_disk_failed_nothing_is_written_any_more(tmp_path):
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")

    class DiskError(engines.sqlite_driver.OperationalError):
        sqlite_errorcode = 10 | (4 << 8)  # SQLITE_IOERR_FSYNC

    with pytest.raises(BusyError), ledger.writing():
        raise OperationalError("COMMIT", {}, DiskError("disk I/O error"))
    with pytest.raises(BusyError, match="disk failed"), ledger.writing():
        pass
    ledger.close()


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_a_row_in_use_on_postgresql_makes_us_busy(ledger, ledger_url):
    other = Ledger.open(ledger_url, lock_timeout_s=0.05)
    with ledger.writing() as tx:
        tx.execute(text("UPDATE heads SET number = number WHERE name = 'roster'"))
        with pytest.raises(BusyError, match="lock timeout"), other.writing() as second:
            second.execute(text("UPDATE heads SET number = number WHERE name = 'roster'"))
    other.close()


def test_a_server_that_is_not_there_makes_us_busy():
    with pytest.raises(BusyError) as caught:
        Ledger.open("postgresql+psycopg://somebody:secret@127.0.0.1:1/ledger")
    assert "secret" not in str(caught.value)


def test_errors_do_not_repeat_what_was_to_be_written(floor):
    with pytest.raises(IntegrityError) as caught, floor.ledger.writing() as tx:
        tx.execute(
            text("INSERT INTO personal_data (client_id, lead_id, body) VALUES (:client, :lead, :body)"),
            {"client": "nobody", "lead": "L-1", "body": "Li Na"},
        )
    assert "Li Na" not in str(caught.value)


# What is refused --------------------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"not a database at all" * 400)
    assert "damaged" in refused(f"sqlite:///{tmp_path}/ledger.db")


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.9])
def test_a_file_with_overwritten_pages_is_refused(tmp_path, where):
    file = tmp_path / "ledger.db"
    Ledger.open(f"sqlite:///{file}").close()
    size = file.stat().st_size
    with file.open("r+b") as handle:
        handle.seek(int(size * where) // 4096 * 4096)
        handle.write(os.urandom(4096))
    assert "damaged" in refused(f"sqlite:///{file}")


def test_a_newer_schema_is_refused(ledger, ledger_url):
    with ledger.writing() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert "9999" in refused(ledger_url)


def test_another_programs_database_is_refused(tmp_path):
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE songs (title)")
    connection.close()
    assert "another program" in refused(f"sqlite:///{tmp_path}/other.db")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://a@b/c", "nonsense"])
def test_what_is_neither_a_file_nor_postgresql_is_refused(url):
    assert "sqlite:////" in refused(url)


MOUNTS = r"""
22 1 252:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 0:35 / /srv/with\040space rw - nfs4 server:/export rw
41 40 252:2 / /srv/with\040space/local rw - xfs /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/ledger", "ext4"),
        ("/srv/with space/ledger", "nfs4"),
        ("/srv/with space/local/ledger", "xfs"),
        ("/srv/with space too/ledger", "ext4"),
    ],
)
def test_the_mount_that_holds_a_path_is_found(path, kind):
    assert filesystems.type_of_mount(Path(path), MOUNTS) == kind


def test_sqlite_on_a_network_file_system_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "network_file_system", lambda path: "nfs4")
    assert "nfs4" in refused(f"sqlite:///{tmp_path}/ledger.db")
    assert not (tmp_path / "ledger.db").exists()


# How SQLite is set ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "mode"),
    [((3, 51, 2), "TRUNCATE"), ((3, 40, 1), "TRUNCATE"), ((3, 51, 3), "WAL"), ((3, 53, 0), "WAL")],
)
def test_wal_is_used_only_where_its_reset_is_safe(version, mode):
    assert engines.journal_mode(version) == mode


def test_sqlite_syncs_every_commit_checks_references_and_overwrites_what_is_deleted(tmp_path):
    ledger = Ledger.open(f"sqlite:///{tmp_path}/new/ledger.db")
    with ledger.writing() as tx:
        found = {
            name: tx.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
    assert stat.S_IMODE(ledger.sqlite_file.stat().st_mode) == 0o600
    ledger.close()


def test_a_decisions_statements_are_compiled_once_however_many_others_were_there_before(tmp_path, store_floor):
    floor = store_floor.Floor(Ledger.open(f"sqlite:///{tmp_path}/ledger.db"))
    floor.reps(Rep("R-1"))
    compiled = []
    with floor.ledger.writing() as tx:
        connection = tx.connection.dbapi_connection
        for number in range(200):
            connection.execute(f"SELECT {number}")
    floor.decide("L-1")
    connection.set_authorizer(lambda *told: compiled.append(told) or 0)
    floor.decide("L-2")  # once after that everything is compiled: SQLite asks whether it may
    compiled.clear()
    floor.decide("L-3")
    assert {action for action, *_ in compiled} <= {sqlite3.SQLITE_TRANSACTION}
    floor.ledger.close()


def test_the_ledger_works_without_wal_too(tmp_path, monkeypatch, store_floor):
    monkeypatch.setattr(engines, "journal_mode", lambda version: "TRUNCATE")
    floor = store_floor.Floor(Ledger.open(f"sqlite:///{tmp_path}/ledger.db"))
    assert floor.decide(rep=None) == "D-L-1"
    assert floor.state().status == "unassigned"
    floor.ledger.close()
