"""How long a start takes: of the whole service, from the command; and of its worker, from the birth of its process."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from data.errors import RefusedError
from pipelines.bench.http import READY_WITHIN_S, REPS, free_port, furnish
from pipelines.bench.world import roster_of
from pipelines.progress import Step
from pipelines.serve import ASKED_EVERY_S, ROOT, Running, answers
from training.conversion import ConversionModel

COMMAND = "from pipelines.cli import main; main()"  # what the installed `leadmatch` runs


@dataclass(frozen=True)
class Started:
    """One start, in seconds of wall until the first answer that it is ready, and of processor time by then."""

    whole_s: float  # from the command
    worker_s: float  # from the creation of the worker's process
    all_cpu_s: float  # of the command, BentoML's master and the worker
    worker_cpu_s: float


def start_cases(model: ConversionModel, *, quick: bool, step: Step) -> list[dict[str, Any]]:
    """The whole service's start and the worker's own: medians of a few starts, one after the other."""
    with tempfile.TemporaryDirectory(prefix="leadmatch-bench-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        furnish(home, roster_of(model, REPS)[0])
        times = 3 if quick else 5
        step(f"starting the service {times} times")
        starts = [started(home) for _ in range(times)]
    return [
        _case("`leadmatch serve` until it is ready", [(one.whole_s, one.all_cpu_s) for one in starts]),
        _case("worker start to ready", [(one.worker_s, one.worker_cpu_s) for one in starts]),
    ]


def started(home: Path) -> Started:
    """One start of one worker on the installation in `home`, ended again. Raises RefusedError if it is never ready."""
    port = free_port()
    began = time.monotonic()
    with (home / "starts.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  our own interpreter and code, no shell
            [sys.executable, "-c", COMMAND, "serve", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, "LEADMATCH_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    running = Running(process, f"http://127.0.0.1:{port}")
    try:
        while not answers(running.url, "/readyz"):
            if process.poll() is not None or time.monotonic() > began + READY_WITHIN_S:
                raise RefusedError("The service did not start; how long that takes was not measured.")
            time.sleep(ASKED_EVERY_S)
        whole_s = time.monotonic() - began
        command = psutil.Process(process.pid)
        (master,) = command.children()
        (worker,) = master.children()
        cpu = [sum(one.cpu_times()[:2]) for one in (command, master, worker)]
        # Both by the kernel's clock, whose distance from ours does not matter then.
        return Started(whole_s, whole_s - (worker.create_time() - command.create_time()), sum(cpu), cpu[-1])
    finally:
        running.stop()


def _case(name: str, measured: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """One line of the report, from seconds of wall and of processor time."""
    wall = [seconds for seconds, _ in measured]
    return {
        "case": name,
        "unit": "wall",
        "ours_us": 1e6 * median(wall),
        "lowest_us": 1e6 * min(wall),
        "highest_us": 1e6 * max(wall),
        "times": len(wall),
        "cpu_us": 1e6 * median(cpu for _, cpu in measured),
    }
