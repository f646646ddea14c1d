"""Endpoints are set up by command line and routes; what is secret is shown once and lies in no ledger."""

import json
import stat
from datetime import UTC, datetime

import pytest

from data.store import acts, keys, outbox
from data.store.ledger import Ledger
from pipelines import console, telling_events
from pipelines.cli import main
from pipelines.doctor import examine


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LEADMATCH_HOME", str(tmp_path))
    monkeypatch.delenv("LEADMATCH_DATABASE_URL", raising=False)

    def command(*arguments, status=0):
        with pytest.raises(SystemExit) as ended:
            main(["webhooks", *arguments, *(["--json"] if status == 0 else [])])
        said = capsys.readouterr()
        assert ended.value.code == status, said.err
        return json.loads(said.out) if status == 0 else said.err

    return command


@pytest.fixture
def ledger_of_home(tmp_path):
    opened = []

    def again():
        opened.append(Ledger.open(f"sqlite:///{tmp_path}/ledger.db"))
        return opened[-1]

    yield again
    for ledger in opened:
        ledger.close()


def test_an_id_stays_whole_in_a_narrow_window(run, monkeypatch, capsys):
    made = run("add", "https://crm.example.com/a/long/address/that/takes/its/place")
    monkeypatch.setattr(console.OUT, "_width", 80)
    with pytest.raises(SystemExit):
        main(["webhooks", "list"])
    assert made["endpoint_id"] in capsys.readouterr().out


def test_the_secrets_of_a_source_are_listed_with_commas(capsys):
    places = {"secrets_from": ("env:OLD", "env:NEW")}
    telling_events.sources({"sources": [{"source_id": "src_1", "kind": "standard", "client_id": "crm", **places}]})
    assert "env:OLD, env:NEW" in capsys.readouterr().out


def test_an_endpoint_from_the_command_line(run, tmp_path, ledger_of_home):
    made = run("add", "https://crm.example.com/in", "--topics", "assigned, overridden")
    assert made["secret"].startswith("whsec_")
    file = tmp_path / "secrets" / made["endpoint_id"]
    assert file.read_text().strip() == made["secret"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (listed,) = run("list")["webhooks"]
    assert "secret" not in listed
    assert (listed["url"], listed["topics"]) == ("https://crm.example.com/in", ["assigned", "overridden"])
    run("disable", made["endpoint_id"])
    assert run("list")["webhooks"][0]["active"] is False
    run("enable", made["endpoint_id"])
    assert run("list")["webhooks"][0]["active"] is True
    assert run("dead")["dead"] == []
    assert run("replay")["replayed"] == 0
    with ledger_of_home().reading() as conn:
        assert "webhook.replayed" not in [act.action for act in acts.newest(conn, 9)]
    assert run("send")["waiting"] == 0
    run("remove", made["endpoint_id"])
    assert run("list")["webhooks"] == []
    assert not file.exists()
    assert not any(made["secret"].encode() in each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://crm.example.com/in"], "url: must begin with https://"),
        (["https://10.0.0.7/in"], "url: lies in a private network"),
        (["https://crm.example.com/in", "--topics", "sneezed"], "topics: 'sneezed' is none of"),
        (["https://crm.example.com/in", "--client", "nobody"], "client: there is no client 'nobody', nor any other; a"),
        (["https://crm.example.com/in", "--kind", "fax"], "kind: 'fax' is none of"),
        (["https://crm.example.com/in", "--secret", "env:NOT_SET"], "env:NOT_SET: the environment variable is not set"),
        (["https://crm.example.com/in", "--secret", "../x"], "A secret's source is env:NAME or file:/ABSOLUTE/PATH."),
    ],
)
def test_what_cannot_be_set_up_is_refused_in_one_line_and_leaves_nothing(run, tmp_path, arguments, said):
    assert said in run("add", *arguments, status=2)
    assert run("list")["webhooks"] == []
    assert not (tmp_path / "secrets").exists()


def test_a_client_that_there_is_not_is_told_who_there_is(run, ledger_of_home):
    with ledger_of_home().writing() as tx:
        for number in range(7):
            keys.ensure_client(tx, f"c{number}", at=datetime(2026, 3, 2, tzinfo=UTC))
    said = run("add", "https://crm.example.com/in", "--client", "nobody", status=2)
    assert "no client 'nobody', only c0, c1, c2, c3, c4 and 2 more; a client comes with its first key: " in said
    assert "leadmatch keys create --role crm --client NAME" in said


def test_a_secret_file_that_others_can_read_is_refused(run, tmp_path):
    file = tmp_path / "secret"
    file.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    file.chmod(0o644)
    said = run("add", "https://crm.example.com/in", "--secret", f"file:{file}", status=2)
    assert "chmod 600" in said
    file.chmod(0o600)
    assert run("add", "https://crm.example.com/in", "--secret", f"file:{file}")["secret"] is None


def test_an_endpoint_over_http(desk_on_each):
    desk = desk_on_each
    made = desk.call("POST", "/v1/webhooks", {"url": "https://crm.example.com/in"}, role="manager").json()
    assert made["secret"].startswith("whsec_")
    assert made["topics"] == list(outbox.TOPICS)
    desk.roster({"rep_id": "R-1"})
    desk.assign("L-1")
    (listed,) = desk.call("GET", "/v1/webhooks", role="admin").json()["webhooks"]
    assert listed["messages"] == {"pending": 1}
    assert listed["actor"].startswith("manager:")
    assert "secret" not in listed
    path = f"/v1/webhooks/{made['endpoint_id']}"
    assert desk.call("PATCH", path, {"active": False}, role="manager").json()["active"] is False
    assert desk.call("GET", "/v1/webhooks/dead", role="manager").json() == {"dead": []}
    assert desk.call("POST", "/v1/webhooks/replay", {}, role="manager").json() == {"replayed": 0}
    assert desk.call("DELETE", path, role="manager").json()["removed"] is True
    assert desk.call("DELETE", path, role="manager").status_code == 404
    assert desk.call("PATCH", path, {"active": True}, role="manager").status_code == 404


@pytest.mark.parametrize("url", ["https://127.0.0.1/x", "http://crm.example.com/", "file:///etc/passwd"])
def test_no_key_makes_the_service_call_home(desk, url):
    answer = desk.call("POST", "/v1/webhooks", {"url": url}, role="admin")
    assert answer.status_code == 422
    assert "url" in answer.json()["detail"]


@pytest.mark.parametrize("role", ["crm", "rep", "analyst"])
def test_others_than_managers_may_not_look(desk, role):
    assert desk.call("GET", "/v1/webhooks", role=role).status_code == 403


def test_doctor_names_a_secret_that_is_gone_or_open_to_others(run, tmp_path, ledger_of_home):
    made = run("add", "https://crm.example.com/in")
    file = tmp_path / "secrets" / made["endpoint_id"]
    assert examine(ledger_of_home(), home=tmp_path) == []
    file.chmod(0o644)
    (finding,) = examine(ledger_of_home(), home=tmp_path)
    assert finding.key == made["endpoint_id"]
    assert "chmod 600" in finding.found
    file.unlink()
    assert "cannot be read" in examine(ledger_of_home(), home=tmp_path)[0].found
