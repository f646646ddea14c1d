"""`make torture`: every torture at full size, as lines of figures. `python -m tests.torture NAME...` for some of them.

`--share 0.1` does a tenth of each. Exit status 1 where something was lost, doubled or answered that must not be.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.ports import free_port
from tests.torture import clients, history
from tests.torture.kills import cycles
from tests.torture.postgres import Postgres
from tests.torture.service import Forked, Http, Whole, answered, furnished

KILLS, SERVED = 200, 20
REQUESTS, CLIENTS = 20_000, 16
MUTANTS = 150
GENERATED = 50_000
SWAPS = 50

Result = tuple[bool, str]  # whether all is well, and the figures


def kills(url: str, home: Path, share: float) -> Result:
    """Kill -9 of all workers under load."""
    port = free_port()
    outcome = cycles(Forked(url, home, port), url, port, max(round(KILLS * share), 1), loaded_s=0.6)
    return not (outcome.violations or outcome.findings), str(outcome)


def served(url: str, home: Path, share: float) -> Result:
    """The same of the whole service as it is run, master and workers."""
    port = free_port()
    service = Whole(home, port, workers=2, LEADMATCH_DATABASE_URL=url)
    outcome = cycles(service, url, port, max(round(SERVED * share), 1), loaded_s=1.0)
    return not (outcome.violations or outcome.findings), str(outcome)


def game(url: str, home: Path, share: float) -> Result:
    """Sixteen clients, and what they saw held against what is possible."""
    from data.store.ledger import Ledger
    from pipelines.doctor import examine

    capacities = {f"R-{number}": 30 * number for number in range(1, 7)}
    port = free_port()
    call = Http(port, furnished(url, capacities))
    service = Forked(url, home, port)
    service.start()
    answered(call)
    begun = time.monotonic()
    plan = clients.Plan(call, list(capacities), highest=150, lowest=20, requests=round(REQUESTS * share) // CLIENTS)
    noted = clients.together(plan, CLIENTS, seed=2)
    took_s = time.monotonic() - begun
    found = history.violations(noted, clients.final(call), capacities)
    service.kill()
    call.close()
    ledger = Ledger.open(url)
    findings = [str(finding) for finding in examine(ledger)]
    ledger.close()
    kinds = {kind: sum(one.kind == kind for one in noted) for kind in ("assign", "override", "outcome", "capacity")}
    told = f"{len(noted)} requests in {took_s:.0f} s {kinds}: {len(found)} violations, {len(findings)} findings"
    return not (found or findings), " | ".join([told, *found[:3], *findings[:3]])


def signed_mutants(_url: str, home: Path, share: float) -> Result:
    """Mutants of the model's text under a good signature, each before the throw-away process."""
    from serving.models import bundle, signing
    from serving.models.canary import check_in_child
    from serving.models.child import ChildFailedError
    from tests.conftest import made_small_model
    from tests.torture.bundles import mutants
    from training import model_files

    model_files.save(made_small_model(), home / "saved")
    files = {file.name: file.read_bytes() for file in (home / "saved").iterdir()}
    refused: dict[str, int] = {}
    harmless, count = 0, max(round(MUTANTS * share), 1)
    for number, mutant in enumerate(mutants(files["lead_model.txt"].decode(), count)):
        folder = home / f"mutant-{number}"
        folder.mkdir()
        for name, content in {**files, "lead_model.txt": mutant.encode()}.items():
            (folder / name).write_bytes(content)
        bundle.seal(folder, signing.signing_key(home))
        try:
            check_in_child(folder)
            harmless += 1
        except ChildFailedError as error:
            why = str(error).split(":")[0][:40]
            refused[why] = refused.get(why, 0) + 1
    return True, f"{count} signed mutants: refused {refused}; {harmless} score as before, to 1e-9"


def generated(url: str, home: Path, share: float) -> Result:
    """Requests made from the service's own description, and others."""
    import json

    from tests.torture.generated import from_description, from_imagination

    port = free_port()
    call = Http(port, furnished(url, {"R-1": 1_000_000, "R-2": 1_000_000}))
    service = Forked(url, home, port, workers=1)
    service.start()
    answered(call)
    from_imagination(call, 300)
    worker = service.processes[0]
    before = _resident(worker.pid)
    description = json.loads(call("GET", "/openapi.json", "admin")[1])
    said = from_description(call, description, round(GENERATED * share * 0.8))
    said += from_imagination(call, round(GENERATED * share * 0.2))
    growth, lives = _resident(worker.pid) - before, worker.is_alive()
    service.kill()
    call.close()
    unfit = {status: count for status, count in said.items() if status not in (None, 503) and status >= 500}
    told = f"{said.total()} requests {dict(said)}; {growth / 1e6:.1f} MB more; the worker lives: {lives}"
    return lives and not unfit and growth < 20e6, told


def saturation(url: str, home: Path, share: float) -> Result:
    """Three times what one worker can do, for a minute."""
    from tests.torture.saturation import saturated

    port = free_port()
    keys = furnished(url, {f"R-{number}": 1_000_000 for number in range(1, 21)})
    call = Http(port, keys)
    service = Forked(url, home, port, workers=1)
    service.start()
    answered(call)
    outcome = saturated(port, keys["crm"], max(60 * share, 2.0))
    problems = set(outcome.problems())
    service.kill()
    call.close()
    return not problems, " | ".join([str(outcome), *problems])


def swaps(_url: str, home: Path, share: float) -> Result:
    """Fifty promotions in a minute, under the whole service at work."""
    from tests.torture.outages import swapped

    outcome = swapped(home, max(round(SWAPS * share), 2), 60 * share)
    return not any(outcome.problems()), str(outcome)


def outages(_url: str, home: Path, share: float) -> Result:
    """The database crashes and comes back under load; the registry is dead at the start."""
    from tests.torture.outages import ready_without_registry, restarted

    (home / "restarted").mkdir()
    server = Postgres()
    try:
        back = restarted(server, home / "restarted", loaded_s=max(10 * share, 1.0))
    finally:
        server.remove()
    (home / "dead").mkdir()
    ready_s = ready_without_registry(home / "dead")
    told = f"PostgreSQL restarted: {back}; ready after {ready_s:.1f} s without a registry"
    return not back.problems, " | ".join([told, *back.problems[:3]])


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4_096


Torture = Callable[[str, Path, float], Result]
ON_EACH: dict[str, Torture] = {"kills": kills, "served": served, "game": game}
ONCE: dict[str, Torture] = {
    "mutants": signed_mutants,
    "generated": generated,
    "saturation": saturation,
    "swaps": swaps,
    "outages": outages,
}


def main(arguments: list[str]) -> int:
    """Run those that were named, or all."""
    asked = argparse.ArgumentParser(prog="python -m tests.torture")
    asked.add_argument("names", nargs="*", help=f"of {', '.join([*ON_EACH, *ONCE])}; game:sqlite for one engine")
    asked.add_argument("--share", type=float, default=1.0)
    options = asked.parse_args(arguments)
    names, well, server = options.names, True, None
    try:
        for name, torture in {**ON_EACH, **ONCE}.items():
            for engine in ("sqlite", "postgresql") if name in ON_EACH else ("sqlite",):
                if names and name not in names and f"{name}:{engine}" not in names:
                    continue
                with tempfile.TemporaryDirectory(prefix="leadmatch-torture-") as folder:
                    url = f"sqlite:///{folder}/ledger.db"
                    if engine == "postgresql":
                        server = server or Postgres()
                        url = server.database(name)
                    passed, figures = torture(url, Path(folder), options.share)
                well = well and passed
                print(f"{'ok  ' if passed else 'FAIL'} {name} on {engine}: {figures}", flush=True)
    finally:
        if server:
            server.remove()
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
