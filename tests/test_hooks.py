"""Signed webhooks are believed from who signed them, now, over these very bytes; everything else is 401."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.store import endpoints, keys, outbox, sources
from data.store.endpoints import Endpoint
from data.store.sources import Source
from pipelines import keeping
from pipelines.cli import main
from serving.events.signing import (
    hubspot_is_genuine,
    hubspot_signature,
    key_of,
    new_secret,
    standard_headers,
    standard_is_genuine,
    standard_signature,
)

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW = new_secret(b"n" * 24)
HUBSPOT = "hubspot-client-secret"


def test_the_vector_of_standard_webhooks():
    told = standard_signature(OLD, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert told == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_hubspots_v3_signature_by_hand():
    # HMAC-SHA256 of "POSThttps://x.example/h?a=b:c" + body + time, by openssl dgst -sha256 -hmac secret -binary
    told = hubspot_signature("secret", "POST", "https://x.example/h?a=b%3Ac", b'[{"a":1}]', "1614265330000")
    assert told == hubspot_signature("secret", "POST", "https://x.example/h?a=b:c", b'[{"a":1}]', "1614265330000")
    assert told == "TnVtdGN/XOYCFScpGd17guaV85WS07K7SUL7BIUwNHg="


@given(st.binary(max_size=200), st.integers(0, 199), st.integers(0, 7))
def test_one_bit_that_changed_is_noticed(body, place, bit):
    now = NINE.timestamp()
    headers = standard_headers(OLD, "msg_1", int(now), body)
    assert standard_is_genuine(headers, body, [OLD], now_s=now)
    changed = bytearray(body or b"x")
    changed[place % len(changed)] ^= 1 << bit
    assert not standard_is_genuine(headers, bytes(changed), [OLD], now_s=now)


@pytest.mark.parametrize(("late", "believed"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_a_message_is_believed_for_five_minutes(late, believed):
    now = NINE.timestamp()
    headers = standard_headers(OLD, "msg_1", int(now), b"{}")
    assert standard_is_genuine(headers, b"{}", [OLD], now_s=now + late) == believed
    signed = {
        "x-hubspot-request-timestamp": str(int(now) * 1000),
        "x-hubspot-signature-v3": hubspot_signature(HUBSPOT, "POST", "u", b"[]", str(int(now) * 1000)),
    }
    assert hubspot_is_genuine(signed, "POST", "u", b"[]", [HUBSPOT], now_s=now + late) == believed


def test_both_secrets_are_believed_during_a_rotation_and_any_of_the_senders_signatures():
    now = NINE.timestamp()
    for secret in (OLD, NEW):
        headers = standard_headers(secret, "msg_1", int(now), b"{}")
        assert standard_is_genuine(headers, b"{}", [OLD, NEW], now_s=now)
    both = {**headers, "webhook-signature": f"v1,AAAA v1a,BBBB {headers['webhook-signature']}"}
    assert standard_is_genuine(both, b"{}", [NEW], now_s=now)
    assert not standard_is_genuine(headers, b"{}", [OLD], now_s=now)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!!", "hunter2", "whsec_c2hvcnQ="])
def test_what_is_no_secret_is_refused_without_repeating_it(secret):
    with pytest.raises(InputError) as caught:
        key_of(secret)
    assert not secret or secret == "whsec_" or secret not in str(caught.value)


class Crm:
    """A desk with one source of signed webhooks."""

    def __init__(self, desk, kind, **options):
        self.desk, self.kind = desk, kind
        made = Source(
            source_id="src_1", kind=kind, client_id="default",
            secrets_from=("env:HOOK_OLD", "env:HOOK_NEW") if kind == "standard" else ("env:HOOK_HUBSPOT",),
            options=options, actor="test", created_at=NINE,
        )  # fmt: skip
        with desk.ledger.writing() as tx:
            keys.ensure_client(tx, "default", at=NINE)
            sources.add(tx, made)

    def send(self, body, *, secret=OLD, at=None, id="msg_1", source="src_1", uri=None, **changed):
        raw = json.dumps(body).encode()
        at = at or self.desk.now
        path = f"/v1/hooks/{source}"
        if self.kind == "standard":
            headers = standard_headers(secret, id, int(at.timestamp()), raw)
        else:
            stamp = str(int(at.timestamp() * 1000))
            address = uri or f"http://testserver{path}"
            signature = hubspot_signature(HUBSPOT if secret == OLD else secret, "POST", address, raw, stamp)
            headers = {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": stamp}
        return self.desk.call("POST", path, raw, role=None, headers={**headers, **changed})


@pytest.fixture
def crm(desk, monkeypatch):
    monkeypatch.setenv("HOOK_OLD", OLD)
    monkeypatch.setenv("HOOK_NEW", NEW)
    monkeypatch.setenv("HOOK_HUBSPOT", HUBSPOT)
    return lambda kind, **options: Crm(desk, kind, **options)


def event(number=1, **more):
    body = {"event_id": f"e-{number}", "lead_id": "L-1", "event": "contacted", "occurred_at": NINE.isoformat()}
    return {**body, **more}


def test_signed_outcomes_are_taken_once(crm):
    there = crm("standard")
    assert there.send(event()).json()["results"][0]["result"] == "unmatched"
    assert there.send([event(), event(2)]).json()["results"][0]["result"] == "duplicate"
    assert there.send(event(3), secret=NEW).status_code == 200


@pytest.mark.parametrize(
    "how",
    [
        {"secret": new_secret(b"x" * 24)},
        {"at": NINE - timedelta(minutes=6)},
        {"at": NINE + timedelta(minutes=6)},
        {"source": "src_2"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"webhook-id": "msg_2"},
        {"webhook-id": ""},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": str(int(NINE.timestamp()) + 1)},
    ],
)
def test_what_is_not_signed_right_is_401_and_changes_nothing(crm, how):
    there = crm("standard")
    answer = there.send(event(), **how)
    assert answer.status_code == 401
    assert "whsec" not in answer.text
    assert there.send(event()).json()["results"][0]["result"] == "unmatched"  # not a duplicate: nothing was kept


def test_the_body_of_another_message_is_401(crm):
    there = crm("standard")
    signed = standard_headers(OLD, "msg_1", int(NINE.timestamp()), json.dumps(event()).encode())
    assert there.send(event(value=1e9), **signed).status_code == 401


def test_a_signed_message_that_says_nothing_we_know_is_422(crm):
    assert crm("standard").send(event(event="sneezed")).status_code == 422


def test_a_secret_that_is_not_there_is_503_and_not_believed(crm, monkeypatch):
    there = crm("standard")
    monkeypatch.delenv("HOOK_NEW")
    assert there.send(event()).status_code == 503


def change(number, name, value, *, at=60, lead=17, **more):
    return {
        "eventId": number, "subscriptionId": 1, "portalId": 2, "appId": 3, "attemptNumber": 0, "objectId": lead,
        "occurredAt": int((NINE + timedelta(minutes=at)).timestamp() * 1000),
        "subscriptionType": "contact.propertyChange", "propertyName": name, "propertyValue": value,
        "changeSource": "CRM_UI", "sourceId": "userId:1", **more,
    }  # fmt: skip


def decided(desk):
    desk.roster({"rep_id": "R-1"}, {"rep_id": "R-2"})
    found = desk.assign("17").json()
    return found["decision_id"], found["rep_id"], "R-2" if found["rep_id"] == "R-1" else "R-1"


def state(desk, decision):
    return desk.call("GET", f"/v1/decisions/{decision}", role="manager").json()["state"]


def test_hubspots_changes_become_outcomes_and_owners(desk, crm):
    there = crm("hubspot", **{"owner.R-1": "6166860", "owner.R-2": "6166861", "hs_lead_status.BAD_TIMING": "lost"})
    decision, _, other = decided(desk)
    owner = {"R-1": "6166860", "R-2": "6166861"}[other]
    changes = [
        change(1, "hubspot_owner_id", owner, at=10),
        change(2, "hs_lead_status", "CONNECTED", at=20),
        change(3, "lifecyclestage", "customer", at=30),
        change(4, "favourite_colour", "blue"),
        change(5, "email", "someone@planted.example"),
        change(6, "lifecyclestage", "x", subscriptionType="contact.creation"),
    ]
    desk.now = NINE + timedelta(hours=1)
    answer = there.send(changes)
    assert [one["result"] for one in answer.json()["results"]] == ["accepted"] * 3
    now = state(desk, decision)
    assert (now["rep_id"], now["status"]) == (other, "won")
    again = there.send([{**one, "attemptNumber": 1} for one in reversed(changes)])
    assert {one["result"] for one in again.json()["results"]} == {"duplicate"}
    lost = there.send([change(7, "hs_lead_status", "BAD_TIMING", at=40)])
    assert lost.json()["results"][0]["result"] == "accepted"
    assert state(desk, decision)["status"] == "lost"


def test_behind_a_proxy_hubspots_own_address_counts(desk, crm):
    public = "https://leads.example.com/v1/hooks/src_1"
    there = crm("hubspot", public_url=public)
    assert there.send([], uri=public).status_code == 200
    assert there.send([]).status_code == 401


@pytest.mark.parametrize("body", [{}, [1], [{}], [{"subscriptionType": "contact.propertyChange"}],
                                  [change(1, "hubspot_owner_id", "1", occurredAt=10**30)]])  # fmt: skip
def test_what_hubspot_never_sends_is_422(crm, body):
    assert crm("hubspot").send(body).status_code == 422


def write_back(desk, decision, *, sent):
    """What `hubspot` was told of the lead, and whether it is known to have arrived."""
    with desk.ledger.writing() as tx:
        lease, messages = outbox.lease(
            tx, "E-1", at=desk.now, until=desk.now + timedelta(minutes=1), limit=9
        )
        if sent:
            outbox.settle(tx, lease, [outbox.Settled(one.seq, "sent", desk.now, desk.now) for one in messages])
    return len(messages)


def listen(desk):
    made = Endpoint(
        endpoint_id="E-1", kind="hubspot", url="https://api.hubapi.com", topics=("assigned", "overridden"),
        client_id=None, secret_from="env:HOOK_HUBSPOT", private_allowed=False, actor="test", created_at=NINE,
    )  # fmt: skip
    with desk.ledger.writing() as tx:
        endpoints.add(tx, made)


@pytest.mark.parametrize("sent", [True, False])
def test_our_own_change_that_comes_back_late_does_not_undo_an_override(desk, crm, sent):
    there = crm("hubspot")
    listen(desk)
    decision, first, other = decided(desk)
    desk.now = NINE + timedelta(minutes=10)
    assert write_back(desk, decision, sent=sent) == 1  # the CRM is told of the first rep at ten past
    body = {"rep_id": other, "reason": "", "version": 1}
    override = desk.call("POST", f"/v1/decisions/{decision}/override", {**body, "reason": "r"}, role="manager")
    assert override.status_code == 200
    desk.now = NINE + timedelta(minutes=12)
    answer = there.send([change(1, "hubspot_owner_id", first, at=11)])  # by its clock, after the override
    assert answer.json()["results"][0]["result"] == "own_change"
    assert state(desk, decision)["rep_id"] == other
    desk.now = NINE + timedelta(hours=3)
    answer = there.send([change(2, "hubspot_owner_id", first, at=170)])
    expected = "accepted" if sent else "own_change"  # not yet known to have arrived: it may be ours still
    assert answer.json()["results"][0]["result"] == expected


def test_the_application_that_we_write_back_with_is_known_by_its_id(desk, crm):
    there = crm("hubspot", app_id="777")
    _, _, other = decided(desk)
    ours = change(1, "hubspot_owner_id", other, changeSource="INTEGRATION", sourceId="777")
    theirs = change(2, "hubspot_owner_id", other, changeSource="INTEGRATION", sourceId="778")
    assert there.send([ours, theirs]).json()["results"] == [
        {"event_id": f"hubspot 2 17 hubspot_owner_id {theirs['occurredAt']}", "lead_id": "17", "result": "accepted"}
    ]


def test_an_owners_change_by_the_ordinary_route_is_recognised_too(desk, monkeypatch):
    listen(desk)
    _, first, other = decided(desk)
    tell = {"event_id": "e", "lead_id": "17", "event": "owner_changed", "occurred_at": NINE.isoformat()}
    own = desk.call("POST", "/v1/outcomes", {**tell, "rep_id": first}).json()["results"][0]["result"]
    chosen = desk.call("POST", "/v1/outcomes", {**tell, "rep_id": other}).json()["results"][0]["result"]
    assert (own, chosen) == ("own_change", "accepted")


def test_sources_by_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LEADMATCH_HOME", str(tmp_path))
    monkeypatch.setenv("HOOK_OLD", OLD)

    def run(*arguments, status=0):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--json"])
        said = capsys.readouterr()
        assert ended.value.code == status, said.err
        return json.loads(said.out) if status == 0 else said.err

    run("keys", "create", "--role", "crm", "--client", "crm")
    made = run("sources", "add", "standard", "--client", "crm", "--secret", "env:HOOK_OLD")
    assert made["address"] == f"/v1/hooks/{made['source_id']}"
    run("sources", "secrets", made["source_id"], "--secret", "env:HOOK_OLD", "--secret", "env:HOOK_OLD")
    (listed,) = run("sources", "list")["sources"]
    assert listed["secrets_from"] == ["env:HOOK_OLD", "env:HOOK_OLD"]
    assert OLD not in json.dumps(listed)
    run("sources", "remove", made["source_id"])
    assert "no such source" in run("sources", "remove", made["source_id"], status=2)
    for wrong in (["fax"], ["standard", "--secret", "env:NOT_SET"], ["hubspot", "--option", "lifecyclestage.x=y"]):
        secret = [] if "--secret" in wrong else ["--secret", "env:HOOK_OLD"]
        run("sources", "add", *wrong, "--client", "crm", *secret, status=2)


def test_three_secrets_are_one_too_many(ledger, tmp_path, monkeypatch):
    monkeypatch.setenv("HOOK_OLD", OLD)
    with ledger.writing() as tx:
        keys.ensure_client(tx, "c", at=NINE)
    how = {"kind": "standard", "client_id": "c", "options": {}, "actor": "test", "at": NINE}
    with pytest.raises(InputError, match="name one, or two"):
        keeping.source_added(ledger, tmp_path, secrets_from=["env:HOOK_OLD"] * 3, **how)
