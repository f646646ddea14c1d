"""What the service asks of the model registry, by a throw-away process: a version's files, the list, the alias.

The registry's client is large, retries for minutes and has no time-out over a whole download, so no worker
imports it: a child does, under limits.
"""

import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from serving.models.child import Limits, answer, run_in_child
from training.registry import LARGEST_FILE_BYTES, Registry, Version

MOST_VERSIONS = 12  # that the list tells of, newest first

Fetch = Callable[[str, Path], None]  # (version, folder to fill); raises ChildFailedError


def fetcher(home: Path, *, timeout_s: float, seconds: float = 60.0) -> Fetch:
    """How to fetch a version from the registry of this installation.

    timeout_s : of one call to the registry; seconds : of the whole download.
    """

    def fetch(version: str, to: Path) -> None:
        _ask_registry(["download", str(home.resolve()), str(timeout_s), version, str(to.resolve())], seconds)

    return fetch


def name_champion(home: Path, version: str, *, timeout_s: float, seconds: float = 60.0) -> None:
    """Move the registry's alias to a version that the ledger made champion. Raises ChildFailedError."""
    _ask_registry(["name_champion", str(home.resolve()), str(timeout_s), version], seconds)


def newest_versions(home: Path, *, timeout_s: float, seconds: float = 60.0) -> list[dict[str, Any]]:
    """The newest registered versions with what their runs were logged with. Raises ChildFailedError.

    Each is {version, created_at, aliases, digest, run_id, verdict, metrics {name: {value, standard_error}}}.
    """
    with tempfile.TemporaryDirectory(prefix="leadmatch-") as scratch:
        told = Path(scratch) / "versions.json"
        _ask_registry(["list", str(home.resolve()), str(timeout_s), str(told)], seconds)
        versions: list[dict[str, Any]] = json.loads(told.read_bytes())
    return versions


def _ask_registry(arguments: list[str], seconds: float) -> None:
    # The registry's address and credentials are in the environment; our own settings are not needed.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEADMATCH_")}
    limits = Limits(seconds=seconds, file_bytes=LARGEST_FILE_BYTES)
    run_in_child("serving.models.fetch", arguments, limits, environment=environment)


def _asked(arguments: Sequence[str]) -> None:
    action, home, timeout_s, *given = arguments
    registry = Registry(Path(home), timeout_s=float(timeout_s))
    if action == "download":
        version, to = given
        registry.download(version, Path(to))
    elif action == "name_champion":
        registry.name_champion(given[0])
    else:
        newest = [_plain(registry, one) for one in registry.versions()[:MOST_VERSIONS]]
        Path(given[0]).write_text(json.dumps(newest), encoding="utf-8")


def _plain(registry: Registry, one: Version) -> Mapping[str, Any]:
    run = registry.run(one.run_id)
    figures = {
        name: {"value": _finite(found.value), "standard_error": _finite(found.standard_error)}
        for name, found in run.metrics.items()
    }
    return {
        "version": one.version,
        "created_at": one.created_at.isoformat(),
        "aliases": list(one.aliases),
        "digest": one.digest,
        "run_id": one.run_id,
        "verdict": run.tags.get("verdict"),
        "metrics": figures,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    answer(sys.argv[1:], _asked)
