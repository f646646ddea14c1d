"""Several connections at once, to a service of one worker and of two: what a request takes of the whole then."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipelines.bench.client import Client
from pipelines.bench.http import REPS, Site
from pipelines.bench.measure import case, spread
from pipelines.bench.world import roster_of
from pipelines.progress import Step
from training.conversion import ConversionModel

CONNECTIONS = 4  # as many as one worker works on at once
ROUNDS, REQUESTS = 12, 40  # of each service in turn; by each connection a round


def scaling_cases(model: ConversionModel, leads: list[dict[str, Any]], *, step: Step) -> list[dict[str, Any]]:
    """Scores and decisions: two workers against one, each on an installation of its own."""
    wide, _ = roster_of(model, REPS)
    step("starting a service of one worker and one of two")
    with tempfile.TemporaryDirectory(prefix="leadmatch-bench-") as folder:
        sites: dict[int, Site] = {}
        try:
            for workers in (1, 2):
                home = Path(folder) / str(workers)
                home.mkdir()
                sites[workers] = Site(home, wide, leads, workers=workers)
            return [_two_over_one(sites, name, step=step) for name in ("score", "assign")]
        finally:
            for site in sites.values():
                site.running.stop()


def _two_over_one(sites: dict[int, Site], name: str, *, step: Step) -> dict[str, Any]:
    step(f"/v1/{name} over {CONNECTIONS} connections")
    clients = {n: [Client(site.running.url, site.key) for _ in range(CONNECTIONS)] for n, site in sites.items()}
    times: dict[int, list[float]] = {workers: [] for workers in sites}
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for turn in range(ROUNDS + 1):  # the first only warms up
            for workers, site in sites.items():
                began = time.perf_counter()
                asked = [
                    pool.submit(_ask, site, client, name, (turn * CONNECTIONS + place) * REQUESTS)
                    for place, client in enumerate(clients[workers])
                ]
                for one in asked:
                    one.result()
                if turn:
                    times[workers].append((time.perf_counter() - began) / (CONNECTIONS * REQUESTS))
    return case(
        f"POST /v1/{name} over {CONNECTIONS} connections, of the whole time, two workers",
        spread(times[2]),
        spread(times[1]),
        against="one worker",
        unit="wall a request",
    )


def _ask(site: Site, client: Client, name: str, first: int) -> None:
    for number in range(first, first + REQUESTS):
        client.post(*getattr(site, name)(number))
