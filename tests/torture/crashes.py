"""The process ends at the worst moments, each by name: what was acknowledged stays, the rest is whole or not there."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from data.store.ledger import Ledger
from pipelines.doctor import examine
from tests.torture import clients, history
from tests.torture.service import MODULES, Forked, Http, answered, furnished

OF_REQUESTS = (
    "before_claim",
    "after_reserve",
    "before_commit",
    "after_commit",
    "in_outcomes",
    "in_override",
    "in_roster",
)
CAPACITIES = {"R-1": 40, "R-2": 40, "R-3": 40}


def crashed_at(point: str, url: str, home: Path, port: int, *, times: int = 4, seed: int = 1) -> list[str]:
    """What is wrong after a worker ended at the `times`-th passing of the point, and another one took over."""
    call = Http(port, furnished(url, CAPACITIES))
    service = Forked(url, home, port, workers=1)
    doomed = Forked(url, home, port, workers=1, crash_at=f"{point}:{times}")
    plan = clients.Plan(call, list(CAPACITIES), highest=60, lowest=30, requests=10**9)
    noted: list[history.Operation] = []
    doomed.start()
    loading = threading.Thread(target=lambda: noted.extend(clients.together(plan, 3, seed)))
    try:
        answered(call)
        loading.start()
        doomed.processes[0].join(timeout=120)
        struck = doomed.processes[0].exitcode
        service.start()
        answered(call)
        time.sleep(0.3)  # some more work, and the requests that were cut off come again
    finally:
        plan.stop.set()
        loading.join()
        doomed.kill()
    wrong = [] if struck == -9 else [f"the worker did not crash at {point}: {struck}"]
    wrong += history.violations(noted, clients.final(call), CAPACITIES)
    service.kill()
    call.close()
    ledger = Ledger.open(url)
    wrong += [str(finding) for finding in examine(ledger)]
    ledger.close()
    return wrong


def died_at(point: str, work: Callable[..., None], *arguments: Any) -> bool:
    """Whether a process that does the work ended at the point."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(MODULES)
    process = context.Process(target=_armed, args=(point, work, arguments), daemon=True)
    process.start()
    process.join(timeout=120)
    return process.exitcode == -9


def _armed(point: str, work: Callable[..., None], arguments: Sequence[Any]) -> None:
    from data.crash_points import arm

    arm(point)
    work(*arguments)
