"""Three hundred requests that somebody made by hand to hurt: malformed, oversized, lying, climbing, injecting.

Each is raw bytes for a socket, as no well-behaved client would send most of them.
"""

import json
import socket
from collections.abc import Iterator
from typing import Any

INJECTIONS = (
    "' OR '1'='1", "'; DROP TABLE decisions; --", '" OR ""="', "1; SELECT pg_sleep(9)",
    "') UNION SELECT sha256 FROM api_keys --",
    "${jndi:ldap://127.0.0.1/a}", "{{7*7}}", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "=cmd|' /C calc'!A0",
    "+1+1", "@SUM(1)", "../../etc/passwd", "..\\..\\boot.ini", "%2e%2e%2f%2e%2e%2fetc/passwd", "/etc/passwd\x00.json",
    "file:///etc/passwd", "http://169.254.169.254/latest/meta-data", "\r\nSet-Cookie: a=b",
    "\x1b[31mred\x1b[0m", "a\u202eb",
    "\ufeff", "\u0000", "\ud83d\ude80" * 50, "e\u0301" * 60, "İ" * 100, "ﷺ" * 100, "a" * 5_000,
    "a" * 50_000 + "!", "1" * 400,
    "-0", "NaN", "null", "true", "[]", "{}", "0x41", "1e999", "٣", "½", "\u2028", "\u2029", "\x7f", "\x80", "𠮷", "Ａ",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e308, -1e308, 2**63, -(2**63) - 1, 10**39, 0.1, [], {}, [[]], [{}],
    {"a": {"b": 1}}, "", " ",
    [None] * 300, ["x"] * 201, {"lead_id": "L"}, "2026-02-30T00:00:00Z", "2026-12-31T23:59:60Z",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+25:00", 1_700_000_000,
)  # fmt: skip
BODIES = (
    b"", b" ", b"null", b"0", b'"x"', b"[]", b"{}", b"[1]", b"{", b"}", b"[", b'{"a"', b'{"a":', b'{"a":1',
    b'{"a":1,}', b"{'a':1}",
    b'{"a":1}{"b":2}', b'{"a":1} // x', b'{"lead":{"lead_id":"L","lead_id":"M"}}', b'{"lead":{},"lead":{}}',
    b'{"a":NaN}',
    b'{"a":Infinity}', b'{"a":-Infinity}', b'{"a":1e999}', b'{"a":01}', b'{"a":+1}', b'{"a":.5}',
    b'{"a":' + b"9" * 5_000 + b"}",
    b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-32"), b'{"a":"\xff"}', b'{"a":"\\ud800"}',
    b'{"a":"\\udc00\\ud800"}', b'{"\\ud800":1}', b'{"a":"\x00"}', b'{"a":"\t"}', b"[" * 20_000,
    b'{"a":' * 10_000, b"[" * 30 + b"]" * 30,
    b'{"lead":{"lead_id":"L","x":' + b"[" * 25 + b"]" * 25 + b"}}", b"\x80\x04N.", b"<xml/>", b"a=1&b=2",
    b"--x\r\n\r\n--x--",
    b'{"lead":{"lead_id":"L","' + b"x" * 60_000 + b'":1}}', b'{"leads":[' + b"{}," * 3_000 + b"{}]}",
    json.dumps({"lead": {"lead_id": "L", **{f"a{n}": n for n in range(400)}}}).encode(),
)  # fmt: skip
PATHS = (
    "/v1/../v1/reps", "/v1//reps", "/v1/reps/", "/v1/reps/..", "/v1/reps/%2e%2e", "/v1/decisions/%00",
    "/v1/decisions/%ff",
    "/v1/decisions/" + "a" * 4_000, "/v1/decisions/..%2f..%2fetc%2fpasswd", "/static_content/../../etc/passwd",
    "/static_content/..%2f..%2fetc%2fpasswd", "/static_content/%2e%2e/%2e%2e/etc/passwd", "/static/../../etc/passwd",
    "/v1/decisions?limit=-1", "/v1/decisions?limit=1e9", "/v1/decisions?limit=", "/v1/decisions?cursor=%00",
    "/v1/decisions?cursor=-1", "/v1/decisions?cursor=99999999999999999999999", "/v1/decisions?since=never",
    "/v1/decisions?rep_id=%F0%28%8C%28", "/v1/decisions?lead_id=a&lead_id=b", "/v1/decisions?__proto__=1",
    "/v1/model?x=" + "y" * 6_000,
    "/score", "/docs.json", "/.git/config", "/.env", "/admin", "/v1/reps;x=1", "/V1/reps", "/v1/reps%20",
    "/v1/reps%0d%0a",
    "*", "//127.0.0.1/v1/reps", "http://127.0.0.1/v1/reps", "/v1/pool", "/v1/reports/%2e%2e",
)  # fmt: skip


def requests(key: str) -> Iterator[tuple[str, bytes]]:
    """(what it is, the bytes to send); `key` opens everything, so that the inside is reached as well."""
    for number, text in enumerate(INJECTIONS):
        lead = {"lead_id": f"H-{number}", "source": text, "note": text, text[:150]: text}
        yield f"injected into a lead: {text[:20]!r}", _post("/v1/assign", key, {"lead": lead})
        yield f"injected as an id: {text[:20]!r}", _post("/v1/assign", key, {"lead": {"lead_id": text}})
    for value in VALUES:
        yield f"as a lead: {value!r:.20}", _post("/v1/assign", key, {"lead": value})
        lead = {"lead_id": "V", "created_at": value}
        yield f"as an attribute: {value!r:.20}", _post("/v1/score", key, {"lead": lead})
        event = {"event_id": "E", "lead_id": "V", "event": "won", "occurred_at": value, "value": value}
        yield f"as an event's time: {value!r:.20}", _post("/v1/outcomes", key, event)
    for body in BODIES:
        yield f"as a body: {body[:20]!r}", _raw("POST", "/v1/assign", key, body)
    for path in PATHS:
        yield f"asked for: {path[:30]}", _raw("GET", path, key, None)
    yield from _lies(key)


def _lies(key: str) -> Iterator[tuple[str, bytes]]:
    """Headers that lie, repeat or never end."""
    body = b'{"lead":{"lead_id":"L"}}'
    json_type = b"Content-Type: application/json\r\n"
    for name, lines in {
        "a length that is none": b"Content-Length: ten\r\n" + json_type,
        "a length below zero": b"Content-Length: -1\r\n" + json_type,
        "a length of many digits": b"Content-Length: " + b"9" * 40 + b"\r\n" + json_type,
        "two lengths": b"Content-Length: 24\r\nContent-Length: 25\r\n" + json_type,
        "length and chunks": b"Content-Length: 24\r\nTransfer-Encoding: chunked\r\n" + json_type,
        "chunks of another kind": b"Transfer-Encoding: gzip\r\n" + json_type,
        "a zipped body": b"Content-Encoding: gzip\r\nContent-Length: 24\r\n" + json_type,
        "two types": b"Content-Length: 24\r\n" + json_type + b"Content-Type: text/plain\r\n",
        "no type": b"Content-Length: 24\r\n",
        "a form": b"Content-Length: 24\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        "plain text": b"Content-Length: 24\r\nContent-Type: text/plain\r\n",
        "a pickle's type": b"Content-Length: 24\r\nContent-Type: application/vnd.bentoml+pickle\r\n",
        "many parts": b"Content-Length: 24\r\nContent-Type: multipart/form-data; boundary=x\r\n",
        "another alphabet": b"Content-Length: 24\r\nContent-Type: application/json; charset=utf-7\r\n",
        "two keys": b"Content-Length: 24\r\nAuthorization: Bearer x\r\n" + json_type,
        "an empty idempotency key": b"Content-Length: 24\r\nIdempotency-Key: \r\n" + json_type,
        "a long idempotency key": b"Content-Length: 24\r\nIdempotency-Key: " + b"k" * 300 + b"\r\n" + json_type,
        "an idempotency key of bytes": b"Content-Length: 24\r\nIdempotency-Key: \xff\xfe\r\n" + json_type,
        "a deadline below zero": b"Content-Length: 24\r\nX-Request-Deadline-Ms: -5\r\n" + json_type,
        "a deadline of nothing": b"Content-Length: 24\r\nX-Request-Deadline-Ms: 0\r\n" + json_type,
        "a long request id": b"Content-Length: 24\r\nX-Request-Id: " + b"i" * 500 + b"\r\n" + json_type,
        "an expectation": b"Content-Length: 24\r\nExpect: 200-maybe\r\n" + json_type,
        "an upgrade": b"Content-Length: 24\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + json_type,
        "a folded header": b"Content-Length: 24\r\nX-A: b\r\n c\r\n" + json_type,
        "a header without a name": b"Content-Length: 24\r\n: x\r\n" + json_type,
        "a huge header": b"Content-Length: 24\r\nX-A: " + b"a" * 100_000 + b"\r\n" + json_type,
        "many headers": b"Content-Length: 24\r\n" + b"X-A: b\r\n" * 3_000 + json_type,
        "a range": b"Content-Length: 24\r\nRange: bytes=0-" + b",0-" * 500 + b"\r\n" + json_type,
    }.items():
        yield name, b"POST /v1/assign HTTP/1.1\r\nHost: x\r\n" + _bearer(key) + lines + b"\r\n" + body
    head = b"POST /v1/assign HTTP/1.1\r\nHost: x\r\n" + _bearer(key) + json_type
    for name, whole in {
        "nothing at all": b"",
        "a blank line": b"\r\n\r\n",
        "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "HTTP of yesterday": b"GET /livez\r\n\r\n",
        "HTTP of tomorrow": b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n",
        "a method of one's own": b"HURT /v1/reps HTTP/1.1\r\nHost: x\r\n" + _bearer(key) + b"\r\n",
        "a trace": b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
        "a tunnel": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n",
        "no host": b"GET /v1/reps HTTP/1.1\r\n" + _bearer(key) + b"\r\n",
        "a body for a GET": b"GET /v1/reps HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + _bearer(key) + b"\r\nhello",
        "less than was said": head + b"Content-Length: 1000\r\n\r\n{",
        "more than was said": head + b"Content-Length: 24\r\n\r\n" + body + b"GET /admin HTTP/1.1\r\n\r\n",
        "more than is allowed": head + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n" + b" " * 65_535 + b"\r\n",
        "a chunk that is no number": head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "a chunk below zero": head + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n",
        "chunks without an end": head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        "a bare line feed": b"GET /v1/reps HTTP/1.1\nHost: x\n\n",
        "spaces before the colon": b"GET /v1/reps HTTP/1.1\r\nHost : x\r\n\r\n",
    }.items():
        yield name, whole


def _bearer(key: str) -> bytes:
    return b"Authorization: Bearer " + key.encode() + b"\r\n"


def _post(path: str, key: str, value: Any) -> bytes:
    return _raw("POST", path, key, json.dumps(value).encode())


def _raw(method: str, path: str, key: str, body: bytes | None) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode("latin-1", "replace") + _bearer(key)
    if body is None:
        return head + b"\r\n"
    return head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def status_of(port: int, request: bytes, wait_s: float = 6.0) -> int | None:
    """The status of the first answer to these bytes; None where the connection just ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait_s) as connection:
        try:
            connection.sendall(request)
            answer = b""
            while b"\r\n" not in answer:
                more = connection.recv(4_096)
                if not more:
                    break
                answer += more
        except (ConnectionError, TimeoutError):
            return None
    parts = answer.split(b" ", 2)
    return int(parts[1]) if answer.startswith(b"HTTP/") and len(parts) > 1 and parts[1].isdigit() else None
