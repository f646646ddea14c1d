"""What lies in the outbox arrives: signed, in order for each lead, under one id, and not where it must not go."""

import json
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import select

from data.store import endpoints, outbox
from data.store.endpoints import Endpoint
from data.store.ledger import Ledger
from data.store.tables import outbox as table
from serving.events import outward
from serving.events.outward import allowed_address, checked_url, seconds_of
from serving.events.signing import standard_is_genuine
from serving.events.webhooks import DELAYS_S, Sender
from tests import receivers

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Clock:
    def __init__(self):
        self.now = NINE

    def __call__(self):
        return self.now

    def on(self, **by):
        self.now += timedelta(**by)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sender(ledger, clock, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", SECRET)
    return Sender(ledger, tmp_path, clock=clock, rng=np.random.default_rng(1), timeout_s=2.0)


def endpoint(ledger, url, endpoint_id="E-1", **changes):
    made = Endpoint(
        endpoint_id=endpoint_id, kind="webhook", url=url, topics=outbox.TOPICS, client_id=None,
        secret_from="env:SECRET", private_allowed=True, actor="test", created_at=NINE,
    )  # fmt: skip
    with ledger.writing() as tx:
        endpoints.add(tx, Endpoint(**{**vars(made), **changes}))


def announce(ledger, lead="L-1", number=1, topic="assigned", at=NINE):
    with ledger.writing() as tx:
        outbox.announce(tx, topic, at=at, client_id="crm", lead_id=lead, data={"number": number})


def rows(ledger):
    with ledger.reading() as conn:
        return conn.execute(select(table).order_by(table.c.seq)).all()


def numbers(receiver):
    return [json.loads(request.body)["data"]["number"] for request in receiver.got]


def test_a_message_arrives_signed_and_is_sent_once(floor, sender, clock):
    with receivers.receiver() as there:
        endpoint(floor.ledger, there.url + "/in")
        announce(floor.ledger)
        sender.send_due()
        sender.send_due()
    (request,) = there.got
    assert (request.method, request.path) == ("POST", "/in")
    assert standard_is_genuine(request.headers, request.body, [SECRET], now_s=NINE.timestamp())
    (row,) = rows(floor.ledger)
    assert (row.state, row.attempts, row.message_id) == ("sent", 1, request.headers["webhook-id"])


def test_what_fails_is_sent_again_on_the_schedule_and_given_up_after_75_hours(floor, sender, clock):
    with receivers.receiver(lambda request: (500, {}, b"")) as there:
        endpoint(floor.ledger, there.url)
        announce(floor.ledger)
        sender.send_due()
        for wait in DELAYS_S[1:]:
            clock.on(seconds=0.85 * wait)
            sender.send_due()
            (row,) = rows(floor.ledger)
            before = row.attempts
            clock.on(seconds=0.3 * wait)
            sender.send_due()
            row = rows(floor.ledger)[0]
            assert row.attempts == before + 1
    assert (row.state, row.attempts, row.last_error) == ("dead", len(DELAYS_S), "HTTP 500")
    assert len({request.headers["webhook-id"] for request in there.got}) == 1
    assert timedelta(hours=75) < timedelta(seconds=sum(DELAYS_S)) < timedelta(hours=76)


def test_a_dead_letter_raises_one_alarm_and_can_be_replayed_under_its_id(floor, sender, clock):
    with receivers.receiver(lambda request: (400, {}, b"")) as there:
        endpoint(floor.ledger, there.url)
        announce(floor.ledger)
        for _ in range(2 * len(DELAYS_S)):
            sender.send_due()
            clock.on(days=2)
        with floor.ledger.reading() as conn:
            dead = outbox.dead_letters(conn)
        assert [letter.topic for letter in dead] == ["assigned", "alarm"]  # a dead alarm raises no alarm
        there.answer = lambda request: (204, {}, b"")
        with floor.ledger.writing() as tx:
            assert outbox.replay(tx, at=clock.now, message_id=dead[0].message_id) == 1
        sender.send_due()
    assert there.got[-1].headers["webhook-id"] == dead[0].message_id
    assert [row.state for row in rows(floor.ledger)] == ["sent", "dead"]


@pytest.mark.parametrize("header", ["120", "Mon, 02 Mar 2026 09:02:00 GMT"])
def test_retry_after_is_waited_for_by_every_message_of_the_endpoint(floor, sender, clock, header):
    with receivers.receiver(lambda request: (429, {"Retry-After": header}, b"")) as there:
        endpoint(floor.ledger, there.url)
        announce(floor.ledger, "L-1")
        announce(floor.ledger, "L-2")
        sender.send_due()
        clock.on(seconds=110)
        sender.send_due()
        assert len(there.got) == 1
        clock.on(seconds=15)
        there.answer = lambda request: (204, {}, b"")
        sender.send_due()
        assert len(there.got) == 3


def test_gone_disables_the_endpoint_and_keeps_what_it_was_not_told(floor, sender, clock):
    with receivers.receiver(lambda request: (410, {}, b"")) as there:
        endpoint(floor.ledger, there.url)
        announce(floor.ledger, "L-1")
        announce(floor.ledger, "L-2")
        sender.send_due()
        clock.on(days=1)
        sender.send_due()
        assert len(there.got) == 1
        with floor.ledger.reading() as conn:
            now = endpoints.find(conn, "E-1")
        assert (now.active, now.why_not) == (False, "it answered 410 Gone")
        there.answer = lambda request: (204, {}, b"")
        with floor.ledger.writing() as tx:
            assert endpoints.switch(tx, "E-1", active=True)
        sender.send_due()
    assert [row.state for row in rows(floor.ledger)] == ["sent", "sent"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(floor, sender, status):
    with receivers.receiver() as elsewhere:
        with receivers.receiver(lambda request: (status, {"Location": elsewhere.url}, b"")) as there:
            endpoint(floor.ledger, there.url)
            announce(floor.ledger)
            sender.send_due()
        assert len(there.got) == 1
        assert elsewhere.got == []
    assert rows(floor.ledger)[0].last_error == f"HTTP {status}"


@pytest.mark.parametrize("answer", [receivers.slowly(1.0), lambda request: None])
def test_who_answers_late_or_breaks_off_is_asked_again(ledger, floor, clock, tmp_path, monkeypatch, answer):
    monkeypatch.setenv("SECRET", SECRET)
    impatient = Sender(ledger, tmp_path, clock=clock, rng=np.random.default_rng(1), timeout_s=0.3)
    with receivers.receiver(answer) as there:
        endpoint(ledger, there.url)
        announce(ledger)
        impatient.send_due()
        (row,) = rows(ledger)
        assert (row.state, row.attempts) == ("pending", 1)
        assert "no answer" in row.last_error
        there.answer = lambda request: (204, {}, b"")
        clock.on(seconds=10)
        impatient.send_due()
    assert rows(ledger)[0].state == "sent"


def test_of_a_lead_only_the_oldest_that_has_not_arrived_is_sent(floor, sender, clock):
    refused = {1}

    def answer(request):
        return (400 if json.loads(request.body)["data"]["number"] in refused else 204), {}, b""

    with receivers.receiver(answer) as there:
        endpoint(floor.ledger, there.url)
        for number in (1, 2, 3):
            announce(floor.ledger, "L-1", number)
        announce(floor.ledger, "L-2", 10)
        sender.send_due()
        assert numbers(there) == [1, 10]  # the other lead does not wait
        refused.clear()
        clock.on(seconds=10)
        sender.send_due()
    assert numbers(there) == [1, 10, 1, 2, 3]


def test_a_slow_or_dead_endpoint_keeps_nobody_else_waiting(floor, sender):
    with receivers.receiver() as there, receivers.receiver(lambda request: (503, {}, b"")) as ill:
        endpoint(floor.ledger, ill.url, "E-1")
        endpoint(floor.ledger, there.url, "E-2")
        for number in range(40):
            announce(floor.ledger, f"L-{number}", number)
        sender.send_due()
    assert sorted(numbers(there)) == list(range(40))
    assert len(ill.got) == 1


def test_several_senders_send_each_message_once(floor, clock, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", SECRET)
    with receivers.receiver() as there:
        endpoint(floor.ledger, there.url)
        for number in range(60):
            announce(floor.ledger, f"L-{number % 20}", number)
        # A patient ledger: four writers at once on SQLite take turns.
        patient = [Ledger.open(floor.ledger.url.render_as_string(hide_password=False), 30) for _ in range(4)]
        senders = [
            Sender(each, tmp_path, clock=clock, rng=np.random.default_rng(seed), timeout_s=20)
            for seed, each in enumerate(patient)
        ]
        threads = [threading.Thread(target=one.send_due) for one in senders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        senders[0].send_due()
        for each in patient:
            each.close()
    assert sorted(numbers(there)) == list(range(60))
    of_lead = {}
    for number in numbers(there):
        of_lead.setdefault(number % 20, []).append(number)
    assert all(sent == sorted(sent) for sent in of_lead.values())


def test_a_lease_that_ran_out_is_taken_over_and_its_first_holder_writes_nothing(floor, clock):
    endpoint(floor.ledger, "http://127.0.0.1:9")
    announce(floor.ledger)
    with floor.ledger.writing() as tx:
        until = clock.now + timedelta(seconds=60)
        first, (message,) = outbox.lease(tx, "E-1", at=clock.now, until=until, limit=5)
        assert outbox.lease(tx, "E-1", at=clock.now, until=until, limit=5)[1] == []
    clock.on(seconds=61)
    with floor.ledger.writing() as tx:
        second, again = outbox.lease(tx, "E-1", at=clock.now, until=clock.now + timedelta(seconds=60), limit=5)
        assert [one.message_id for one in again] == [message.message_id]
        died = outbox.Settled(message.seq, "dead", clock.now, clock.now, "late")
        assert outbox.settle(tx, first, [died]) == []
        assert outbox.settle(tx, second, [outbox.Settled(message.seq, "sent", clock.now, clock.now)]) == []
    assert rows(floor.ledger)[0].state == "sent"


PRIVATE = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "0.0.0.0", "::1", "fc00::1",
           "fe80::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "169.254.169.254", "224.0.0.1",
           "240.0.0.1"]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused_unless_allowed(address):
    assert not allowed_address(address, private_allowed=False)
    never = {"0.0.0.0", "fe80::1", "169.254.169.254", "224.0.0.1"}
    assert allowed_address(address, private_allowed=True) == (address not in never)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.com/", "http://example.com/", "https://", "https://u:p@example.com/",
     "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest", "gopher://x", "https://example.com/#x"],
)  # fmt: skip
def test_addresses_that_may_not_be_told_are_refused_at_once(url):
    assert checked_url(url, private_allowed=False) is not None
    assert checked_url("https://example.com/in", private_allowed=False) is None


def test_a_name_that_leads_home_is_refused_when_it_is_told(floor, sender):
    with receivers.receiver() as there:
        port = there.url.rsplit(":", 1)[1]
        endpoint(floor.ledger, f"https://localhost:{port}/", private_allowed=False)
        announce(floor.ledger)
        sender.send_due()
    assert there.got == []
    assert "private network" in rows(floor.ledger)[0].last_error


def test_a_name_is_asked_for_once_and_the_connection_goes_to_that_answer(floor, sender, monkeypatch):
    """A name server that answers a public address first and this machine second gains nothing."""
    asked = []

    async def resolver(self, host, port, **_):
        asked.append(host)
        address = "93.184.215.14" if len(asked) == 1 else "127.0.0.1"
        return [(2, 1, 6, "", (address, port))]

    tried = []

    async def send(self, request, **_):
        tried.append((request.url.host, request.headers["host"], request.extensions["sni_hostname"]))
        raise outward.httpx.ReadTimeout("nobody there", request=request)

    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", resolver)
    monkeypatch.setattr("httpx.AsyncClient.send", send)
    endpoint(floor.ledger, "https://hooks.example.com/in", private_allowed=False)
    announce(floor.ledger)
    sender.send_due()
    assert asked == ["hooks.example.com"]
    assert tried == [("93.184.215.14", "hooks.example.com", "hooks.example.com")]


def test_a_secret_that_cannot_be_read_is_trouble_and_not_told(floor, sender, monkeypatch):
    monkeypatch.delenv("SECRET")
    with receivers.receiver() as there:
        endpoint(floor.ledger, there.url)
        announce(floor.ledger)
        sender.send_due()
    assert there.got == []
    assert rows(floor.ledger)[0].last_error == "env:SECRET: the environment variable is not set."


def test_an_unreadable_retry_after_asks_for_nothing():
    assert [seconds_of(value, NINE) for value in (None, "", "soon", "-5", "1" * 40)] == [0.0] * 5
