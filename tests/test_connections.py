"""Clients that open connections and dawdle keep nobody else from being answered, and are let go."""

import select
import socket
import time

import pytest

from serving.web.connections import HEADERS_WITHIN_S
from tests.ports import free_port
from tests.torture.service import Forked, Http, answered, furnished

HALF_OPEN, SLOW = 400, 50
LET_GO_WITHIN_S = 60.0  # five seconds on a machine with nothing else to do


def opened(port, first_bytes):
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(first_bytes)
    return connection


def test_four_hundred_half_open_and_fifty_slow_clients_are_let_go_and_an_honest_one_is_served(tmp_path):
    url, port = f"sqlite:///{tmp_path}/ledger.db", free_port()
    keys = furnished(url, {"R-1": 1_000})
    call, service = Http(port, keys, timeout_s=60), Forked(url, tmp_path, port, workers=1)
    service.start()
    dawdling = []
    try:
        answered(call)
        head = f"POST /v1/assign HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {keys['crm']}\r\n".encode()
        body = b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
        dawdling += [opened(port, b"GET /livez HTTP/1.1\r\nHost:") for _ in range(HALF_OPEN)]
        dawdling += [opened(port, head + body) for _ in range(SLOW)]
        for number in range(20):
            status, _ = call("POST", "/v1/assign", "crm", {"lead": {"lead_id": f"L-{number}"}})
            assert status == 200
        waiting = {connection.fileno(): connection for connection in dawdling}
        deadline = time.monotonic() + LET_GO_WITHIN_S
        poll = select.poll()
        for number in waiting:
            poll.register(number, select.POLLIN | select.POLLHUP)
        while waiting and time.monotonic() < deadline:
            for number, _ in poll.poll(200):
                if ended(waiting[number]):
                    poll.unregister(number)
                    del waiting[number]
        assert not waiting
        assert call("GET", "/v1/reps", "admin")[0] == 200  # a connection that waits between two requests
    finally:
        for connection in dawdling:
            connection.close()
        call.close()
        service.kill()


def test_headers_without_end_are_cut_off(tmp_path):
    url, port = f"sqlite:///{tmp_path}/ledger.db", free_port()
    keys = furnished(url, {"R-1": 1_000})
    call, service = Http(port, keys, timeout_s=60), Forked(url, tmp_path, port, workers=1)
    service.start()
    try:
        answered(call)
        began = time.monotonic()
        with opened(port, b"GET /livez HTTP/1.1\r\nHost: x\r\n") as endless, pytest.raises(ConnectionError):
            flood(endless)
        assert time.monotonic() - began < HEADERS_WITHIN_S  # by their length, not by their time
        assert call("GET", "/v1/reps", "admin")[0] == 200
    finally:
        call.close()
        service.kill()


def flood(connection):
    """Two megabytes of headers, a thousand bytes at a time."""
    for number in range(2_000):
        connection.sendall(b"X-%d: %s\r\n" % (number, b"x" * 1_000))
        time.sleep(0.0005)


def ended(connection):
    """Whether the service closed it, or answered that it waited long enough."""
    try:
        said = connection.recv(4_096)
    except ConnectionError:
        return True
    return not said or said.startswith(b"HTTP/1.1 408")
