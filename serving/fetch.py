"""A promoted version's files from the model registry, by a throw-away process.

The registry's client is large, retries for minutes and has no time-out over a whole download, so no worker
imports it: a child does, under limits.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from serving.child import Limits, answer, run_in_child
from training.registry import CHAMPION, LARGEST_FILE_BYTES, Registry

Fetch = Callable[[str, Path], None]  # (version, folder to fill); raises ChildFailedError


def fetcher(home: Path, *, timeout_s: float, seconds: float = 60.0) -> Fetch:
    """How to fetch a version from the registry of this installation.

    timeout_s : of one call to the registry; seconds : of the whole download.
    """

    def fetch(version: str, to: Path) -> None:
        _ask_registry([str(home.resolve()), str(timeout_s), version, str(to.resolve())], seconds)

    return fetch


def name_champion(home: Path, version: str, *, timeout_s: float, seconds: float = 60.0) -> None:
    """Move the registry's alias to a version that the ledger made champion. Raises ChildFailedError."""
    _ask_registry([str(home.resolve()), str(timeout_s), version], seconds)


def _ask_registry(arguments: list[str], seconds: float) -> None:
    # The registry's address and credentials are in the environment; our own settings are not needed.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEADMATCH_")}
    limits = Limits(seconds=seconds, file_bytes=LARGEST_FILE_BYTES)
    run_in_child("serving.fetch", arguments, limits, environment=environment)


def _asked(arguments: Sequence[str]) -> None:
    home, timeout_s, version, *to = arguments
    registry = Registry(Path(home), timeout_s=float(timeout_s))
    if to:
        registry.download(version, Path(to[0]))
    else:
        registry.set_alias(CHAMPION, version)


if __name__ == "__main__":
    answer(sys.argv[1:], _asked)
