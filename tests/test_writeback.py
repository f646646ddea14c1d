"""Owners and scores reach each CRM by the calls that it documents; servers here refuse whatever differs from them."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import numpy as np
import pytest
from sqlalchemy import select

from data.roster import Rep
from data.store import endpoints, overrides
from data.store.endpoints import Endpoint
from data.store.tables import outbox as table
from serving.events.endpoint_setup import OWNERS
from serving.events.webhooks import Sender
from tests import receivers

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
JSON = {"Content-Type": "application/json"}


class Office:
    """A ledger with one CRM to write back to, and the server that stands for the CRM."""

    def __init__(self, floor, home, there, monkeypatch, kind, credentials, options):
        self.ledger, self.floor, self.now, self.there = floor.ledger, floor, NINE, there
        monkeypatch.setenv("CRM", credentials if isinstance(credentials, str) else json.dumps(credentials))
        made = Endpoint(
            endpoint_id="E-1", kind=kind, url=there.url, topics=OWNERS, client_id=None, secret_from="env:CRM",
            private_allowed=True, options=options, actor="test", created_at=NINE,
        )  # fmt: skip
        with self.ledger.writing() as tx:
            endpoints.add(tx, made)
        self.sender = Sender(
            self.ledger, home, clock=lambda: self.now, rng=np.random.default_rng(1), timeout_s=5.0
        )

    def decide(self, lead="17", rep="R-1", **more):
        self.floor.decide(lead, rep, lead_score=87, grade="A", probability_chosen=0.31, uplift=0.09, **more)
        self.sender.send_due()

    def again(self, **later):
        self.now += timedelta(**later)
        self.sender.send_due()

    def state(self):
        with self.ledger.reading() as conn:
            rows = conn.execute(select(table).order_by(table.c.seq)).all()
        return [(row.state, row.last_error) for row in rows]


@pytest.fixture
def office(floor, tmp_path, monkeypatch):
    with receivers.receiver() as there:
        yield lambda kind, credentials="t0ken", **options: Office(
            floor, tmp_path, there, monkeypatch, kind, credentials, options
        )


def strict(*, method, path, headers, body, status=204, answer=b""):
    """A server that answers 400 to anything but the documented request."""

    def told(request):
        same = (
            request.method == method
            and request.path == path
            and all(request.headers.get(name) == value for name, value in headers.items())
            and json.loads(request.body) == body
        )
        return (status, JSON, answer) if same else (400, JSON, b"{}")

    return told


def test_salesforce_sets_owner_and_fields_and_keeps_the_assignment_rules_out(office):
    crm = office("salesforce", **{"owner.R-1": "005A", "field.lead_score": "Lead_Score__c", "field.grade": "Grade__c"})
    crm.there.answer = strict(
        method="PATCH",
        path="/services/data/v62.0/sobjects/Lead/00Q17",
        headers={"authorization": "Bearer t0ken", "sforce-auto-assign": "FALSE", "content-type": "application/json"},
        body={"OwnerId": "005A", "Lead_Score__c": 87, "Grade__c": "A"},
    )
    crm.decide("00Q17")
    assert crm.state() == [("sent", None)]


def test_salesforce_fetches_a_token_and_a_new_one_when_it_ended(office):
    crm = office("salesforce", {"client_id": "id", "client_secret": "s3cret"})
    tokens = iter(["first", "second"])
    live = []

    def answer(request):
        if request.path == "/services/oauth2/token":
            form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
            assert form == {"grant_type": "client_credentials", "client_id": "id", "client_secret": "s3cret"}
            live[:] = [next(tokens)]
            return 200, JSON, json.dumps({"access_token": live[0]}).encode()
        return (204 if request.headers["authorization"] == f"Bearer {live[0]}" else 401), {}, b""

    crm.there.answer = answer
    crm.floor.decide("1", "R-1")
    crm.floor.decide("2", "R-1")
    crm.sender.send_due()
    assert [request.method for request in crm.there.got] == ["POST", "PATCH", "PATCH"]  # one token for both
    assert crm.state() == [("sent", None)] * 2
    crm.decide("3")
    assert crm.state() == [("sent", None)] * 3


def test_a_token_that_is_refused_is_renewed_within_the_attempt(office):
    crm = office("salesforce", {"client_id": "id", "client_secret": "s3cret"})
    issued = []

    def answer(request):
        if request.path == "/services/oauth2/token":
            issued.append(f"token {len(issued)}")
            return 200, JSON, json.dumps({"access_token": issued[-1]}).encode()
        if request.path.endswith("/1"):
            return 204, {}, b""
        return (204 if request.headers["authorization"] == "Bearer token 1" else 401), {}, b""

    crm.there.answer = answer
    crm.floor.decide("1", "R-1")
    crm.floor.decide("2", "R-1")
    crm.sender.send_due()
    assert len(issued) == 2
    assert crm.state() == [("sent", None)] * 2


def test_hubspot_sets_the_owner_property(office):
    crm = office("hubspot", **{"owner.R-1": "6166860", "field.lead_score": "leadmatch_score"})
    crm.there.answer = strict(
        method="PATCH",
        path="/crm/v3/objects/contacts/17",
        headers={"authorization": "Bearer t0ken", "content-type": "application/json"},
        body={"properties": {"hubspot_owner_id": "6166860", "leadmatch_score": "87"}},
        status=200,
        answer=b"{}",
    )
    crm.decide()
    assert crm.state() == [("sent", None)]


def test_zoho_changes_the_owner_and_reads_errors_in_a_good_answer(office):
    crm = office("zoho", **{"owner.R-1": "554000"})
    crm.there.answer = strict(
        method="POST",
        path="/crm/v8/Leads/17/actions/change_owner",
        headers={"authorization": "Zoho-oauthtoken t0ken"},
        body={"owner": {"id": "554000"}, "notify": True},
        status=200,
        answer=json.dumps({"data": [{"code": "SUCCESS", "status": "success"}]}).encode(),
    )
    crm.decide()
    crm.there.answer = lambda request: (200, JSON, b'{"data": [{"code": "INVALID_DATA", "status": "error"}]}')
    crm.decide("18")
    assert crm.state() == [("sent", None), ("pending", "refused by the CRM")]


def test_zoho_renews_its_token_at_the_accounts_server(office):
    crm = office("zoho", {"refresh_token": "r", "client_id": "id", "client_secret": "s"})
    with receivers.receiver(lambda request: (200, JSON, b'{"access_token": "new"}')) as accounts:
        with crm.ledger.writing() as tx:
            found = endpoints.find(tx, "E-1")
            endpoints.remove(tx, "E-1")
            endpoints.add(tx, Endpoint(**{**vars(found), "options": {"accounts": accounts.url}}))
        crm.there.answer = lambda request: (
            (200 if request.headers["authorization"] == "Zoho-oauthtoken new" else 401), JSON, b"{}"
        )  # fmt: skip
        crm.decide()
    (asked,) = accounts.got
    assert asked.path == "/oauth/v2/token"
    assert parse_qs(asked.body.decode())["grant_type"] == ["refresh_token"]
    assert crm.state() == [("sent", None)]


@pytest.mark.parametrize(("kind", "path"), [("leads", "/v1/leads/17"), ("deals", "/api/v2/deals/17")])
def test_pipedrive_sets_the_owner(office, kind, path):
    crm = office("pipedrive", object=kind, **{"owner.R-1": "123"})
    crm.there.answer = strict(
        method="PATCH", path=path, headers={"x-api-token": "t0ken"}, body={"owner_id": 123}, status=200, answer=b"{}"
    )
    crm.decide()
    assert crm.state() == [("sent", None)]


def test_odoo_writes_the_salesperson_and_reads_errors_in_a_good_answer(office):
    crm = office("odoo", {"database": "crm", "uid": "2", "token": "k3y"}, **{"owner.R-1": "9"})
    crm.floor.decide("17", "R-1")
    with crm.ledger.reading() as conn:
        number = conn.execute(select(table.c.seq)).scalar_one()
    arguments = ["crm", 2, "k3y", "crm.lead", "write", [[17], {"user_id": 9}]]
    params = {"service": "object", "method": "execute_kw", "args": arguments}
    crm.there.answer = strict(
        method="POST",
        path="/jsonrpc",
        headers={"content-type": "application/json"},
        body={"jsonrpc": "2.0", "method": "call", "id": number, "params": params},
        status=200,
        answer=b'{"jsonrpc": "2.0", "result": true}',
    )
    crm.sender.send_due()
    crm.there.answer = lambda request: (200, JSON, b'{"error": {"message": "no such user"}}')
    crm.decide("18")
    assert crm.state() == [("sent", None), ("pending", "refused by the CRM")]


def test_dynamics_sets_the_owner_and_never_makes_a_lead(office):
    crm = office("dynamics", **{"owner.R-1": "00000000-0000-0000-0000-000000000009"})
    crm.there.answer = strict(
        method="PATCH",
        path="/api/data/v9.2/leads(00000000-0000-0000-0000-000000000017)",
        headers={"authorization": "Bearer t0ken", "if-match": "*"},
        body={"ownerid@odata.bind": "/systemusers(00000000-0000-0000-0000-000000000009)"},
    )
    crm.decide("00000000-0000-0000-0000-000000000017")
    assert crm.state() == [("sent", None)]


def test_an_override_is_written_back_too_and_after_the_decision(office):
    crm = office("hubspot")
    crm.floor.decide("17", "R-1")
    with crm.ledger.writing() as tx:
        overrides.record(tx, "D-17", Rep("R-2"), reason="", actor="manager:k", expected_version=1, at=NINE)
    crm.there.answer = lambda request: (200, JSON, b"{}")
    crm.sender.send_due()
    sent = [json.loads(request.body)["properties"]["hubspot_owner_id"] for request in crm.there.got]
    assert sent == ["R-1", "R-2"]


def test_a_record_that_is_not_there_does_not_hold_the_others_up(office):
    crm = office("hubspot")
    crm.there.answer = lambda request: ((404 if request.path.endswith("/1") else 200), JSON, b"{}")
    crm.floor.decide("1", "R-1")
    crm.floor.decide("2", "R-1")
    crm.sender.send_due()
    assert [state for state, _ in crm.state()] == ["pending", "sent"]


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_a_crm_that_refuses_everything_is_asked_once_and_later_again(office, status):
    crm = office("hubspot")
    crm.there.answer = lambda request: (status, JSON, b"{}")
    crm.floor.decide("1", "R-1")
    crm.floor.decide("2", "R-1")
    crm.sender.send_due()
    assert len(crm.there.got) == 1
    crm.there.answer = lambda request: (200, JSON, b"{}")
    crm.again(seconds=10)
    assert crm.state() == [("sent", None)] * 2


def test_an_id_with_a_slash_stays_one_part_of_the_path(office):
    crm = office("hubspot")
    crm.there.answer = lambda request: (200, JSON, b"{}")
    crm.decide("../../owners/1")
    assert crm.there.got[0].path == "/crm/v3/objects/contacts/..%2F..%2Fowners%2F1"


@pytest.mark.parametrize("kind", ["salesforce", "hubspot", "zoho", "pipedrive", "odoo", "dynamics"])
def test_credentials_of_the_wrong_shape_are_named_and_never_repeated(office, kind):
    crm = office(kind, '{"passwd": "hunter2"}', **{"owner.R-1": "1"})
    crm.decide()
    ((state, error),) = crm.state()
    assert state == "pending"
    assert error
    assert "hunter2" not in error
    assert crm.there.got == []
