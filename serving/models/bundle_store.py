"""The model in force in this process, and the last good ones on disk.

The ledger's promotion says which digest should be in force. `refresh` is called by a background poll, never
on the way of a request; requests read `current()` once and keep what they got.
"""

import fcntl
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data.crash_points import crash_at
from data.store.promotions import Promotion
from serving.models.bundle import BundleRefusedError, Manifest, copy_files, verify
from serving.models.canary import check_in_child
from serving.models.fetch import Fetch
from serving.models.probation import Probation
from serving.models.signing import public_key, write_atomically
from training.conversion import ConversionModel
from training.model_files import load

LOG = logging.getLogger(__name__)
KEPT = 3  # bundles on disk, the one in force included
LAST_GOOD = "last_good.json"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0  # before a failed promotion is tried again
PROMOTED, FALLBACK = "promoted", "last_good"


@dataclass(frozen=True)
class Loaded:
    """A model in memory and where it came from."""

    model: ConversionModel
    version: str
    digest: str
    source: str  # "promoted": what the ledger names; "last_good": an earlier one, as that cannot be had
    about: Mapping[str, Any]
    probation: Probation = field(default_factory=Probation, compare=False)


class BundleStore:
    """The bundles under `home` and the one that this process has loaded."""

    def __init__(self, home: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._home = home
        self._folder = home / "bundles"
        self._clock = clock
        self._current: Loaded | None = None
        self._failed = ""  # digest that could not be had
        self._pause_s = FIRST_PAUSE_S
        self._retry_at = 0.0
        self.problem: str | None = "no model has been loaded yet"

    def current(self) -> Loaded | None:
        """The model in force, or None: then the rule book's fallback decides and `problem` says why."""
        return self._current

    def refresh(self, promotion: Promotion | None, fetch: Fetch) -> Loaded | None:
        """Bring the promoted model into force, and return what is in force then.

        promotion : the ledger's latest; fetch : gets a version's files where the disk does not have them.
        Where it cannot be had or is refused, what was in force stays (after a start: the last good one on
        disk), `problem` says why, and the next tries come after growing pauses.
        """
        if promotion is None:
            self._current, self.problem = None, "no model has been promoted yet"
            return None
        held = self._current
        if held is not None and held.digest == promotion.digest:
            self._put_in_force(replace(held, version=promotion.version, source=PROMOTED))
        elif promotion.digest != self._failed or self._clock() >= self._retry_at:
            self._try(promotion, fetch)
        return self._current

    def use_last_good(self, problem: str) -> Loaded | None:
        """For a start without the ledger: the newest bundle on disk that was in force before and still verifies."""
        self._fall_back(problem)
        return self._current

    def install(self, folder: Path) -> Manifest:
        """Verify a bundle, try it in a throw-away process, and keep it under its digest.

        Raises BundleRefusedError or ChildFailedError; then nothing is kept.
        """
        with self._lock():
            return self._install(folder)

    def _try(self, promotion: Promotion, fetch: Fetch) -> None:
        try:
            with self._lock():
                loaded = self._from_disk(promotion) or self._fetched(promotion, fetch)
                self._remember(loaded)
        except Exception as error:  # whatever it is, the service goes on with what it has, and says so
            again = promotion.digest == self._failed
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S) if again else FIRST_PAUSE_S
            self._failed, self._retry_at = promotion.digest, self._clock() + self._pause_s
            LOG.warning("model version %s cannot be used: %s", promotion.version, error)
            self._fall_back(f"model version {promotion.version} cannot be used: {error}")
        else:
            self._put_in_force(loaded)

    def _put_in_force(self, loaded: Loaded) -> None:
        self._current = loaded  # one reference: a request that began keeps the model it read
        self._failed, self.problem = "", None

    def _fall_back(self, problem: str) -> None:
        if self._current is not None:
            self._current = replace(self._current, source=FALLBACK)
        else:
            self._current = next((one for entry in self._last_good() if (one := self._sound(entry))), None)
        self.problem = problem

    def _sound(self, entry: Mapping[str, str]) -> Loaded | None:
        try:
            return self._load(entry["digest"], entry["version"], FALLBACK)
        except Exception as error:  # the next older one is tried
            LOG.warning("bundle %s is of no use any more: %s", entry.get("digest"), error)
            return None

    def _from_disk(self, promotion: Promotion) -> Loaded | None:
        if not self._intact(self._folder / promotion.digest):
            return None  # not here, or damaged since: to be fetched anew
        return self._load(promotion.digest, promotion.version, PROMOTED)

    def _fetched(self, promotion: Promotion, fetch: Fetch) -> Loaded:
        with self._staging() as staging:
            fetch(promotion.version, staging)
            manifest = self._install(staging)
        if manifest.digest != promotion.digest:
            raise BundleRefusedError("the registry holds another model under that version than was promoted")
        return self._load(promotion.digest, promotion.version, PROMOTED)

    def _load(self, digest: str, version: str, source: str) -> Loaded:
        folder = self._folder / digest
        manifest = verify(folder, public_key(self._home))
        if manifest.digest != digest:
            raise BundleRefusedError("another bundle lies under this digest")
        return Loaded(load(folder), version, digest, source, manifest.about)

    def _install(self, folder: Path) -> Manifest:
        with self._staging() as staging:
            copy_files(folder, staging)  # what is checked below is a copy that nobody else can change
            manifest = verify(staging, public_key(self._home))
            target = self._folder / manifest.digest
            if not self._intact(target):
                check_in_child(staging)
                crash_at("before_bundle")
                shutil.rmtree(target, ignore_errors=True)
                os.replace(staging, target)
        return manifest

    def _intact(self, folder: Path) -> bool:
        try:
            verify(folder, public_key(self._home))
        except BundleRefusedError:
            return False
        return True

    def _remember(self, loaded: Loaded) -> None:
        entry = {"digest": loaded.digest, "version": loaded.version}
        kept = [entry, *(one for one in self._last_good() if one["digest"] != loaded.digest)][:KEPT]
        write_atomically(self._folder / LAST_GOOD, json.dumps(kept).encode())
        digests = {one["digest"] for one in kept}
        for folder in self._folder.iterdir():
            if folder.is_dir() and folder.name not in digests:
                shutil.rmtree(folder)

    def _last_good(self) -> list[dict[str, str]]:
        """Bundles that were in force, newest first."""
        try:
            return list(json.loads((self._folder / LAST_GOOD).read_bytes()))
        except (OSError, ValueError):
            return []

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".incoming-") as folder:
            yield Path(folder)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One process at a time changes the folder; the kernel lets go of the lock when a process dies."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
