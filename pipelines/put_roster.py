"""`leadmatch roster put`: a data set's present reps become the roster that the service gives leads to."""

from datetime import datetime
from pathlib import Path
from typing import Any

from data.dataset import load_dataset, set_aside
from data.errors import InputError
from data.store import roster
from data.store.ledger import Ledger


def put_roster(data: Path, ledger: Ledger, *, actor: str, at: datetime) -> dict[str, Any]:
    """Replace the roster by the reps of `data` who work there now, and say how many those are.

    Raises InputError where the data set has no such rep; the roster then stays as it is.
    """
    dataset = load_dataset(data)
    set_aside(dataset, data)
    everybody = dataset.roster()
    present = [rep for rep in everybody if rep.employed(at)]
    if not present:
        raise InputError(f"{data}: none of its {len(everybody)} reps works there now; the roster stays as it is.")
    with ledger.writing() as tx:
        version = roster.put_reps(tx, present, actor=actor, at=at)
    return {"roster_version": version, "reps": len(present), "gone": len(everybody) - len(present)}
