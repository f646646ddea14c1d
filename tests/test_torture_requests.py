"""Hostile and generated requests: no answer but 2xx, 4xx and 503, the worker lives, and its memory does not grow."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.torture.generated import from_description, from_imagination
from tests.torture.hostile import requests, status_of
from tests.torture.service import Forked, Http, answered, furnished

MOST_GROWTH_BYTES = 20_000_000


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One worker of the application, warmed up: (call, the worker's process, the keys)."""
    home = tmp_path_factory.mktemp("home")
    url, port = f"sqlite:///{home}/ledger.db", free_port()
    keys = furnished(url, {"R-1": 1_000_000, "R-2": 1_000_000})
    call = Http(port, keys)
    forked = Forked(url, home, port, workers=1)
    forked.start()
    answered(call)
    yield call, forked.processes[0], keys
    call.close()
    forked.kill()


def resident(process):
    """Bytes that the process holds in memory."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4_096


def fit(status):
    return status is None or 200 <= status < 500 or status == 503


def warmed(call, keys):
    for number in range(60):
        assert call("POST", "/v1/assign", "crm", {"lead": {"lead_id": f"W-{number}", "x": "y" * 200}})[0] == 200
        call("GET", "/v1/decisions?limit=200", "admin")
    for _, request in list(requests(keys["admin"]))[:200:10]:
        status_of(call.port, request)


def test_three_hundred_hostile_requests_do_no_harm(service):
    call, worker, keys = service
    warmed(call, keys)
    before = resident(worker)
    hostile = list(requests(keys["admin"]))
    assert len(hostile) >= 300
    with ThreadPoolExecutor(8) as pool:  # some wait until the service's patience is over
        statuses = pool.map(lambda one: status_of(call.port, one[1]), hostile)
        said = dict(zip((name for name, _ in hostile), statuses, strict=True))
    assert {name: status for name, status in said.items() if not fit(status)} == {}
    assert sum(status is not None and 400 <= status < 500 for status in said.values()) > 150  # they were refused
    assert worker.is_alive()
    answered(call)
    assert resident(worker) - before < MOST_GROWTH_BYTES


@pytest.mark.filterwarnings("default")
def test_five_thousand_generated_requests_do_no_harm(service):
    call, worker, keys = service
    warmed(call, keys)
    status, raw = call("GET", "/openapi.json", "admin")
    assert status == 200
    from_imagination(call, 200)
    before = resident(worker)
    said = from_description(call, json.loads(raw), 4_000)
    said += from_imagination(call, 1_000)
    assert [status for status in said if not fit(status)] == [], said
    assert said.total() >= 4_500
    assert said[200] > 100  # some were good
    assert worker.is_alive()
    assert resident(worker) - before < MOST_GROWTH_BYTES
