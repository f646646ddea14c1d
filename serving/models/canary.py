"""Does a verified bundle load, and does it still say what it said when it was made? Asked in a throw-away process."""

import sys
from collections.abc import Sequence
from pathlib import Path

from serving.models.child import Limits, answer, run_in_child


def check_in_child(folder: Path, limits: Limits | None = None) -> None:
    """Load the bundle in a process of its own and compare its canary rows, to 1e-9.

    Raises ChildFailedError where it crashes, hangs, eats memory, or scores otherwise.
    """
    run_in_child("serving.models.canary", [str(folder.resolve())], limits or Limits())


def _check(arguments: Sequence[str]) -> None:
    from training import model_files  # imported here: after the limits are on

    folder = Path(arguments[0])
    model_files.check_canaries(model_files.load(folder), folder)


if __name__ == "__main__":
    answer(sys.argv[1:], _check)
