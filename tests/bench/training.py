"""How long training takes on one thread: 100,000 rows and 40 reps, step by step."""

import time
from collections.abc import Callable
from typing import Any

from tests.bench.worlds import floor
from training.assess import look_for_potential, rehearse
from training.fit import fit_parts


def timed(name: str, job: Callable[[], Any]) -> Any:
    """The job's result; prints how long it took, wall and CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = job()
    print(f"| {name} | {time.perf_counter() - wall:.1f} s | {time.process_time() - cpu:.1f} s |", flush=True)
    return made


def main(leads: int = 112_000, reps: int = 40) -> None:
    """Print the table; `leads` is chosen so that some 100,000 rows are mature."""
    print(f"\n## Training, {leads:,} leads, {reps} seats\n\n| step | wall | CPU |\n| --- | --- | --- |")
    began = time.perf_counter()
    made = timed("simulate, check, type, label", lambda: floor(leads, reps, seed=7))
    spells, contract = made.prepared.spells, made.prepared.contract
    rehearsal = timed("rehearsal (F's search, fit, figures)", lambda: rehearse(spells, contract, seed=0))
    parts = timed("final fit", lambda: fit_parts(spells, contract, seed=0, recipe=rehearsal.recipe))
    timed("potential (199 shuffles, two tests)", lambda: look_for_potential(parts, spells, contract, seed=0))
    print(f"| together, {len(spells):,} rows | {time.perf_counter() - began:.1f} s | |")


if __name__ == "__main__":
    main()
