"""Work that may crash, hang or eat memory, done in a throw-away process under limits."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent  # where the rooms lie
HARMLESS = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "TMPDIR", "TZ")
LONGEST_ANSWER = 10_000


class ChildFailedError(Exception):
    """The child crashed, was stopped at a limit, or said no; the message says which."""


@dataclass(frozen=True)
class Limits:
    """What a child may use before the kernel or its parent ends it."""

    seconds: float = 60.0  # of wall time
    cpu_seconds: int = 30
    memory_bytes: int = 4 * 2**30  # of address space: importing LightGBM alone maps about one
    file_bytes: int = 0  # of any one file it writes


def run_in_child(
    module: str, arguments: Sequence[str], limits: Limits, *, environment: Mapping[str, str] | None = None
) -> None:
    """Run `python -m module arguments` to its end in a process of its own; the module calls `answer`.

    environment : what the child sees besides the harmless variables.
    Raises ChildFailedError where it did not answer that all is well.
    """
    seen = {name: os.environ[name] for name in HARMLESS if name in os.environ} | dict(environment or {})
    seen |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    seen |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    plan = json.dumps([limits.cpu_seconds, limits.memory_bytes, limits.file_bytes, limits.seconds])
    child = subprocess.Popen(  # noqa: S603  our own interpreter and module, no shell
        [sys.executable, "-P", "-m", module, plan, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=seen,
        start_new_session=True,
    )
    try:
        said, _ = child.communicate(timeout=limits.seconds)
    except subprocess.TimeoutExpired:
        raise ChildFailedError(f"not done after {limits.seconds:g} seconds") from None
    finally:
        _end(child)
    if child.returncode < 0:
        raise ChildFailedError(f"the process died: {signal.strsignal(-child.returncode)}")
    answer = said.decode(errors="replace")[:LONGEST_ANSWER].strip()
    if child.returncode or answer != "well":
        raise ChildFailedError(answer or f"the process ended with status {child.returncode}")


def answer(arguments: Sequence[str], work: Callable[[Sequence[str]], None]) -> None:
    """The child's side: take on the limits, do the work, say how it went. Does not return."""
    cpu_seconds, memory_bytes, file_bytes, seconds = json.loads(arguments[0])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    signal.setitimer(signal.ITIMER_REAL, seconds + 5)  # so that it ends even where its parent was killed
    # Libraries print to standard output; the answer has a way of its own.
    way = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        work(arguments[1:])
        said, status = "well", 0
    except Exception as error:  # whatever it is: the parent is told, and this process ends
        said, status = f"{type(error).__name__}: {error}", 1
    os.write(way, said.encode()[:LONGEST_ANSWER])
    os._exit(status)  # no finalizers of a library that may be damaged


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
