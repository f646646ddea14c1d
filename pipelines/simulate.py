"""`leadmatch simulate`: a sales floor with known truth, as a data set folder."""

from pathlib import Path
from typing import Any

from data.errors import InputError
from data.simulator import holds_another, simulate, write
from pipelines.progress import Step, silent


def simulate_to(
    out: Path, *, leads: int, reps: int, seed: int, days: int, truth: bool, step: Step = silent
) -> dict[str, Any]:
    """Write the floor's tables to `out`, and say what is there.

    Raises InputError where a size makes no sense, or another data set lies there.
    """
    if holds_another(out):
        raise InputError(f"--out: {out} holds a data set that was not simulated; choose another folder.")
    step(f"drawing {leads:,} leads and what became of them")
    try:
        world = simulate(leads=leads, reps=reps, seed=seed, days=days)
    except ValueError as error:
        raise InputError(str(error)) from error
    step(f"writing {out}")
    write(world, out, truth=truth)
    return {
        "out": str(out),
        "leads": len(world.leads),
        "reps": len(world.reps),
        "assignments": len(world.assignments),
        "truth": truth,
    }
