"""The service over HTTP: against an echo under BentoML as it comes, a bare uvicorn route, and one fsync'd commit."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pysqlite3.dbapi2 as sqlite_driver

from data.errors import RefusedError
from data.store import keys, promotions, roster
from data.store.ledger import Ledger
from pipelines.bench.client import Client
from pipelines.bench.measure import Spread, case, spread
from pipelines.bench.world import roster_of
from pipelines.progress import Step
from pipelines.serve import Running, start
from serving.models import bundle
from serving.models.bundle_store import BundleStore
from serving.models.signing import signing_key
from training import model_files
from training.conversion import ConversionModel

REPS = 1_000
READY_WITHIN_S = 120.0
# `pip install bentoml` brings neither uvloop nor httptools; here they are installed, and uvicorn would take them.
AS_IT_COMES = '''
from uvicorn import config
config.HTTP_PROTOCOLS["auto"] = config.HTTP_PROTOCOLS["h11"]
config.LOOP_FACTORIES["auto"] = config.LOOP_FACTORIES["asyncio"]
'''
ECHO = '''
import bentoml
from fastapi import FastAPI
web = FastAPI()
@web.post("/echo")
async def echo(body: dict):
    return body
@bentoml.service(name="echo", workers=1)
@bentoml.asgi_app(web, path="/")
class Echo:
    pass
'''
BARE = '''
from fastapi import FastAPI
web = FastAPI()
@web.post("/echo")
async def echo(body: dict):
    return body
'''


class Site:
    """A running service with its champion, its roster of 1,000 reps and a key."""

    def __init__(self, home: Path, model: ConversionModel, leads: list[dict[str, Any]], *, workers: int = 1) -> None:
        self.leads, self.home = leads, home
        if not (home / "ledger.db").exists():
            self.key = furnish(home, model)
        self.running: Running = start(port=free_port(), workers=workers, home=home, log=home / "service.log")

    def score(self, number: int) -> tuple[str, bytes]:
        """A request for scores: path and body."""
        return "/v1/score", self._body(number)

    def assign(self, number: int) -> tuple[str, bytes]:
        """A request for a decision."""
        return "/v1/assign", self._body(number)

    def _body(self, number: int) -> bytes:
        lead = {**self.leads[number % len(self.leads)], "lead_id": f"H-{os.getpid()}-{number}"}
        return json.dumps({"lead": lead}).encode()


def http_cases(model: ConversionModel, leads: list[dict[str, Any]], *, quick: bool, step: Step) -> list[dict[str, Any]]:
    """Every case over HTTP."""
    with tempfile.TemporaryDirectory(prefix="leadmatch-bench-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        wide, _ = roster_of(model, REPS)
        step("starting the service, an echo under BentoML and a bare uvicorn route")
        site = Site(home, wide, leads)
        try:
            with (
                _echo(Path(folder), "bento", AS_IT_COMES + ECHO) as bento,
                _echo(Path(folder), "faster", ECHO) as faster,
                _echo(Path(folder), "bare", BARE) as bare,
            ):
                echoes = {"bento": Client(bento), "faster": Client(faster), "bare": Client(bare)}
                return _measured(site, echoes, Path(folder), quick=quick, step=step)
        finally:
            site.running.stop()


def _measured(
    site: Site, echoes: dict[str, Client], folder: Path, *, quick: bool, step: Step
) -> list[dict[str, Any]]:
    rounds, calls = (8, 10) if quick else (30, 20)
    ours = Client(site.running.url, site.key)
    commit = _Commit(folder / "commit.db")
    times: dict[str, list[float]] = {name: [] for name in ("score", "assign", *echoes, "commit")}
    step("one connection, in turn")
    number = 0
    for turn in range(rounds + 1):
        for name in times:
            for _ in range(calls):
                number += 1
                began = time.perf_counter()
                if name == "commit":
                    commit(number)
                elif name in echoes:
                    echoes[name].post("/echo", site.score(number)[1])
                else:
                    ours.post(*getattr(site, name)(number))
                if turn:
                    times[name].append(time.perf_counter() - began)
    found = {name: spread(seconds) for name, seconds in times.items()}
    durable = _sum(found["bento"], found["commit"])
    score, assign = f"POST /v1/score, {REPS:,} reps, five explained", "POST /v1/assign, durable"
    cases = [
        case(score, found["score"], found["bento"], against="an echo under BentoML as it comes", unit="wall, p50"),
        case(score, found["score"], found["faster"], against="that echo on uvloop and httptools", unit="wall, p50"),
        case(score, found["score"], found["bare"], against="a bare uvicorn route", unit="wall, p50"),
        case(assign, found["assign"], durable, against="that echo and one fsync'd commit", unit="wall, p50"),
    ]
    cases += [_at_half_load(site, name, quick=quick, step=step) for name in ("score", "assign")]
    resident = max(worker.memory_info().rss for worker in site.running.workers())
    cases.append({"case": "memory of a worker after all these", "unit": "MB resident", "ours_mb": resident / 1e6})
    return cases


def _at_half_load(site: Site, name: str, *, quick: bool, step: Step) -> dict[str, Any]:
    """The tail at half of what one connection after the other gets through: arrivals at random, four connections."""
    step(f"/v1/{name} at half load")
    requests = [getattr(site, name)(10_000_000 + number) for number in range(150 if quick else 1_500)]
    one = Client(site.running.url, site.key)
    began = time.perf_counter()
    for request in requests[: len(requests) // 3]:
        one.post(*request)
    pace = (time.perf_counter() - began) / (len(requests) // 3)
    later = requests[len(requests) // 3 :]
    arrivals = np.cumsum(np.random.default_rng(0).exponential(2 * pace, len(later)))
    waited, refused = _served(site, later, arrivals)
    p50, p99 = np.percentile(waited, [50, 99])
    return {
        "case": f"/v1/{name} at half load, p99 over p50",
        "unit": "wall, from the planned arrival",
        "ours_us": 1e6 * float(p50),
        "p99_us": 1e6 * float(p99),
        "tail": float(p99 / p50),
        "refused": refused,
        "requests_per_second": float(1 / (2 * pace)),
    }


def _served(site: Site, requests: list[tuple[str, bytes]], arrivals: np.ndarray) -> tuple[list[float], int]:
    """How long each request took from its planned arrival, waiting for a connection included; how many were refused."""
    waited: list[float] = []
    refused: list[float] = []
    failed: list[Exception] = []
    lock, following, began = threading.Lock(), iter(zip(requests, arrivals, strict=True)), time.perf_counter()

    def serve() -> None:
        client = Client(site.running.url, site.key)
        while True:
            with lock:
                taken = next(following, None)
            if taken is None:
                return
            request, due = taken
            time.sleep(max(began + due - time.perf_counter(), 0.0))
            try:
                client.post(*request)
            except RefusedError:  # answered, but with another status: counted, and told beside the tail
                refused.append(due)
                continue
            except Exception as error:
                failed.append(error)  # raised below, where it can be seen
                return
            waited.append(time.perf_counter() - began - due)

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return waited, len(refused)


class _Commit:
    """One row into SQLite, committed to the disk: what a durable answer cannot do without."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite_driver.connect(str(file), isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("CREATE TABLE answers (number INTEGER PRIMARY KEY, body BLOB)")

    def __call__(self, number: int) -> None:
        self._connection.execute("INSERT INTO answers VALUES (?, ?)", (number, b"x" * 2_000))


def furnish(home: Path, model: ConversionModel) -> str:
    """A champion, a roster and a key for an empty installation; the key."""
    at = datetime.now(UTC)
    model_files.save(model, home / "model")
    digest = bundle.seal(home / "model", signing_key(home)).digest
    BundleStore(home).install(home / "model")
    ledger = Ledger.open(f"sqlite:///{home}/ledger.db")
    with ledger.writing() as tx:
        promotions.promote(
            tx, version="1", digest=digest, expected_previous=None, actor="bench", grounds={}, at=at
        )
        roster.put_reps(tx, model.reps, actor="bench", at=at)
        key = keys.create(tx, role="crm", label="bench", at=at).key
    ledger.close()
    return key


@contextmanager
def _echo(folder: Path, kind: str, source: str) -> Iterator[str]:
    """The address of an echo service of this source, which ends with the block."""
    port, name = free_port(), f"{kind}_echo"
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m"]
    if "bentoml" in source:
        command += ["bentoml", "serve", f"{name}:Echo", "--host", "127.0.0.1", "--port", str(port)]
    else:
        command += ["uvicorn", f"{name}:web", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(  # noqa: S603  our own interpreter and module, no shell
        command, cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "true"},
    )  # fmt: skip
    running = Running(process, f"http://127.0.0.1:{port}")
    try:
        _until_it_answers(running)
        yield running.url
    finally:
        running.stop()


def _until_it_answers(running: Running) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and running.process.poll() is None:
        try:
            if httpx.post(running.url + "/echo", json={}, timeout=2.0).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RefusedError("An echo service did not start; nothing was compared with it.")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _sum(one: Spread, other: Spread) -> Spread:
    return Spread(one.median + other.median, one.low + other.low, one.high + other.high,
                  one.wall_median + other.wall_median)  # fmt: skip
