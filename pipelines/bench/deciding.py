"""A durable decision in process: how its time grows with the roster."""

import hashlib
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.store import keys, roster
from data.store.ledger import Ledger
from pipelines.bench.measure import Spread, in_turn
from pipelines.bench.world import roster_of
from serving.deciding.decide import Ask
from serving.models.bundle_store import Loaded
from serving.running.parts import Parts, put_together
from training.conversion import ConversionModel

SIZES = (200, 1_000, 5_000)


class Desk:
    """The parts of a service over an empty ledger and a floor of `size` reps."""

    problem: str | None = None

    def __init__(self, model: ConversionModel, leads: list[dict[str, Any]], size: int, folder: Path) -> None:
        own, reps = roster_of(model, size)
        self._loaded = Loaded(own, "1", "0" * 64, "promoted", {})
        self._leads, self._client = leads, keys.DEFAULT_CLIENT
        self.ledger = Ledger.open(f"sqlite:///{folder}/ledger-{size}.db")
        with self.ledger.writing() as tx:
            keys.ensure_client(tx, self._client, at=datetime.now(UTC))
            roster.put_reps(tx, reps, actor="bench", at=datetime.now(UTC))
        self.parts: Parts = put_together(self.ledger, self, home=folder)

    def current(self) -> Loaded:
        """The model in force."""
        return self._loaded

    def decide(self, number: int) -> object:
        """One lead assigned, stored and committed."""
        lead = {**self._leads[number % len(self._leads)], "lead_id": f"B-{number}"}
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        return self.parts.decider.assign(Ask(self._client, lead, digest))


def deciding_times(model: ConversionModel, leads: list[dict[str, Any]], *, quick: bool) -> dict[int, Spread]:
    """Thread CPU of a decision by size of the roster."""
    sizes = SIZES[:2] if quick else SIZES
    with tempfile.TemporaryDirectory(prefix="leadmatch-bench-") as folder:
        desks = {size: Desk(model, leads, size, Path(folder)) for size in sizes}
        found = in_turn({str(size): (desk.decide, 4) for size, desk in desks.items()}, 10 if quick else 40)
        for desk in desks.values():
            desk.ledger.close()
    return {size: found[str(size)] for size in sizes}
