"""What the service leans on goes away, or changes under it: the registry, the database, the model in force."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from data.store import decisions, promotions
from data.store.ledger import Ledger
from data.store.promotions import Promotion
from pipelines.doctor import examine
from serving.models import bundle, signing
from serving.models.bundle_store import BundleStore
from tests.conftest import made_small_model
from tests.ports import free_port
from tests.torture import clients, history
from tests.torture.postgres import Postgres
from tests.torture.service import Forked, Http, Whole, answered, furnished
from training import model_files

CAPACITIES = {f"R-{number}": 100_000 for number in range(1, 9)}
CLIENTS = 6
LEAD = {"industry": "retail", "company_size": 40}


def ready_without_registry(home: Path) -> float:
    """Seconds from the start of the whole service to its being ready, with its last model on disk and no registry."""
    with_two_models(home)
    service = Whole(home, free_port(), MLFLOW_TRACKING_URI=f"http://127.0.0.1:{free_port()}")
    begun = time.monotonic()
    service.start()
    took_s = time.monotonic() - begun
    service.kill()
    return took_s


@dataclass(frozen=True)
class Restarted:
    """A database that went away for a while, under load."""

    healed_s: float  # from its return to the first decision that was stored
    refused: int
    problems: list[str]  # of the history and of doctor

    def __str__(self) -> str:
        return f"a decision {self.healed_s:.2f} s after its return, {self.refused} refused, {len(self.problems)} amiss"


def restarted(server: Postgres, home: Path, *, loaded_s: float, away_s: float = 1.0) -> Restarted:
    """Crash and restart the database while clients are at work, then hold what they were told against the ledger."""
    url, port = server.database("restarted"), free_port()
    call = Http(port, furnished(url, CAPACITIES))
    service = Forked(url, home, port)
    service.start()
    answered(call)
    plan = clients.Plan(call, list(CAPACITIES), highest=100_000, lowest=90_000, requests=10**9)
    noted: list[history.Operation] = []
    loading = threading.Thread(target=lambda: noted.extend(clients.together(plan, CLIENTS, 3)))
    loading.start()
    time.sleep(loaded_s)
    server.stop()
    time.sleep(away_s)
    server.start()
    back = time.monotonic()
    time.sleep(max(loaded_s, 6.0))
    plan.stop.set()
    loading.join()
    problems = history.violations(noted, clients.final(call), CAPACITIES)
    service.kill()
    call.close()
    ledger = Ledger.open(url)
    problems += [str(finding) for finding in examine(ledger)]
    ledger.close()
    stored = [one.ended for one in noted if one.kind == "assign" and one.well and one.ended > back]
    healed_s = min(stored, default=float("inf")) - back
    return Restarted(healed_s, sum(one.status == 503 for one in noted), problems)


def with_two_models(home: Path) -> dict[str, str]:
    """The digests of two versions that lie on disk as good, version 1 promoted last."""
    digests: dict[str, str] = {}
    store, folders = BundleStore(home), {}
    for version in ("2", "1"):
        folders[version] = home / f"made-{version}"
        model_files.save(replace(made_small_model(), facts={"version": version}), folders[version])
        digests[version] = bundle.seal(folders[version], signing.signing_key(home)).digest
        promotion = Promotion(1, version, digests[version], None, "torture", {}, datetime.now(UTC))
        store.refresh(promotion, lambda version, to: bundle.copy_files(folders[version], to))
    ledger = Ledger.open(f"sqlite:///{home}/ledger.db")
    _promote(ledger, "1", digests, None)
    ledger.close()
    return digests


def _promote(ledger: Ledger, version: str, digests: dict[str, str], previous: str | None) -> None:
    given = {"actor": "torture", "grounds": {}, "at": datetime.now(UTC)}
    with ledger.writing() as tx:
        promotions.promote(tx, version=version, digest=digests[version], expected_previous=previous, **given)


@dataclass(frozen=True)
class Swapped:
    """Models put in force one after the other, under load."""

    swaps: int
    statuses: Counter[int | None]
    versions: Counter[str]  # of the answers
    mixed: int  # answers whose row in the ledger names another version, or another digest

    def problems(self) -> Iterator[str]:
        """What must not be."""
        if set(self.statuses) != {200}:
            yield f"statuses {dict(self.statuses)}"
        if set(self.versions) != {"1", "2"}:
            yield f"versions {dict(self.versions)}"
        if self.mixed:
            yield f"{self.mixed} answers of no one model"

    def __str__(self) -> str:
        told = f"{self.swaps} swaps, {self.statuses.total()} requests {dict(self.statuses)}, by {dict(self.versions)}"
        return f"{told}; {self.mixed} of no one model"


def swapped(home: Path, count: int, seconds: float, workers: int = 2) -> Swapped:
    """Promote two models in turn, `count` times in `seconds`, under the whole service at work."""
    digests, port = with_two_models(home), free_port()
    url = f"sqlite:///{home}/ledger.db"
    call = Http(port, furnished(url, CAPACITIES))
    service = Whole(home, port, workers, LEADMATCH_BUNDLE_POLL_SECONDS="0.2")
    service.start()
    answered(call)
    answers: list[tuple[int | None, bytes]] = []
    halt = threading.Event()

    def load(client: int) -> None:
        number = 0
        while not halt.is_set():
            number += 1
            answers.append(call("POST", "/v1/assign", "crm", {"lead": {"lead_id": f"L-{client}-{number}", **LEAD}}))

    loading = [threading.Thread(target=load, args=(client,)) for client in range(CLIENTS)]
    [thread.start() for thread in loading]
    ledger = Ledger.open(url)
    for number in range(count):
        _promote(ledger, "21"[number % 2], digests, "12"[number % 2])
        time.sleep(seconds / count)
    halt.set()
    [thread.join() for thread in loading]
    service.kill()
    call.close()
    told = [body for status, body in answers if status == 200]
    mixed, versions = _mixed(ledger, told, digests)
    ledger.close()
    return Swapped(count, Counter(status for status, _ in answers), versions, mixed)


def _mixed(ledger: Ledger, told: list[bytes], digests: dict[str, str]) -> tuple[int, Counter[str]]:
    """How many answers are not, in the ledger, of the version that they name and of its digest; and by version."""
    import orjson

    by_id = {answer["decision_id"]: answer["model_version"] for answer in map(orjson.loads, told)}
    mixed = 0
    with ledger.reading() as conn:
        rows = [each.row for each in decisions.search(conn, limit=1_000_000)[0]]
    for row in rows:
        if row.decision_id in by_id:
            version = by_id[row.decision_id]
            mixed += row.model_version != version or row.model_digest != digests[version]
    return mixed + len(by_id.keys() - {row.decision_id for row in rows}), Counter(by_id.values())
