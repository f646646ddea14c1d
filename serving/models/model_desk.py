"""Models as a manager changes them: what the registry holds, a version promoted by hand, the one before again.

The ledger decides, by compare-and-swap; every worker then fetches, verifies and tries the bundle by itself. The
registry is asked by throw-away processes alone, and never for a decision.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from data.errors import ConflictError, InputError
from data.store import promotions
from data.store.ledger import Ledger
from data.store.promotions import Promotion
from serving.models.bundle import BundleRefusedError
from serving.models.bundle_store import BundleStore
from serving.models.child import ChildFailedError
from serving.models.fetch import Fetch, name_champion, newest_versions

KEPT_S = 30.0  # a list of versions this young is told again, and so is that the registry could not be asked
WAIT_S = 2.0  # for another request's question to the registry, which may take a minute: who waits holds a slot


class ModelDesk:
    """The registered models of this installation."""

    def __init__(
        self, ledger: Ledger, home: Path, fetch: Fetch, clock: Callable[[], datetime], timeout_s: float
    ) -> None:
        self._ledger = ledger
        self._home = home
        self._fetch = fetch
        self._clock = clock
        self._timeout_s = timeout_s  # of one call to the registry
        self._listing = threading.Lock()
        self._promoting = threading.Lock()
        self._kept: tuple[float, list[dict[str, Any]] | ChildFailedError] | None = None

    def versions(self) -> list[dict[str, Any]]:
        """The newest registered versions. Raises ChildFailedError where the registry cannot be asked."""
        if not self._listing.acquire(timeout=WAIT_S):
            raise ChildFailedError("the registry has not answered somebody else yet")
        try:
            kept = self._kept
            if kept is None or time.monotonic() - kept[0] > KEPT_S:
                told = self._asked()
                kept = self._kept = (time.monotonic(), told)
        finally:
            self._listing.release()
        if isinstance(kept[1], ChildFailedError):
            raise ChildFailedError(str(kept[1]))
        return kept[1]

    def _asked(self) -> list[dict[str, Any]] | ChildFailedError:
        try:
            return newest_versions(self._home, timeout_s=self._timeout_s)
        except ChildFailedError as error:
            return error

    def promote(self, version: str, *, expected: str | None, actor: str, why: str) -> Promotion:
        """A version made champion by a person's word, once its bundle is fetched, verified and tried.

        expected : who is champion, as the person saw it. Raises ConflictError where it is another by now
        or another version is being promoted, InputError where the version cannot be had.
        """
        if not self._promoting.acquire(blocking=False):  # a download may take a minute, and holds a slot
            raise ConflictError("Another version is being fetched to be promoted; look again in a minute.")
        try:
            return self._promoted(version, expected, actor, why)
        finally:
            self._promoting.release()

    def _promoted(self, version: str, expected: str | None, actor: str, why: str) -> Promotion:
        with self._ledger.reading() as conn:
            held = promotions.champion(conn)
        if held is not None and held.version == version:
            raise ConflictError(f"Version {version} is the champion already.")
        with tempfile.TemporaryDirectory(prefix="leadmatch-") as scratch:
            folder = Path(scratch) / "bundle"
            folder.mkdir()
            try:
                self._fetch(version, folder)
                manifest = BundleStore(self._home).install(folder)
            except (BundleRefusedError, ChildFailedError) as error:
                raise InputError(f"Version {version} cannot be promoted: {error}") from None
        return self._put_in_force(version, manifest.digest, expected, actor, [f"promoted by hand: {why}"])

    def roll_back(self, *, expected: str | None, actor: str, why: str) -> Promotion:
        """The champion before the present one made champion again."""
        with self._ledger.reading() as conn:
            risen = promotions.risen(promotions.history(conn))
        if len(risen) < 2:
            raise ConflictError("There was no champion before this one, so there is nothing to roll back to.")
        back = risen[-2]
        return self._put_in_force(back.version, back.digest, expected, actor, [promotions.ROLLED_BACK, why])

    def _put_in_force(
        self, version: str, digest: str, expected: str | None, actor: str, grounds: list[str]
    ) -> Promotion:
        with self._ledger.writing() as tx:
            made = promotions.promote(
                tx,
                version=version,
                digest=digest,
                expected_previous=expected,
                actor=actor,
                grounds={"grounds": grounds},
                at=self._clock(),
            )
        self._kept = None
        return made

    def move_alias(self, version: str) -> str | None:
        """Let the registry's alias follow; why it could not, where it could not. The ledger's word stands anyway."""
        try:
            name_champion(self._home, version, timeout_s=self._timeout_s)
        except ChildFailedError as error:
            return str(error)
        return None
