"""A backup made while the ledger is written to shows one moment of it, and comes back sound."""

import json
import shutil
import stat
import threading
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import func, select

from data.errors import BusyError, InputError
from data.store import audit, backup, checks
from data.store.ledger import Ledger
from data.store.lone import Caretaker
from data.store.tables import decisions
from pipelines import keeping
from pipelines.cli import main

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


def url_of(ledger):
    return ledger.url.render_as_string(hide_password=False)


def count(ledger):
    with ledger.reading() as conn:
        assert checks.everything(conn) == []
        return conn.execute(select(func.count()).select_from(decisions)).scalar_one()


@pytest.fixture
def elsewhere(ledger, tmp_path, request):
    """The URL of another, empty ledger on the same engine."""
    if ledger.sqlite_file is not None:
        yield f"sqlite:///{tmp_path}/elsewhere.db"
        return
    server = request.getfixturevalue("postgres_server").replace("+psycopg", "")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS elsewhere")
        conn.execute("CREATE DATABASE elsewhere")
    yield f"{request.getfixturevalue('postgres_server')}/elsewhere"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as conn:
        conn.execute("DROP DATABASE elsewhere WITH (FORCE)")


def test_a_backup_under_load_is_one_moment_and_comes_back_sound(floor, store_floor, tmp_path, elsewhere):
    done, out = threading.Event(), tmp_path / "b" / "ledger.backup"
    written = []

    def write():
        ledger = Ledger.open(url_of(floor.ledger), lock_timeout_s=30)
        mine = store_floor.Floor.__new__(store_floor.Floor)
        mine.ledger = ledger
        while not done.is_set():
            written.append(mine.decide(f"L-{len(written)}", "R-1"))
            half.set() if len(written) == 20 else None
        ledger.close()

    half = threading.Event()
    thread = threading.Thread(target=write)
    thread.start()
    assert half.wait(60)
    audit.seal(floor.ledger, at=NINE)
    before = len(written)
    made = keeping.backed_up(floor.ledger, out, actor="test", at=NINE)
    done.set()
    thread.join()
    assert made["bytes"] == out.stat().st_size
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert keeping.restored(elsewhere, tmp_path, out, force=False, actor="test", at=NINE)["findings"] == 0
    restored = Ledger.open(elsewhere)
    assert before <= count(restored) <= len(written)
    restored.close()


def test_a_used_ledger_is_replaced_only_by_force(floor, tmp_path):
    floor.decide("L-1")
    out = tmp_path / "ledger.backup"
    backup.back_up(floor.ledger, out)
    with pytest.raises(InputError, match="is there already"):
        backup.back_up(floor.ledger, out)
    floor.decide("L-2")
    url = url_of(floor.ledger)
    with pytest.raises(InputError, match="--force"):
        keeping.restored(url, tmp_path, out, force=False, actor="test", at=NINE)
    assert count(floor.ledger) == 2
    keeping.restored(url, tmp_path, out, force=True, actor="test", at=NINE)
    assert count(floor.ledger) == 1  # seen by whoever had the ledger open, too
    floor.decide("L-3")
    assert count(floor.ledger) == 2


@pytest.mark.parametrize("what", [b"", b"hello", b"SQLite format 3\0" + b"x" * 5000, b"PGDMP" + b"x" * 500])
def test_what_is_no_backup_changes_nothing(floor, tmp_path, what):
    floor.decide("L-1")
    file = tmp_path / "file"
    file.write_bytes(what)
    with pytest.raises(InputError) as caught:
        keeping.restored(url_of(floor.ledger), tmp_path, file, force=True, actor="test", at=NINE)
    assert "\n" not in str(caught.value)
    assert count(floor.ledger) == 1


def test_a_backup_with_flipped_bytes_is_refused(tmp_path, store_floor):
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    floor = store_floor.Floor(ledger)
    floor.reps(store_floor.Rep("R-1"), store_floor.Rep("R-2"))
    for number in range(30):
        floor.decide(f"L-{number}", "R-1")
    out = tmp_path / "ledger.backup"
    backup.back_up(ledger, out)
    raw = bytearray(out.read_bytes())
    for place in range(len(raw) // 2, len(raw) // 2 + 4096):
        raw[place] ^= 0xFF
    out.write_bytes(raw)
    with pytest.raises(InputError, match="damaged"):
        backup.restore(ledger, out, over_a_used_one=True)
    assert count(ledger) == 30
    ledger.close()


def test_without_pg_dump_there_is_one_line(request, monkeypatch, tmp_path):
    ledger = Ledger.open(request.getfixturevalue("postgres_ledger"))
    monkeypatch.setattr(backup.glob, "glob", lambda pattern: [])
    monkeypatch.setattr(backup.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="pg_dump is not installed"):
        backup.back_up(ledger, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    ledger.close()


def test_the_commands(tmp_path, monkeypatch, capsys, store_floor):
    monkeypatch.setenv("LEADMATCH_HOME", str(tmp_path))
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    floor = store_floor.Floor(ledger)
    floor.reps(store_floor.Rep("R-1"), store_floor.Rep("R-2"))
    floor.decide("L-1")
    ledger.close()

    def run(*arguments, status=0):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--json"])
        said = capsys.readouterr()
        assert ended.value.code == status, said.err
        return json.loads(said.out) if status == 0 else said.err

    out = str(tmp_path / "out.backup")
    assert run("backup", "--out", out)["out"] == out
    assert "is there already" in run("backup", "--out", out, status=2)
    assert "--force" in run("restore", out, status=2)
    worker = Caretaker(tmp_path / "caretaker.lock")
    assert worker.take()
    assert "A service runs" in run("restore", out, "--force", status=1)
    worker.give_up()
    assert run("restore", out, "--force")["findings"] == 0
    assert [file.name for file in tmp_path.glob("out.backup*")] == ["out.backup"]
    assert "no such file" in run("restore", str(tmp_path / "none"), status=2)
    assert [act["action"] for act in run("audit", "acts")["acts"]] == ["ledger.restored", "ledger.backed_up"]
    assert run("doctor")["findings"] == []


def test_a_bare_copy_of_a_ledger_is_restored_with_what_its_log_holds(tmp_path, store_floor):
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    floor = store_floor.Floor(ledger)
    floor.reps(store_floor.Rep("R-1"), store_floor.Rep("R-2"))
    floor.decide("L-1")
    copy = tmp_path / "odd ?#name"
    for suffix in ("", "-wal"):
        shutil.copy(f"{tmp_path}/ledger.db{suffix}", f"{copy}{suffix}")
    assert copy.with_name(f"{copy.name}-wal").stat().st_size
    floor.decide("L-2")
    backup.restore(ledger, copy, over_a_used_one=True)
    assert count(ledger) == 1
    ledger.close()


def test_a_ledger_that_somebody_holds_is_not_replaced(tmp_path, store_floor):
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", lock_timeout_s=0.2)
    out = tmp_path / "out"
    backup.back_up(ledger, out)
    other = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    with other.writing(), pytest.raises(BusyError):
        backup.restore(ledger, out, over_a_used_one=True)
    other.close()
    ledger.close()
