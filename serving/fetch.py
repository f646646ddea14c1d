"""A promoted version's files from the model registry, by a throw-away process.

The registry's client is large, retries for minutes and has no time-out over a whole download, so no worker
imports it: a child does, under limits.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from serving.child import Limits, answer, run_in_child
from training.registry import LARGEST_FILE_BYTES, Registry

Fetch = Callable[[str, Path], None]  # (version, folder to fill); raises ChildFailedError


def fetcher(home: Path, *, timeout_s: float, seconds: float = 60.0) -> Fetch:
    """How to fetch a version from the registry of this installation.

    timeout_s : of one call to the registry; seconds : of the whole download.
    """

    def fetch(version: str, to: Path) -> None:
        arguments = [str(home.resolve()), str(timeout_s), version, str(to.resolve())]
        # The registry's address and credentials are in the environment; our own settings are not needed.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LEADMATCH_")}
        limits = Limits(seconds=seconds, file_bytes=LARGEST_FILE_BYTES)
        run_in_child("serving.fetch", arguments, limits, environment=environment)

    return fetch


def _download(arguments: Sequence[str]) -> None:
    home, timeout_s, version, to = arguments
    Registry(Path(home), timeout_s=float(timeout_s)).download(version, Path(to))


if __name__ == "__main__":
    answer(sys.argv[1:], _download)
