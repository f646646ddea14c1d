"""Disks that fill up or fail, clocks that jump, databases and registries that go away, signals that end us."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from data.errors import InputError
from data.roster import Rep
from data.store import capacity, decisions
from data.store.ledger import Ledger
from pipelines.doctor import examine
from tests.conftest import absent

ROOT = Path(__file__).parent.parent
SCRIPT = Path(__file__).with_name("store_floor.py")


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        absent("the right to mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_503_reads_go_on_and_writing_recovers_by_itself(small_disk, small_model):
    from tests.conftest import Desk

    desk = Desk(f"sqlite:///{small_disk}/ledger.db", small_model)
    desk.roster({"rep_id": "R-1"})
    kept = [desk.assign("L-0").json()["decision_id"]]
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4_096):
            pass
    answers = []
    for number in range(1, 30):  # what is left in the last pages may do for some
        answers.append(desk.assign(f"L-{number}", note="x" * 3_000))
        if answers[-1].status_code != 200:
            break
        kept.append(answers[-1].json()["decision_id"])
    assert (answers[-1].status_code, bool(answers[-1].headers["retry-after"])) == (503, True)
    assert desk.call("GET", f"/v1/decisions/{kept[0]}").status_code == 200
    ballast.unlink()
    again = desk.assign(f"L-{len(kept)}", note="x" * 3_000)
    assert again.status_code == 200
    kept.append(again.json()["decision_id"])
    listed = {each["decision_id"] for each in desk.call("GET", "/v1/decisions", limit=200).json()["decisions"]}
    assert listed == set(kept)
    assert examine(desk.ledger) == []
    desk.close()


def test_a_disk_that_fails_under_a_write_is_not_written_again(ledger_url, store_floor, tmp_path):
    if not ledger_url.startswith("sqlite"):
        return  # PostgreSQL looks after its own disk: it stops
    if shutil.which("strace") is None:
        absent("strace")
    ledger = Ledger.open(ledger_url)
    store_floor.Floor(ledger).reps(Rep("R-1"))
    ledger.close()
    code = (
        "import sys; sys.path.insert(0, 'tests'); import store_floor\n"
        "from data.store.ledger import Ledger\n"
        "from data.errors import BusyError\n"
        "ledger = Ledger.open(sys.argv[1]); floor = store_floor.Floor.__new__(store_floor.Floor)\n"
        "floor.ledger = ledger\n"
        "for number in range(3):\n"
        "    try: floor.decide(f'L-{number}', 'R-1'); print('stored')\n"
        "    except BusyError as error: print(ledger.failed, str(error)[:60])\n"
    )
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]
    command += ["-e", "inject=fdatasync,fsync:error=EIO:when=1+", sys.executable, "-c", code, ledger_url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    said = done.stdout.splitlines()
    assert len(said) == 3, done.stderr
    assert all(line.startswith("True") for line in said), said
    assert "disk failed" in said[1]
    ledger = Ledger.open(ledger_url)
    with ledger.reading() as conn:
        assert decisions.search(conn)[0] == []
    assert examine(ledger) == []
    ledger.close()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2027-03-28", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/New_York", "2026-11-01", 25),
        ("Pacific/Apia", "2026-06-01", 24),  # 13 hours ahead
        ("Pacific/Pago_Pago", "2026-06-01", 24),  # 11 behind
    ],
)
def test_a_reps_day_is_her_own_and_as_long_as_it_is_there(zone, day, hours):
    rep = Rep("R-1", time_zone=zone)
    begins = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    of_day = [capacity.local_day(rep, begins + timedelta(minutes=minute)) == day for minute in range(-60, 27 * 60)]
    assert sum(of_day) == hours * 60
    assert of_day[60 : 60 + hours * 60] == [True] * (hours * 60)


def test_a_clock_that_jumps_opens_no_second_day_and_holds_nobody_up(desk_on_each):
    desk = desk_on_each
    desk.roster({"rep_id": "R-1", "daily_limit": 2, "time_zone": "Asia/Shanghai"})
    desk.now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert desk.assign("L-1").json()["rep_id"] == "R-1"
    desk.now -= timedelta(hours=1)  # back
    assert desk.assign("L-2").json()["rep_id"] == "R-1"
    assert desk.assign("L-3").json()["rep_id"] is None  # the same day, whatever the hour
    desk.now += timedelta(days=1, hours=1)  # forward
    assert desk.assign("L-4").json()["rep_id"] == "R-1"
    desk.now -= timedelta(days=1)  # and back to a day that is full
    assert desk.assign("L-5").json()["rep_id"] is None
    assert examine(desk.ledger) == []


def test_a_key_ends_by_the_machines_clock_wherever_that_jumps(tmp_path):
    from data.store import keys

    if shutil.which("faketime") is None:
        absent("faketime")
    url, now = f"sqlite:///{tmp_path}/ledger.db", datetime.now(UTC)
    ledger = Ledger.open(url)
    with ledger.writing() as tx:
        made = keys.create(tx, role="crm", label="crm", at=now, expires_at=now + timedelta(days=30))
    ledger.close()
    code = (
        "import sys; from datetime import UTC, datetime; from data.store import keys\n"
        "from data.store.ledger import Ledger\n"
        "with Ledger.open(sys.argv[1]).reading() as conn:\n"
        "    print(keys.find(conn, sys.argv[2], at=datetime.now(UTC)) is not None)\n"
    )
    for shift, opens in (("-1h", "True"), ("+29d", "True"), ("+31d", "False")):
        command = ["faketime", "-f", shift, sys.executable, "-c", code, url, made.key]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
        assert done.stdout.strip() == opens, (shift, done.stderr)


def test_a_deadline_that_passes_while_waiting_for_the_ledger_stores_nothing(desk):
    from data.store.locks import WriterTurn

    desk.roster({"rep_id": "R-1"})
    path = desk.ledger.sqlite_file
    with WriterTurn(path.with_name(path.name + ".lock")).held(5):
        answer = desk.assign(headers={"X-Request-Deadline-Ms": "100"})
    assert (answer.status_code, bool(answer.headers["retry-after"])) == (503, True)
    assert desk.call("GET", "/v1/decisions").json()["decisions"] == []


def test_a_database_that_went_away_is_503_and_heals_by_itself(tmp_path, small_model):
    import warnings

    from tests.conftest import Desk
    from tests.torture.postgres import Postgres

    try:
        server = Postgres()
    except FileNotFoundError:
        absent("PostgreSQL's server")
    desk = None
    try:
        url = server.database("ledger")
        desk = Desk(url, small_model)
        desk.roster({"rep_id": "R-1"})
        told = [desk.assign("L-0").json()["decision_id"]]
        halt, statuses, stored = threading.Event(), [], []

        def load(worker):
            number = 0
            while not halt.is_set():
                number += 1
                while not halt.is_set():  # as a client does: the same lead again until it is answered
                    answer = desk.assign(f"L-{worker}-{number}")
                    statuses.append(answer.status_code)
                    if answer.status_code == 200:
                        stored.append(answer.json()["decision_id"])
                        break
                    time.sleep(0.02)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # connections that were cut
            threads = [threading.Thread(target=load, args=(worker,)) for worker in range(4)]
            [thread.start() for thread in threads]
            try:
                _until(lambda: len(stored) > 20)
                server.stop()
                _until(lambda: 503 in statuses)
                server.start()
                back = len(stored)
                _until(lambda: len(stored) > back + 20)
            finally:
                halt.set()
                [thread.join() for thread in threads]
        assert set(statuses) <= {200, 503, 409}
        told += stored
        with desk.ledger.reading() as conn:
            kept = [each.row.decision_id for each in decisions.search(conn, limit=100_000)[0]]
        assert set(told) <= set(kept)
        assert len(kept) == len(set(kept))
        assert examine(desk.ledger) == []
    finally:
        if desk:
            desk.close()
        server.remove()


def _until(true, within_s=60.0):
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def test_a_ledger_that_a_network_holds_or_a_newer_version_wrote_is_refused_in_one_line(tmp_path, monkeypatch):
    from data.store import engines, schema

    monkeypatch.setattr(engines, "network_file_system", lambda _: "nfs4")
    with pytest.raises(InputError, match="network file system") as refusal:
        Ledger.open(f"sqlite:///{tmp_path}/far.db")
    assert "\n" not in str(refusal.value)
    monkeypatch.undo()
    Ledger.open(f"sqlite:///{tmp_path}/ledger.db").close()
    import pysqlite3.dbapi2 as sqlite

    with sqlite.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(InputError, match="newer leadmatch") as refusal:
        Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    assert "\n" not in str(refusal.value)
    assert schema.HEAD != "9999"


def test_fifty_swaps_under_load_fail_no_request_and_every_answer_names_one_model(tmp_path, small_model, monkeypatch):
    from dataclasses import replace

    from data.store.promotions import Promotion
    from serving.models import bundle, signing
    from serving.models.bundle_store import BundleStore
    from tests.conftest import Desk
    from training import model_files

    monkeypatch.setattr("serving.models.bundle_store.check_in_child", lambda *_: None)  # it has tests of its own
    home, folders, digests = tmp_path / "home", [], {}
    for version in ("1", "2"):
        folders.append(tmp_path / version)
        model_files.save(replace(small_model, facts={"version": version}), folders[-1])
        digests[version] = bundle.seal(folders[-1], signing.signing_key(home)).digest
    store = BundleStore(home)

    def swap(version):
        promotion = Promotion(1, version, digests[version], None, "test", {}, datetime(2026, 3, 2, tzinfo=UTC))
        loaded = store.refresh(promotion, lambda version, to: bundle.copy_files(folders[int(version) - 1], to))
        assert (loaded.version, loaded.source) == (version, "promoted")
        desk.loaded = loaded

    desk = Desk(f"sqlite:///{tmp_path}/ledger.db", small_model)
    desk.roster({"rep_id": "R-1"}, {"rep_id": "R-2"})
    swap("1")
    halt, answers = threading.Event(), []

    def load(worker):
        number = 0
        while not halt.is_set():
            number += 1
            answers.append(desk.assign(f"L-{worker}-{number}", industry="retail", company_size=40))

    threads = [threading.Thread(target=load, args=(worker,)) for worker in range(3)]
    [thread.start() for thread in threads]
    try:
        for number in range(50):
            seen = len(answers)
            swap("12"[number % 2])
            _until(lambda seen=seen: len(answers) > seen)
    finally:
        halt.set()
        [thread.join() for thread in threads]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["degraded"] for answer in answers} == {None}
    told = {answer.json()["decision_id"]: answer.json()["model_version"] for answer in answers}
    assert set(told.values()) == {"1", "2"}
    with desk.ledger.reading() as conn:
        for each in decisions.search(conn, limit=100_000)[0]:
            assert each.row.model_version == told[each.row.decision_id]
            assert each.row.model_digest == digests[each.row.model_version]
    desk.close()


def test_a_service_whose_registry_is_dead_is_ready_and_one_that_is_told_to_end_answers_first(tmp_path, small_model):
    import httpx

    from data.store import keys
    from data.store.locks import WriterTurn
    from tests.ports import free_port
    from tests.test_service_process import promote
    from tests.torture.service import Whole

    home = tmp_path / "home"
    home.mkdir()
    promote(home, small_model, tmp_path / "model")
    ledger = Ledger.open(f"sqlite:///{home}/ledger.db")
    with ledger.writing() as tx:
        key = keys.create(tx, role="admin", label="admin", at=datetime.now(UTC)).key
    ledger.close()
    port = free_port()
    service = Whole(home, port, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{free_port()}")
    begun = time.monotonic()
    service.start()
    print(f"ready {time.monotonic() - begun:.1f} s after the start, with a dead registry")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}) as client:
            told = client.get("/v1/model").json()
            assert (told["model_version"], told["source"]) == ("1", "promoted")  # from the disk
            reps = {"reps": [{"rep_id": "R-1"}, {"rep_id": "R-2"}]}
            assert client.put("/v1/reps", json=reps).status_code == 200
            answers = []
            ask = threading.Thread(
                target=lambda: answers.append(client.post("/v1/assign", json={"lead": {"lead_id": "L-1"}}, timeout=30))
            )
            with WriterTurn(home / "ledger.db.lock").held(5):  # so that the request is under way when the end is told
                ask.start()
                time.sleep(0.3)
                os.kill(service.running.process.pid, signal.SIGTERM)
                time.sleep(0.3)
            ask.join()
        assert answers[0].status_code in (200, 503)
        assert service.running.process.wait(timeout=60) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    finally:
        service.kill()
    ledger = Ledger.open(f"sqlite:///{home}/ledger.db")
    with ledger.reading() as conn:
        kept = [each.row.decision_id for each in decisions.search(conn)[0]]
    ledger.close()
    assert kept == ([answers[0].json()["decision_id"]] if answers[0].status_code == 200 else [])
