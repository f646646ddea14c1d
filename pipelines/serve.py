"""Run the service: a process group of its own, watched until it answers, and ended as a whole."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from data.errors import InputError, RefusedError
from data.store.folders import make_folder

ROOT = Path(__file__).parent.parent  # where the rooms lie
SERVICE = "serving.service:Leadmatch"
READY_WITHIN_S = 120.0
ASKED_EVERY_S = 0.02  # whether it is ready; while nobody listens a question costs next to nothing
GRACE_S = 10.0


@dataclass(frozen=True)
class Running:
    """A service that was started."""

    process: subprocess.Popen[bytes]
    url: str

    def wait(self) -> int:
        """The exit status, once the service has ended by itself or on a signal."""
        return self.process.wait()

    def stop(self) -> None:
        """End the service with all its workers: asked first, then killed. The port is free afterwards."""
        workers = self.workers()
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=GRACE_S)
        self._kill([*workers, *self.workers()])

    def kill(self) -> None:
        """Kill -9 to the service and all its workers."""
        self._kill(self.workers())

    def workers(self) -> list[psutil.Process]:
        """The processes that the service has begun, and theirs; empty once it has ended."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _kill(self, workers: Sequence[psutil.Process]) -> None:
        """Each worker leads a group of its own, so each is told; and waited for, lest it still answer on the port."""
        self.process.kill()
        self.process.wait()
        for worker in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        while any(_lives(worker) for worker in workers):
            time.sleep(0.01)


def start(
    *,
    host: str = "127.0.0.1",
    port: int = 3000,
    workers: int = 1,
    home: Path | None = None,
    log: Path | None = None,
    ready_within_s: float = READY_WITHIN_S,
) -> Running:
    """The service on host:port, once it is ready.

    home : LEADMATCH_HOME for the service; log : file for its log, else standard error.
    Raises InputError where the port is taken, the home cannot be made or a setting is wrong, RefusedError where it
    ended or was not ready in time.
    """
    url = _url(host, port)
    refuse_if_taken(host, port)
    environment = _environment(os.environ, workers=workers, home=home)
    _refuse_unusable(environment)
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE, "--host", host, "--port", str(port)]
    with open(log, "ab") if log else open(os.dup(2), "wb") as stream:
        process = subprocess.Popen(  # noqa: S603  our own interpreter and module, no shell
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,  # the terminal's Ctrl-C goes to us, and we end it in order
        )
    running, told = Running(process, url), f"see {log}" if log else "see its log above"
    deadline = time.monotonic() + ready_within_s
    while not answers(url, "/readyz"):
        if process.poll() is not None:
            raise RefusedError(f"The service ended with status {process.returncode} before it was ready; {told}.")
        if time.monotonic() > deadline:
            running.stop()
            raise RefusedError(f"The service was not ready within {ready_within_s:g} seconds; {told}.")
        time.sleep(ASKED_EVERY_S)
    return running


def serve(
    *, host: str = "127.0.0.1", port: int = 3000, workers: int = 1, ready: Callable[[Running], None]
) -> int:
    """Run the service until it ends or this process is told to end; its exit status.

    ready : is told once, when the service answers.
    """
    running = start(host=host, port=port, workers=workers)
    end_in_order()
    try:
        ready(running)
        return running.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        running.stop()


def refuse_if_taken(host: str, port: int) -> None:
    """Raise InputError where something listens on host:port already, or it is no address to listen on here."""
    url = _url(host, port)
    if answers(url, "/livez"):
        raise InputError(f"Something answers on {url} already; end it or choose another --port.")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            probe.bind(address)
    except OSError as error:
        raise InputError(
            f"{host}:{port} is taken or cannot be used ({error.strerror}); "
            "end what listens there, or choose another --port."
        ) from None


def end_in_order() -> None:
    """From now on a request to end (SIGTERM) interrupts this process as Ctrl-C does: what it began is ended first."""
    signal.signal(signal.SIGTERM, _interrupt)


def _refuse_unusable(environment: Mapping[str, str]) -> None:
    """Raise InputError for what each worker would fail at, again and again."""
    make_folder(Path(environment["LEADMATCH_HOME"]))
    unchecked = {"LEADMATCH_HOME", "LEADMATCH_LAUNCHER"}
    if any(name.upper().startswith("LEADMATCH_") for name in environment.keys() - unchecked):
        from data.settings import read_settings  # where nothing is set, the launcher is spared what reads it

        read_settings()


def _url(host: str, port: int) -> str:
    return f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"  # noqa: S104  compared, not bound


def _environment(given: Mapping[str, str], *, workers: int, home: Path | None) -> dict[str, str]:
    if workers < 1:
        raise InputError("--workers must be at least 1.")
    chosen = (home or Path(given.get("LEADMATCH_HOME", "var"))).resolve()
    return {
        **given,
        "LEADMATCH_HOME": str(chosen),
        "LEADMATCH_LAUNCHER": str(os.getpid()),  # the master ends with us, however we end
        "BENTOML_HOME": str(chosen / "bentoml"),
        "BENTOML_CONFIG_OPTIONS": f"services.leadmatch.workers={workers}",
        "BENTOML_DO_NOT_TRACK": "true",
        "OTEL_SDK_DISABLED": "true",
        "OMP_NUM_THREADS": given.get("OMP_NUM_THREADS", "1"),
        "OPENBLAS_NUM_THREADS": given.get("OPENBLAS_NUM_THREADS", "1"),
    }


def answers(url: str, path: str) -> bool:
    """Whether somebody answers there that all is well."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=2.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
