"""Kill -9 under load, again and again: what was acknowledged is there, once, and all sums are right."""

import threading
import time
from dataclasses import dataclass
from typing import Any

from data.store.ledger import Ledger
from pipelines.doctor import examine
from tests.torture import clients, history
from tests.torture.service import Http, answered, furnished

CAPACITIES = {f"R-{number}": 10_000 for number in range(1, 9)}
CLIENTS = 8


@dataclass(frozen=True)
class Outcome:
    """What became of it."""

    cycles: int
    acknowledged: int  # decisions that clients were told of
    cut: int  # requests whose answer never came
    violations: list[str]  # of the history: lost, doubled, drifted
    findings: list[str]  # doctor's
    ready_s: list[float]  # from each start to the first answer

    def __str__(self) -> str:
        slowest = f"ready after {max(self.ready_s):.1f} s at most"
        bad = f"{len(self.violations)} lost, doubled or drifted, {len(self.findings)} doctor's findings"
        return f"{self.cycles} cycles, {self.acknowledged} decisions acknowledged, {self.cut} cut: {bad}; {slowest}"


def cycles(service: Any, url: str, port: int, count: int, *, loaded_s: float, seed: int = 1) -> Outcome:
    """Start, load for so long, kill; `count` times. Then ask what is there.

    service : with start() and kill(); url : of its ledger, empty so far.
    """
    call = Http(port, furnished(url, CAPACITIES))
    plan = clients.Plan(call, list(CAPACITIES), highest=10_000, lowest=9_000, requests=10**9)
    noted: list[history.Operation] = []
    loading = threading.Thread(target=lambda: noted.extend(clients.together(plan, CLIENTS, seed)))
    ready_s = []
    try:
        for number in range(count):
            begun = time.monotonic()
            service.start()
            answered(call)
            ready_s.append(time.monotonic() - begun)
            if number == 0:
                loading.start()
            time.sleep(loaded_s * (0.5 + (number * 0.618) % 1))  # not always at the same moment
            service.kill()
    finally:
        plan.stop.set()
        if loading.is_alive():
            loading.join()
    service.start()
    answered(call)
    found = history.violations(noted, clients.final(call), CAPACITIES)
    service.kill()
    call.close()
    ledger = Ledger.open(url)
    findings = [str(finding) for finding in examine(ledger)]
    ledger.close()
    told = {one.answer["decision_id"] for one in noted if one.kind == "assign" and one.well}
    return Outcome(count, len(told), sum(one.status is None for one in noted), found, findings, ready_s)
