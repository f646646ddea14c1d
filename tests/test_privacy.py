"""A person can be shown, erased and forgotten: nothing is left of her in any file, and everything else still holds."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from data.errors import InputError
from data.store import audit, checks, personal, privacy
from data.store.history import export_tables
from data.store.ledger import Ledger
from data.store.tables import answers, customer_keys, personal_data
from pipelines import keeping
from pipelines.cli import main

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
PLANTED = ["Wang Fangzilla", "fangzilla@planted.example", "13800138000", "Planted Widgets", "zebra-planted-note",
           "planted reason", "planted feedback", "planted override"]  # fmt: skip
PERSON = {"name": PLANTED[0], "email": PLANTED[1], "phone": PLANTED[2], "company": PLANTED[3]}


def meet(desk, lead="L-1"):
    """One lead from beginning to end, with a person in every place where one can stand."""
    desk.roster({"rep_id": "R-1", "name": "Li Na"}, {"rep_id": "R-2"})
    answer = desk.assign(lead, **PERSON, source="web", note=PLANTED[4], headers={"Idempotency-Key": f"k-{lead}"})
    assert answer.status_code == 200, answer.text
    decision = answer.json()["decision_id"]
    desk.assign(lead, **PERSON, source="web", headers={"Idempotency-Key": f"again-{lead}"})
    seen = desk.call("GET", f"/v1/decisions/{decision}", role="manager").json()["state"]
    other = "R-2" if seen["rep_id"] == "R-1" else "R-1"
    overridden = {"rep_id": other, "reason": PLANTED[7], "version": seen["version"]}
    assert desk.call("POST", f"/v1/decisions/{decision}/override", overridden, role="manager").status_code == 200
    for number, (event, reason) in enumerate((("feedback", PLANTED[6]), ("lost", PLANTED[5]))):
        at = (desk.now + timedelta(hours=number + 1)).isoformat()
        body = {"event_id": f"e-{lead}-{number}", "lead_id": lead, "event": event, "occurred_at": at, "reason": reason}
        assert desk.call("POST", "/v1/outcomes", body).status_code == 200
    return decision


def sound(ledger):
    while audit.seal(ledger, at=NINE):
        pass
    with ledger.reading() as conn:
        return checks.everything(conn)


def planted_in(folder):
    """(file, what) for each planted text in any file under the folder."""
    found = []
    for file in folder.rglob("*"):
        if file.is_file():
            raw = file.read_bytes()
            found += [(file.name, word) for word in PLANTED if word.encode() in raw]
    return found


def test_an_erasure_leaves_no_trace_in_any_file(desk, caplog):
    caplog.set_level(logging.DEBUG)
    decision = meet(desk)
    while audit.seal(desk.ledger, at=NINE):
        pass
    assert {word for _, word in planted_in(desk.home)} == set(PLANTED)  # else the test could not fail
    answer = desk.call("DELETE", "/v1/privacy", role="admin", client_id="default", lead_id="L-1")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["traces"] == "gone"
    assert told["erased"] == {"person": 1, "answers": 2, "snapshots": 2, "texts": 3}
    assert planted_in(desk.home) == []
    assert not any(word in caplog.text for word in PLANTED)
    assert sound(desk.ledger) == []
    again = desk.call("GET", f"/v1/decisions/{decision}", role="manager").json()
    assert (again["lead"], again["person"], again["state"]["status"]) == ({}, {}, "lost")
    assert again["state"]["feedback"] is None
    assert not any(word in json.dumps(again) for word in PLANTED)


def test_on_each_engine_the_rows_are_gone_and_the_ledger_is_sound(desk_on_each):
    desk = desk_on_each
    meet(desk)
    desk.assign("L-2", name="Zhao Other")
    while audit.seal(desk.ledger, at=NINE):
        pass
    desk.call("DELETE", "/v1/privacy", role="admin", client_id="default", lead_id="L-1")
    with desk.ledger.reading() as conn:
        for table in conn.execute(text(
            "SELECT name FROM sqlite_master WHERE type = 'table'" if desk.ledger.sqlite_file else
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )).scalars():  # fmt: skip
            for row in conn.execute(text(f"SELECT * FROM {table}")):
                assert not any(word in str(row) for word in PLANTED), (table, row)
        assert personal.read(conn, "default", "L-2") == {"name": "Zhao Other"}
    assert sound(desk.ledger) == []
    second = desk.call("DELETE", "/v1/privacy", role="admin", client_id="default", lead_id="L-1").json()
    assert second["erased"] == {"person": 0, "answers": 0, "snapshots": 0, "texts": 0}


def test_rows_are_blanked_only_for_a_lead_whose_erasure_is_written_down(floor):
    floor.decide("L-1", lead_snapshot={"source": "web"})
    floor.tell(kind="lost", reason="x")
    for statement in (
        "UPDATE decisions SET lead_snapshot = '{}'",
        "UPDATE outcome_events SET reason = NULL",
        "UPDATE decisions SET lead_snapshot = '{}', rep_id = 'R-2'",
    ):
        with pytest.raises(Exception, match="never change"), floor.ledger.writing() as tx:
            tx.execute(text(statement))
    with floor.ledger.writing() as tx:
        privacy.erase(tx, "crm", "L-1", actor="test", at=NINE)
    floor.decide("L-2", lead_snapshot={"source": "web"})
    for statement in (
        "UPDATE decisions SET lead_snapshot = '{}' WHERE lead_id = 'L-2'",
        "UPDATE decisions SET lead_snapshot = '{\"a\": 1}' WHERE lead_id = 'L-1'",
        "UPDATE outcome_events SET reason = 'y' WHERE lead_id = 'L-1'",
        "UPDATE decisions SET rep_id = 'R-2' WHERE lead_id = 'L-1'",
    ):
        with pytest.raises(Exception, match="never change"), floor.ledger.writing() as tx:
            tx.execute(text(statement))


def test_what_was_blanked_without_erasure_is_found_and_what_was_erased_is_not(floor):
    floor.decide("L-1", lead_snapshot={"source": "web"})
    assert sound(floor.ledger) == []
    with floor.ledger.writing() as tx:
        privacy.erase(tx, "crm", "L-1", actor="test", at=NINE)
    assert sound(floor.ledger) == []
    floor.decide("L-3", lead_snapshot={"source": "web"})
    assert sound(floor.ledger) == []


def test_an_erased_lead_is_not_learned_from(floor):
    floor.decide("L-1")
    floor.decide("L-2")
    with floor.ledger.writing() as tx:
        privacy.erase(tx, "crm", "L-1", actor="test", at=NINE)
    with floor.ledger.reading() as conn:
        leads, _, assignments = export_tables(conn)
    assert list(leads["lead_id"]) == ["L-2"]
    assert list(assignments["lead_id"]) == ["L-2"]


def test_a_person_may_see_everything_that_is_known(desk):
    decision = meet(desk)
    answer = desk.call("GET", "/v1/privacy", role="admin", client_id="default", lead_id="L-1")
    known = answer.json()
    assert known["person"] == PERSON
    assert known["decisions"][0]["decision_id"] == decision
    assert known["decisions"][0]["lead_snapshot"]["note"] == PLANTED[4]
    assert {event["reason"] for event in known["events"]} == set(PLANTED[5:7])
    assert known["overrides"][0]["reason"] == PLANTED[7]
    assert desk.call("GET", "/v1/privacy", role="admin", client_id="default", lead_id="L-9").status_code == 422
    for role in ("crm", "rep", "manager", "analyst"):
        for method in ("GET", "DELETE"):
            assert desk.call(method, "/v1/privacy", role=role, client_id="x", lead_id="L-1").status_code == 403


def test_who_may_sees_the_person_and_who_may_not_sees_that_there_is_one(desk):
    decision = meet(desk)
    owner = desk.call("GET", f"/v1/decisions/{decision}", role="manager").json()["state"]["rep_id"]
    for role in ("crm", "manager", "admin", *(["rep"] if owner == "R-1" else [])):
        found = desk.call("GET", f"/v1/decisions/{decision}", role=role).json()
        assert found["person"] == PERSON
        assert found["state"]["feedback"] == PLANTED[6]
    for answer in (
        desk.call("GET", f"/v1/decisions/{decision}", role="analyst"),
        desk.call("GET", "/v1/decisions", role="analyst"),
    ):
        masked = answer.json()
        assert (masked["decisions"][0] if "decisions" in masked else masked)["person"] == dict.fromkeys(PERSON, "***")
        assert not any(word in answer.text for word in PLANTED if word != PLANTED[4])
    assert desk.call("GET", f"/v1/decisions/{decision}", role="other").status_code == 404


def forget(ledger, now, **how):
    return keeping.retained(ledger, days=30, answer_days=30, actor="test", now=now, **how)


def fill(floor, count=5):
    for number in range(count):
        floor.decide(f"L-{number}", "R-1", after=number, personal={"name": f"Person {number}"},
                     customer_keys={f"hash {number}": "phone"})  # fmt: skip


def left(ledger):
    with ledger.reading() as conn:
        return tuple(conn.execute(select(func.count()).select_from(t)).scalar_one() for t in (personal_data, answers))


def test_retention_forgets_what_is_old_and_a_second_run_nothing(floor):
    fill(floor)
    floor.decide("L-new", "R-1", after=40 * 24 * 60, personal={"name": "New"})
    floor.tell(kind="contacted", lead="L-0", after=60)
    now = NINE + timedelta(days=41)
    due = {"persons": 5, "answers": 5, "messages": 0}
    assert forget(floor.ledger, now, dry_run=True) == due
    assert left(floor.ledger) == (6, 6)
    assert forget(floor.ledger, now, dry_run=False) == due
    assert left(floor.ledger) == (1, 1)
    with floor.ledger.reading() as conn:
        assert conn.execute(select(customer_keys)).all() == []
    assert forget(floor.ledger, now, dry_run=False) == dict.fromkeys(due, 0)
    assert sound(floor.ledger) == []


def test_retention_that_is_ended_in_between_goes_on_where_it_was(floor, monkeypatch):
    fill(floor)
    floor.decide("L-new", "R-1", after=40 * 24 * 60)
    monkeypatch.setattr(keeping, "BATCH", 2)
    now, calls = NINE + timedelta(days=41), []

    def killed(*args, **how):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return forget_some(*args, **how)

    forget_some = privacy.forget_some
    monkeypatch.setattr(privacy, "forget_some", killed)
    with pytest.raises(KeyboardInterrupt):
        forget(floor.ledger, now, dry_run=False)
    assert left(floor.ledger)[0] == 3
    assert forget(floor.ledger, now, dry_run=False)["persons"] == 3
    assert left(floor.ledger)[0] == 0


@pytest.mark.parametrize("off", [timedelta(days=-400), timedelta(days=36_500)])
def test_a_clock_that_is_wrong_forgets_nobody(floor, off):
    fill(floor)
    assert forget(floor.ledger, NINE + off, dry_run=False) == {"persons": 0, "answers": 0, "messages": 0}
    assert left(floor.ledger) == (5, 5)


def test_the_commands(tmp_path, monkeypatch, capsys, store_floor):
    monkeypatch.setenv("LEADMATCH_HOME", str(tmp_path))
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    floor = store_floor.Floor(ledger)
    floor.reps(*(store_floor.Rep(name) for name in ("R-1", "R-2")))
    floor.decide("L-1", personal=PERSON)

    def run(*arguments, status=0):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--json"])
        said = capsys.readouterr()
        assert ended.value.code == status, said.err
        return json.loads(said.out) if status == 0 else said.err

    out = tmp_path / "L-1.json"
    run("privacy", "export", "--client", "crm", "--lead", "L-1", "--out", str(out))
    assert json.loads(out.read_text())["person"] == PERSON
    assert out.stat().st_mode & 0o077 == 0
    out.unlink()
    head = run("audit", "head")["head"]
    assert run("privacy", "erase", "--client", "crm", "--lead", "L-1")["traces"] == "gone"
    assert planted_in(tmp_path) == []
    assert run("privacy", "retain", "--days", "30", "--dry-run") == {"persons": 0, "answers": 0, "messages": 0}
    assert [act["action"] for act in run("audit", "acts")["acts"]] == ["lead.erased", "lead.exported"]
    assert run("doctor", "--audit-head", head)["findings"] == []
    assert "there is no client" in run("privacy", "erase", "--client", "none", "--lead", "L-1", status=2).lower()
    ledger.close()


def test_an_unknown_lead_cannot_be_shown(floor):
    with pytest.raises(InputError, match="no lead"), floor.ledger.reading() as conn:
        privacy.known(conn, "crm", "L-1")
