"""`leadmatch retrain`: train on what the ledger has seen, compare, promote or say why not. Meant for a scheduler."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from data.settings import Settings
from data.store.ledger import Ledger
from data.store.lone import alone
from pipelines.from_ledger import export
from pipelines.prepare import TooLittleError
from pipelines.progress import Step, silent
from pipelines.train import train

LOCK = "retrain.lock"


def retrain(settings: Settings, *, data: Path | None, seed: int = 0, step: Step = silent) -> dict[str, Any]:
    """The object of `train --json`, of a model of the ledger's leads and, if given, a history before them.

    Raises RefusedError where another retraining runs on this machine, InputError where there is too little to learn
    from.
    """
    with alone(settings.home / LOCK, "A retraining"), ExitStack() as stack:
        if data is not None:
            return train(data, settings=settings, seed=seed, ledger=True, step=step)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leadmatch-")))
        step("writing the ledger as a data set")
        ledger = Ledger.open(settings.ledger_url)
        try:
            export(ledger, folder)
        finally:
            ledger.close()
        try:
            return train(folder, settings=settings, seed=seed, step=step)
        except TooLittleError as error:
            raise TooLittleError(error.found, "Wait, or give --data with the history before.") from None
