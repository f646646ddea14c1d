"""What stands before every request: strict JSON, limits on size and time, one shape of error, clean logs."""

import asyncio
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from serving.running.logs import JsonLines
from serving.web.guard import Bodies, Guard, Limits
from serving.web.problems import Problem
from serving.web.strict_json import DEEPEST, MalformedJsonError, read_json

LIMITS = Limits(body_bytes=100, batch_body_bytes=1_000, batch_paths={"/batch"}, deadline_s=2.0, read_s=0.05)


class Connection:
    """One request to an ASGI application, with its body in pieces; `answer` is what came back."""

    def __init__(self, *pieces, path="/v1/x", method="POST", headers=None):
        given = {"content-type": "application/json", **(headers or {})}
        coded = [(name.encode(), value.encode("latin-1")) for name, value in given.items() if value is not None]
        self.scope = {"type": "http", "method": method, "path": path, "headers": coded, "state": {}}
        self.pieces = [
            {"type": "http.request", "body": piece, "more_body": number < len(pieces) - 1}
            for number, piece in enumerate(pieces)
        ]
        self.sent = []

    async def receive(self):
        if not self.pieces:
            await asyncio.sleep(60)  # a client that says nothing more
        return self.pieces.pop(0)

    async def send(self, message):
        self.sent.append(message)

    def through(self, app):
        asyncio.run(app(self.scope, self.receive, self.send))
        return self

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def answer(self):
        return json.loads(b"".join(message.get("body", b"") for message in self.sent[1:]))


async def echo(scope, receive, send):
    """Gives the body back, if there was one."""
    body = (await receive())["body"] if scope["method"] == "POST" else b"{}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def guarded(app=echo, limits=LIMITS):
    return Guard(Bodies(app, limits=limits))


def test_a_request_that_is_never_answered_is_cut_off_and_says_what_to_do():
    ended = []

    async def stuck(scope, receive, send):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(scope["path"])

    told = Connection(b"{}").through(Guard(stuck, timeout_s=0.05))
    assert (told.status, ended) == (504, ["/v1/x"])
    assert told.answer["detail"] == "There was no answer within 0.05 seconds; ask again, with the same key."


def test_what_has_begun_to_come_across_is_not_cut_off():
    async def table(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await asyncio.sleep(0.05)  # altogether longer than the limit
            await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    told = Connection(b"{}").through(Guard(table, timeout_s=0.1))
    assert (told.status, told.answer) == (200, 111)


def test_an_error_after_the_time_was_up_is_still_logged(caplog):
    async def broken(scope, receive, send):
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    assert Connection(b"{}").through(Guard(broken, timeout_s=0.05)).status == 500
    assert "unforeseen error" in caplog.messages


def test_another_s_time_out_is_not_the_guard_s():
    async def broken(scope, receive, send):
        raise TimeoutError

    assert Connection(b"{}").through(Guard(broken)).status == 500


BAD_JSON = {
    "empty": b"",
    "cut off": b'{"a": 1',
    "two values": b'{"a": 1} {"b": 2}',
    "a name twice": b'{"a": 1, "a": 2}',
    "a name twice, deeper": b'{"a": [{"b": 1, "b": 1}]}',
    "not a number": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "infinity by exponent": b'{"a": 1e999}',
    "many digits": b'{"a": ' + b"9" * 60 + b"}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "not utf-8": b'{"a": "\xff"}',
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "half a pair as a name": b'{"\\udfff": 1}',
    "deep": b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1),
    "a control character": b'{"a": "\x01"}',
    "a comment": b'{"a": 1} // more',
    "single quotes": b"{'a': 1}",
}


@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON)
def test_json_that_two_readers_could_read_differently_is_malformed(body):
    with pytest.raises(MalformedJsonError):
        read_json(body)
    assert Connection(body).through(guarded(limits=Limits(10_000, 10_000, (), 2.0))).status == 400


def test_very_deep_and_very_long_json_is_refused_without_recursion():
    for body in (b"[" * 200_000, b'{"a":' * 100_000, b"9" * 1_000_000):
        with pytest.raises(MalformedJsonError):
            read_json(body)


numbers = st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_plain_json_is_read_as_everybody_reads_it(value):
    for escaped in (True, False):
        body = json.dumps(value, ensure_ascii=escaped).encode()
        assert read_json(body) == json.loads(body)


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_malformed(body):
    try:
        read_json(body)
        said = "read"
    except MalformedJsonError as error:
        said = str(error)
    assert len(said.splitlines()) == 1


def test_strings_may_hold_brackets_and_quotes_at_any_number():
    value = {"a": '[{"' * 50 + "\\", "b": ["]" * 50]}
    assert read_json(json.dumps(value).encode()) == value


def test_a_whole_small_body_goes_through_in_one_piece():
    connection = Connection(b'{"a"', b": 1", b"}").through(guarded())
    assert (connection.status, connection.answer) == (200, {"a": 1})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": None}, 415),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"content-type": "application/vnd.bentoml+pickle"}, 415),
        ({"content-type": "application/json; charset=utf-16"}, 415),
        ({"content-type": "application/json; charset=UTF-8"}, 200),
        ({"content-type": 'Application/JSON; charset="utf-8"'}, 200),
        ({"content-encoding": "gzip"}, 415),
        ({"content-encoding": "identity"}, 200),
        ({"content-length": "200"}, 413),
        ({"content-length": "-5"}, 400),
        ({"content-length": "1" * 30}, 400),
        ({"content-length": "2"}, 200),
    ],
)
def test_what_the_headers_say_decides_before_the_body_is_read(headers, status):
    connection = Connection(b"{}", headers=headers).through(guarded())
    assert connection.status == status
    if status != 200:
        assert connection.headers["content-type"] == "application/problem+json"
        assert connection.pieces  # not a byte of it was taken


def test_the_body_is_counted_whatever_its_length_is_said_to_be():
    chunks = [b" " * 40] * 3
    assert Connection(*chunks).through(guarded()).status == 413
    assert Connection(*chunks, headers={"content-length": "3"}).through(guarded()).status == 413
    assert Connection(*chunks, b"{}", path="/batch").through(guarded()).status == 200


def test_a_body_that_does_not_arrive_is_given_up():
    connection = Connection(b'{"a":', b"")
    connection.pieces[-1]["more_body"] = True
    assert connection.through(guarded()).status == 408


def test_a_client_that_goes_away_ends_its_request():
    connection = Connection(b'{"a":', b"")
    connection.pieces[-1] = {"type": "http.disconnect"}
    assert connection.through(guarded()).status == 400


def test_a_request_without_a_body_needs_no_media_type():
    assert Connection(b"", method="GET", headers={"content-type": None}).through(guarded()).status == 200


def queued(kind):
    """Requests of a kind that were in the queue so far, as /metrics tells it."""
    return REGISTRY.get_sample_value("leadmatch_queue_seconds_count", {"kind": kind}) or 0.0


def test_no_more_than_so_many_are_under_way():
    limits = Limits(100, 100, (), 2.0, slots=1, short_wait_s=0.001, burst=0, always_answered=("/livez",))

    async def busy(scope, receive, send):
        inner = Connection(b"{}").scope
        second, health = Connection(b"{}"), Connection(b"", method="GET", path="/livez")
        if scope["path"] == "/outer":
            await app(inner, second.receive, second.send)
            await app(health.scope, health.receive, health.send)
            outcomes.extend([second, health])
        await echo(scope, receive, send)

    outcomes, counted = [], queued("other")
    app = guarded(busy, limits)
    assert Connection(b"{}", path="/outer").through(app).status == 200
    assert queued("other") == counted + 1
    refused, health = outcomes
    assert refused.status == 503
    assert refused.headers["retry-after"] in ("1", "2", "3")
    assert health.status == 200
    assert Connection(b"{}").through(app).status == 200  # the slot is free again


def test_every_request_has_an_id_and_a_sane_one_of_the_clients_is_kept():
    assert len(Connection(b"{}").through(guarded()).headers["x-request-id"]) == 32
    kept = Connection(b"{}", headers={"x-request-id": "crm-7.a_B"}).through(guarded())
    assert kept.headers["x-request-id"] == "crm-7.a_B"
    for strange in ("a b", "x" * 65, 'a"b', "a\r\nSet-Cookie: x", ""):
        answer = Connection(b"{}", headers={"x-request-id": strange}).through(guarded())
        assert answer.headers["x-request-id"] != strange


def test_an_unforeseen_error_is_one_problem_and_its_message_stays_out_of_the_log(caplog):
    async def broken(scope, receive, send):
        raise RuntimeError("li@example.com could not be scored")

    connection = Connection(b"{}").through(guarded(broken))
    assert connection.status == 500
    assert connection.answer["request_id"] == connection.headers["x-request-id"]
    lines = "\n".join(JsonLines().format(record) for record in caplog.records)
    assert "RuntimeError" in lines
    assert "test_guard.py" in lines  # where it happened
    assert "example.com" not in lines + json.dumps(connection.answer)


def test_a_problem_raised_below_is_the_answer():
    async def says_no(scope, receive, send):
        raise Problem(409, "Somebody was quicker.", headers={"Retry-After": "3"})

    connection = Connection(b"{}").through(guarded(says_no))
    assert (connection.status, connection.headers["retry-after"]) == (409, "3")
    assert connection.answer["title"] == "Conflict"
    assert connection.answer["type"] == "about:blank"


def test_a_websocket_is_turned_away():
    connection = Connection()
    connection.scope["type"] = "websocket"
    connection.through(guarded())
    assert connection.sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("asked", "seconds"), [(None, 2.0), ("500", 0.5), ("60000", 2.0), ("-1", 2.0), ("abc", 2.0), ("9" * 30, 2.0)]
)
def test_a_client_may_shorten_its_deadline_and_not_lengthen_it(asked, seconds):
    seen = []

    async def note(scope, receive, send):
        import time

        seen.append(scope["state"]["deadline"] - time.monotonic())
        await echo(scope, receive, send)

    Connection(b"{}", headers={"x-request-deadline-ms": asked}).through(guarded(note))
    assert seconds - 0.4 < seen[0] <= seconds


def test_a_log_line_is_one_line_of_json_whatever_is_in_it():
    record = logging.makeLogRecord({"name": "serving", "msg": "first\nsecond \x1b[31m \u2028", "levelname": "INFO"})
    record.client = "acme\r\nfake: line"
    line = JsonLines().format(record)
    assert line.splitlines() == [line]
    assert "\x1b" not in line
    assert json.loads(line)["client"] == "acme\r\nfake: line"


def test_a_log_that_cannot_be_written_ends_no_request(monkeypatch):
    class Full:
        def write(self, _text):
            raise OSError(28, "No space left on device")

        flush = write

    monkeypatch.setattr("sys.stderr", Full())  # to which logging would tell its own trouble
    log = logging.getLogger("serving.web.guard")
    handler = logging.StreamHandler(Full())
    log.addHandler(handler)
    monkeypatch.setattr(log, "level", logging.INFO)
    try:
        connection = Connection(b"{}").through(guarded())
    finally:
        log.removeHandler(handler)
    assert (connection.status, connection.answer) == (200, {})
