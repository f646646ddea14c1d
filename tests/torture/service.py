"""Services to torture: the real one under BentoML, or its application in bare forked workers, which start at once."""

import http.client
import json
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.store import keys, roster
from data.store.ledger import Ledger

MODULES = [
    "uvicorn", "serving.web.app", "serving.running.parts", "serving.web.connections",
    "sqlalchemy.dialects.postgresql.psycopg",
]  # fmt: skip
ROLES = ("crm", "manager", "admin")


def furnished(url: str, capacities: Mapping[str, int]) -> dict[str, str]:
    """A key of each role, in a ledger that now has these reps."""
    from data.roster import Rep

    now = datetime.now(UTC)
    ledger = Ledger.open(url)
    with ledger.writing() as tx:
        made = {role: keys.create(tx, role=role, label=role, at=now).key for role in ROLES}
        roster.put_reps(tx, [Rep(rep, capacity=most) for rep, most in capacities.items()], actor="torture", at=now)
    ledger.close()
    return made


class Http:
    """Calls to 127.0.0.1:port, on a connection a thread; an answer that does not come is status None."""

    def __init__(self, port: int, keys: Mapping[str, str], timeout_s: float = 20.0) -> None:
        self.port = port
        self._keys = keys
        self._timeout_s = timeout_s
        self._own = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    def __call__(
        self, method: str, path: str, role: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int | None, bytes]:
        """(status, the answer's bytes); the body goes as JSON."""
        if body is None:
            return self.raw(method, path, role, None, headers or {})
        given = {"Content-Type": "application/json", **(headers or {})}
        return self.raw(method, path, role, json.dumps(body).encode(), given)

    def raw(
        self, method: str, path: str, role: str, content: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int | None, bytes]:
        """The same with a body of bytes."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self._timeout_s)
            self._own.connection = connection
            self._opened.append(connection)
        given = {"Authorization": f"Bearer {self._keys[role]}", **headers}
        try:
            connection.request(method, path, content, given)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # it opens anew with the next request
            return None, b""

    def close(self) -> None:
        """Close every thread's connection."""
        for connection in self._opened:
            connection.close()


def answered(call: Http, within_s: float = 60.0) -> float:
    """Seconds until the service answers a request that needs its ledger."""
    begun = time.monotonic()
    while call("GET", "/v1/reps", "admin")[0] != 200:
        if time.monotonic() > begun + within_s:
            raise AssertionError(f"no answer within {within_s:g} s")
        time.sleep(0.02)
    return time.monotonic() - begun


class Forked:
    """Workers of the application on one port, forked from a process that has imported everything."""

    def __init__(self, url: str, home: Path, port: int, workers: int = 2, crash_at: str = "") -> None:
        self._url, self._home, self._port, self._count, self._crash_at = url, home, port, workers, crash_at
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(MODULES)
        self.processes: list[Any] = []

    def start(self) -> None:
        """Begin to listen, and fork."""
        # With its protocol named: asyncio lets small packets go at once only where it knows that it is TCP.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", self._port))
            listening.listen(512)
            given = (self._url, self._home, listening, self._crash_at)
            self.processes = [self._context.Process(target=_work, args=given, daemon=True) for _ in range(self._count)]
            for process in self.processes:
                process.start()

    def kill(self) -> None:
        """Kill -9 to all of them."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()


def _work(url: str, home: Path, listening: socket.socket, crash_at: str) -> None:
    """A worker: the application with its layers, without a model."""
    import uvicorn

    from data.crash_points import arm
    from data.settings import Settings
    from serving.models import fetch
    from serving.running.parts import put_together
    from serving.running.process import to_serve
    from serving.web.app import build_app, layers
    from serving.web.connections import PromptConnection

    # No registry: a process that only learns so would take seconds of the machine at every request for one.
    fetch._ask_registry = _no_registry
    app = build_app()
    app.state.parts = put_together(Ledger.open(url), NoBundles(), home=home)
    whole: Any = app
    for layer, arguments in reversed(layers(app, Settings())):
        whole = layer(whole, **arguments)
    to_serve()
    arm(crash_at)
    config = uvicorn.Config(whole, http=PromptConnection, log_config=None, lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])


def _no_registry(arguments: Sequence[str], seconds: float) -> None:
    from serving.models.child import ChildFailedError

    raise ChildFailedError("there is no registry here")


class NoBundles:
    """No model: the rule book's fallback decides."""

    problem = "no model has been promoted yet"

    def current(self) -> None:
        """None."""
        return


class Whole:
    """`leadmatch serve` as users run it: BentoML's master and its workers."""

    def __init__(self, home: Path, port: int, workers: int = 1, **environment: str) -> None:
        self.home, self._port, self._workers = home, port, workers
        self._environment = environment
        self.log = home / "service.log"
        self.running: Any = None

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        from pipelines.serve import start

        before = {name: os.environ.get(name) for name in self._environment}
        os.environ.update(self._environment)
        try:
            self.running = start(port=self._port, workers=self._workers, home=self.home, log=self.log)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def kill(self) -> None:
        """Kill -9 to the master and its workers."""
        self.running.kill()

    def workers(self) -> list[int]:
        """The workers' process ids."""
        return [worker.pid for worker in self.running.workers()]
